// scores[t] = (ln Σ exp(logits[t]), the logit of targets[t], the index of the largest logit, 0):
// all that judging a text needs of a row of p.count logits, 16 bytes.
//
// Of equal logits the lowest index is taken.
//
// Grid: one workgroup a token.
// Lane: looks at every LANES-th texel twice, for the largest and for the sum of exp(logit -
// largest); what the lanes found meets in workgroup memory.
// Reads: neighbouring lanes read neighbouring texels, 1024 contiguous bytes at a step.

const LANES: u32 = 64u;
const LOWEST: f32 = -3.4028234663852886e38;
var<workgroup> lane_largest: array<f32, LANES>;
var<workgroup> lane_index: array<u32, LANES>;
var<workgroup> lane_sum: array<f32, LANES>;

// Texel i of the row; what stands for no token weighs nothing.
fn row_texel(row: u32, i: u32) -> vec4<f32> {
    let index = vec4<u32>(i * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(LOWEST), load_logits(row + i), index < vec4<u32>(p.count));
}

fn token_log_prob(workgroup: vec3<u32>, lane: u32) {
    let t = workgroup.x;
    let row = t * p.width4;
    let texels = (p.count + 3u) >> 2u;
    var largest = LOWEST;
    var index = 0u;
    for (var i = lane; i < texels; i += LANES) {
        let v = row_texel(row, i);
        for (var c = 0u; c < 4u; c++) {
            if v[c] > largest {
                largest = v[c];
                index = i * 4u + c;
            }
        }
    }
    var sum = 0.0;
    for (var i = lane; i < texels; i += LANES) {
        let e = exp(row_texel(row, i) - vec4<f32>(largest));
        sum += e.x + e.y + e.z + e.w;
    }
    lane_largest[lane] = largest;
    lane_index[lane] = index;
    // A lane without a logit has nothing to add.
    lane_sum[lane] = select(0.0, sum, lane < texels);
    workgroupBarrier();
    if lane == 0u {
        for (var other = 1u; other < LANES; other++) {
            let v = lane_largest[other];
            let i = lane_index[other];
            if v > largest || (v == largest && i < index && lane_sum[other] > 0.0) {
                largest = v;
                index = i;
            }
        }
        var total = 0.0;
        for (var other = 0u; other < LANES; other++) {
            total += lane_sum[other] * exp(lane_largest[other] - largest);
        }
        let target_id = load_targets(t >> 2u)[t & 3u];
        let logit = load_logits(row + (target_id >> 2u))[target_id & 3u];
        store_scores(t, vec4<f32>(largest + log(total), logit, f32(index), 0.0));
    }
}
