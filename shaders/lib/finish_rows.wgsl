// y[t] = product, plus the residual where there is one.
fn finish(t: u32, r4: u32, v: vec4<f32>, unused: vec4<f32>) {
    let i = t * p.width4 + p.first4 + r4;
//% if has_residual
    store_y(i, v + load_residual(i));
//% else
    store_y(i, v);
//% endif
}
