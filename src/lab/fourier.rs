//! What an embedding of numbers has learned: its Fourier components (Nanda et al. 2023, arXiv:2301.05217).

use super::table::is_prime;

/// The order in which numbers lie on a circle: as they are for sums; for products the powers of the smallest primitive
/// root, since products of powers are sums of exponents.
fn circle(modulus: usize, multiplicative: bool) -> Vec<usize> {
    if !multiplicative || !is_prime(modulus as u64) {
        return (0..modulus).collect();
    }
    let powers = |root: usize| {
        let next = |power: &usize| Some(power * root % modulus);
        std::iter::successors(Some(1), next).take(modulus - 1).collect::<Vec<_>>()
    };
    let is_primitive = |root: &usize| powers(*root)[1..].iter().all(|&power| power != 1);
    powers((1..modulus).find(is_primitive).unwrap_or(1))
}

/// The share of each frequency from 1 to half of the numbers in the variance of an embedding `[modulus or more, width]`.
pub fn spectrum(embedding: &[f32], width: usize, modulus: usize, multiplicative: bool) -> Vec<f64> {
    let circle = circle(modulus, multiplicative);
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
        (0..width).map(column).sum()
    };
    let powers: Vec<f64> = (1..=count / 2).map(power).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| power / total.max(f64::MIN_POSITIVE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wave_is_one_frequency() {
        // The fifth wave over the numbers, and over their logarithms.
        for multiplicative in [false, true] {
            let circle = circle(13, multiplicative);
            assert_eq!(circle.len(), if multiplicative { 12 } else { 13 });
            let mut embedding = vec![0.0; 13];
            for (place, &number) in circle.iter().enumerate() {
                let angle = 5.0 * std::f32::consts::TAU * place as f32 / circle.len() as f32;
                embedding[number] = angle.cos();
            }
            let shares = spectrum(&embedding, 1, 13, multiplicative);
            assert_eq!(shares.len(), 6);
            assert!(shares[4] > 0.999, "{shares:?}");
        }
    }
}
