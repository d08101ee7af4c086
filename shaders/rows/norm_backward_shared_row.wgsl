// dx = scale (g - mean(g) - h mean(g h)) (+ base), as in norm_backward.wgsl, for GPUs.
//
// dy, gain and base are read, and dx is written, texel by texel with x.
//
// Grid: rows x + FOLD * y, a workgroup each.
//% include "row"

fn norm_backward_shared_row(workgroup: vec3<u32>, own: Lane) {
    let lane = own.lane;
    let r = workgroup.x + {{ FOLD }}u * workgroup.y;
    if r >= p.rows {
        return;
    }
    let first = r * p.width4;
    let stats = load_stats(r);
    let inverse = 1.0 / f32(4u * p.width4);
    var sum = 0.0;
    var products = 0.0;
    for (var i = lane; i < p.width4; i += LANES) {
        let g = load_dy(first + i) * load_gain(i);
        sum += dot(g, vec4<f32>(1.0));
        products += dot(g, (load_x(first + i) - stats.x) * stats.y);
    }
    var mean = 0.0;
    //% if CENTRED
    mean = row_sum(sum, own) * inverse;
    //% endif
    let slope = row_sum(products, own) * inverse;
    for (var i = lane; i < p.width4; i += LANES) {
        let g = load_dy(first + i) * load_gain(i);
        let h = (load_x(first + i) - stats.x) * stats.y;
        store_dx(first + i, fma(vec4<f32>(stats.y), g - mean - h * slope, load_base(first + i)));
    }
}
