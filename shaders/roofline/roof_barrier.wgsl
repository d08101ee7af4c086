// y[lane] = x[(lane + p.rounds) mod 64]: in each round lanes hand a texel to their neighbours
// through workgroup memory, with a barrier before and after. How long a workgroup waits for its
// slowest lane. Grid: one workgroup of 64 lanes, a texel each.
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
