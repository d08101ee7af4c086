// y = x: how fast memory can be read and written. Grid: one workgroup of LANES lanes for LANES *
// p.reads neighbouring texels; in each step its lanes copy LANES neighbouring ones, so that they
// coalesce.

fn roof_copy(workgroup: vec3<u32>, lane: u32) {
    let first = workgroup.x * p.reads * {{ LANES }}u + lane;
    for (var read = 0u; read < p.reads; read++) {
        store_y(first + read * {{ LANES }}u, load_x(first + read * {{ LANES }}u));
    }
}
