// y[r] = (x[r] - mean) / deviation * gain (+ bias): LayerNorm (Ba et al. 2016, arXiv:1607.06450)
// with CENTRED, else RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467), whose mean is taken as 0.
//
// stats[r] keeps mean and 1 / deviation.
//
// Grid: x over rows, 32 a workgroup.
// Lane: owns a row.
// Reads: neighbouring lanes read a row apart, which only adapters whose lanes are those of a CPU
// take well: row_norm_shared_row is for the others.

fn row_norm(invocation: vec3<u32>) {
    let r = invocation.x;
    if r >= p.rows {
        return;
    }
    let first = r * p.width4;
    let count = f32(4u * p.width4);
    var mean = 0.0;
    //% if CENTRED
    var sum = vec4<f32>();
    for (var i = 0u; i < p.width4; i++) {
        sum += load_x(first + i);
    }
    mean = dot(sum, vec4<f32>(1.0)) / count;
    //% endif
    var squares = vec4<f32>();
    for (var i = 0u; i < p.width4; i++) {
        let d = load_x(first + i) - mean;
        squares = fma(d, d, squares);
    }
    let scale = 1.0 / sqrt(dot(squares, vec4<f32>(1.0)) / count + p.eps);
    store_stats(r, vec4<f32>(mean, scale, 0.0, 0.0));
    for (var i = 0u; i < p.width4; i++) {
        store_y(first + i, fma((load_x(first + i) - mean) * scale, load_gain(i), load_bias(i)));
    }
}
