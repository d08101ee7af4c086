//! Rotary position embeddings (Su et al. 2021, arXiv:2104.09864): the angle of each pair at each
//! position, and the methods that stretch it to longer contexts.

use std::f64::consts::TAU;

/// The parameters of one rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeParameters {
    /// Base of the frequencies: pair i turns by base^(-2 i / width) radians a position.
    pub base: f64,
    /// How many numbers of a head are rotated, an even count; 0 rotates none.
    pub width: usize,
    /// How the frequencies are stretched.
    pub scaling: Scaling,
}

/// Methods that stretch the frequencies to longer contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    /// The frequencies are not stretched.
    None,
    /// All frequencies are divided by this (Chen et al. 2023, arXiv:2306.15595).
    Linear(f64),
    /// Each frequency is divided by its own number [width / 2].
    Factors(Vec<f32>),
    /// The method of Llama 3.1: low frequencies are divided by `factor`, high ones are kept, with a
    /// ramp between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Number of turns over the original context below which a frequency is low.
        low: f64,
        /// Number of turns over the original context above which a frequency is high.
        high: f64,
        /// Context before stretching, in tokens.
        original: f64,
    },
    /// YaRN (Peng et al. 2023, arXiv:2309.00071): low frequencies are divided, high ones are kept,
    /// with a ramp between.
    Yarn {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Number of turns over the original context above which frequencies are kept.
        fast: f64,
        /// Number of turns over the original context below which frequencies are divided by
        /// `factor`.
        slow: f64,
        /// Context before stretching, in tokens.
        original: f64,
        /// Cosine and sine are multiplied by this.
        magnitude: f64,
        /// Whether the ends of the ramp are rounded to whole pairs.
        truncate: bool,
    },
    /// The method of Phi-3: separate divisors for short and for long contexts (Ding et al. 2024,
    /// arXiv:2402.13753), [width / 2] each. The maximum length of a conversation selects one of
    /// them for all of it.
    Long {
        /// Divisors for contexts up to `original`.
        short: Vec<f32>,
        /// Divisors for contexts longer than `original`.
        long: Vec<f32>,
        /// Context before stretching, in tokens.
        original: usize,
        /// Cosine and sine are multiplied by this.
        magnitude: f64,
    },
}

impl RopeParameters {
    /// Parameters that rotate nothing.
    pub fn none() -> Self {
        Self { base: 1.0, width: 0, scaling: Scaling::None }
    }

    /// Radians a position for each pair [width / 2], in a conversation of at most `context` tokens.
    pub fn frequencies(&self, context: usize) -> Vec<f64> {
        let pairs = self.width / 2;
        let plain = |pair: usize| self.base.powf(-2.0 * pair as f64 / self.width as f64);
        let divided = |pair: usize, factors: &[f32]| {
            plain(pair) / factors.get(pair).map_or(1.0, |&factor| f64::from(factor))
        };
        let frequency = |pair: usize| match &self.scaling {
            Scaling::None => plain(pair),
            Scaling::Linear(factor) => plain(pair) / factor,
            Scaling::Factors(factors) => divided(pair, factors),
            Scaling::Long { short, long, original, .. } => {
                divided(pair, if context > *original { long } else { short })
            }
            &Scaling::Llama3 { factor, low, high, original } => {
                let turns = original * plain(pair) / TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                plain(pair) * (kept + (1.0 - kept) / factor)
            }
            &Scaling::Yarn { factor, fast, slow, original, truncate, .. } => {
                // Index of the pair that makes this many turns over the original context.
                let pair_of = |turns: f64| {
                    self.width as f64 * (original / (turns * TAU)).ln() / (2.0 * self.base.ln())
                };
                let (mut first, mut last) = (pair_of(fast), pair_of(slow));
                if truncate {
                    (first, last) = (first.floor(), last.ceil());
                }
                let (first, mut last) = (first.max(0.0), last.min(self.width as f64 - 1.0));
                if first == last {
                    last += 0.001;
                }
                let divided = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                plain(pair) * (1.0 - divided + divided / factor)
            }
        };
        (0..pairs).map(frequency).collect()
    }

    /// The factor of cosine and sine.
    fn magnitude(&self) -> f64 {
        match self.scaling {
            Scaling::Yarn { magnitude, .. } | Scaling::Long { magnitude, .. } => magnitude,
            _ => 1.0,
        }
    }

    /// cos and sin of every pair at all positions [positions, head], computed in double precision
    /// because angles reach thousands of radians. Pairs beyond `width` are not rotated.
    pub fn table(&self, positions: usize, head: usize, context: usize) -> Vec<f32> {
        let frequencies = self.frequencies(context);
        let magnitude = self.magnitude();
        let mut table = Vec::with_capacity(positions * head);
        for position in 0..positions {
            for pair in 0..head / 2 {
                let turn = frequencies.get(pair).map_or([1.0, 0.0], |frequency| {
                    let (sin, cos) = (position as f64 * frequency).sin_cos();
                    [(cos * magnitude) as f32, (sin * magnitude) as f32]
                });
                table.extend(turn);
            }
        }
        table
    }

    /// What in the parameters is contradictory, in words.
    pub(super) fn wrong(&self, head: usize) -> Option<String> {
        let width = self.width;
        if width > head || !width.is_multiple_of(2) {
            return Some(format!("{width} rotated numbers do not fit a head of {head}"));
        }
        if width > 0 && !(self.base.is_finite() && self.base > 1.0) {
            return Some(format!("a rotary base of {} is absurd", self.base));
        }
        let positive = |numbers: &[f64]| numbers.iter().all(|n| n.is_finite() && *n > 0.0);
        let divisors = |numbers: &[f32]| {
            numbers.len() == width / 2 && numbers.iter().all(|n| n.is_finite() && *n > 0.0)
        };
        let sane = match &self.scaling {
            Scaling::None => true,
            Scaling::Linear(factor) => positive(&[*factor]),
            Scaling::Factors(factors) => divisors(factors),
            &Scaling::Llama3 { factor, low, high, original } => {
                positive(&[factor, low, high, original]) && low < high
            }
            &Scaling::Yarn { factor, fast, slow, original, magnitude, .. } => {
                positive(&[factor, fast, slow, original, magnitude]) && slow < fast
            }
            Scaling::Long { short, long, magnitude, original } => {
                divisors(short) && divisors(long) && positive(&[*magnitude]) && *original > 0
            }
        };
        (!sane).then(|| format!("the rotary scaling {:?} is absurd", self.scaling))
    }
}
