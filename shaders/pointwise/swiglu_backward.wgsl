// d gate = dy up s (1 + gate (1 - s)), d up = dy gate s, with s = 1 / (1 + exp(-gate)) (+ base).
//
// Each texel of dy gives one of gate and the same one of up.
//% include "pointwise"

fn texel(i: u32) {
    let at = i + i / p.half4 * p.half4;
    let gate = load_x(at);
    let up = load_x(at + p.half4);
    let dy = load_dy(i);
    let s = 1.0 / (1.0 + exp(-gate));
    store_dx(at, fma(dy * up, s * (1.0 + gate * (1.0 - s)), load_base(at)));
    store_dx(at + p.half4, fma(dy, gate * s, load_base(at + p.half4)));
}
