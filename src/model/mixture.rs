//! A feed-forward part that is a mixture of experts: a router chooses a few for each token, and
//! only their weights are read (Shazeer et al. 2017, arXiv:1701.06538).

use super::config::{Config, Experts as Shape};
use super::loader::{Loader, Rows};
use super::rows::{Slice, Stacked, Widened};
use super::transformer::{Activations, normed};
use super::weights::Layer;
use crate::Result;
use crate::gpu::{Device, Element, Recording, Tensor};
use crate::kernels::{
    Experts, Function, Gate, GateUp, GroupChoices, Input, Linear, Matmul, Matrix, MixExperts, Route,
};
use std::sync::Arc;

/// Choices an expert, on average, from which on tokens are sorted by expert. With 4 the tiles were
/// too empty to pay where it was measured, with 16 they did.
const GROUP_FROM: usize = 8;

/// Weights of a mixture of E experts.
pub struct Mixture {
    /// Logits of the experts [E, C].
    pub router: Matrix,
    /// The experts on top of one another, of each gate rows and then up rows, padded to whole tiles
    /// [E * 2 F, C].
    pub gate_up: Matrix,
    /// The experts on top of one another, padded to whole tiles [E * C, F].
    pub down: Matrix,
}

/// What a step of up to T tokens needs for them.
pub struct MixtureActivations {
    /// Logits of the experts [T, E].
    logits: Tensor,
    /// Who goes where [T * chosen, 4].
    routes: Tensor,
    /// The same by expert, for many tokens [groups and T * chosen, 4].
    groups: Tensor,
    /// Hidden activations [T * chosen, F].
    hidden: Tensor,
    /// What each chosen expert gives [T * chosen, C].
    given: Tensor,
}

impl MixtureActivations {
    /// Room for `tokens` tokens.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub(super) fn new(
        device: &Device,
        config: &Config,
        experts: &Shape,
        tokens: usize,
    ) -> Result<Self> {
        let tensor = |label: &str, rows: usize, width: usize| {
            Tensor::zeros(device, label, &[rows, width], Element::F32)
        };
        let choices = tokens * experts.n_experts_used;
        Ok(Self {
            logits: tensor("expert_logits", tokens, experts.n_experts.next_multiple_of(32))?,
            routes: tensor("routes", choices, 4)?,
            groups: tensor("groups", GroupChoices::rows(choices, experts.n_experts), 4)?,
            hidden: tensor(
                "expert_hidden",
                choices,
                experts.intermediate_size.next_multiple_of(64),
            )?,
            given: tensor("expert_given", choices, config.hidden_size.next_multiple_of(64))?,
        })
    }

    /// Bytes on the device.
    pub(super) fn bytes(&self) -> u64 {
        let Self { logits, routes, groups, hidden, given } = self;
        [logits, routes, groups, hidden, given].into_iter().map(Tensor::bytes).sum()
    }
}

/// Records x = middle + Σ share · expert(norm(middle)) over the chosen experts.
pub(super) fn record(
    rec: &mut Recording,
    name: &dyn Fn(&str) -> String,
    config: &Config,
    act: &Activations,
    layer: &Layer,
    ffn: &Mixture,
    tokens: usize,
) {
    // Both are there in configurations whose layers have experts.
    let (Some(shape), Some(own)) = (&config.experts, &act.mixture) else { return };
    let chosen = shape.n_experts_used;
    let choices = tokens * chosen;
    let input =
        normed(rec, &name("ffn_norm"), config, act, &act.middle, &layer.ffn_norm, 0, tokens);

    // Which experts, and their shares                                                       [T *
    // chosen, 4]
    for w in ffn.router.parts() {
        let (input, w, y) = (input.clone(), w.clone(), own.logits.clone());
        let (first_row, function) = (w.first, Function::Identity);
        rec.push(name("ffn_gate_inp"), Linear { input, w, first_row, function, y });
    }
    let (logits, routes) = (own.logits.clone(), own.routes.clone());
    let (experts, among_chosen) = (shape.n_experts, shape.among_chosen);
    rec.push(name("ffn_route"), Route { logits, experts, chosen, among_chosen, routes, tokens });

    // Where an expert is chosen by several tokens, it is read once for up to a group of them.
    let many = choices >= GROUP_FROM * experts && experts <= GroupChoices::MOST;
    let groups = many.then(|| own.groups.clone());
    if let Some(groups) = groups.clone() {
        rec.push(
            name("ffn_group"),
            GroupChoices { routes: own.routes.clone(), experts, choices, groups },
        );
    }

    // Each choice is a token of these products; those of a token of the model read the same
    // activations.
    let chose = |rows: usize, share: usize, input: Input| {
        let experts =
            Some(Experts { routes: own.routes.clone(), rows, share, groups: groups.clone() });
        Input { tokens: choices, experts, ..input }
    };
    let (hidden, given) = (own.hidden.dim(1), own.given.dim(1));
    for w in ffn.gate_up.parts() {
        let (input, w, y) =
            (chose(2 * hidden, chosen, input.clone()), w.clone(), own.hidden.clone());
        rec.push(name("ffn_gate_up_exps"), GateUp { input, w, y, gate: Gate::Silu });
    }
    for w in ffn.down.parts() {
        let input = chose(given, 1, Input::plain(&own.hidden, choices));
        let (w, y) = (w.clone(), own.given.clone());
        rec.push(name("ffn_down_exps"), Matmul { input, w, residual: None, y });
    }
    rec.push(
        name("ffn_mix"),
        MixExperts {
            x: own.given.clone(),
            routes: own.routes.clone(),
            chosen,
            residual: act.middle.clone(),
            y: act.x.clone(),
            tokens,
        },
    );
}

impl Loader<'_> {
    /// The experts of a layer. A Hugging Face folder has a tensor for each, a GGUF file one for
    /// all.
    pub(super) fn mixture(&self, index: usize, shape: &Shape) -> Result<Mixture> {
        let (width, hidden) = (self.config.hidden_size, shape.intermediate_size);
        let name = |part: &str| format!("blk.{index}.{part}");
        let gates = self.experts(index, "ffn_gate", shape.n_experts, [hidden, width])?;
        let ups = self.experts(index, "ffn_up", shape.n_experts, [hidden, width])?;
        let downs = self.experts(index, "ffn_down", shape.n_experts, [width, hidden])?;
        let both = gates.into_iter().zip(ups).flat_map(|(gate, up)| [gate, up]).collect();
        let downs = downs.into_iter().map(|down| self.padded(down)).collect();
        let rows = 2 * hidden.next_multiple_of(64);
        Ok(Mixture {
            router: self.matrix(&name("ffn_gate_inp.weight"), shape.n_experts, width)?,
            gate_up: self.stack_of(&name("ffn_gate_up_exps"), both, rows)?,
            down: self.stack_of(&name("ffn_down_exps"), downs, width.next_multiple_of(64))?,
        })
    }

    /// One matrix of each expert.
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

    /// Matrices on top of one another, each padded to whole tiles; `rows` are those of one expert.
    fn stack_of(&self, label: &str, mut sources: Vec<Rows>, rows: usize) -> Result<Matrix> {
        if sources.iter().any(|source| source.dtype() != sources[0].dtype()) {
            let widened = |source: Rows| Arc::new(Widened::new(&*source)) as Rows;
            sources = sources.into_iter().map(widened).collect();
        }
        self.reserve(label, Arc::new(Stacked::new(sources, 64)), rows)
    }
}
