// dlogits[r] = (softmax(logits[r]) - one at the target) * drows[r].x (+ base), as in
// cross_entropy_backward.wgsl, for GPUs.
//
// Grid: rows x + FOLD * y, a workgroup each.
// Lane: owns the texels lane, lane + LANES, … of the row.
// Reads: neighbouring lanes read and write neighbouring texels, LANES * 16 contiguous bytes of
// logits, base and dlogits at a step; target, level and slope are one address for all lanes.

const LANES: u32 = {{ LANES }}u;

fn cross_entropy_backward_shared_row(workgroup: vec3<u32>, lane: u32) {
    let r = workgroup.x + {{ FOLD }}u * workgroup.y;
    if r >= p.rows {
        return;
    }
    let first = r * p.width4;
    let target_column = load_targets(r >> 2u)[r & 3u];
    let row = load_rows(r);
    let slope = load_drows(r).x * row.w;
    for (var i = lane; i < p.width4; i += LANES) {
        let columns = 4u * i + vec4<u32>(0u, 1u, 2u, 3u);
        let softmax = exp(load_logits(first + i) - row.y);
        let chance = select(vec4<f32>(), softmax, columns < vec4<u32>(p.count));
        let hit = select(vec4<f32>(), vec4<f32>(1.0), columns == vec4<u32>(target_column));
        store_dlogits(first + i, fma(chance - hit, vec4<f32>(slope), load_base(first + i)));
    }
}
