// dx = f'(x) * dy (+ base). Grid: pointwise.
//% include "pointwise"
//% include "activation"

fn texel(i: u32) {
    store_dx(i, fma(slope(load_x(i)), load_dy(i), load_base(i)));
}

@compute @workgroup_size(64)
fn activate_backward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    texels(workgroup, lane);
}
