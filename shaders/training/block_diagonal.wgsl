// y = [[x[..split], 0], [0, x[split..]]], twice as wide as x.
//% include "pointwise"

fn texel(i: u32) {
    let row = i / (2u * p.width4);
    let column = i % (2u * p.width4);
    let block = select(0u, 1u, row >= p.split);
    let inside = column / p.width4 == block;
    store_y(i, select(vec4<f32>(), load_x(row * p.width4 + column % p.width4), inside));
}
