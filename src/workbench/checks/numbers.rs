//! Repeatable numbers for checks and measurements.

/// A small generator (SplitMix64, Steele et al. 2014): the same seed, the same numbers.
pub struct Numbers(u64);

impl Numbers {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in -1 .. 1.
    pub fn float(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// `count` numbers of about standard deviation `deviation`: sums of four uniform ones.
    pub fn floats(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let mut four = || (0..4).map(|_| self.float()).sum::<f32>();
        (0..count).map(|_| four() * deviation * 0.866).collect()
    }
}
