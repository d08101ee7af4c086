//! The cost of a product: the bytes and operations that it needs, and what its strategies read in
//! addition.

use super::input::Input;
use super::matrix::Part;
use crate::gpu::{Constant, Cost, Strategy, Surplus};

/// The class of a number of tokens; sizes in one class share a tuning result.
pub(in crate::kernels) fn few_or_many(tokens: usize) -> &'static str {
    match tokens {
        0..=1 => "1",
        2..=32 => "2-32",
        _ => "33+",
    }
}

impl Input {
    /// Describes format, tokens, rows and columns.
    pub(in crate::kernels) fn shape(&self, w: &Part) -> String {
        let norm = if self.gain.is_some() { ", norm" } else { "" };
        let (tokens, rows, chosen) = match &self.experts {
            None => (few_or_many(self.tokens), w.rows(), ""),
            // Each choice is computed separately, so their number does not matter.
            Some(experts) if experts.groups.is_none() => ("1", experts.rows, ", chosen"),
            Some(experts) => (few_or_many(self.tokens), experts.rows, ", grouped"),
        };
        format!("{} {tokens} x {rows} x {}{norm}{chosen}", w.format(), w.columns())
    }

    /// How often the rows of all of W are read at least. Of experts, each token reads its own; that
    /// two tokens may choose the same expert is not known in advance.
    fn share_of(&self, w: &Part, bytes: u64) -> u64 {
        match &self.experts {
            None => bytes,
            Some(experts) => {
                let count = experts.count(w).max(1);
                // Grouped choices read each expert at most once.
                let read =
                    if experts.groups.is_some() { self.tokens.min(count) } else { self.tokens };
                bytes / count as u64 * read as u64
            }
        }
    }

    /// Bytes of the rows as stored in their file.
    pub(in crate::kernels) fn necessary(&self, w: &Part) -> u64 {
        self.share_of(w, w.row_bytes() * w.rows() as u64)
    }

    pub(in crate::kernels) fn cost(&self, w: &Part) -> Cost {
        let width = w.planes.blocks as u64 * 32;
        Cost {
            read: self.share_of(w, w.tensor.bytes()) + self.activation_bytes(w, self.tokens),
            written: 0,
            operations: 2 * self.rows(w) as u64 * width * self.tokens as u64,
        }
    }

    /// Bytes of the activations of `tokens` tokens, and of the gain.
    fn activation_bytes(&self, w: &Part, tokens: usize) -> u64 {
        let rows = tokens + usize::from(self.gain.is_some());
        4 * (w.planes.blocks * 32 * rows) as u64
    }

    /// Every workgroup reads the activations of its tokens and, if there are several tiles of
    /// tokens, its rows of the weights again.
    pub(in crate::kernels) fn surplus(&self, w: &Part, strategy: &Strategy) -> Surplus {
        let workgroups: u64 = strategy.grid.iter().map(|&count| u64::from(count)).product();
        let tile = strategy.constants.iter().find_map(|constant| match constant {
            ("TOKENS", Constant::Count(tokens)) => Some(*tokens as usize),
            _ => None,
        });
        let own = tile.unwrap_or(1).min(self.tokens);
        let read = workgroups * self.activation_bytes(w, own);
        let tiles = self.tokens.div_ceil(own.max(1)) as u64;
        let again = read.saturating_sub(self.activation_bytes(w, self.tokens))
            + if self.experts.is_some() { 0 } else { (tiles.max(1) - 1) * w.tensor.bytes() };
        Surplus { memory: 0, again }
    }

    /// Loop iterations of a workgroup in the strategies for one token, each over a block of 32
    /// columns.
    pub(in crate::kernels) fn iterations(&self, w: &Part, strategy: &Strategy) -> Option<usize> {
        (strategy.entry == "matvec").then_some(w.planes.blocks)
    }
}
