// Rows that the LANES lanes of a workgroup share. Lane i reads the texels i, i + LANES, … of a row:
// at each step neighbouring lanes read neighbouring texels, LANES * 16 contiguous bytes, and a row
// is read once a pass, whole lines of a cache at a time.
//
// row_sum, row_max and row_min give all lanes what they have together, and are reached by all of
// them. With SUBGROUPS a subgroup puts its own together first, of whatever size it is, and only
// these meet in workgroup memory, where all lanes read the same word at once. Else they meet in a
// tree: neighbouring lanes read and write neighbouring words, each in a bank of its own. The order
// is the same in each run and for each row.

const LANES: u32 = {{ LANES }}u;
var<workgroup> met: array<u32, LANES>;

// What an entry point gets beside its workgroup, which decides on barriers and must be seen to be
// the same for all lanes. With SUBGROUPS it takes a subgroup's size, too, and has no use for it:
// only beside such an argument does naga 30 write a structure's subgroup values into HLSL.
struct Lane {
    @builtin(local_invocation_index) lane: u32,
    //% if SUBGROUPS
    @builtin(subgroup_invocation_id) place: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    //% endif
}

//% set sum, max, min = ["sum", "f32", "Add"], ["max", "f32", "Max"], ["min", "u32", "Min"]
//% for name, kind, operation in [sum, max, min]
fn both_{{ name }}(a: {{ kind }}, b: {{ kind }}) -> {{ kind }} {
    return {{ "a + b" if name == "sum" else name ~ "(a, b)" }};
}

fn row_{{ name }}(own: {{ kind }}, at: Lane) -> {{ kind }} {
    //% if SUBGROUPS
    let together = subgroup{{ operation }}(own);
    if at.place == 0u {
        met[at.subgroup] = bitcast<u32>(together);
    }
    workgroupBarrier();
    var whole = bitcast<{{ kind }}>(met[0]);
    for (var other = 1u; other < at.subgroups; other++) {
        whole = both_{{ name }}(whole, bitcast<{{ kind }}>(met[other]));
    }
    //% else
    met[at.lane] = bitcast<u32>(own);
    workgroupBarrier();
    //% for half in [128, 64, 32, 16, 8, 4, 2, 1]
    //% if half < LANES
    if at.lane < {{ half }}u {
        let other = bitcast<{{ kind }}>(met[at.lane + {{ half }}u]);
        met[at.lane] = bitcast<u32>(both_{{ name }}(bitcast<{{ kind }}>(met[at.lane]), other));
    }
    workgroupBarrier();
    //% endif
    //% endfor
    let whole = bitcast<{{ kind }}>(met[0]);
    //% endif
    // Before anybody writes again.
    workgroupBarrier();
    return whole;
}

//% endfor
