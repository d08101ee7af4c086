// y[lane] = sum of p.reads texels of x, neighbouring lanes reading neighbouring texels.
// Grid: one workgroup of 8 lanes for each 8 texels of y.
@compute @workgroup_size(8)
fn probe_read(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * p.reads * 8u + lane;
    var sum = vec4<f32>();
    for (var read = 0u; read < p.reads; read++) {
        sum += load_x(first + read * 8u);
    }
    store_y(group.x * 8u + lane, sum);
}
