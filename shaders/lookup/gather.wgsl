// y[t] = table[ids[t]] (+ places[t mod period]), all f32: the embedding of training.
//% include "pointwise"

fn texel(i: u32) {
    let t = i / p.width4;
    let column = i % p.width4;
    let id = load_ids(t >> 2u)[t & 3u];
    store_y(i, load_table(id * p.width4 + column) + load_places(t % p.period * p.width4 + column));
}
