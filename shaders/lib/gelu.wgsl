// gelu(v) in its tanh approximation (Hendrycks and Gimpel 2016, arXiv:1606.08415).

// tanh(u) = 1 - 2 / (exp(2u) + 1), which is also correct where exp overflows or vanishes; the tanh
// of some drivers is not.
fn gelu_curve(v: vec4<f32>) -> vec4<f32> {
    let u = 0.7978845608028654 * (v + 0.044715 * v * v * v);
    return 1.0 - 2.0 / (exp(2.0 * u) + 1.0);
}

fn gelu(v: vec4<f32>) -> vec4<f32> {
    return 0.5 * v * (1.0 + gelu_curve(v));
}
