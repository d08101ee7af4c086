//! Tables of a binary operation, as equations to learn.

use crate::train::permutation;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The operations of the grokking paper (Power et al. 2022, arXiv:2201.02177, appendix A.1.1), and
/// multiplication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// a / b where b is odd, else a - b; the modulus must be prime
    DivideOrSubtract,
    /// a^2 + b^2
    SquareSum,
    /// a^2 + a b + b^2
    Quadratic,
    /// a^2 + a b + b^2 + a
    QuadraticPlusA,
    /// a^3 + a b
    Cubic,
    /// a^3 + a b^2 + b
    CubicMixed,
    /// a b, permutations of five things, written as 21345; b moves them first
    S5Product,
    /// a b a^-1 of such permutations
    S5Conjugate,
    /// a b a of such permutations
    S5Sandwich,
}

impl Operation {
    /// The sign between a and b in a question: an operator, or the operation's name.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply | Self::S5Product => "*",
            Self::Divide => "/",
            Self::DivideOrSubtract => "divide-or-subtract",
            Self::SquareSum => "square-sum",
            Self::Quadratic => "quadratic",
            Self::QuadraticPlusA => "quadratic-plus-a",
            Self::Cubic => "cubic",
            Self::CubicMixed => "cubic-mixed",
            Self::S5Conjugate => "conjugate",
            Self::S5Sandwich => "sandwich",
        }
    }

    /// The formula of the operation, as it is usually written.
    pub fn formula(self) -> &'static str {
        match self {
            Self::Add => "a + b",
            Self::Subtract => "a - b",
            Self::Multiply => "a * b",
            Self::Divide => "a / b",
            Self::DivideOrSubtract => "a / b if b is odd, else a - b,",
            Self::SquareSum => "a² + b²",
            Self::Quadratic => "a² + ab + b²",
            Self::QuadraticPlusA => "a² + ab + b² + a",
            Self::Cubic => "a³ + ab",
            Self::CubicMixed => "a³ + ab² + b",
            Self::S5Product => "a * b",
            Self::S5Conjugate => "a * b * 1/a",
            Self::S5Sandwich => "a * b * a",
        }
    }

    /// Whether the operation is about products of numbers.
    pub fn is_multiplicative(self) -> bool {
        matches!(self, Self::Multiply | Self::Divide)
    }

    /// Whether the operation is about permutations, rather than numbers below a modulus.
    pub fn permutes(self) -> bool {
        matches!(self, Self::S5Product | Self::S5Conjugate | Self::S5Sandwich)
    }

    fn divides(self) -> bool {
        matches!(self, Self::Divide | Self::DivideOrSubtract)
    }

    /// The elements in writing; the index of an element is its token id.
    pub fn elements(self, modulus: u32) -> Vec<String> {
        if self.permutes() {
            let digits = |p: &Permutation| p.iter().map(|&to| char::from(b'1' + to)).collect();
            return symmetric_group().iter().map(digits).collect();
        }
        (0..modulus).map(|n| n.to_string()).collect()
    }

    /// The result of the operation on numbers below `p`; `inverse` gives 1 / b.
    fn of(self, a: u64, b: u64, p: u64, inverse: impl Fn(u64) -> u64) -> u64 {
        (match self {
            Self::Add => a + b,
            Self::Multiply => a * b,
            Self::Divide => a * inverse(b),
            Self::DivideOrSubtract if b % 2 == 1 => a * inverse(b),
            Self::Subtract | Self::DivideOrSubtract => a + p - b,
            Self::SquareSum => a * a + b * b,
            Self::Quadratic => a * a + a * b + b * b,
            Self::QuadraticPlusA => a * a + a * b + b * b + a,
            Self::Cubic => a * a * a + a * b,
            Self::CubicMixed => a * a * a + a * b * b + b,
            Self::S5Product | Self::S5Conjugate | Self::S5Sandwich => {
                unreachable!("permutations have no modulus")
            }
        }) % p
    }

    /// The result of the operation on permutations.
    fn of_permutations(self, a: &Permutation, b: &Permutation) -> Permutation {
        let product = |x: &Permutation, y: &Permutation| y.map(|middle| x[usize::from(middle)]);
        match self {
            Self::S5Conjugate => product(&product(a, b), &inverted(a)),
            Self::S5Sandwich => product(&product(a, b), a),
            _ => product(a, b),
        }
    }
}

/// The new position of each of five things.
pub(super) type Permutation = [u8; 5];

