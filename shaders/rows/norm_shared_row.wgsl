// y[t] = norm(x[first_token + t]) * gain + bias + residual[t], as in norm.wgsl, for GPUs: a
// workgroup has about as many lanes as the row has texels.
//
// Gain, bias and residual are read, and y is written, texel by texel with x.
//
// Grid: tokens x + FOLD * y, a workgroup each.
//% include "row"

fn norm_shared_row(workgroup: vec3<u32>, own: Lane) {
    let lane = own.lane;
    let t = workgroup.x + {{ FOLD }}u * workgroup.y;
    if t >= p.rows {
        return;
    }
    let from_x = (p.first_token + t) * p.width4;
    //% if CENTRED
    var own_sum = 0.0;
    for (var i = lane; i < p.columns4; i += LANES) {
        own_sum += dot(load_x(from_x + i), vec4<f32>(1.0));
    }
    let mean = row_sum(own_sum, own) / p.columns;
    //% else
    let mean = 0.0;
    //% endif
    var own_squares = 0.0;
    for (var i = lane; i < p.columns4; i += LANES) {
        let v = load_x(from_x + i) - mean;
        own_squares += dot(v, v);
    }
    let scale = inverseSqrt(row_sum(own_squares, own) / p.columns + p.eps);
    for (var i = lane; i < p.width4; i += LANES) {
        let at = t * p.width4 + i;
        let normal = (load_x(from_x + i) - mean) * scale;
        store_y(at, normal * load_gain(i) + load_bias(i) + load_residual(at));
    }
}
