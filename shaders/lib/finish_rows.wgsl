// y[t] = product, plus bias and residual if present.
fn finish_group(t: u32, r4: u32, v: vec4<f32>) {
    if r4 >= p.rows4 {
        return;
    }
    let i = t * p.width4 + p.first4 + r4;
    var sum = v;
    //% if has_bias
    sum += load_bias(t * p.bias_width4 + p.first4 + r4);
    //% endif
    //% if has_residual
    sum += load_residual(i);
    //% endif
    store_y(i, sum);
}

fn finish(t: u32, r4: u32, lo: vec4<f32>, hi: vec4<f32>) {
    finish_group(t, r4, lo);
    finish_group(t, r4 + 1u, hi);
}
