// Adds the bias to gate and up before they are combined.
fn biased(t: u32, r4: u32, v: vec4<f32>) -> vec4<f32> {
    //% if has_bias
    return v + load_bias(t * p.bias_width4 + r4);
    //% else
    return v;
    //% endif
}
