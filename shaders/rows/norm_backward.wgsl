// dx = scale (g - mean(g) - h mean(g h)) (+ base), with h = (x - mean) scale and g = dy gain: the
// gradient of row_norm with respect to its input; mean(g) is taken as 0 without CENTRED.
//
// Grid: x over rows, 32 a workgroup.
// Lane: owns a row.
// Reads: neighbouring lanes read a row apart, which only adapters whose lanes are those of a CPU
// take well: norm_backward_shared_row is for the others.

fn norm_backward(invocation: vec3<u32>) {
    let r = invocation.x;
    if r >= p.rows {
        return;
    }
    let first = r * p.width4;
    let stats = load_stats(r);
    let inverse = 1.0 / f32(4u * p.width4);
    var sum = vec4<f32>();
    var products = vec4<f32>();
    for (var i = 0u; i < p.width4; i++) {
        let g = load_dy(first + i) * load_gain(i);
        sum += g;
        products = fma(g, (load_x(first + i) - stats.x) * stats.y, products);
    }
    var mean = 0.0;
    //% if CENTRED
    mean = dot(sum, vec4<f32>(1.0)) * inverse;
    //% endif
    let slope = dot(products, vec4<f32>(1.0)) * inverse;
    for (var i = 0u; i < p.width4; i++) {
        let g = load_dy(first + i) * load_gain(i);
        let h = (load_x(first + i) - stats.x) * stats.y;
        store_dx(first + i, fma(vec4<f32>(stats.y), g - mean - h * slope, load_base(first + i)));
    }
}
