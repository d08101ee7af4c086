// y[r] = (x[r] - mean) / deviation * gain (+ bias), as in row_norm.wgsl, for GPUs.
//
// Gain and bias are read, and y is written, texel by texel with x.
//
// Grid: rows x + FOLD * y, a workgroup each.
//% include "row"

fn row_norm_shared_row(workgroup: vec3<u32>, own: Lane) {
    let lane = own.lane;
    let r = workgroup.x + {{ FOLD }}u * workgroup.y;
    if r >= p.rows {
        return;
    }
    let first = r * p.width4;
    let count = f32(4u * p.width4);
    var mean = 0.0;
    //% if CENTRED
    var sum = 0.0;
    for (var i = lane; i < p.width4; i += LANES) {
        sum += dot(load_x(first + i), vec4<f32>(1.0));
    }
    mean = row_sum(sum, own) / count;
    //% endif
    var squares = 0.0;
    for (var i = lane; i < p.width4; i += LANES) {
        let d = load_x(first + i) - mean;
        squares += dot(d, d);
    }
    let scale = 1.0 / sqrt(row_sum(squares, own) / count + p.eps);
    if lane == 0u {
        store_stats(r, vec4<f32>(mean, scale, 0.0, 0.0));
    }
    for (var i = lane; i < p.width4; i += LANES) {
        store_y(first + i, fma((load_x(first + i) - mean) * scale, load_gain(i), load_bias(i)));
    }
}
