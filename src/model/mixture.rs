//! The weights of a mixture of experts: a router chooses a few experts for each token, and only
//! their weights are read (Shazeer et al. 2017, arXiv:1701.06538).

use super::config::Experts;
use super::loader::{Loader, Rows};
use super::rows::{Slice, Stacked, Widened};
use super::weights::Projection;
use crate::Result;
use crate::kernels::Matrix;
use std::sync::Arc;

/// Weights of a mixture of E experts.
pub struct Mixture {
    /// How many experts there are, and how many a token goes through.
    pub experts: Experts,
    /// Maps the stream to the logits of the experts [E, C].
    pub router: Projection,
    /// Gate rows and then up rows of each expert, stacked by expert and padded to whole tiles [E *
    /// 2 F, C].
    pub gate_up: Projection,
    /// Down projections, stacked by expert and padded to whole tiles [E * C, F].
    pub down: Projection,
}

impl Loader<'_> {
    /// The experts of a layer. A Hugging Face folder has one tensor for each expert, a GGUF file
    /// one for all.
    pub(super) fn mixture(&self, index: usize, shape: &Experts) -> Result<Mixture> {
        let (width, hidden) = (self.config.hidden_size, shape.intermediate_size);
        let name = |part: &str| format!("blk.{index}.{part}");
        let gates = self.experts(index, "ffn_gate", shape.n_experts, [hidden, width])?;
        let ups = self.experts(index, "ffn_up", shape.n_experts, [hidden, width])?;
        let downs = self.experts(index, "ffn_down", shape.n_experts, [width, hidden])?;
        let both = gates.into_iter().zip(ups).flat_map(|(gate, up)| [gate, up]).collect();
        let downs = downs.into_iter().map(|down| self.padded(down)).collect();
        let rows = 2 * hidden.next_multiple_of(64);
        let router = self.matrix(&name("ffn_gate_inp.weight"), shape.n_experts, width)?;
        let gate_up = self.stack_of(&name("ffn_gate_up_exps"), both, rows)?;
        let down = self.stack_of(&name("ffn_down_exps"), downs, width.next_multiple_of(64))?;
        Ok(Mixture {
            experts: shape.clone(),
            router: Projection::new(router, None),
            gate_up: Projection::new(gate_up, None),
            down: Projection::new(down, None),
        })
    }

    /// The matrices of `part` (such as "ffn_up") of all experts, one after another.
    fn experts(
        &self,
        index: usize,
        part: &str,
        count: usize,
        [rows, columns]: [usize; 2],
    ) -> Result<Vec<Rows>> {
        let all = format!("blk.{index}.{part}_exps.weight");
        if self.source.opt_tensor(&all).is_none() {
            let name = |expert: usize| format!("blk.{index}.{part}.{expert}.weight");
            return (0..count).map(|expert| self.rows(&name(expert), rows, columns)).collect();
        }
        let stack = self.rows_of(&all, &[count, rows, columns], [count * rows, columns], false)?;
        let expert = |expert: usize| {
            let rows = expert * rows..(expert + 1) * rows;
            Arc::new(Slice { source: Arc::clone(&stack), rows }) as Rows
        };
        Ok((0..count).map(expert).collect())
    }

    /// Matrices stacked by rows, each padded to whole tiles; `rows` is the number of rows of one
    /// expert.
    fn stack_of(&self, label: &str, mut sources: Vec<Rows>, rows: usize) -> Result<Matrix> {
        if sources.iter().any(|source| source.dtype() != sources[0].dtype()) {
            let widened = |source: Rows| Arc::new(Widened::new(&*source)) as Rows;
            sources = sources.into_iter().map(widened).collect();
        }
        self.reserve(label, Arc::new(Stacked::new(sources, 64)), rows)
    }
}
