// As matvec_workgroup_columns, but splits in one subgroup add up their sums by shuffles: for GPUs
// with subgroups.
//
// A lane's rank is subgroup_id * subgroup_size + subgroup_invocation_id: nothing is said of how
// local indices map to subgroups. Ranks r = split * SLOTS + l own slots and blocks as there, with
// SLOTS neighbouring lanes that read SLOTS * 16 contiguous bytes of W. SPAN is the smallest
// subgroup this adapter has; larger ones are whole multiples of it, so that SPAN lanes of
// consecutive rank, the first a multiple of SPAN, always share a subgroup: xor-shuffles by SLOTS to
// SPAN / 2 stay among them. The sums of each span then meet in workgroup memory.
//
// LANES is a multiple of every size a subgroup can have, 4 to 128, so that subgroups are full. No
// API promises it: if they are not, ranks would leave holes, and the first SLOTS lanes by local
// index do all the work, each for itself.
//
// Grid: x over one workgroup for each 2 * SLOTS groups; y over tokens where they chose experts.
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
    var whole = share_of_columns(task.x, split, select(1u, LANES / {{ SLOTS }}u, full), slot0, slot1);

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
            for (var other = l + {{ SLOTS }}u; other < {{ SLOTS }}u * SPANS; other += {{ SLOTS }}u) {
                whole = add(whole, Share(sums0[other], sums1[other], squares[other]));
            }
        }
        finish_columns(task.token, slot, whole);
    }
}
