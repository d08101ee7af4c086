// y = x: how fast memory can be read and written. Grid: one workgroup of LANES lanes for LANES *
// p.reads neighbouring texels; in each step its lanes copy LANES neighbouring ones, so that they
// coalesce.
@compute @workgroup_size({{ LANES }})
fn roof_copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * p.reads * {{ LANES }}u + lane;
    for (var read = 0u; read < p.reads; read++) {
        store_y(first + read * {{ LANES }}u, load_x(first + read * {{ LANES }}u));
    }
}
