// Levels of five bits: nibbles, and for each row and block a word of fifth bits. Pair j has bit 8c
// + j for lo and bit 8c + 4 + j for hi.

struct Raw {
    low: vec4<u32>,
    high: vec4<u32>, // shifted so that pair j has bits 8c and 8c + 4
}

fn fetch(b: u32, j: u32, slot: u32) -> Raw {
    return Raw(nibble_texel(b, j, slot), load_w(texel(p.high, p.blocks, b, slot)) >> vec4<u32>(j));
}

fn unpack(raw: Raw) -> Quads {
    let fifth = (raw.high & vec4<u32>(0x01010101u)) << vec4<u32>(4u);
    let lo = (raw.low & vec4<u32>(0x0f0f0f0fu)) | fifth;
    let hi = ((raw.low >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu))
        | (raw.high & vec4<u32>(0x10101010u));
    return Quads(byte_quad(lo), byte_quad(hi));
}
