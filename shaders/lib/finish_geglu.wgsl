// y[t] = gelu(gate) * up, gate and up being groups r4 and r4 + p.half4 of the product (Shazeer 2020, arXiv:2002.05202).
//% include "gelu"

fn finish(t: u32, r4: u32, gate: vec4<f32>, up: vec4<f32>) {
    store_y(t * p.half4 + r4, gelu(gate) * up);
}
