//! Chooses the sequences of each step: one permutation after another, each determined by seed and
//! epoch, so that any step can be computed without the steps before it.

use crate::sample::Rng;

/// An endless sequence of indices below a count, shuffled differently in each epoch.
pub struct Shuffle {
    count: usize,
    seed: u64,
    epoch: Option<u64>,
    permutation: Vec<u32>,
}

impl Shuffle {
    /// Shuffles the indices of `count` items; there must be at least one.
    #[track_caller]
    pub fn new(count: usize, seed: u64) -> Self {
        assert!(count > 0 && u32::try_from(count).is_ok(), "an order of {count} things");
        Self { count, seed, epoch: None, permutation: vec![] }
    }

    /// The index at `position`.
    pub fn at(&mut self, position: u64) -> u32 {
        let (epoch, place) = (position / self.count as u64, position % self.count as u64);
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.permutation =
                permutation(self.count, self.seed ^ epoch.wrapping_mul(0xd134_2543_de82_ef95));
        }
        self.permutation[place as usize]
    }
}

/// The numbers below `count`, shuffled (Fisher and Yates, as in Knuth, volume 2, algorithm P).
pub fn permutation(count: usize, seed: u64) -> Vec<u32> {
    let mut rng = Rng::new(seed);
    let mut all: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        all.swap(last, (rng.uniform() * (last + 1) as f64) as usize);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_all_in_its_own_order() {
        let mut order = Shuffle::new(10, 3);
        let mut epoch = |n: u64| (0..10).map(|place| order.at(10 * n + place)).collect::<Vec<_>>();
        let (first, second, again) = (epoch(0), epoch(1), epoch(0));
        let sorted = |mut all: Vec<u32>| {
            all.sort_unstable();
            all
        };
        assert_eq!(first, again);
        assert_ne!(first, second);
        assert_eq!(sorted(first.clone()), (0..10).collect::<Vec<u32>>());
        assert_eq!(sorted(second), (0..10).collect::<Vec<u32>>());
        assert_ne!(Shuffle::new(10, 4).at(0), Shuffle::new(10, 5).at(0));
    }
}
