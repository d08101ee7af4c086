// clock.x = clock.x + p.by: the next step of a submission finds its own row.
//
// Grid: one workgroup of one lane.
// Lane: adds.
// Reads: one texel.

fn increment_step(lane: u32) {
    store_clock(lane, load_clock(lane) + vec4<u32>(p.by, 0u, 0u, 0u));
}
