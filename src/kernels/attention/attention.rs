//! Attention over the cache.

mod cases;

use super::cache::{CacheType, LayerCache, Side};
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Needs, Operand, Parameter, StorageKind,
    Strategy, Surplus, Tensor,
};
use crate::kernels::linear::matmul_cost::few_or_many;

/// A score below all others.
const NEVER: f32 = -1e30;

/// Blocks of eight positions that pieces of the cache are whole fours of.
const STEP: usize = 4;

/// One token's cache in pieces, each with a softmax of its own, for [`super::MergePieces`] to put
/// together: where cores are no divisor of key heads, or far more.
#[derive(Clone)]
pub struct Pieces {
    /// Count of pieces P.
    pub count: usize,
    /// The highest score and the sum of weights of each piece and head [P, H, 4].
    pub stats: Tensor,
}

/// `y[t, h] = softmax(q[t, h] · keys * scale) · values`, token t seeing all positions up to its
/// own, or the last ones of them.
pub struct Attention {
    /// Word 0: position of token 0.
    pub step: Tensor,
    /// Rotated queries [T, H * D].
    pub q: Tensor,
    /// The layer's keys and values. As a ring, it holds what the window reaches and the tokens of
    /// the step.
    pub cache: LayerCache,
    /// The result [T, H * D]; of one token in pieces, their weighted sums [P, H * D], not divided
    /// by those of weights.
    pub y: Tensor,
    /// The pieces that one token's cache is read in.
    pub pieces: Option<Pieces>,
    /// Count of tokens T.
    pub tokens: usize,
    /// Factor of the scores, usually 1 / sqrt(D).
    pub scale: f32,
    /// A token sees so many positions, its own included; `None` for all before it.
    pub window: Option<usize>,
    /// Scaled scores are kept within this: cap * tanh(score / cap).
    pub cap: Option<f32>,
}

impl Attention {
    fn head(&self) -> usize {
        self.cache.head
    }
    fn key_heads(&self) -> usize {
        self.cache.key_heads()
    }
    fn heads(&self) -> usize {
        self.q.dim(1) / self.head()
    }
    /// Texels of a head that each of eight lanes owns.
    fn parts(&self) -> u32 {
        (self.head() as u32 / 8).div_ceil(8)
    }
    /// Most heads that share their keys, divide their count evenly, and are no more than `most`.
    fn together(&self, most: u32) -> u32 {
        let group = (self.heads() / self.key_heads()) as u32;
        (1..=group.min(most)).rev().find(|n| group.is_multiple_of(*n)).unwrap_or(1)
    }

    /// Count of pieces, 0 where there are none.
    fn pieces(&self) -> u32 {
        self.pieces.as_ref().map_or(0, |pieces| pieces.count as u32)
    }

