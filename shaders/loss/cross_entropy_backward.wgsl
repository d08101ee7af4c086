// dlogits[r] = (softmax(logits[r]) - one at the target) * drows[r].x (+ base), zeros where the row
// does not count.
//
// Grid: x over rows, 8 a workgroup.
// Lane: owns a row.
// Reads: neighbouring lanes read and write a row apart, which only adapters whose lanes are those
// of a CPU take well: cross_entropy_backward_shared_row is for the others.

fn cross_entropy_backward(invocation: vec3<u32>) {
    let r = invocation.x;
    if r >= p.rows {
        return;
    }
    let first = r * p.width4;
    let target_column = load_targets(r >> 2u)[r & 3u];
    let row = load_rows(r);
    let slope = load_drows(r).x * row.w;
    for (var i = 0u; i < p.width4; i++) {
        let columns = 4u * i + vec4<u32>(0u, 1u, 2u, 3u);
        let softmax = exp(load_logits(first + i) - row.y);
        let chance = select(vec4<f32>(), softmax, columns < vec4<u32>(p.count));
        let hit = select(vec4<f32>(), vec4<f32>(1.0), columns == vec4<u32>(target_column));
        store_dlogits(first + i, fma(chance - hit, vec4<f32>(slope), load_base(first + i)));
    }
}
