// y[t].x = Σ a (ln a - ln b) over the p.count tokens, with a = softmax(logits_a[t]) and b =
// softmax(logits_b[t]): the divergence of b from a (Kullback and Leibler 1951), in nats.
//
// scores_a[t].x and scores_b[t].x hold ln Σ exp(logits).
//
// Grid: one workgroup a token.
// Lane: adds every LANES-th texel; the lanes' sums meet in workgroup memory.
// Reads: neighbouring lanes read neighbouring texels of both rows, 1024 contiguous bytes of each at
// a step.

const LANES: u32 = 64u;
var<workgroup> lane_sum: array<f32, LANES>;

fn divergence(workgroup: vec3<u32>, lane: u32) {
    let t = workgroup.x;
    let whole_a = vec4<f32>(load_scores_a(t).x);
    let whole_b = vec4<f32>(load_scores_b(t).x);
    let texels = (p.count + 3u) >> 2u;
    var sum = 0.0;
    for (var i = lane; i < texels; i += LANES) {
        let index = vec4<u32>(i * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
        let ln_a = load_logits_a(t * p.width_a4 + i) - whole_a;
        let ln_b = load_logits_b(t * p.width_b4 + i) - whole_b;
        let a = exp(ln_a);
        let stands = index < vec4<u32>(p.count);
        // A token that a rules out adds nothing, whatever b says.
        let possible = a > vec4<f32>();
        let term = select(vec4<f32>(), a * (ln_a - ln_b), stands & possible);
        sum += term.x + term.y + term.z + term.w;
    }
    lane_sum[lane] = sum;
    workgroupBarrier();
    if lane == 0u {
        for (var other = 1u; other < LANES; other++) {
            sum += lane_sum[other];
        }
        store_y(t, vec4<f32>(sum, 0.0, 0.0, 0.0));
    }
}
