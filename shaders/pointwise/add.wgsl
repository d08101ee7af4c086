// y = a + b.
//% include "pointwise"

fn texel(i: u32) {
    store_y(i, load_a(i) + load_b(i));
}
