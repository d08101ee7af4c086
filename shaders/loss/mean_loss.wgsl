// totals = (mean loss, share of right answers, how many rows count, 0) of the rows that count, as
// bits of f32.
//
// Grid: one workgroup of 64 lanes.
// Lane: sums every 64th row; lane 0 sums the lanes' sums, always in the same order.
// Reads: neighbouring lanes read neighbouring texels, 1024 contiguous bytes at a step.

var<workgroup> sums: array<vec4<f32>, 64>;

fn mean_loss(lane: u32) {
    var sum = vec4<f32>();
    for (var r = lane; r < p.rows; r += 64u) {
        sum += load_rows(r);
    }
    sums[lane] = sum;
    workgroupBarrier();
    if lane == 0u {
        for (var other = 1u; other < 64u; other++) {
            sum += sums[other];
        }
        let count = max(sum.w, 1.0);
        store_totals(0u, bitcast<vec4<u32>>(vec4<f32>(sum.x / count, sum.z / count, sum.w, 0.0)));
    }
}
