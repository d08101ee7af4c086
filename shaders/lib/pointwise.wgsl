// A workgroup owns 256 texels, a lane every 64th of them. The shader gives `texel(i)`, which computes texel i of
// p.texels, and its entry point calls `texels`.

fn texels(workgroup: u32, lane: u32) {
    let first = workgroup * 256u;
    let end = min(first + 256u, p.texels);
    for (var i = first + lane; i < end; i += 64u) {
        texel(i);
    }
}
