// y[lane] = Σ of p.reads texels of x, p.times times: how fast memory can be read.
//
// Grid: x over texels of y, LANES a workgroup.
// Lane: sums every eighth of the 8 * p.reads texels that eight lanes own.
// Reads: eight neighbouring lanes read eight neighbouring texels in each step, 128 contiguous
// bytes, a whole line of most caches.

fn roof_read(invocation: vec3<u32>) {
    let lane = invocation.x;
    let first = lane / 8u * p.reads * 8u + lane % 8u;
    var sum = vec4<f32>();
    for (var time = 0u; time < p.times; time++) {
        for (var read = 0u; read < p.reads; read++) {
            sum += load_x(first + read * 8u);
        }
    }
    store_y(lane, sum);
}
