//! Made-up inputs for the cases of several products.

use super::input::Input;
use super::matrix::Part;
use crate::Result;
use crate::format::DType;
use crate::kernels::checked::Cases;

/// Activations [tokens, columns], with or without normalisation.
pub(super) fn input(
    cases: &mut Cases,
    normed: bool,
    [tokens, columns]: [usize; 2],
    eps: f32,
) -> Result<Input> {
    let x = cases.filled("x", &[tokens, columns])?;
    if normed {
        Ok(Input::normed(&x, &cases.filled("gain", &[columns])?, eps, tokens))
    } else {
        Ok(Input::plain(&x, tokens))
    }
}

/// Tokens and matrix size in the cases with a separate bias for each token.
pub(super) const OWN_BIAS_TOKENS: [usize; 3] = [1, 9, 33];
pub(super) const OWN_BIAS_SIZE: [usize; 2] = [128, 96];

/// Activations with a separate bias for each token, which is wider than the rows.
pub(super) fn own_biases(cases: &mut Cases, tokens: usize) -> Result<(Input, Part, String)> {
    let [rows, columns] = OWN_BIAS_SIZE;
    let input = input(cases, false, [tokens, columns], 0.0)?;
    let bias = cases.filled("bias", &[tokens, rows + 32])?;
    let w = cases.matrix(DType::Q4_0, rows, columns)?;
    let what = format!("[{rows}, {columns}] x {tokens}, own biases");
    Ok((input.with_bias(Some(&bias)), w, what))
}

/// A call of which only the shader text is checked.
pub(super) struct Variant {
    pub input: Input,
    pub w: Part,
    pub tokens: usize,
    pub normed: bool,
    /// A description of the variant.
    pub what: String,
}

/// Rows and columns of the variants' matrices.
pub(super) const VARIANT_SIZE: [usize; 2] = [128, 256];

/// Each weight format, for one and for several tokens, with and without a norm before the product.
pub(super) fn for_each_variant(
    cases: &mut Cases,
    mut add: impl FnMut(&mut Cases, Variant) -> Result<()>,
) -> Result<()> {
    let [rows, columns] = VARIANT_SIZE;
    for dtype in DType::ALL {
        for tokens in [1, 9] {
            for normed in [false, true] {
                let input = input(cases, normed, [tokens, columns], 1e-5)?;
                let w = cases.matrix(dtype, rows, columns)?;
                let what = format!("{dtype} x {tokens}, norm {normed}");
                add(cases, Variant { input, w, tokens, normed, what })?;
            }
        }
    }
    Ok(())
}
