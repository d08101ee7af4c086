// y[t] = gelu(product + bias), with the error function.
//% include "gelu_exact"

fn finish_group(t: u32, r4: u32, v: vec4<f32>) {
    if r4 < p.rows4 {
        let biased = v + load_bias(t * p.bias_width4 + p.first4 + r4);
        store_y(t * p.width4 + p.first4 + r4, gelu_exact(biased));
    }
}

fn finish(t: u32, r4: u32, lo: vec4<f32>, hi: vec4<f32>) {
    finish_group(t, r4, lo);
    finish_group(t, r4 + 1u, hi);
}
