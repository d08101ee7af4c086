//! Tables of an operation modulo a number, as equations to learn from.

use crate::train::permutation;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The operations of the grokking paper (Power et al. 2022, arXiv:2201.02177, appendix A.1.1) that are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// a + b
    Add,
    /// a - b
    Subtract,
    /// a * b
    Multiply,
    /// a / b, b not 0; the modulus must be prime
    Divide,
    /// a^2 + b^2
    SquareSum,
    /// a^2 + a b + b^2
    Quadratic,
}

impl Operation {
    /// The sign between a and b.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::SquareSum => "^2+^2",
            Self::Quadratic => "^2+ab+^2",
        }
    }

    /// Whether multiplication is what the numbers are about.
    pub fn is_multiplicative(self) -> bool {
        matches!(self, Self::Multiply | Self::Divide)
    }

    /// The answer; `inverses[b]` is 1 / b.
    fn of(self, a: u64, b: u64, modulus: u64, inverses: &[u64]) -> u64 {
        (match self {
            Self::Add => a + b,
            Self::Subtract => a + modulus - b,
            Self::Multiply => a * b,
            Self::Divide => a * inverses[b as usize],
            Self::SquareSum => a * a + b * b,
            Self::Quadratic => a * a + a * b + b * b,
        }) % modulus
    }
}

/// All equations `a ∘ b = c`, five tokens each: numbers are themselves, then come the sign and the equals sign.
pub struct Table {
    /// Tokens of all equations, one after another.
    pub words: Vec<u32>,
    /// Where the equations of the training half begin.
    pub training: Vec<u32>,
    /// Where the others begin.
    pub validation: Vec<u32>,
}

/// Tokens of an equation before its answer.
pub(super) const QUESTION: usize = 4;

/// Whether only 1 and itself divide it.
pub(super) fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

impl Table {
    /// The table modulo `modulus`, of which a share of `fraction`, drawn from `seed`, is for training.
    ///
    /// # Errors
    /// When there is no such table, or a half of it is empty.
    pub fn new(operation: Operation, modulus: u32, fraction: f64, seed: u64) -> Result<Self> {
        if !(3..=997).contains(&modulus) {
            return Err(Error::Usage(format!("the modulus {modulus} must be from 3 to 997")));
        }
        if operation.is_multiplicative() && !is_prime(modulus.into()) {
            return Err(Error::Usage(format!(
                "modulo {modulus} not every number has an inverse; take a prime, such as 97, or another operation"
            )));
        }
        let p = u64::from(modulus);
        let inverse = |b: u64| (1..p).find(|inverse| inverse * b % p == 1).unwrap_or(0);
        let inverses: Vec<u64> = match operation {
            Operation::Divide => (0..p).map(inverse).collect(),
            _ => vec![],
        };
        let mut words = vec![];
        for a in 0..p {
            for b in u64::from(operation == Operation::Divide)..p {
                let c = operation.of(a, b, p, &inverses);
                words.extend([a as u32, modulus, b as u32, modulus + 1, c as u32]);
            }
        }
        let step = QUESTION as u32 + 1;
        let count = words.len() / step as usize;
        let kept = (count as f64 * fraction).round();
        if !(kept >= 2.0 && kept <= count as f64 - 1.0) {
            let what = format!("a fraction of {fraction} leaves one half of {count} equations empty");
            return Err(Error::Usage(what));
        }
        let order: Vec<u32> = permutation(count, seed).into_iter().map(|index| index * step).collect();
        let (training, validation) = order.split_at(kept as usize);
        Ok(Self { words, training: training.to_vec(), validation: validation.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_right() {
        let rows = [
            (Operation::Add, 5, 25, [4, 5, 3, 6, 2]),
            (Operation::Subtract, 5, 25, [1, 5, 3, 6, 3]),
            (Operation::Multiply, 7, 49, [3, 7, 5, 8, 1]),
            (Operation::Divide, 7, 42, [1, 7, 5, 8, 3]),
            (Operation::SquareSum, 6, 36, [4, 6, 5, 7, 5]),
            (Operation::Quadratic, 6, 36, [4, 6, 5, 7, 1]),
        ];
        for (operation, modulus, count, equation) in rows {
            let table = Table::new(operation, modulus, 0.5, 1).unwrap();
            let equations: Vec<_> = table.words.chunks(5).collect();
            assert_eq!(equations.len(), count, "{operation:?}");
            assert!(equations.contains(&&equation[..]), "{operation:?}: {equation:?}");
            let mut all = [table.training, table.validation].concat();
            all.sort_unstable();
            assert_eq!(all, (0..count as u32).map(|n| 5 * n).collect::<Vec<_>>());
        }
        for (operation, modulus, fraction) in [
            (Operation::Divide, 8, 0.5),
            (Operation::Add, 2, 0.5),
            (Operation::Add, 7, 0.0),
            (Operation::Add, 7, 1.0),
        ] {
            assert!(
                Table::new(operation, modulus, fraction, 1).is_err(),
                "{operation:?} {modulus} {fraction}"
            );
        }
        assert!(Table::new(Operation::Add, 7, f64::NAN, 1).is_err());
    }
}
