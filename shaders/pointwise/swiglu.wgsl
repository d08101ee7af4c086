// y[t] = silu(gate) * up, gate and up being the halves of row t of x (Shazeer 2020,
// arXiv:2002.05202).
//% include "pointwise"

fn texel(i: u32) {
    let at = i + i / p.half4 * p.half4;
    let gate = load_x(at);
    store_y(i, gate / (1.0 + exp(-gate)) * load_x(at + p.half4));
}
