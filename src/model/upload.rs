//! Uploads weights to a device after memory for them has been allocated.

use crate::format::Source;
use crate::gpu::Device;
use crate::kernels::Matrix;
use crate::platform::on_all_cores;
use crate::{Error, Result};

/// Matrices that are allocated on a device but not filled yet.
#[must_use = "a model computes with zeros until its matrices are filled"]
pub struct PendingUpload {
    pub(super) source: Source,
    pub(super) matrices: Vec<Matrix>,
    /// Weights were converted to another type earlier, and progress was reported then.
    pub(super) told: bool,
}

impl PendingUpload {
    /// Packs the weights on as many threads as there are cores, and uploads them; `progress` is
    /// told the bytes of the file read so far.
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
