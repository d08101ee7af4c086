// An activation function and its derivative, of four numbers.

//% if KIND == "relu"
fn activation(x: vec4<f32>) -> vec4<f32> {
    return max(x, vec4<f32>());
}

fn slope(x: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(1.0), x > vec4<f32>());
}
//% else
//% include "gelu"

fn activation(x: vec4<f32>) -> vec4<f32> {
    return gelu(x);
}

fn slope(x: vec4<f32>) -> vec4<f32> {
    let t = gelu_curve(x);
    return 0.5 * (1.0 + t)
        + 0.5 * x * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x);
}
//% endif
