//! Made-up choices of experts, for cases and for the sizes of Qwen3-30B-A3B: 8 of 128 experts, each
//! [768, 2048].

use super::experts::Experts;
use super::group_choices::GroupChoices;
use crate::Result;
use crate::gpu::Tensor;
use crate::kernels::checked::Cases;

/// Experts of a layer of Qwen3-30B-A3B.
pub(in crate::kernels) const EXPERTS: usize = 128;
/// How many of them a token chooses.
pub(in crate::kernels) const CHOSEN: usize = 8;
/// Numbers of a token, and of a token within an expert.
pub(in crate::kernels) const WIDTH: usize = 2048;
pub(in crate::kernels) const HIDDEN: usize = 768;

/// `count` choices (expert, share), beginning with the last expert; two that follow one another are
/// the same.
pub(in crate::kernels) fn routes(
    cases: &mut Cases,
    experts: usize,
    count: usize,
) -> Result<Tensor> {
    let route = |at: usize| {
        let expert = (at.div_ceil(2) * 5 + experts - 1) % experts;
        [expert as f32, 0.1 + 0.2 * (at % 4) as f32, 0.0, 0.0]
    };
    cases.given("routes", &[count, 4], (0..count).flat_map(route).collect())
}

/// Choices of `tokens` tokens of Qwen3-30B-A3B among `experts`, all of them about as often.
pub(in crate::kernels) fn even_routes(
    cases: &mut Cases,
    experts: usize,
    tokens: usize,
) -> Result<Tensor> {
    let route = |at: usize| [(at * 5 % experts) as f32, 0.125, 0.0, 0.0];
    let count = tokens * CHOSEN;
    cases.given("routes", &[count, 4], (0..count).flat_map(route).collect())
}

/// `choices` choices, sorted by expert.
pub(in crate::kernels) fn grouped(
    cases: &mut Cases,
    routes: &Tensor,
    experts: usize,
    choices: usize,
) -> Result<Tensor> {
    let groups = cases.empty("groups", &[GroupChoices::rows(choices, experts), 4])?;
    let kernel = GroupChoices { routes: routes.clone(), experts, choices, groups };
    cases.compute(&kernel);
    Ok(kernel.groups)
}

/// A product with the matrices of experts, as the cases of [`super::super::Matmul`] and
/// [`super::super::GateUp`] have them.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct ExpertProduct {
    pub experts: usize,
    /// Rows of each expert.
    pub rows: usize,
    pub columns: usize,
    /// Products, a choice each.
    pub tokens: usize,
    /// Products that share a row of activations.
    pub share: usize,
    /// Whether the tokens are sorted by expert.
    pub by_expert: bool,
}

const fn product(sizes: [usize; 5], by_expert: bool) -> ExpertProduct {
    let [experts, rows, columns, tokens, share] = sizes;
    ExpertProduct { experts, rows, columns, tokens, share, by_expert }
}

/// The second half of 70 tokens for one expert is a group that is not full, some tiles of which are
/// empty.
pub(in crate::kernels) const PRODUCTS: [ExpertProduct; 9] = [
    product([1, 128, 32, 1, 1], false),
    product([3, 128, 64, 2, 2], false),
    product([8, 384, 96, 12, 3], false),
    product([5, 256, 288, 7, 1], false),
    product([1, 128, 32, 70, 1], true),
    product([3, 128, 64, 2, 2], true),
    product([8, 384, 96, 12, 3], true),
    product([5, 256, 288, 90, 2], true),
    product([9, 128, 64, 40, 4], true),
];

impl ExpertProduct {
    /// The choices of its tokens.
    pub(in crate::kernels) fn choices(&self, cases: &mut Cases) -> Result<Experts> {
        let routes = routes(cases, self.experts, self.tokens)?;
        let groups = if self.by_expert {
            Some(grouped(cases, &routes, self.experts, self.tokens)?)
        } else {
            None
        };
        Ok(Experts { routes, rows: self.rows, share: self.share, groups })
    }

    /// Rows of a part where the stack is in `parts` parts, each of which computes the tokens whose
    /// experts it has; and the count of the parts.
    pub(in crate::kernels) fn part_rows(&self, parts: usize) -> [usize; 2] {
        let rows = self.experts.div_ceil(parts) * self.rows;
        [rows, (self.experts * self.rows).div_ceil(rows)]
    }
}

/// The experts that `tokens` tokens of Qwen3-30B-A3B choose for a product with `rows` rows an
/// expert. There are only eight: 128 experts are 400 million weights, and one token reads eight of
/// them however many there are.
pub(in crate::kernels) fn of_qwen(
    cases: &mut Cases,
    tokens: usize,
    rows: usize,
    share: usize,
) -> Result<Experts> {
    let routes = even_routes(cases, CHOSEN, tokens)?;
    let groups =
        if tokens > 1 { Some(grouped(cases, &routes, CHOSEN, tokens * CHOSEN)?) } else { None };
    Ok(Experts { routes, rows, share, groups })
}
