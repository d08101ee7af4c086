//! Strategies in which each lane works independently on a few texels or a row.

use crate::gpu::{Capabilities, Constant, FOLD, Needs, Operand, Strategy, Tensor, folded};

/// Lanes in a workgroup, and texels for each lane: several, because starting a workgroup is costly
/// on software adapters.
const LANES: usize = 64;
const EACH: usize = 4;

/// Lanes in a workgroup in which each lane computes a row.
const ROWS: usize = 32;

/// Rows and width in the cases of these kernels: less than a workgroup, fractions of workgroups,
/// and several.
pub(super) const CASE_ROWS: [usize; 4] = [1, 3, 65, 257];
pub(super) const CASE_WIDTH: usize = 12;

/// The only strategy of a shader that includes `pointwise` and computes `texels` texels.
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

/// The operands of a gradient that depends only on the gradient of the result.
pub(in crate::kernels) fn gradient_operands(
    dy: &Tensor,
    base: Option<&Tensor>,
    dx: &Tensor,
) -> Vec<Operand> {
    vec![Operand::read("dy", dy), Operand::optional("base", base), Operand::write("dx", dx)]
}

/// The strategy of a shader with workgroups of 32 lanes, each of which computes one of `rows` rows.
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
