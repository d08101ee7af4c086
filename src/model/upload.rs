//! The way of the weights to a device, once there is room for them.

use crate::format::Source;
use crate::gpu::Device;
use crate::kernels::Matrix;
use crate::platform::on_all_cores;
use crate::{Error, Result};

/// Matrices that have room at a place and no weights yet.
#[must_use = "a model computes with zeros until its matrices are filled"]
pub struct PendingUpload {
    pub(super) source: Source,
    pub(super) matrices: Vec<Matrix>,
    /// The weights were turned into another type on the way, and progress was told then.
    pub(super) told: bool,
}

impl PendingUpload {
    /// Packs the weights on as many threads as there are cores, and sends them; `progress` is told
    /// the bytes of the file read so far.
    ///
    /// # Errors
    /// When the device fails.
    pub fn fill(self, device: &Device, mut progress: impl FnMut(u64)) -> Result<()> {
        let Self { source, matrices, told } = self;
        if let Device::Gpu(gpu) = device {
            gpu.trim_memory();
            let fill = |index: usize| {
                let matrix = &matrices[index];
                matrix.fill(gpu).map(|()| matrix.source_bytes())
            };
            let mut done = 0;
            on_all_cores(matrices.len(), fill, |_, filled| {
                done += filled?;
                if !told {
                    progress(done);
                }
                Ok::<_, Error>(())
            })?;
        }
        source.release_all();
        Ok(())
    }
}
