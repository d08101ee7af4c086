// groups[g] = (expert, place of its first choice, choices, 0) for g < p.tiles: the choices of an
// expert in groups of up to GROUP, experts in order; what is left over has no choices.
// groups[p.tiles + i] = (choice, 0, 0, 0), the choice in place i; an expert's are in the order of
// their tokens.
//
// A counting sort of a step's choices by expert, so that a product reads an expert's rows once for
// many tokens.
//
// Grid: one workgroup of 64 lanes.
// Lane: owns every 64th expert, and looks through all choices for its own. Only the counts are
// shared.
// Reads: all lanes read one choice at a time; a lane writes its groups in neighbouring texels.

const GROUP: u32 = {{ GROUP }}u;
const EXPERTS: u32 = {{ EXPERTS }}u;
var<workgroup> counts: array<u32, EXPERTS>;

fn expert_of(choice: u32) -> u32 {
    return u32(load_routes(choice).x);
}

fn group_choices(lane: u32) {
    for (var expert = lane; expert < EXPERTS; expert += 64u) {
        var count = 0u;
        for (var choice = 0u; choice < p.choices; choice++) {
            count += select(0u, 1u, expert_of(choice) == expert);
        }
        counts[expert] = count;
    }
    workgroupBarrier();
    for (var expert = lane; expert < EXPERTS; expert += 64u) {
        var tile = 0u;
        var place = 0u;
        for (var other = 0u; other < expert; other++) {
            tile += (counts[other] + GROUP - 1u) / GROUP;
            place += counts[other];
        }
        let count = counts[expert];
        for (var first = 0u; first < count; first += GROUP) {
            let choices = min(count - first, GROUP);
            store_groups(tile, vec4<f32>(f32(expert), f32(place + first), f32(choices), 0.0));
            tile++;
        }
        for (var choice = 0u; choice < p.choices; choice++) {
            if expert_of(choice) == expert {
                store_groups(p.tiles + place, vec4<f32>(f32(choice), 0.0, 0.0, 0.0));
                place++;
            }
        }
        if expert == EXPERTS - 1u {
            for (; tile < p.tiles; tile++) {
                store_groups(tile, vec4<f32>());
            }
        }
    }
}
