// y[t] = cap * tanh((product + bias) / cap), which limits results to the cap and hardly changes
// small ones (Gemma Team 2024, arXiv:2408.00118).
fn finish_group(t: u32, r4: u32, v: vec4<f32>) {
    if r4 < p.rows4 {
        let inner = (v + load_bias(t * p.bias_width4 + p.first4 + r4)) / p.softcap;
        let capped = p.softcap * tanh(clamp(inner, vec4<f32>(-10.0), vec4<f32>(10.0)));
        store_y(t * p.width4 + p.first4 + r4, capped);
    }
}

fn finish(t: u32, r4: u32, lo: vec4<f32>, hi: vec4<f32>) {
    finish_group(t, r4, lo);
    finish_group(t, r4 + 1u, hi);
}
