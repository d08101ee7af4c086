// y = finish(W · norm(x)) for one token, for GPUs with subgroups: splits in one subgroup add up
// their sums by shuffles.
//
// Ranks r = split * SLOTS + l own slots and blocks as in matvec_workgroup_columns.wgsl. SPAN is the
// smallest subgroup this adapter has; larger ones are whole multiples of it, so that SPAN lanes of
// consecutive rank, the first a multiple of SPAN, always share a subgroup: xor-shuffles by SLOTS to
// SPAN / 2 stay among them. The sums of each span then meet in workgroup memory.
//
// LANES is a multiple of every size a subgroup can have, 4 to 128, so that subgroups are full. No
// API promises it: if they are not, ranks would leave holes, and the first SLOTS lanes do all the
// work, each for itself.
//
// Grid: x over 2 * SLOTS groups of four rows; y over tokens where they chose experts.
// Lane: has the rank subgroup * subgroup_size + subgroup_lane, for nothing is said of how the lanes
// of a workgroup map to subgroups.
// Reads: SLOTS neighbouring lanes read SLOTS * 16 contiguous bytes of W.
//% include "columns"
//% include FINISH

const LANES: u32 = 128u;
const SPANS: u32 = {{ 128 // SPAN }}u;
var<workgroup> sums0: array<vec4<f32>, {{ SLOTS }}u * SPANS>;
var<workgroup> sums1: array<vec4<f32>, {{ SLOTS }}u * SPANS>;
var<workgroup> squares: array<f32, {{ SLOTS }}u * SPANS>;

fn matvec_subgroup_columns(
    workgroup: vec3<u32>,
    lane: u32,
    subgroup_lane: u32,
    subgroup_size: u32,
    subgroup: u32,
    subgroups: u32,
) {
    let full = subgroups * subgroup_size == LANES;
    let rank = select(lane, subgroup * subgroup_size + subgroup_lane, full);
    let l = rank % {{ SLOTS }}u;
    let split = rank / {{ SLOTS }}u;
    let task = task_of(workgroup.y);
    //% if has_routes
    if !task.here {
        return;
    }
    //% endif
    let pair = workgroup.x * {{ SLOTS }}u + l;
    //% if PAIRED
    let slot = pair;
    let slot0 = task.slot + slot;
    let slot1 = slot0 + p.half4;
    //% else
    let slot = (pair & ~7u) + pair;
    let slot0 = task.slot + slot;
    let slot1 = slot0 + 8u;
    //% endif
    let splits = select(1u, LANES / {{ SLOTS }}u, full);
    var whole = share_of_columns(task.x, split, splits, slot0, slot1);

    var sum = whole;
    //% for mask in [4, 8, 16]
    //% if mask >= SLOTS and mask < SPAN
    sum = add(sum, Share(
        subgroupShuffleXor(sum.sum0, {{ mask }}u),
        subgroupShuffleXor(sum.sum1, {{ mask }}u),
        subgroupShuffleXor(sum.squares, {{ mask }}u),
    ));
    //% endif
    //% endfor
    if rank % {{ SPAN }}u < {{ SLOTS }}u {
        let at = rank / {{ SPAN }}u * {{ SLOTS }}u + l;
        sums0[at] = sum.sum0;
        sums1[at] = sum.sum1;
        squares[at] = sum.squares;
    }
    workgroupBarrier();
    if rank < {{ SLOTS }}u {
        if full {
            whole = sum;
            let all = {{ SLOTS }}u * SPANS;
            for (var other = l + {{ SLOTS }}u; other < all; other += {{ SLOTS }}u) {
                whole = add(whole, Share(sums0[other], sums1[other], squares[other]));
            }
        }
        finish_columns(task.token, slot, whole);
    }
}
