// y[t] = gelu(gate) * up, where gate and up are groups r4 and r4 + p.half4 of the product (Shazeer
// 2020, arXiv:2002.05202).
//% include "gelu"
//% include "gated"

fn finish(t: u32, r4: u32, product_gate: vec4<f32>, product_up: vec4<f32>) {
    let gate = biased(t, r4, product_gate);
    store_y(t * p.half4 + r4, gelu(gate) * biased(t, r4 + p.half4, product_up));
}
