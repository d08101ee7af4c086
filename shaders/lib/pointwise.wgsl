// A kernel whose lanes each compute separate texels: the shader defines `texel(i)`, which computes
// texel i of p.texels.
//
// Grid: workgroups x + FOLD * y, 256 texels each.
// Lane: computes every 64th of them.
// Reads: 64 neighbouring lanes read and write 1024 contiguous bytes in each step, of each operand
// with the shape of the result.

fn {{ ENTRY }}(workgroup: vec3<u32>, lane: u32) {
    let first = (workgroup.x + {{ FOLD }}u * workgroup.y) * 256u;
    let end = min(first + 256u, p.texels);
    for (var i = first + lane; i < end; i += 64u) {
        texel(i);
    }
}
