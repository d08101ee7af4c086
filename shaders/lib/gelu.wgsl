// gelu(v) in its approximation by tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415). Beyond 10 tanh is 1 in floats;
// some drivers' overflows.
fn gelu(v: vec4<f32>) -> vec4<f32> {
    let inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
    return 0.5 * v * (1.0 + tanh(clamp(inner, vec4<f32>(-10.0), vec4<f32>(10.0))));
}
