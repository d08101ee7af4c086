// Gradient of gather with respect to its table: row v is the sum of dy[t] over all t with ids[t] = v (+ base). Each
// workgroup looks through all ids for the one row it owns, so no two lanes ever write one texel.
// A lane owns texels lane, lane + 8, ... of the row. Grid: x over 8 * TEXELS texels of a row, y over rows.

@compute @workgroup_size(8)
fn scatter(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.y;
    let column = workgroup.x * {{ 8 * TEXELS }}u + lane;
    //% for i in range(TEXELS)
    let own{{ i }} = min(column + {{ 8 * i }}u, p.width4 - 1u);
    var sum{{ i }} = load_base(row * p.width4 + own{{ i }});
    //% endfor
    for (var t4 = 0u; t4 < p.tokens; t4 += 4u) {
        let ids = load_ids(t4 >> 2u);
        if all(ids != vec4<u32>(row)) {
            continue;
        }
        for (var c = 0u; c < 4u; c++) {
            if ids[c] == row && t4 + c < p.tokens {
                //% for i in range(TEXELS)
                sum{{ i }} += load_dy((t4 + c) * p.width4 + own{{ i }});
                //% endfor
            }
        }
    }
    //% for i in range(TEXELS)
    if column + {{ 8 * i }}u < p.width4 {
        store_dtable(row * p.width4 + own{{ i }}, sum{{ i }});
    }
    //% endfor
}
