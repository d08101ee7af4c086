// A texel of eight half-precision numbers. Packing and unpacking are core WGSL and do not need the
// f16 feature.

struct Eight {
    lo: vec4<f32>,
    hi: vec4<f32>,
}

fn halves(t: vec4<u32>) -> Eight {
    return Eight(
        vec4<f32>(unpack2x16float(t.x), unpack2x16float(t.y)),
        vec4<f32>(unpack2x16float(t.z), unpack2x16float(t.w)),
    );
}

fn pack_halves(lo: vec4<f32>, hi: vec4<f32>) -> vec4<u32> {
    return vec4<u32>(
        pack2x16float(lo.xy), pack2x16float(lo.zw), pack2x16float(hi.xy), pack2x16float(hi.zw),
    );
}

// Returns sum + a · (lo, hi).
fn product8(a: Eight, lo: vec4<f32>, hi: vec4<f32>, sum: f32) -> f32 {
    let left = fma(a.lo.x, lo.x, fma(a.lo.y, lo.y, fma(a.lo.z, lo.z, fma(a.lo.w, lo.w, sum))));
    return left + fma(a.hi.x, hi.x, fma(a.hi.y, hi.y, fma(a.hi.z, hi.z, a.hi.w * hi.w)));
}
