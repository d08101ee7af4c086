//! The normal distribution, for the exact GELU.

/// The error function by a series whose terms have one sign (formula 7.1.6 of Abramowitz and
/// Stegun, Handbook of Mathematical Functions, 1964): 2 / √π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · … · (2n
/// + 1)).
fn erf(x: f64) -> f64 {
    // Beyond this the function is 1 in double precision.
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// Exact GELU, x Φ(x), where Φ is the normal distribution (Hendrycks and Gimpel 2016,
/// arXiv:1606.08415).
pub(in crate::kernels) fn gelu_exact(x: f32) -> f32 {
    let x = f64::from(x);
    (0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_has_its_known_values() {
        // Values from table 7.1 of the handbook.
        let rows = [
            (0.0, 0.0),
            (0.1, 0.1124629160),
            (0.5, 0.5204998778),
            (1.0, 0.8427007929),
            (2.0, 0.9953222650),
            (3.0, 0.9999779095),
            (7.0, 1.0),
        ];
        for (x, expected) in rows {
            assert!(
                (erf(x) - expected).abs() < 1e-9 && erf(-x) == -erf(x),
                "erf({x}) = {}",
                erf(x)
            );
        }
        assert!(erf(f64::NAN).is_nan());
        // The tanh approximation would give 0.8411920.
        assert!((gelu_exact(1.0) - 0.841_344_7).abs() < 1e-6);
        assert!(gelu_exact(-40.0) == 0.0 && gelu_exact(40.0) == 40.0);
    }
}
