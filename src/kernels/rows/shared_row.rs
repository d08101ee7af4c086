//! Strategies in which the lanes of a workgroup share a row: for GPUs, where neighbouring lanes
//! should read neighbouring texels.

use crate::gpu::{Constant, FOLD, Needs, Strategy, folded};

/// The smallest subgroup there is: what they have in common is put together whatever their size.
const SUBGROUP: u32 = 4;

/// A shader that includes `row`, and the rows it is for.
pub(in crate::kernels) struct SharedRow {
    /// Names of the strategy with subgroups and of the one without.
    pub names: [&'static str; 2],
    /// Name of the shader file.
    pub entry: &'static str,
    /// The shader's text.
    pub source: &'static str,
    /// Texels of a row.
    pub texels: usize,
    /// Count of rows.
    pub rows: usize,
}

/// Lanes of a workgroup for a row of so many texels: as many, but at least one subgroup of most
/// GPUs and at most what every adapter has.
pub(in crate::kernels) fn lanes(texels: usize) -> u32 {
    texels.next_power_of_two().clamp(32, 256) as u32
}

impl SharedRow {
    /// Both strategies, for the second list of [`crate::gpu::Capabilities::allowed`]; `constants`
    /// are the shader's own.
    pub(in crate::kernels) fn strategies(
        self,
        constants: &[(&'static str, Constant)],
    ) -> Vec<Strategy> {
        let lanes = lanes(self.texels);
        let [x, y] = folded(self.rows);
        let strategy = |name, subgroups: bool| Strategy {
            name,
            entry: self.entry,
            source: self.source,
            constants: [
                &[
                    ("LANES", Constant::Count(lanes)),
                    ("SUBGROUPS", Constant::Switch(subgroups)),
                    ("FOLD", Constant::Count(FOLD)),
                ],
                constants,
            ]
            .concat(),
            needs: Needs::lanes(lanes).workgroup_bytes(4 * lanes).subgroup(if subgroups {
                SUBGROUP
            } else {
                0
            }),
            grid: [x, y, 1],
        };
        vec![strategy(self.names[0], true), strategy(self.names[1], false)]
    }
}
