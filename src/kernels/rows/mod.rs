//! Norms, sums and maxima over the rows of a matrix.

pub(in crate::kernels) mod shared_row;

kernels! {
    argmax::Argmax,
    norm::Norm,
    norm_backward::NormBackward,
    norm_gain_backward::NormGainBackward,
    row_norm::RowNorm,
    sum_rows::SumRows,
}
