// y[t].x = Σ a (ln a - ln b), as in divergence.wgsl, for GPUs.
//
// Grid: tokens x + FOLD * y, a workgroup each.
//% include "row"

fn divergence_shared_row(workgroup: vec3<u32>, own: Lane) {
    let lane = own.lane;
    let t = workgroup.x + {{ FOLD }}u * workgroup.y;
    if t >= p.rows {
        return;
    }
    let whole_a = vec4<f32>(load_scores_a(t).x);
    let whole_b = vec4<f32>(load_scores_b(t).x);
    let texels = (p.count + 3u) >> 2u;
    var sum = 0.0;
    for (var i = lane; i < texels; i += LANES) {
        let index = vec4<u32>(i * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let ln_a = load_logits_a(t * p.width_a4 + i) - whole_a;
        let ln_b = load_logits_b(t * p.width_b4 + i) - whole_b;
        let a = exp(ln_a);
        // A token that a rules out adds nothing, whatever b says.
        let counts = (index < vec4<u32>(p.count)) & (a > vec4<f32>());
        sum += dot(select(vec4<f32>(), a * (ln_a - ln_b), counts), vec4<f32>(1.0));
    }
    let total = row_sum(sum, own);
    if lane == 0u {
        store_y(t, vec4<f32>(total, 0.0, 0.0, 0.0));
    }
}
