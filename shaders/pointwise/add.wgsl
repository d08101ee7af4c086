// y = a + b. Grid: pointwise.
//% include "pointwise"

fn texel(i: u32) {
    store_y(i, load_a(i) + load_b(i));
}

@compute @workgroup_size(64)
fn add(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    texels(workgroup, lane);
}
