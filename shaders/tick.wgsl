// clock.x += 1: the next step of a submission finds its own row. One lane.

@compute @workgroup_size(1)
fn tick() {
    store_clock(0u, load_clock(0u) + vec4<u32>(1u, 0u, 0u, 0u));
}
