// dtable[v] = Σ dy[t] over all t with ids[t] = v (+ base): the gradient of gather with respect to
// its table.
//
// A workgroup looks through all ids for the one row it owns, so that no two lanes ever write one
// texel. With BROADCAST each lane looks at other ids, 32 at a time, and all hear of what was found;
// else every lane looks at all of them.
//
// Grid: x over 8 * TEXELS texels of a row; rows y + FOLD * z, for vocabularies are longer than an
// axis.
// Lane: owns the texels lane, lane + 8, … of the row.
// Reads: eight neighbouring lanes read and write 128 contiguous bytes of a row; of the ids they
// read neighbouring texels with BROADCAST, else one address.

fn scatter(workgroup: vec3<u32>, lane: u32) {
    let row = workgroup.y + {{ FOLD }}u * workgroup.z;
    if row >= p.rows {
        return;
    }
    let column = workgroup.x * {{ 8 * TEXELS }}u + lane;
    let width4 = p.width4;
    let tokens = p.tokens;
    //% for i in range(TEXELS)
    let own{{ i }} = min(column + {{ 8 * i }}u, width4 - 1u);
    var sum{{ i }} = load_base(row * width4 + own{{ i }});
    //% endfor
    //% set each = 32 if BROADCAST else 4
    for (var t = 0u; t < tokens; t += {{ each }}u) {
        //% if BROADCAST
        let first = t + 4u * lane;
        //% else
        let first = t;
        //% endif
        let ids = load_ids(min(first, tokens - 1u) >> 2u);
        let places = first + vec4<u32>(0u, 1u, 2u, 3u);
        let found = (ids == vec4<u32>(row)) & (places < vec4<u32>(tokens));
        let bits = select(vec4<u32>(), vec4<u32>(1u, 2u, 4u, 8u), found);
        let own_hits = bits.x | bits.y | bits.z | bits.w;
        // Bit i: id t + i is that of the row.
        //% if BROADCAST
        var hits = subgroupOr(own_hits << (4u * lane));
        //% else
        var hits = own_hits;
        //% endif
        while hits != 0u {
            let at = (t + firstTrailingBit(hits)) * width4;
            hits &= hits - 1u;
            //% for i in range(TEXELS)
            sum{{ i }} += load_dy(at + own{{ i }});
            //% endfor
        }
    }
    //% for i in range(TEXELS)
    if column + {{ 8 * i }}u < width4 {
        store_dtable(row * width4 + own{{ i }}, sum{{ i }});
    }
    //% endfor
}
