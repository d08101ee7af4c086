//! Products with a stack of experts, of which each token has chosen one: only the chosen rows are
//! read.

use super::group_choices::GroupChoices;
use crate::gpu::{HostMemory, Parameter, Tensor};
use crate::kernels::linear::matrix::Part;

/// The choice of each "token" of a product. A token of the model that chose k experts is k tokens
/// of the product.
#[derive(Clone)]
pub struct Experts {
    /// For each token of the product (expert, share, 0, 0), as [`super::Route`] writes it [T, 4].
    pub routes: Tensor,
    /// Rows of one expert in the stack, a multiple of 64.
    pub rows: usize,
    /// So many tokens of the product follow one another in reading one row of x.
    pub share: usize,
    /// The tokens sorted by expert, as [`GroupChoices`] writes them, where a product is of many.
    pub groups: Option<Tensor>,
}

impl Experts {
    #[track_caller]
    pub(in crate::kernels) fn check(&self, w: &Part) {
        let whole = self.rows.is_multiple_of(64)
            && w.first.is_multiple_of(self.rows)
            && w.rows().is_multiple_of(self.rows);
        assert!(whole, "{}: not a stack of whole experts", w.tensor.label());
    }

    /// Experts in the part.
    pub(in crate::kernels) fn count(&self, w: &Part) -> usize {
        w.rows() / self.rows
    }

    /// Groups that `tokens` tokens can fall into, whichever part has their experts.
    pub(in crate::kernels) fn tiles(&self, w: &Part, tokens: usize) -> usize {
        GroupChoices::tiles(tokens, w.all_rows() / self.rows)
    }

    /// The part holds the experts `first_expert .. first_expert + experts`; choices by place begin
    /// after `tiles` groups.
    pub(in crate::kernels) fn parameters(&self, w: &Part, tokens: usize) -> [Parameter; 4] {
        [
            Parameter::U32("tiles", self.tiles(w, tokens) as u32),
            Parameter::U32("first_expert", (w.first / self.rows) as u32),
            Parameter::U32("experts", self.count(w) as u32),
            Parameter::U32("share", self.share as u32),
        ]
    }

    /// Where the expert of each token begins in the part, if it is there.
    pub(in crate::kernels) fn reference_rows(
        &self,
        w: &Part,
        tokens: usize,
        memory: &mut HostMemory,
    ) -> Vec<Option<usize>> {
        let routes = memory.f32(&self.routes);
        let begin = |token: usize| {
            let row = (routes[4 * token] as usize * self.rows).checked_sub(w.first)?;
            (row < w.rows()).then_some(row)
        };
        (0..tokens).map(begin).collect()
    }
}
