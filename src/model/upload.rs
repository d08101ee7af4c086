//! Uploads weights to a device after memory for them has been allocated.

use crate::format::Source;
use crate::gpu::Device;
use crate::kernels::Matrix;
use crate::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

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
            let threads =
                std::thread::available_parallelism().map_or(1, |n| n.get()).min(matrices.len());
            let next = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                let (sender, receiver) = mpsc::channel();
                for _ in 0..threads {
                    let (sender, next, matrices) = (sender.clone(), &next, &matrices);
                    scope.spawn(move || {
                        // The receiver stops at the first error; the remaining matrices are then
                        // not needed.
                        while let Some(matrix) = matrices.get(next.fetch_add(1, Ordering::Relaxed))
                        {
                            let filled = matrix.fill(gpu).map(|()| matrix.source_bytes());
                            if sender.send(filled).is_err() {
                                return;
                            }
                        }
                    });
                }
                drop(sender);
                let mut done = 0;
                for filled in receiver {
                    done += filled?;
                    if !told {
                        progress(done);
                    }
                }
                Ok::<_, Error>(())
            })?;
        }
        source.release_all();
        Ok(())
    }
}
