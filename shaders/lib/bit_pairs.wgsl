// Two bits of each of 32 columns in two texels, lo and hi: column c of quad j has bits 8c + 2j and
// 8c + 2j + 1.

struct Pairs {
    lo: vec4<u32>, // shifted so that quad j has bits 8c and 8c + 1
    hi: vec4<u32>,
}

fn bit_pairs(first: u32, b: u32, j: u32, slot: u32) -> Pairs {
    let shift = vec4<u32>(2u * j);
    let lo = load_w(texel(first, 2u * p.blocks, 2u * b, slot)) >> shift;
    let hi = load_w(texel(first, 2u * p.blocks, 2u * b + 1u, slot)) >> shift;
    return Pairs(lo, hi);
}
