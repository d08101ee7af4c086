// y[t] = norm(x[first_token + t]) * gain + bias + residual[t], without what is left out: RMSNorm
// (Zhang and Sennrich 2019, arXiv:1910.07467), or LayerNorm with CENTRED (Ba et al. 2016,
// arXiv:1607.06450).
//
// Beyond p.columns4 a row is padded: it counts for nothing, and its gain is 0.
//
// Grid: one workgroup a token.
// Lane: owns every 64th texel of the token.
// Reads: neighbouring lanes read and write neighbouring texels, 1024 contiguous bytes at a step;
// the sums of all lanes are one address for each of them.

var<workgroup> sums: array<f32, 64>;

fn total(lane: u32, own: f32) -> f32 {
    sums[lane] = own;
    workgroupBarrier();
    var sum = 0.0;
    for (var other = 0u; other < 64u; other++) {
        sum += sums[other];
    }
    workgroupBarrier();
    return sum;
}

fn norm(workgroup: vec3<u32>, lane: u32) {
    let t = workgroup.x;
    let from_x = (p.first_token + t) * p.width4;
    //% if CENTRED
    var own_sum = 0.0;
    for (var i = lane; i < p.columns4; i += 64u) {
        let v = load_x(from_x + i);
        own_sum += v.x + v.y + v.z + v.w;
    }
    let mean = total(lane, own_sum) / p.columns;
    //% else
    let mean = 0.0;
    //% endif
    var own_squares = 0.0;
    for (var i = lane; i < p.columns4; i += 64u) {
        let v = load_x(from_x + i) - mean;
        own_squares += dot(v, v);
    }
    let scale = inverseSqrt(total(lane, own_squares) / p.columns + p.eps);
    for (var i = lane; i < p.width4; i += 64u) {
        let at = t * p.width4 + i;
        let normal = (load_x(from_x + i) - mean) * scale;
        store_y(at, normal * load_gain(i) + load_bias(i) + load_residual(at));
    }
}
