// y = the last p.kept rows of each p.period rows of x.
//% include "pointwise"

fn texel(i: u32) {
    let row = i / p.width4;
    let source = row / p.kept * p.period + p.period - p.kept + row % p.kept;
    store_y(i, load_x(source * p.width4 + i % p.width4));
}
