// dx = f'(x) dy (+ base).
//% include "pointwise"
//% include "activation"

fn texel(i: u32) {
    store_dx(i, fma(slope(load_x(i)), load_dy(i), load_base(i)));
}
