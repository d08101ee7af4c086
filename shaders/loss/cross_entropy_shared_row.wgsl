// rows[r] = (loss, ln Σ exp(logits[r]), is the target the likeliest, does the row count), as in
// cross_entropy.wgsl, for GPUs.
//
// Grid: rows x + FOLD * y, a workgroup each.
//% include "row"

const LOWEST: f32 = -3.4028234663852886e38;

fn cross_entropy_shared_row(workgroup: vec3<u32>, own: Lane) {
    let lane = own.lane;
    let r = workgroup.x + {{ FOLD }}u * workgroup.y;
    if r >= p.rows {
        return;
    }
    let first = r * p.width4;
    let target_column = load_targets(r >> 2u)[r & 3u];
    var tops = vec4<f32>(LOWEST);
    for (var i = lane; i < p.width4; i += LANES) {
        let inside = 4u * i + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.count);
        tops = max(tops, select(vec4<f32>(LOWEST), load_logits(first + i), inside));
    }
    let top = row_max(max(max(tops.x, tops.y), max(tops.z, tops.w)), own);
    var sums = vec4<f32>();
    for (var i = lane; i < p.width4; i += LANES) {
        let inside = 4u * i + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.count);
        sums += select(vec4<f32>(), exp(load_logits(first + i) - top), inside);
    }
    let level = top + log(row_sum(dot(sums, vec4<f32>(1.0)), own));
    if lane == 0u {
        if target_column >= p.count {
            store_rows(r, vec4<f32>(0.0, level, 0.0, 0.0));
        } else {
            let logit = load_logits(first + (target_column >> 2u))[target_column & 3u];
            store_rows(r, vec4<f32>(level - logit, level, select(0.0, 1.0, logit == top), 1.0));
        }
    }
}
