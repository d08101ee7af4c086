// Scales of Q6_K and Q3_K: a signed byte for 16 columns. The 16 bytes for 256 columns are four
// words, and texel i holds word i of four rows. d is a half, two superblocks in a texel.

// The steps of both halves of a block; there are no offsets.
fn byte_scales(b: u32, slot: u32) -> Scales {
    let super_block = b >> 3u;
    let t = load_w(texel(p.supers, (p.blocks + 15u) >> 4u, super_block >> 1u, slot));
    let h = select(t.xy, t.zw, (super_block & 1u) == 1u);
    let d = vec4<f32>(unpack2x16float(h.x), unpack2x16float(h.y));
    // Each half of word (b mod 8) / 2 holds two signed bytes, for lo and hi.
    let step = super_block * 4u + ((b & 7u) >> 1u);
    let word = load_w(texel(p.scales, 4u * ((p.blocks + 7u) >> 3u), step, slot));
    let s = word << vec4<u32>(16u * (1u - (b & 1u)));
    let d_lo = d * vec4<f32>(bitcast<vec4<i32>>(s << vec4<u32>(8u)) >> vec4<u32>(24u));
    let d_hi = d * vec4<f32>(bitcast<vec4<i32>>(s) >> vec4<u32>(24u));
    return Scales(d_lo, d_hi, vec4<f32>(), vec4<f32>());
}
