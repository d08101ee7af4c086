// clock.x += p.by: the next step of a submission finds its own row. One lane.

@compute @workgroup_size(1)
fn increment_step(@builtin(local_invocation_index) lane: u32) {
    store_clock(lane, load_clock(lane) + vec4<u32>(p.by, 0u, 0u, 0u));
}
