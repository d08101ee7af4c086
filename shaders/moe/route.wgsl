// routes[t * chosen + k] = (expert, share, 0, 0), the likeliest expert first: the p.chosen with the
// largest logits, each with its share of the softmax over all experts, or over the chosen ones with
// AMONG_CHOSEN (Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021, arXiv:2101.03961).
//
// Of equal logits the expert of the lower number comes first.
//
// Grid: y over tokens, a workgroup each.
// Lane: owns every 64th expert, and counts how many are before it: that is the expert's place,
// without any sorting.
// Reads: neighbouring lanes own neighbouring experts, and count with all lanes at one address.

var<workgroup> expert_at: array<f32, {{ CHOSEN }}u>;
var<workgroup> logit_at: array<f32, {{ CHOSEN }}u>;

fn logit(token: u32, expert: u32) -> f32 {
    return load_logits(token * p.width4 + (expert >> 2u))[expert & 3u];
}

fn route(workgroup: vec3<u32>, lane: u32) {
    let token = workgroup.y;
    for (var expert = lane; expert < p.experts; expert += 64u) {
        let own = logit(token, expert);
        var place = 0u;
        for (var other = 0u; other < p.experts; other++) {
            let value = logit(token, other);
            place += select(0u, 1u, value > own || (value == own && other < expert));
        }
        if place < p.chosen {
            expert_at[place] = f32(expert);
            logit_at[place] = own;
        }
    }
    workgroupBarrier();
    if lane >= p.chosen {
        return;
    }
    let largest = logit_at[0];
    var sum = 0.0;
    //% if AMONG_CHOSEN
    for (var k = 0u; k < p.chosen; k++) {
        sum += exp(logit_at[k] - largest);
    }
    //% else
    for (var other = 0u; other < p.experts; other++) {
        sum += exp(logit(token, other) - largest);
    }
    //% endif
    let share = exp(logit_at[lane] - largest) / sum;
    store_routes(token * p.chosen + lane, vec4<f32>(expert_at[lane], share, 0.0, 0.0));
}
