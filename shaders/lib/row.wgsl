// Rows that the LANES lanes of a workgroup share. row_sum, row_max and row_min give all lanes what
// they have together, and are reached by all of them.
//
// With SUBGROUPS a subgroup puts its own together first, of whatever size it is, and only these
// meet in workgroup memory. Without, the lanes meet in a tree. The order is the same in each run
// and for each row.
//
// Lane: owns the texels lane, lane + LANES, … of the row.
// Reads: at each step neighbouring lanes read neighbouring texels, LANES * 16 contiguous bytes, and
// a row is read once a pass, whole lines of a cache at a time. In workgroup memory neighbouring
// lanes read and write neighbouring words, each in a bank of its own, or all read one word.

const LANES: u32 = {{ LANES }}u;
var<workgroup> met: array<u32, LANES>;

// What an entry function asks for besides its workgroup, which decides on barriers and must be seen
// to be the same for all lanes.
struct Lane {
    @builtin(local_invocation_index) lane: u32,
    //% if SUBGROUPS
    @builtin(subgroup_invocation_id) place: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    //% endif
}

// All lanes wait, before they read what others wrote or write what others read.
//% if SUBGROUPS
fn meet(of_subgroup: u32, at: Lane) {
    if at.place == 0u {
        met[at.subgroup] = of_subgroup;
    }
    workgroupBarrier();
}
//% else
fn meet(own: u32, at: Lane) {
    met[at.lane] = own;
    workgroupBarrier();
}
//% endif

fn row_sum(own: f32, at: Lane) -> f32 {
    //% if SUBGROUPS
    meet(bitcast<u32>(subgroupAdd(own)), at);
    var whole = bitcast<f32>(met[0]);
    for (var other = 1u; other < at.subgroups; other++) {
        whole += bitcast<f32>(met[other]);
    }
    //% else
    meet(bitcast<u32>(own), at);
    //% for half in [128, 64, 32, 16, 8, 4, 2, 1] if half < LANES
    if at.lane < {{ half }}u {
        let other = bitcast<f32>(met[at.lane + {{ half }}u]);
        met[at.lane] = bitcast<u32>(bitcast<f32>(met[at.lane]) + other);
    }
    workgroupBarrier();
    //% endfor
    let whole = bitcast<f32>(met[0]);
    //% endif
    workgroupBarrier();
    return whole;
}

fn row_max(own: f32, at: Lane) -> f32 {
    //% if SUBGROUPS
    meet(bitcast<u32>(subgroupMax(own)), at);
    var whole = bitcast<f32>(met[0]);
    for (var other = 1u; other < at.subgroups; other++) {
        whole = max(whole, bitcast<f32>(met[other]));
    }
    //% else
    meet(bitcast<u32>(own), at);
    //% for half in [128, 64, 32, 16, 8, 4, 2, 1] if half < LANES
    if at.lane < {{ half }}u {
        let other = bitcast<f32>(met[at.lane + {{ half }}u]);
        met[at.lane] = bitcast<u32>(max(bitcast<f32>(met[at.lane]), other));
    }
    workgroupBarrier();
    //% endfor
    let whole = bitcast<f32>(met[0]);
    //% endif
    workgroupBarrier();
    return whole;
}

fn row_min(own: u32, at: Lane) -> u32 {
    //% if SUBGROUPS
    meet(subgroupMin(own), at);
    var whole = met[0];
    for (var other = 1u; other < at.subgroups; other++) {
        whole = min(whole, met[other]);
    }
    //% else
    meet(own, at);
    //% for half in [128, 64, 32, 16, 8, 4, 2, 1] if half < LANES
    if at.lane < {{ half }}u {
        let other = met[at.lane + {{ half }}u];
        met[at.lane] = min(met[at.lane], other);
    }
    workgroupBarrier();
    //% endfor
    let whole = met[0];
    //% endif
    workgroupBarrier();
    return whole;
}
