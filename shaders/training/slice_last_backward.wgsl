// dx = dy in the last p.kept rows of each p.period rows, zeros elsewhere (+ base).
//% include "pointwise"

fn texel(i: u32) {
    let row = i / p.width4;
    let place = row % p.period + p.kept;
    var v = load_base(i);
    if place >= p.period {
        v += load_dy((row / p.period * p.kept + place - p.period) * p.width4 + i % p.width4);
    }
    store_dx(i, v);
}
