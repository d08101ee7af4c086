//! A mixture of experts in the forward pass: a router chooses a few experts for each token, and
//! each choice is then a token of products over the stack of experts.

use super::activations::MixtureActivations;
use super::pass::Pass;
use crate::gpu::Tensor;
use crate::kernels::{Experts, Function, Gate, GateUp, GroupChoices, Input, MixExperts, Route};
use crate::model::mixture::Mixture;

/// Average number of choices per expert from which on tokens are sorted by expert: with fewer, the
/// tiles are too empty to repay the sorting.
const GROUP_FROM: usize = 8;

impl<'a> Pass<'a> {
    /// x = middle + Σ weight · expert(input), over the experts that each token chose.
    pub(super) fn mixture(&mut self, input: Input, ffn: &Mixture) {
        let act = self.act;
        let own = act.mixture.as_ref().expect("a model with experts has activations for them");
        let chosen = ffn.experts.n_experts_used;
        let choices = self.tokens * chosen;

        let groups = self.route(input.clone(), ffn, own); // [T * chosen, 4]
        let choose = |rows: usize, share: usize, input: Input| {
            let (routes, groups) = (own.routes.clone(), groups.cloned());
            let experts = Some(Experts { routes, rows, share, groups });
            Input { tokens: choices, experts, ..input }
        };

        // All choices of one token read the same activations.
        let each = choose(2 * own.hidden.dim(1), chosen, input);
        let (y, gate) = (&own.hidden, Gate::Silu); // [T * chosen, F]
        self.project("ffn_gate_up_exps", each, &ffn.gate_up, |input, w, _| GateUp {
            input,
            w,
            y: y.clone(),
            gate,
        });
        let each = choose(own.given.dim(1), 1, Input::plain(&own.hidden, choices));
        self.linear("ffn_down_exps", each, &ffn.down, None, &own.given); // [T * chosen, C]
        let mix = MixExperts {
            x: own.given.clone(),
            routes: own.routes.clone(),
            chosen,
            residual: act.middle.clone(),
            y: act.x.clone(),
            tokens: self.tokens,
        };
        self.push("ffn_mix", mix); // [T, C]
    }

    /// Chooses experts for each token, into `act.routes`. Returns the choices sorted by expert if
    /// there are so many that reading each expert once for a group of tokens pays off.
    fn route(
        &mut self,
        input: Input,
        ffn: &Mixture,
        act: &'a MixtureActivations,
    ) -> Option<&'a Tensor> {
        let experts = ffn.experts.n_experts;
        let route = Route {
            logits: act.logits.clone(),
            experts,
            chosen: ffn.experts.n_experts_used,
            among_chosen: ffn.experts.among_chosen,
            routes: act.routes.clone(),
            tokens: self.tokens,
        };
        let (router, logits) = (&ffn.router, &act.logits);
        self.linear_with(Function::Identity, "ffn_gate_inp", input, router, logits); // [T, E]
        self.push("ffn_route", route); // [T * chosen, 4]

        let choices = self.tokens * ffn.experts.n_experts_used;
        if choices < GROUP_FROM * experts || experts > GroupChoices::MOST {
            return None;
        }
        let (routes, groups) = (act.routes.clone(), act.groups.clone());
        self.push("ffn_group", GroupChoices { routes, experts, choices, groups });
        Some(&act.groups)
    }
}
