//! Measures the peak rate of reading. The kernel is in `gpu`, which uses it at start to choose the
//! storage.

use crate::Result;
pub use crate::gpu::RoofRead;
use crate::kernels::checked::{Cases, Checked, Shapes};

/// Lanes, texels for each lane, and repetitions in the cases of the reading and copying kernels.
pub(super) const CASE_SIZES: [(usize, usize, usize); 4] =
    [(8, 1, 1), (24, 5, 2), (256, 3, 3), (768, 2, 1)];

impl Checked for RoofRead {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (lanes, reads, times) in CASE_SIZES {
            let x = cases.filled("x", &[lanes * reads, 4])?;
            let y = cases.empty("y", &[lanes, 4])?;
            let what = format!("{lanes} lanes, {reads} texels each, {times} times");
            cases.add(what, Self { x, y, reads, times });
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("roof read of 16 MiB", |cases| {
            let x = cases.filled("x", &[1 << 20, 4])?;
            Ok(Self { x, y: cases.empty("y", &[1 << 14, 4])?, reads: 64, times: 1 })
        });
    }
}
