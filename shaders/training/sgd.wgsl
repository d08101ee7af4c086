// w' = w - rate m', with m' = momentum m + g + decay w: SGD with momentum (Sutskever et al. 2013),
// whose decay is part of the gradient.
//
// Row `clock` of the schedule holds the rate; g is clipped as clip.wgsl says.
//% include "pointwise"
//% include "clip"

fn texel(i: u32) {
    let w = load_w(i);
    let m = fma(vec4<f32>(p.momentum), load_m(i), fma(vec4<f32>(p.decay), w, load_g(i) * clip()));
    store_w_next(i, w - schedule_now().x * m);
    store_m_next(i, m);
}
