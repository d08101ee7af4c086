// y[t] = silu(gate) * up, gate and up being groups r4 and r4 + p.half4 of the product (Shazeer 2020, arXiv:2002.05202).
fn finish(t: u32, r4: u32, gate: vec4<f32>, up: vec4<f32>) {
    store_y(t * p.half4 + r4, gate / (1.0 + exp(-gate)) * up);
}
