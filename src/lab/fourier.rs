//! The structure of a learned embedding: its Fourier components (Nanda et al. 2023,
//! arXiv:2301.05217) or, for permutations, its components by irreducible representation (Chughtai
//! et al. 2023, arXiv:2302.03025).

use super::table::{Operation, Permutation, inverted, is_prime, symmetric_group};

/// Whether numbers are placed on the circle by their discrete logarithms, rather than by their
/// values.
pub fn is_logarithmic(operation: Operation, modulus: u32) -> bool {
    operation.is_multiplicative() && is_prime(modulus.into())
}

/// The order of numbers on the circle: their values for sums; for products the powers of the
/// smallest primitive root, because multiplying powers adds their exponents.
fn circle(modulus: usize, logarithmic: bool) -> Vec<usize> {
    if !logarithmic {
        return (0..modulus).collect();
    }
    let powers = |root: usize| {
        let next = |power: &usize| Some(power * root % modulus);
        std::iter::successors(Some(1), next).take(modulus - 1).collect::<Vec<_>>()
    };
    let is_primitive = |root: &usize| powers(*root)[1..].iter().all(|&power| power != 1);
    powers((1..modulus).find(is_primitive).unwrap_or(1))
}

/// The fraction of each component in the variance of an embedding `[elements or more, width]`. The
/// components are the frequencies from 1 to half the number of elements, or [`REPRESENTATIONS`].
pub fn spectrum(embedding: &[f32], width: usize, operation: Operation, modulus: u32) -> Vec<f64> {
    let powers = if operation.permutes() {
        of_permutations(embedding, width)
    } else {
        of_numbers(embedding, width, &circle(modulus as usize, is_logarithmic(operation, modulus)))
    };
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| power / total.max(f64::MIN_POSITIVE)).collect()
}

fn of_numbers(embedding: &[f32], width: usize, circle: &[usize]) -> Vec<f64> {
    let count = circle.len();
    let turn = std::f64::consts::TAU / count as f64;
    let power = |frequency: usize| -> f64 {
        let column = |c: usize| {
            let (mut cosine, mut sine) = (0.0, 0.0);
            for (place, number) in circle.iter().enumerate() {
                let value = f64::from(embedding[number * width + c]);
                let angle = turn * (frequency * place % count) as f64;
                (cosine, sine) = (cosine + value * angle.cos(), sine + value * angle.sin());
            }
            cosine * cosine + sine * sine
        };
        // A frequency includes its mirror image; half the number of elements is its own mirror
        // image.
        let images = if 2 * frequency == count { 1.0 } else { 2.0 };
        images * (0..width).map(column).sum::<f64>()
    };
    (1..=count / 2).map(power).collect()
}

/// The non-trivial irreducible representations of the permutations of five things, by their
/// dimension. A dash marks the product of a representation with the sign.
pub const REPRESENTATIONS: [&str; 6] = ["sign", "4", "4'", "5", "5'", "6"];

/// The characters of [`REPRESENTATIONS`], by the number of fixed points and the parity of the
/// permutation, which together identify its conjugacy class.
fn characters(permutation: &Permutation) -> [f64; 6] {
    let fixed = (0..5).filter(|&thing| usize::from(permutation[thing]) == thing).count();
    let swaps = |i: usize| (0..i).filter(|&j| permutation[j] > permutation[i]).count();
    let odd = (0..5).map(swaps).sum::<usize>() % 2 == 1;
    match (fixed, odd) {
        (5, _) => [1.0, 4.0, 4.0, 5.0, 5.0, 6.0],
        (3, _) => [-1.0, 2.0, -2.0, 1.0, -1.0, 0.0],
        (2, _) => [1.0, 1.0, 1.0, -1.0, -1.0, 0.0],
        (1, true) => [-1.0, 0.0, 0.0, -1.0, 1.0, 0.0],
        (1, false) => [1.0, 0.0, 0.0, 1.0, 1.0, -2.0],
        (_, true) => [-1.0, -1.0, 1.0, 1.0, -1.0, 0.0],
        (_, false) => [1.0, -1.0, -1.0, 0.0, 0.0, 1.0],
    }
}

