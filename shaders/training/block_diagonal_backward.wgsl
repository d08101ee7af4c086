// dx = the blocks of dy that x went to (+ base).
//% include "pointwise"

fn texel(i: u32) {
    let row = i / p.width4;
    let block = select(0u, 1u, row >= p.split);
    store_dx(i, load_dy((2u * row + block) * p.width4 + i % p.width4) + load_base(i));
}
