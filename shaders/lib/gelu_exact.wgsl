// gelu(v) = v Φ(v), where Φ is the normal distribution (Hendrycks and Gimpel 2016,
// arXiv:1606.08415). WGSL has no erf; formula 7.1.26 of Abramowitz and Stegun, Handbook of
// Mathematical Functions (1964), approximates it within 1.5e-7.
fn gelu_exact(v: vec4<f32>) -> vec4<f32> {
    let x = abs(v) * 0.7071067811865476;
    let t = 1.0 / (1.0 + 0.3275911 * x);
    let tail_of_series = t * (1.421413741 + t * (-1.453152027 + t * 1.061405429));
    let series = t * (0.254829592 + t * (-0.284496736 + tail_of_series));
    // Φ(-|v|), computed directly because 1 - erf would cancel where it is small.
    let tail = 0.5 * series * exp(-x * x);
    return v * select(tail, 1.0 - tail, v >= vec4<f32>());
}
