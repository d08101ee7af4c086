// w' = w - rate (decay w + m' / c1 / (sqrt(v' / c2) + eps)), with m' = b1 m + (1 - b1) g and v' =
// b2 v + (1 - b2) g²: AdamW, whose decay is no part of the gradient (Loshchilov and Hutter 2019,
// arXiv:1711.05101).
//
// Row `clock` of the schedule holds rate, 1 / c1 and 1 / c2, with c = 1 - b^step; g is clipped as
// clip.wgsl says.
//% include "pointwise"
//% include "clip"

fn texel(i: u32) {
    let now = schedule_now();
    let g = load_g(i) * clip();
    let w = load_w(i);
    let m = fma(vec4<f32>(p.beta1), load_m(i), (1.0 - p.beta1) * g);
    let v = fma(vec4<f32>(p.beta2), load_v(i), (1.0 - p.beta2) * g * g);
    let change = now.y * m / (sqrt(v * now.z) + p.eps);
    store_w_next(i, w - now.x * p.decay * w - now.x * change);
    store_m_next(i, m);
    store_v_next(i, v);
}
