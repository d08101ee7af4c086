// y[t] = product, plus the residual where there is one.
fn finish_group(t: u32, r4: u32, v: vec4<f32>) {
    if r4 >= p.rows4 {
        return;
    }
    let i = t * p.width4 + p.first4 + r4;
    //% if has_residual
    store_y(i, v + load_residual(i));
    //% else
    store_y(i, v);
    //% endif
}

fn finish(t: u32, r4: u32, lo: vec4<f32>, hi: vec4<f32>) {
    finish_group(t, r4, lo);
    finish_group(t, r4 + 1u, hi);
}