/// The squared norms of the projections of all columns onto each component, times the number of
/// permutations.
fn of_permutations(embedding: &[f32], width: usize) -> Vec<f64> {
    let group = symmetric_group();
    let row = |element: usize| &embedding[element * width..][..width];
    let mut powers = vec![0.0; REPRESENTATIONS.len()];
    for (first, g) in group.iter().enumerate() {
        let back = inverted(g);
        for (second, h) in group.iter().enumerate() {
            let dot: f64 = row(first)
                .iter()
                .zip(row(second))
                .map(|(&x, &y)| f64::from(x) * f64::from(y))
                .sum();
            let between = h.map(|middle| back[usize::from(middle)]);
            let dimensions = characters(&[0, 1, 2, 3, 4]);
            for (power, (d, x)) in
                powers.iter_mut().zip(dimensions.into_iter().zip(characters(&between)))
            {
                *power += d * x * dot;
            }
        }
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wave_is_one_frequency() {
        // The fifth wave over the numbers, and over their logarithms.
        for (operation, count) in [(Operation::Add, 13), (Operation::Divide, 12)] {
            let circle = circle(13, is_logarithmic(operation, 13));
            assert_eq!(circle.len(), count);
            let mut embedding = vec![0.0; 13];
            for (place, &number) in circle.iter().enumerate() {
                let angle = 5.0 * std::f32::consts::TAU * place as f32 / circle.len() as f32;
                embedding[number] = angle.cos();
            }
            let shares = spectrum(&embedding, 1, operation, 13);
            assert_eq!(shares.len(), 6);
            assert!(shares[4] > 0.999, "{shares:?}");
        }
        // Products modulo a number that is not prime do not form a circle.
        assert_eq!(spectrum(&[1.0; 8], 1, Operation::Multiply, 8).len(), 4);
    }

    /// Two waves with the same variance have half of it each, even if one of them has the highest
    /// frequency.
    #[test]
    fn shares_are_of_the_variance() {
        let turn = std::f64::consts::TAU / 12.0;
        let embedding: Vec<f32> = (0..12)
            .flat_map(|n| {
                [f64::from(n % 2) * 2.0 - 1.0, 2f64.sqrt() * (turn * f64::from(3 * n)).cos()]
            })
            .map(|value| value as f32)
            .collect();
        let shares = spectrum(&embedding, 2, Operation::Add, 12);
        assert!((shares[5] - 0.5).abs() < 1e-6 && (shares[2] - 0.5).abs() < 1e-6, "{shares:?}");
    }

    #[test]
    fn functions_of_permutations_have_their_parts() {
        let group = symmetric_group();
        assert!(group.len() == 120 && group.is_sorted());
        let shares = |value: &dyn Fn(&Permutation) -> f64| {
            let embedding: Vec<f32> = group.iter().map(|g| value(g) as f32).collect();
            spectrum(&embedding, 1, Operation::S5Product, 97)
        };
        let sign = |g: &Permutation| characters(g)[0];
        let stays = |g: &Permutation| f64::from(u8::from(g[0] == 0)) - 0.2;
        for (part, shares) in
            [shares(&sign), shares(&stays), shares(&|g| stays(g) * sign(g))].iter().enumerate()
        {
            assert!(shares[part] > 0.999, "{shares:?}");
        }
        // For the indicator of a single element, each component is the square of its dimension.
        let one = shares(&|g| f64::from(u8::from(*g == [0, 1, 2, 3, 4])));
        for (share, square) in one.iter().zip([1.0, 16.0, 16.0, 25.0, 25.0, 36.0]) {
            assert!((share - square / 119.0).abs() < 1e-6, "{one:?}");
        }
    }
}
