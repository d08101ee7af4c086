// An activation and its slope.

//% if KIND == "relu"
fn activation(x: vec4<f32>) -> vec4<f32> {
    return max(x, vec4<f32>());
}

fn slope(x: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(1.0), x > vec4<f32>());
}
//% else
// tanh(u) = 1 - 2 / (exp(2u) + 1), which is right where exp overflows or vanishes too.
fn curve(x: vec4<f32>) -> vec4<f32> {
    let u = 0.7978845608028654 * (x + 0.044715 * x * x * x);
    return 1.0 - 2.0 / (exp(2.0 * u) + 1.0);
}

fn activation(x: vec4<f32>) -> vec4<f32> {
    return 0.5 * x * (1.0 + curve(x));
}

fn slope(x: vec4<f32>) -> vec4<f32> {
    let t = curve(x);
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x);
}
//% endif
