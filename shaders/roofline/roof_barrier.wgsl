// y[lane] = x[(lane + p.rounds) mod 64], a texel handed on in each round: how long a workgroup
// waits for its slowest lane.
//
// Grid: one workgroup of 64 lanes.
// Lane: owns a texel; hands it to its neighbour through workgroup memory, with a barrier before and
// after.
// Reads: memory is touched twice a lane, by neighbouring lanes at neighbouring texels.

var<workgroup> shared_x: array<vec4<f32>, 64>;

fn roof_barrier(lane: u32) {
    var v = load_x(lane);
    for (var round = 0u; round < p.rounds; round++) {
        shared_x[lane] = v;
        workgroupBarrier();
        v = shared_x[(lane + 1u) % 64u];
        workgroupBarrier();
    }
    store_y(lane, v);
}
