// Scales of Q4_K and Q5_K: for 256 columns each row has 16 bytes, and texel i holds word i of four
// rows. They are d and dmin, followed by twelve bytes with 8 scales and 8 mins of 6 bits. The step
// is d * sc and the offset -dmin * mn.
//% include "nibbles"

fn scales(b: u32, slot: u32) -> Scales {
    let at = texel(p.scales, 4u * ((p.blocks + 7u) >> 3u), 4u * (b >> 3u), slot);
    let head = step_offset(load_w(at));
    let shift = vec4<u32>((b & 3u) * 8u);
    let low = load_w(at + 8u) >> shift;
    let middle = load_w(at + 16u) >> shift;
    let top = load_w(at + 24u) >> shift;
    var sc = low & vec4<u32>(63u);
    var mn = middle & vec4<u32>(63u);
    if (b & 4u) != 0u {
        sc = (top & vec4<u32>(15u)) | ((low >> vec4<u32>(2u)) & vec4<u32>(0x30u));
        mn = ((top >> vec4<u32>(4u)) & vec4<u32>(15u))
            | ((middle >> vec4<u32>(2u)) & vec4<u32>(0x30u));
    }
    let d = head.d_lo * vec4<f32>(sc);
    let m = -head.m_lo * vec4<f32>(mn);
    return Scales(d, d, m, m);
}
