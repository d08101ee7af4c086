// y = finish(W · norm(x)) for one token, the columns split over a workgroup: for GPUs.
//
// The splits' sums, and their sums of squares for RMSNorm, meet once in workgroup memory: lane l <
// 8 adds up those of its slot, reading eight neighbouring texels at a time, which are in different
// banks.
//
// Grid: x over 16 groups of four rows, 8 of the gate and 8 of up with PAIRED; y over tokens where
// they chose experts.
// Lane: split * 8 + l. The eight lanes of a split own neighbouring slots (two groups of four rows
// each, as in matvec.wgsl); split s takes the blocks s, s + SPLITS, … of 32 columns.
// Reads:
//   W  lane l of a split reads texel l of eight, 128 contiguous bytes aligned to 128; the steps j
//      of a block follow one another, so that a split reads whole cache lines and a block is one
//      run of 512 bytes (4-bit formats). Splits that run together read neighbouring blocks:
//      neighbouring runs of the same plane. Weights that are halves may be read as such (f16.wgsl),
//      the same 16 bytes a lane.
//   x  the eight lanes of a split read one address, which is one load for all of them; W is far
//      larger.
//   y  eight lanes write sixteen neighbouring texels, or eight with PAIRED.
//% include "columns"
//% include FINISH

const LANES: u32 = {{ 8 * SPLITS }}u;
var<workgroup> sums0: array<vec4<f32>, LANES>;
var<workgroup> sums1: array<vec4<f32>, LANES>;
var<workgroup> squares: array<f32, LANES>;

fn matvec_workgroup_columns(workgroup: vec3<u32>, lane: u32) {
    let task = task_of(workgroup.y);
    //% if has_routes
    if !task.here {
        return;
    }
    //% endif
    let slot = workgroup.x * {{ 8 if PAIRED else 16 }}u + (lane & 7u);
    let slot0 = task.slot + slot;
    //% if PAIRED
    let slot1 = slot0 + p.half4;
    //% else
    let slot1 = slot0 + 8u;
    //% endif
    var whole = share_of_columns(task.x, lane >> 3u, {{ SPLITS }}u, slot0, slot1);

    sums0[lane] = whole.sum0;
    sums1[lane] = whole.sum1;
    squares[lane] = whole.squares;
    workgroupBarrier();
    if lane < 8u {
        for (var other = lane + 8u; other < LANES; other += 8u) {
            whole = add(whole, Share(sums0[other], sums1[other], squares[other]));
        }
        finish_columns(task.token, slot, whole);
    }
}
