//! The choice of experts.

use super::made_up::{CHOSEN, EXPERTS};
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, PROMPT, Shapes};

/// For each token, the experts with the largest logits and their shares.
pub struct Route {
    /// Logits of the experts [T, E or more].
    pub logits: Tensor,
    /// Count of experts E.
    pub experts: usize,
    /// So many of them are chosen, 64 at most.
    pub chosen: usize,
    /// The shares of the chosen ones add up to 1; otherwise those of all experts do.
    pub among_chosen: bool,
    /// (expert, share, 0, 0) of each choice, the likeliest first [T * chosen, 4].
    pub routes: Tensor,
    /// Count of tokens T.
    pub tokens: usize,
}

impl Route {
    /// Most experts a token can choose: a lane each.
    pub const MOST: usize = 64;
}

impl Kernel for Route {
    fn name(&self) -> &'static str {
        "route"
    }

    fn operands(&self) -> Vec<Operand> {
        let label = self.logits.label();
        assert!(self.experts <= self.logits.dim(1), "{label}: fewer logits than experts");
        assert!(
            (1..=Self::MOST.min(self.experts)).contains(&self.chosen),
            "{label}: count of choices"
        );
        vec![Operand::read("logits", &self.logits), Operand::write("routes", &self.routes)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("width4", self.logits.dim(1) as u32 / 4),
            Parameter::U32("experts", self.experts as u32),
            Parameter::U32("chosen", self.chosen as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "route",
            entry: "route",
            source: include_str!("../../../shaders/moe/route.wgsl"),
            constants: vec![
                ("CHOSEN", Constant::Count(self.chosen as u32)),
                ("AMONG_CHOSEN", Constant::Switch(self.among_chosen)),
            ],
            needs: Needs::lanes(64).workgroup_bytes(8 * self.chosen as u32),
            grid: [1, self.tokens as u32, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let (logits, routes) =
            ((self.tokens * self.experts) as u64, (self.tokens * self.chosen) as u64);
        Cost { read: 4 * logits, written: 16 * routes, operations: logits * self.experts as u64 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let logits = memory.f32(&self.logits);
        let routes = memory.f32_mut(&self.routes);
        for token in 0..self.tokens {
            let logits = &logits[token * self.logits.dim(1)..][..self.experts];
            let mut order: Vec<usize> = (0..self.experts).collect();
            // Stable: of equals, the lower number stays first.
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let chosen = &order[..self.chosen];
            let largest = logits[chosen[0]];
            let exp = |&expert: &usize| (logits[expert] - largest).exp();
            let sum: f32 = if self.among_chosen {
                chosen.iter().map(exp).sum()
            } else {
                order.iter().map(exp).sum()
            };
            for (k, expert) in chosen.iter().enumerate() {
                let route = [*expert as f32, exp(expert) / sum, 0.0, 0.0];
                routes[4 * (token * self.chosen + k)..][..4].copy_from_slice(&route);
            }
        }
    }
}

impl Checked for Route {
    fn cases(cases: &mut Cases) -> Result<()> {
        // One of one, all, more experts than lanes, and as many choices as lanes.
        for (experts, chosen, tokens) in
            [(1usize, 1, 1), (8, 3, 1), (6, 6, 5), (130, 8, 3), (200, 64, 2)]
        {
            for among_chosen in [false, true] {
                let width = experts.next_multiple_of(32);
                let mut values = cases.numbers(tokens * width, 3.0);
                // What pads the rows does not count; of equals, the first does.
                values.chunks_mut(width).for_each(|row| row[experts..].fill(99.0));
                if experts > 6 {
                    (values[1], values[5], values[6]) = (50.0, 50.0, 50.0);
                }
                let kernel = Self {
                    logits: cases.given("logits", &[tokens, width], values)?,
                    experts,
                    chosen,
                    among_chosen,
                    routes: cases.empty("routes", &[tokens * chosen, 4])?,
                    tokens,
                };
                let what = format!(
                    "{chosen} of {experts}, {tokens} tokens, shares among them {among_chosen}"
                );
                cases.add(what, kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        for (phase, tokens) in [("decode", 1), ("prefill of 256", PROMPT)] {
            shapes.add(format!("Qwen3-30B-A3B {phase} route"), move |cases| {
                Ok(Self {
                    logits: cases.filled("logits", &[tokens, EXPERTS])?,
                    experts: EXPERTS,
                    chosen: CHOSEN,
                    among_chosen: true,
                    routes: cases.empty("routes", &[tokens * CHOSEN, 4])?,
                    tokens,
                })
            });
        }
    }
}
