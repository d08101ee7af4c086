// y[i] = Σ x[r, i] over p.rows rows (+ base).
//
// Grid: x over texels of a row, 8 a workgroup.
// Lane: owns a texel.
// Reads: eight neighbouring lanes read 128 contiguous bytes of each row.

fn sum_rows(invocation: vec3<u32>) {
    let i = invocation.x;
    if i >= p.width4 {
        return;
    }
    var sum = load_base(i);
    for (var r = 0u; r < p.rows; r++) {
        sum += load_x(r * p.width4 + i);
    }
    store_y(i, sum);
}
