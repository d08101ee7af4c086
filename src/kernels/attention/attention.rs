//! Attention over the key-value cache.

mod cases;

use super::cache::{CacheType, LayerCache, Side};
use crate::gpu::{
    Capabilities, Constant, Cost, HostMemory, Kernel, Needs, Operand, Parameter, StorageKind,
    Strategy, Surplus, Tensor,
};
use crate::kernels::linear::matmul_cost::few_or_many;

/// A score lower than any real one.
const NEVER: f32 = -1e30;

/// Pieces of the cache are multiples of this many blocks of eight positions.
const STEP: usize = 4;

/// Splits one token's cache into pieces, each with its own softmax, which [`super::MergePieces`]
/// combines. This uses more cores when there are more of them than key heads, or when their number
/// does not divide that of the key heads.
#[derive(Clone)]
pub struct Pieces {
    /// Number of pieces P.
    pub count: usize,
    /// The highest score and the sum of weights of each piece and head [P, H, 4].
    pub stats: Tensor,
}

/// `y[t, h] = softmax(q[t, h] · keys * scale) · values`. Token t sees all positions up to its own,
/// or the last ones within the window.
pub struct Attention {
    /// Word 0: position of token 0.
    pub step: Tensor,
    /// Rotated queries [T, H * D].
    pub q: Tensor,
    /// Keys and values of the layer. A ring must hold the positions in the window and the tokens of
    /// the step.
    pub cache: LayerCache,
    /// The result [T, H * D]. For one token in pieces: the weighted sums [P, H * D], not yet
    /// divided by the sums of weights.
    pub y: Tensor,
    /// How one token's cache is split; `None` reads it as a whole.
    pub pieces: Option<Pieces>,
    /// Number of tokens T.
    pub tokens: usize,
    /// Factor of the scores, usually 1 / sqrt(D).
    pub scale: f32,
    /// How many positions a token sees, including its own; `None` for all positions up to its own.
    pub window: Option<usize>,
    /// Limits scaled scores to cap * tanh(score / cap); `None` for no limit.
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
    /// Texels of a head that each of eight lanes holds.
    fn parts(&self) -> u32 {
        (self.head() as u32 / 8).div_ceil(8)
    }
    /// The largest number of heads, at most `most`, that share their keys and divide the number of
    /// heads sharing them.
    fn together(&self, most: u32) -> u32 {
        let group = (self.heads() / self.key_heads()) as u32;
        (1..=group.min(most)).rev().find(|n| group.is_multiple_of(*n)).unwrap_or(1)
    }

    /// Number of pieces; 0 if the cache is not split.
    fn pieces(&self) -> u32 {
        self.pieces.as_ref().map_or(0, |pieces| pieces.count as u32)
    }

    /// The constants that the text of every strategy depends on, followed by `more`.
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
        // Heads that share keys share the loads of them; eight lanes hold at most eight queries.
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
        // One token has only one workgroup for each key head, so more teams share the cache.
        self.workgroup_of(if self.tokens == 1 && !can.deterministic { 16 } else { 8 })
    }

    /// `strategy`, preceded by a variant that reads a half-precision cache in a buffer directly.
    fn and_with_halves(&self, strategy: Strategy, can: &Capabilities) -> Vec<Strategy> {
        let halves = self.cache.kind == CacheType::F16 && can.storage == StorageKind::Buffer;
        let read = halves.then(|| strategy.clone().of_halves("attention_workgroup_half"));
        read.into_iter().chain([strategy]).collect()
    }

    /// A workgroup strategy that splits the cache among `teams` of eight lanes.
    fn workgroup_of(&self, teams: u32) -> Strategy {
        // A lane holds at most eight sums of eight numbers, unless one query needs more.
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
        // Causal: token t sees context + t + 1 positions, or those in the window.
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
        // Lanes that read the cache together read whole blocks of eight tokens.
        let whole = if count("HEADS").is_some() { cached.next_multiple_of(8) } else { cached };
        let group = self.heads() / self.key_heads();
        let readers = group / count("HEADS").unwrap_or(1).max(1)
            * self.tokens.div_ceil(count("TOKENS").unwrap_or(1).max(1));
        Surplus {
            memory: (whole - cached) as u64 * token,
            again: (readers.max(1) - 1) as u64 * whole as u64 * token,
        }
    }

    /// For the eight-lane strategy: the loop takes eight positions at a time, over the capacity of
    /// the cache or of one piece. A window may start inside the first eight.
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