pub(super) fn inverted(permutation: &Permutation) -> Permutation {
    let mut inverse = [0; 5];
    for (from, &to) in (0..).zip(permutation) {
        inverse[usize::from(to)] = from;
    }
    inverse
}

/// All permutations of five things, in lexicographic order.
pub(super) fn symmetric_group() -> Vec<Permutation> {
    let mut all = vec![];
    for code in 0..5u32.pow(5) {
        let permutation = [4, 3, 2, 1, 0].map(|place| (code / 5u32.pow(place) % 5) as u8);
        if (0..5).all(|thing| permutation.contains(&thing)) {
            all.push(permutation);
        }
    }
    all
}

/// All equations `a ∘ b = c` of an operation, as five tokens each. The first token ids are the
/// elements, followed by the sign and the equals sign.
pub struct Table {
    /// Tokens of all equations, one equation after another.
    pub words: Vec<u32>,
    /// Index in `words` of the first token of each training equation.
    pub training: Vec<u32>,
    /// Index in `words` of the first token of each validation equation.
    pub validation: Vec<u32>,
}

/// Number of tokens of an equation before its answer.
pub(super) const QUESTION: usize = 4;

/// Whether `n` is prime.
pub(super) fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

impl Table {
    /// The table of an operation modulo `modulus`, which permutations ignore. A fraction of
    /// `fraction`, drawn from `seed`, is used for training.
    ///
    /// # Errors
    /// When there is no such table, or its training or validation part is empty.
    pub fn new(operation: Operation, modulus: u32, fraction: f64, seed: u64) -> Result<Self> {
        let equations = if operation.permutes() {
            of_permutations(operation)
        } else {
            of_numbers(operation, modulus)?
        };
        let elements = operation.elements(modulus).len() as u32;
        let words: Vec<u32> =
            equations.into_iter().flat_map(|[a, b, c]| [a, elements, b, elements + 1, c]).collect();
        let step = QUESTION as u32 + 1;
        let count = words.len() / step as usize;
        let kept = (count as f64 * fraction).round();
        if !(kept >= 2.0 && kept <= count as f64 - 1.0) {
            let why = format!("of {fraction} leaves one half of {count} equations empty");
            return Err(Error::setting("a fraction", why));
        }
        let order: Vec<u32> =
            permutation(count, seed).into_iter().map(|index| index * step).collect();
        let (training, validation) = order.split_at(kept as usize);
        Ok(Self { words, training: training.to_vec(), validation: validation.to_vec() })
    }
}

/// a, b and c of all equations of numbers, as token ids.
fn of_numbers(operation: Operation, modulus: u32) -> Result<Vec<[u32; 3]>> {
    if !(3..=997).contains(&modulus) {
        return Err(Error::setting("the modulus", format!("{modulus} must be from 3 to 997")));
    }
    if operation.divides() && !is_prime(modulus.into()) {
        let why = format!(
            "{modulus} is no prime, so that not every number has an inverse; take one, such as 97, \
             or another operation"
        );
        return Err(Error::setting("the modulus", why));
    }
    let p = u64::from(modulus);
    let inverse = |b: u64| (1..p).find(|inverse| inverse * b % p == 1).unwrap_or(0);
    let inverses: Vec<u64> =
        if operation.divides() { (0..p).map(inverse).collect() } else { vec![] };
    let mut equations = vec![];
    for a in 0..p {
        for b in u64::from(operation == Operation::Divide)..p {
            let c = operation.of(a, b, p, |b| inverses[b as usize]);
            equations.push([a as u32, b as u32, c as u32]);
        }
    }
    Ok(equations)
}

