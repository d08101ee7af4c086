//! Kernels of which each lane computes something of its own: a few texels, or a row.

use crate::gpu::{Capabilities, Constant, FOLD, Needs, Operand, Strategy, Tensor, folded};

/// Lanes of a workgroup, and texels that each owns: a workgroup has a price of its own on software
/// adapters.
const LANES: usize = 64;
const EACH: usize = 4;

/// Lanes of a workgroup that each own a row.
const ROWS: usize = 32;

/// Rows of the cases of these kernels, and their width: fewer texels than a workgroup has, no whole
/// workgroups, and several.
pub(super) const CASE_ROWS: [usize; 4] = [1, 3, 65, 257];
pub(super) const CASE_WIDTH: usize = 12;

/// The one strategy of a shader that includes `pointwise` and computes `texels` texels.
pub(in crate::kernels) fn pointwise(
    name: &'static str,
    source: &'static str,
    texels: usize,
    mut constants: Vec<(&'static str, Constant)>,
    can: &Capabilities,
) -> Vec<Strategy> {
    let needs = Needs::lanes(LANES as u32);
    constants.push(("FOLD", Constant::Count(FOLD)));
    let [x, y] = folded(texels.div_ceil(LANES * EACH));
    let grid = [x, y, 1];
    can.allowed(vec![Strategy { name, entry: name, source, constants, needs, grid }], vec![])
}

/// The operands of a gradient that follows from the result's alone.
pub(in crate::kernels) fn gradient_operands(
    dy: &Tensor,
    base: Option<&Tensor>,
    dx: &Tensor,
) -> Vec<Operand> {
    vec![Operand::read("dy", dy), Operand::optional("base", base), Operand::write("dx", dx)]
}

/// The strategy of a shader of workgroups of 32 lanes, of which each owns one of `rows` rows.
pub(in crate::kernels) fn rowwise(
    name: &'static str,
    source: &'static str,
    rows: usize,
    constants: &[(&'static str, Constant)],
) -> Vec<Strategy> {
    let needs = Needs::lanes(ROWS as u32);
    let grid = [rows.div_ceil(ROWS) as u32, 1, 1];
    vec![Strategy { name, entry: name, source, constants: constants.to_vec(), needs, grid }]
}
