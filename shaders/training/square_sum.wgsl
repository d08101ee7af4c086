// total.x = Σ x² (+ base.x), as bits of f32.
//
// Grid: one workgroup of 64 lanes.
// Lane: sums every 64th texel; lane 0 sums the lanes' sums, always in the same order.
// Reads: neighbouring lanes read neighbouring texels, 1024 contiguous bytes at a step.

var<workgroup> sums: array<f32, 64>;

fn square_sum(lane: u32) {
    var squares = vec4<f32>();
    for (var i = lane; i < p.texels; i += 64u) {
        let x = load_x(i);
        squares = fma(x, x, squares);
    }
    sums[lane] = dot(squares, vec4<f32>(1.0));
    workgroupBarrier();
    if lane == 0u {
        var sum = 0.0;
        //% if has_base
        sum = bitcast<vec4<f32>>(load_base(0u)).x;
        //% endif
        for (var other = 0u; other < 64u; other++) {
            sum += sums[other];
        }
        store_total(0u, vec4<u32>(bitcast<u32>(sum), 0u, 0u, 0u));
    }
}
