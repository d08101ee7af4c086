//! Repeatable pseudo-random numbers for checks and measurements.

use crate::sample::Rng;

/// Made-up activations and weights; a seed gives the same numbers on every machine.
pub struct Numbers(Rng);

impl Numbers {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in -1 .. 1.
    pub fn float(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// `count` numbers with a standard deviation of about `deviation`: sums of four uniform
    /// numbers.
    pub fn floats(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let mut four = || (0..4).map(|_| self.float()).sum::<f32>();
        (0..count).map(|_| four() * deviation * 0.866).collect()
    }
}
