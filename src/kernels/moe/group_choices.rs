//! Choices of experts by expert.

use super::made_up;
use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Needs, Operand, Parameter, Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, PROMPT, Shapes};

/// Sorts the choices of a step's tokens by expert, into groups of up to [`GroupChoices::GROUP`]
/// that chose the same.
pub struct GroupChoices {
    /// Choices (expert, share, 0, 0), as [`super::Route`] writes them [choices or more, 4].
    pub routes: Tensor,
    /// Count of experts.
    pub experts: usize,
    /// Count of choices.
    pub choices: usize,
    /// For each group (expert, place of its first choice, choices, 0), then for each place (choice,
    /// 0, 0, 0) [[`GroupChoices::rows`] or more, 4].
    pub groups: Tensor,
}

impl GroupChoices {
    /// Choices in a group, at most.
    pub const GROUP: usize = 32;
    /// Most experts: their counts are in workgroup memory.
    pub const MOST: usize = 4096;

    /// Groups that there can be: every expert may leave one that is not full.
    pub fn tiles(choices: usize, experts: usize) -> usize {
        (choices / Self::GROUP + experts).min(choices)
    }

    /// Rows of the result.
    pub fn rows(choices: usize, experts: usize) -> usize {
        Self::tiles(choices, experts) + choices
    }
}

impl Kernel for GroupChoices {
    fn name(&self) -> &'static str {
        "group_choices"
    }

    fn operands(&self) -> Vec<Operand> {
        let label = self.groups.label();
        assert!((1..=Self::MOST).contains(&self.experts), "{label}: count of experts");
        assert!(self.routes.dim(0) >= self.choices, "{label}: fewer routes than choices");
        assert!(
            self.groups.dim(0) >= Self::rows(self.choices, self.experts),
            "{label}: too few rows"
        );
        vec![Operand::read("routes", &self.routes), Operand::write("groups", &self.groups)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("choices", self.choices as u32),
            Parameter::U32("tiles", Self::tiles(self.choices, self.experts) as u32),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let all = vec![Strategy {
            name: "group_choices",
            entry: "group_choices",
            source: include_str!("../../../shaders/moe/group_choices.wgsl"),
            constants: vec![
                ("GROUP", Constant::Count(Self::GROUP as u32)),
                ("EXPERTS", Constant::Count(self.experts as u32)),
            ],
            needs: Needs::lanes(64).workgroup_bytes(4 * self.experts as u32),
            grid: [1, 1, 1],
        }];
        can.allowed(all, vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let written = Self::rows(self.choices, self.experts) as u64;
        Cost { read: 16 * self.choices as u64, written: 16 * written, operations: 0 }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let routes = memory.f32(&self.routes);
        let groups = memory.f32_mut(&self.groups);
        let tiles = Self::tiles(self.choices, self.experts);
        let (mut group, mut place) = (0, 0);
        for expert in 0..self.experts {
            let own = (0..self.choices).filter(|choice| routes[4 * choice] as usize == expert);
            for own in own.collect::<Vec<_>>().chunks(Self::GROUP) {
                groups[4 * group..][..4].copy_from_slice(&[
                    expert as f32,
                    place as f32,
                    own.len() as f32,
                    0.0,
                ]);
                group += 1;
                for &choice in own {
                    groups[4 * (tiles + place)..][..4].copy_from_slice(&[
                        choice as f32,
                        0.0,
                        0.0,
                        0.0,
                    ]);
                    place += 1;
                }
            }
        }
        groups[4 * group..4 * tiles].fill(0.0);
    }
}

impl Checked for GroupChoices {
    fn cases(cases: &mut Cases) -> Result<()> {
        // One of one, a full group and one more, more experts than lanes, and experts that no token
        // chose.
        for (experts, choices) in [(1usize, 1), (1, 33), (3, 200), (130, 77), (64, 64)] {
            let routes = made_up::routes(cases, experts, choices)?;
            let groups = cases.empty("groups", &[Self::rows(choices, experts), 4])?;
            let what = format!("{choices} choices of {experts}");
            cases.add(what, Self { routes, experts, choices, groups });
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("Qwen3-30B-A3B prefill of 256 group_choices", |cases| {
            let (experts, choices) = (made_up::EXPERTS, PROMPT * made_up::CHOSEN);
            let routes = made_up::even_routes(cases, experts, PROMPT)?;
            let groups = cases.empty("groups", &[Self::rows(choices, experts), 4])?;
            Ok(Self { routes, experts, choices, groups })
        });
    }
}
