// Reductions over a row that the LANES lanes of a workgroup share. row_sum, row_max and row_min
// return the combined value to all lanes, and all lanes must call them.
//
// With SUBGROUPS each subgroup, of any size, combines its values first, and the results of
// subgroups are combined in workgroup memory. Without it the lanes combine theirs in a tree. The
// order is equal in every run and for every row.
//
// Lane: holds the texels lane, lane + LANES, … of the row.
// Reads: in each step neighbouring lanes read neighbouring texels, LANES * 16 contiguous bytes, and
// each pass reads a row once, in whole cache lines. In workgroup memory neighbouring lanes read and
// write neighbouring words, each in a separate bank, or all read one word.

const LANES: u32 = {{ LANES }}u;
var<workgroup> met: array<u32, LANES>;

// The built-in values that an entry function needs in addition to its workgroup. They are separate
// from it, because barriers depend on the workgroup, which must be known to be uniform.
struct Lane {
    @builtin(local_invocation_index) lane: u32,
    //% if SUBGROUPS
    @builtin(subgroup_invocation_id) place: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    //% endif
}

// Stores each value in workgroup memory and waits for all lanes, before any of them reads the
// values.
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
