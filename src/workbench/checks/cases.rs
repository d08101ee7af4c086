//! The cases of all kernels, on a device or only on the host.

use crate::Result;
use crate::gpu::{Device, Gpu};
use crate::kernels::{self, Listed};
use std::sync::Arc;

pub use crate::kernels::{Case, Cases};

/// Cases with their tensors on a device.
pub struct CaseTable {
    /// The device that holds the tensors.
    pub gpu: Arc<Gpu>,
    /// The cases, kernel by kernel.
    pub cases: Vec<Case>,
}

fn gather<'a>(device: Device, kernels: impl Iterator<Item = &'a Listed>) -> Result<Vec<Case>> {
    let mut cases = Cases::new(device);
    for kernel in kernels {
        cases.restart_numbers();
        (kernel.cases)(&mut cases)?;
    }
    Ok(cases.into_cases())
}

/// The cases of all kernels, with awkward sizes and every weight format. Every strategy runs them
/// and is compared with the reference.
///
/// # Errors
/// When the device cannot hold the tensors.
pub fn table(gpu: &Arc<Gpu>) -> Result<CaseTable> {
    let cases = gather(Device::Gpu(Arc::clone(gpu)), kernels::list())?;
    Ok(CaseTable { gpu: Arc::clone(gpu), cases })
}

/// The cases of one kernel, which need not be in the list of all kernels.
///
/// # Errors
/// When the device cannot hold the tensors.
pub fn table_of(gpu: &Arc<Gpu>, kernel: Listed) -> Result<CaseTable> {
    let cases = gather(Device::Gpu(Arc::clone(gpu)), std::iter::once(&kernel))?;
    Ok(CaseTable { gpu: Arc::clone(gpu), cases })
}

/// The cases of all kernels without a device, to inspect their operands and strategies.
///
/// # Errors
/// When a case is malformed.
pub fn on_host() -> Result<Vec<Case>> {
    gather(Device::Reference, kernels::list())
}

/// All distinct shader texts: the cases, and each kernel with each weight format, with and without
/// its optional operands, for one and for several tokens. There are too many to compile; tests
/// inspect the texts.
///
/// # Errors
/// When the device cannot hold the tensors.
pub fn variants(gpu: &Arc<Gpu>) -> Result<CaseTable> {
    let CaseTable { gpu, mut cases } = table(gpu)?;
    let mut further = Cases::new(Device::Gpu(Arc::clone(&gpu)));
    for kernel in kernels::list() {
        (kernel.variants)(&mut further)?;
    }
    cases.extend(further.into_cases());
    Ok(CaseTable { gpu, cases })
}
