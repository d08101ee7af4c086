// y = x: how fast memory can be read and written.
//
// Grid: x over LANES * p.reads texels.
// Lane: copies every LANES-th of them.
// Reads: in each step neighbouring lanes read and write neighbouring texels, LANES * 16 contiguous
// bytes.

fn roof_copy(workgroup: vec3<u32>, lane: u32) {
    let first = workgroup.x * p.reads * {{ LANES }}u + lane;
    for (var read = 0u; read < p.reads; read++) {
        store_y(first + read * {{ LANES }}u, load_x(first + read * {{ LANES }}u));
    }
}
