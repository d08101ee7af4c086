// Gradient of pick: dy in the last p.kept rows of each p.period rows, zeros elsewhere (+ base).
// Grid: pointwise over dx.
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

@compute @workgroup_size(64)
fn slice_last_backward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    texels(workgroup, lane);
}
