// y = f(x), f being ReLU or the tanh form of GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415).
// Grid: pointwise.
//% include "pointwise"
//% include "activation"

fn texel(i: u32) {
    store_y(i, activation(load_x(i)));
}

@compute @workgroup_size(64)
fn activate(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    texels(workgroup, lane);
}
