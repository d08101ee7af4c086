// y[t] = scale * W[ids[t]]: row ids[t] of the table, unpacked.
//
// A part of a split table writes only the tokens whose rows it holds.
//
// Grid: x over blocks * 4 pairs of quads, 32 a workgroup; y over tokens.
// Lane: owns a pair of quads (columns 4j .. and 16 + 4j .. of a block) of a token.
// Reads: the texels of four rows, of which a lane keeps one. Neighbouring lanes are neighbouring
// pairs of a row: they write neighbouring texels, and read steps of a block that are apart in
// memory, for the packing keeps rows together and not columns; a token reads a row, which is
// little.
//% include FORMAT

fn embed(invocation: vec3<u32>) {
    let b = invocation.x >> 2u;
    let j = invocation.x & 3u;
    let t = invocation.y;
    let id = load_ids(t >> 2u)[t & 3u];
    if b >= p.blocks || id < p.first_row || id - p.first_row >= p.rows4 * 4u {
        return;
    }
    let row = id - p.first_row;
    let slot = slot_of(row >> 2u);
    let w = weights(quads(b, j, slot), scales(b, slot));
    let r = row & 3u;
    let at = (t * p.blocks + b) * 8u + j;
    store_y(at, p.scale * vec4<f32>(w.lo[0][r], w.lo[1][r], w.lo[2][r], w.lo[3][r]));
    store_y(at + 4u, p.scale * vec4<f32>(w.hi[0][r], w.hi[1][r], w.hi[2][r], w.hi[3][r]));
}