/// a, b and c of all equations of permutations, as token ids.
fn of_permutations(operation: Operation) -> Vec<[u32; 3]> {
    let group = symmetric_group();
    // The group is sorted.
    let place = |c: &Permutation| group.binary_search(c).unwrap_or_default() as u32;
    let mut equations = vec![];
    for (first, a) in (0..).zip(&group) {
        for (second, b) in (0..).zip(&group) {
            equations.push([first, second, place(&operation.of_permutations(a, b))]);
        }
    }
    equations
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const ALL: [Operation; 13] = [
        Operation::Add,
        Operation::Subtract,
        Operation::Multiply,
        Operation::Divide,
        Operation::DivideOrSubtract,
        Operation::SquareSum,
        Operation::Quadratic,
        Operation::QuadraticPlusA,
        Operation::Cubic,
        Operation::CubicMixed,
        Operation::S5Product,
        Operation::S5Conjugate,
        Operation::S5Sandwich,
    ];

    /// The equations of a table as they are written: a and b, and c.
    fn written(operation: Operation, modulus: u32) -> BTreeMap<(String, String), String> {
        let table = Table::new(operation, modulus, 0.5, 1).unwrap();
        let elements = operation.elements(modulus);
        let count = elements.len() as u32;
        let word = |token: u32| elements[token as usize].clone();
        let equation = |words: &[u32]| match *words {
            [a, sign, b, equals, c] if (sign, equals) == (count, count + 1) => {
                ((word(a), word(b)), word(c))
            }
            _ => panic!("{words:?}"),
        };
        let mut all = [table.training, table.validation].concat();
        all.sort_unstable();
        assert_eq!(all, (0..table.words.len() as u32 / 5).map(|n| 5 * n).collect::<Vec<_>>());
        table.words.chunks(5).map(equation).collect()
    }

    /// The answers by a direct method: integer arithmetic, and division by trying all answers.
    #[test]
    fn numbers_are_as_the_formulas_say() {
        let p = 11i64;
        let divided = |a: i64, b: i64| (0..p).find(|c| (c * b - a) % p == 0);
        for operation in ALL.into_iter().filter(|operation| !operation.permutes()) {
            let table = written(operation, p as u32);
            let mut count = 0;
            for (a, b) in (0..p).flat_map(|a| (0..p).map(move |b| (a, b))) {
                let expected = match operation {
                    Operation::Add => Some(a + b),
                    Operation::Subtract => Some(a - b),
                    Operation::Multiply => Some(a * b),
                    Operation::Divide => (b != 0).then(|| divided(a, b).unwrap()),
                    Operation::DivideOrSubtract if b % 2 == 1 => divided(a, b),
                    Operation::DivideOrSubtract => Some(a - b),
                    Operation::SquareSum => Some(a.pow(2) + b.pow(2)),
                    Operation::Quadratic => Some(a.pow(2) + a * b + b.pow(2)),
                    Operation::QuadraticPlusA => Some(a.pow(2) + a * b + b.pow(2) + a),
                    Operation::Cubic => Some(a.pow(3) + a * b),
                    Operation::CubicMixed => Some(a.pow(3) + a * b.pow(2) + b),
                    _ => unreachable!("they are left out"),
                };
                let expected = expected.map(|c| c.rem_euclid(p).to_string());
                let found = table.get(&(a.to_string(), b.to_string()));
                assert_eq!(found, expected.as_ref(), "{operation:?}: {a}, {b}");
                count += usize::from(expected.is_some());
            }
            assert_eq!(table.len(), count, "{operation:?}");
        }
    }

    /// The permutation of five letters that results from two moves, one after another.
    #[test]
    fn permutations_move_things() {
        let moved = |things: &str, permutation: &str| -> String {
            let mut places = [' '; 5];
            for (thing, to) in things.chars().zip(permutation.chars()) {
                places[to.to_digit(10).unwrap() as usize - 1] = thing;
            }
            places.iter().collect()
        };
        for operation in ALL.into_iter().filter(|operation| operation.permutes()) {
            let table = written(operation, 97);
            assert_eq!(table.len(), 120 * 120);
            for ((a, b), c) in &table {
                let [left, right] = match operation {
                    Operation::S5Product => [moved(&moved("abcde", b), a), moved("abcde", c)],
                    // c = a b 1/a, so c a = a b.
                    Operation::S5Conjugate => {
                        [moved(&moved("abcde", b), a), moved(&moved("abcde", a), c)]
                    }
                    _ => [moved(&moved(&moved("abcde", a), b), a), moved("abcde", c)],
                };
                assert_eq!(left, right, "{operation:?}: {a}, {b} gives {c}");
            }
        }
        assert_eq!(written(Operation::S5Product, 97)[&("21345".into(), "23451".into())], "13452");
    }

    #[test]
    fn impossible_tables_are_refused() {
        for (operation, modulus, fraction) in [
            (Operation::Divide, 8, 0.5),
            (Operation::DivideOrSubtract, 9, 0.5),
            (Operation::Add, 2, 0.5),
            (Operation::Add, 7, 0.0),
            (Operation::Add, 7, 1.0),
            (Operation::Add, 7, f64::NAN),
        ] {
            let table = Table::new(operation, modulus, fraction, 1);
            assert!(table.is_err(), "{operation:?} {modulus} {fraction}");
        }
        assert_eq!(written(Operation::Multiply, 8).len(), 64);
        // Signs have to differ from numbers, and from one another.
        for operation in ALL {
            let sign = operation.sign();
            assert!(
                !sign.contains(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == '='),
                "{sign}"
            );
        }
    }
}
