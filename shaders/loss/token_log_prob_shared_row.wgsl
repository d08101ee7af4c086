// scores[t] = (ln Σ exp(logits[t]), the logit of targets[t], the index of the largest logit, 0), as
// in token_log_prob.wgsl, for GPUs.
//
// Grid: tokens x + FOLD * y, a workgroup each.
//% include "row"

const LOWEST: f32 = -3.4028234663852886e38;

fn token_log_prob_shared_row(workgroup: vec3<u32>, own: Lane) {
    let lane = own.lane;
    let t = workgroup.x + {{ FOLD }}u * workgroup.y;
    if t >= p.rows {
        return;
    }
    let row = t * p.width4;
    let texels = (p.count + 3u) >> 2u;
    // What stands for no token, or is no number, is never larger.
    var value = LOWEST;
    var index = p.count;
    for (var i = lane; i < texels; i += LANES) {
        let v = load_logits(row + i);
        for (var c = 0u; c < 4u; c++) {
            if v[c] > value && i * 4u + c < p.count {
                value = v[c];
                index = i * 4u + c;
            }
        }
    }
    let largest = row_max(value, own);
    let best = row_min(select(p.count, index, value == largest), own);
    var sums = vec4<f32>();
    for (var i = lane; i < texels; i += LANES) {
        let inside = 4u * i + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.count);
        sums += select(vec4<f32>(), exp(load_logits(row + i) - largest), inside);
    }
    let total = row_sum(dot(sums, vec4<f32>(1.0)), own);
    if lane == 0u {
        let target_id = load_targets(t >> 2u)[t & 3u];
        let logit = load_logits(row + (target_id >> 2u))[target_id & 3u];
        store_scores(t, vec4<f32>(largest + log(total), logit, f32(best), 0.0));
    }
}