    /// What a text depends on, whatever the strategy.
    fn constants(&self, more: &[(&'static str, Constant)]) -> Vec<(&'static str, Constant)> {
        let mut all = vec![
            ("WINDOW", Constant::Switch(self.window.is_some())),
            ("CAPPED", Constant::Switch(self.cap.is_some())),
            ("PIECES", Constant::Count(self.pieces())),
        ];
        all.extend(self.cache.constants());
        all.extend_from_slice(more);
        all
    }

    fn subgroup_of_eight(&self) -> Strategy {
        // Heads that share keys share their loads; eight lanes hold at most eight queries.
        let together = self.together(8);
        let at_once = if self.tokens == 1 { 1 } else { 8 / together };
        Strategy {
            name: "attention",
            entry: "attention",
            source: include_str!("../../../shaders/attention/attention.wgsl"),
            constants: self.constants(&[
                ("HEADS", Constant::Count(together)),
                ("TOKENS", Constant::Count(at_once)),
                ("PARTS", Constant::Count(self.parts())),
            ]),
            needs: Needs::lanes(8).subgroup(8),
            grid: [
                (self.tokens as u32).div_ceil(at_once),
                self.heads() as u32 / together,
                self.pieces().max(1),
            ],
        }
    }

    fn query_per_lane(&self) -> Strategy {
        Strategy {
            name: "attention_query_per_lane",
            entry: "attention_query_per_lane",
            source: include_str!("../../../shaders/attention/attention_query_per_lane.wgsl"),
            constants: self.constants(&[]),
            needs: Needs::lanes(32),
            grid: [((self.tokens * self.heads()) as u32).div_ceil(32), 1, self.pieces().max(1)],
        }
    }

    fn workgroup(&self, can: &Capabilities) -> Strategy {
        // One token has one workgroup a key head: more teams share the cache.
        self.workgroup_of(if self.tokens == 1 && !can.deterministic { 16 } else { 8 })
    }

    /// After the same strategy on a cache that is read as halves, where it is one of halves in a
    /// buffer.
    fn and_with_halves(&self, strategy: Strategy, can: &Capabilities) -> Vec<Strategy> {
        let halves = self.cache.kind == CacheType::F16 && can.storage == StorageKind::Buffer;
        let read = halves.then(|| strategy.clone().of_halves("attention_workgroup_half"));
        read.into_iter().chain([strategy]).collect()
    }

    /// With the cache split among `teams` of eight lanes.
    fn workgroup_of(&self, teams: u32) -> Strategy {
        // A lane keeps eight sums of eight numbers at most, if one query needs no more.
        let (parts, head4) = (self.parts(), self.head() as u32 / 4);
        let most = (8 / parts).max(1);
        let together = self.together(most);
        let at_once = if self.tokens == 1 { 1 } else { most / together };
        let (rows, lanes) = (together * at_once, 8 * teams);
        Strategy {
            name: "attention_workgroup",
            entry: "attention_workgroup",
            source: include_str!("../../../shaders/attention/attention_workgroup.wgsl"),
            constants: self.constants(&[
                ("HEADS", Constant::Count(together)),
                ("TOKENS", Constant::Count(at_once)),
                ("TEAMS", Constant::Count(teams)),
                ("PARTS", Constant::Count(parts)),
            ]),
            needs: Needs::lanes(lanes)
                .workgroup_bytes(16 * rows * head4 + 8 * rows * lanes + 32 * lanes),
            grid: [
                (self.tokens as u32).div_ceil(at_once),
                self.heads() as u32 / together,
                self.pieces().max(1),
            ],
        }
    }
}

impl Kernel for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn operands(&self) -> Vec<Operand> {
        let mut all = vec![
            Operand::read("step", &self.step),
            Operand::read("q", &self.q),
            Operand::read_halves("keys", &self.cache.keys, self.cache.kind == CacheType::F16),
            Operand::read_halves("values", &self.cache.values, self.cache.kind == CacheType::F16),
            Operand::write("y", &self.y),
        ];
        if let Some(Pieces { count, stats }) = &self.pieces {
            assert_eq!(self.tokens, 1, "{}: more tokens than one in pieces", self.y.label());
            assert_eq!(
                self.y.shape(),
                [*count, self.heads() * self.head()],
                "{}: shape",
                self.y.label()
            );
            assert_eq!(stats.shape(), [*count, self.heads(), 4], "{}: shape", stats.label());
            all.push(Operand::write("stats", stats));
        }
        all
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::U32("tokens", self.tokens as u32),
            Parameter::U32("n_heads", self.heads() as u32),
            Parameter::U32("group", (self.heads() / self.key_heads()) as u32),
            Parameter::F32("scale", self.scale),
            Parameter::U32("window", self.window.map_or(u32::MAX, |window| window as u32)),
            Parameter::F32("softcap", self.cap.unwrap_or(0.0)),
            self.cache.parameter(),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let lanes = vec![self.subgroup_of_eight(), self.query_per_lane()];
        can.allowed(lanes, self.and_with_halves(self.workgroup(can), can))
    }

    fn sizes(&self, can: &Capabilities) -> Vec<Strategy> {
        if can.deterministic {
            return vec![];
        }
        let teams = [4, 8, 16, 32]
            .into_iter()
            .flat_map(|teams| self.and_with_halves(self.workgroup_of(teams), can));
        let usual = self.workgroup(can).constants;
        teams.filter(|size| size.constants != usual).collect()
    }

    fn shape(&self) -> String {
        let tokens = few_or_many(self.tokens);
        let window = self.window.map_or(String::new(), |window| format!(", window {window}"));
        let kind = match self.cache.kind {
            CacheType::F16 => String::new(),
            other => format!(", {other:?}"),
        };
        let pieces = self
            .pieces
            .as_ref()
            .map_or(String::new(), |pieces| format!(", {} pieces", pieces.count));
        let (heads, key_heads) = (self.heads(), self.key_heads());
        format!("{tokens} x {heads}/{key_heads} heads of {}{window}{kind}{pieces}", self.head())
    }

    fn cost(&self, context: usize) -> Cost {
        let (heads, head, tokens) = (self.heads() as u64, self.head() as u64, self.tokens as u64);
        // Causal: token t sees context + t + 1 positions, or as many as the window has.
        let window = self.window.unwrap_or(usize::MAX);
        let seen: u64 = (1..=self.tokens).map(|t| (context + t).min(window) as u64).sum();
        let cached = (context + self.tokens).min(window.saturating_add(self.tokens)) as u64;
        Cost {
            read: cached * self.cache.position_bytes() + 4 * tokens * heads * head,
            written: 4 * tokens * heads * head,
            operations: seen * heads * (4 * head + 4),
        }
    }

    fn necessary(&self, context: usize) -> u64 {
        let window = self.window.unwrap_or(usize::MAX).saturating_add(self.tokens);
        (context + self.tokens).min(window) as u64 * self.cache.position_bytes()
    }

    fn surplus(&self, strategy: &Strategy, context: usize) -> Surplus {
        let count = |name: &str| {
            strategy.constants.iter().find_map(|constant| match constant {
                (known, Constant::Count(count)) if *known == name => Some(*count as usize),
                _ => None,
            })
        };
        let cached = context + self.tokens;
        let token = self.cache.position_bytes();
        // Lanes that walk over the cache together go over it in whole blocks of eight tokens.
        let whole = if count("HEADS").is_some() { cached.next_multiple_of(8) } else { cached };
        let group = self.heads() / self.key_heads();
        let readers = group / count("HEADS").unwrap_or(1).max(1)
            * self.tokens.div_ceil(count("TOKENS").unwrap_or(1).max(1));
        Surplus {
            memory: (whole - cached) as u64 * token,
            again: (readers.max(1) - 1) as u64 * whole as u64 * token,
        }
    }

    /// Of the strategy for eight lanes: eight positions each, of all that the cache has room for or
    /// of a piece of it. A window may begin within the first of them.
    fn iterations(&self, strategy: &Strategy) -> Option<usize> {
        let all = self.cache.positions().div_ceil(8) + 1;
        let each = match &self.pieces {
            None => all,
            Some(pieces) => (all + STEP - 1).div_ceil(pieces.count).next_multiple_of(STEP),
        };
        (strategy.entry == "attention").then_some(each)
    }

    fn reference(&self, memory: &mut HostMemory) {
        let (heads, head, key_heads) = (self.heads(), self.head(), self.key_heads());
        let start = memory.u32(&self.step)[0] as usize;
        let (q, keys, values) =
            (memory.f32(&self.q), memory.u32(&self.cache.keys), memory.u32(&self.cache.values));
        let mut stats = vec![0.0; self.pieces.as_ref().map_or(0, |pieces| pieces.stats.len())];
        let y = memory.f32_mut(&self.y);
        for token in 0..self.tokens {
            for h in 0..heads {
                let key_head = h / (heads / key_heads);
                let at = (token * heads + h) * head;
                let key = |position, d| {
                    self.cache.number(Side::Keys, &keys, position, key_head * head + d)
                };
                let value = |position, d| {
                    self.cache.number(Side::Values, &values, position, key_head * head + d)
                };
                let last = start + token;
                let first = self.window.map_or(0, |window| (last + 1).saturating_sub(window));
                let score = |position| {
                    let score =
                        (0..head).map(|d| q[at + d] * key(position, d)).sum::<f32>() * self.scale;
                    self.cap.map_or(score, |cap| cap * (score / cap).tanh())
                };
                let softmax = |positions: std::ops::Range<usize>, y: &mut [f32]| {
                    let scores: Vec<f32> = positions.clone().map(score).collect();
                    let top = scores.iter().copied().fold(NEVER, f32::max);
                    let weights: Vec<f32> =
                        scores.iter().map(|score| (score - top).exp()).collect();
                    for (d, y) in y.iter_mut().enumerate() {
                        let terms = weights.iter().zip(positions.clone());
                        *y = terms.map(|(weight, position)| weight * value(position, d)).sum();
                    }
                    (top, weights.iter().sum::<f32>())
                };
                let Some(pieces) = &self.pieces else {
                    let y = &mut y[at..][..head];
                    let (_, total) = softmax(first..last + 1, y);
                    y.iter_mut().for_each(|y| *y /= total);
                    continue;
                };
                let begin = first / (8 * STEP) * STEP;
                let step = (last / 8 + 1 - begin).div_ceil(pieces.count).next_multiple_of(STEP);
                for piece in 0..pieces.count {
                    let bounds =
                        [piece, piece + 1].map(|n| (8 * (begin + n * step)).clamp(first, last + 1));
                    let row = piece * heads + h;
                    let (top, total) = softmax(bounds[0]..bounds[1], &mut y[row * head..][..head]);
                    stats[4 * row..][..4].copy_from_slice(&[top, total, 0.0, 0.0]);
                }
            }
        }
        if let Some(pieces) = &self.pieces {
            memory.f32_mut(&pieces.stats).copy_from_slice(&stats);
        }
    }
}
