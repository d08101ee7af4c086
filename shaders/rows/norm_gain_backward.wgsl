// dgain = Σ dy (x - mean) scale (+ base), dbias = Σ dy (+ bias_base), over all rows: the gradients
// of row_norm with respect to gain and bias.
//
// Grid: x over texels of a row, 8 a workgroup.
// Lane: owns four columns.
// Reads: eight neighbouring lanes read 128 contiguous bytes of each row.

fn norm_gain_backward(invocation: vec3<u32>) {
    let c = invocation.x;
    if c >= p.width4 {
        return;
    }
    var gain = vec4<f32>();
    var bias = vec4<f32>();
    for (var r = 0u; r < p.rows; r++) {
        let stats = load_stats(r);
        let dy = load_dy(r * p.width4 + c);
        gain = fma(dy, (load_x(r * p.width4 + c) - stats.x) * stats.y, gain);
        bias += dy;
    }
    store_dgain(c, gain + load_base(c));
    //% if has_dbias
    store_dbias(c, bias + load_bias_base(c));
    //% endif
}
