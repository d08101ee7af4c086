// Computes a part of one token's product, for kernels that split the columns: blocks first, first +
// step, … of two slots.
//% include FORMAT
//% include "experts"

struct Share {
    sum0: vec4<f32>, // sums for the rows of slot0
    sum1: vec4<f32>,
    squares: f32, // sum of the squares of the activations, without the gain
}

fn add(a: Share, b: Share) -> Share {
    return Share(a.sum0 + b.sum0, a.sum1 + b.sum1, a.squares + b.squares);
}

// `x` is the first texel of the activations.
fn share_of_columns(x: u32, first: u32, step: u32, slot0: u32, slot1: u32) -> Share {
    var share = Share();
    for (var b = first; b < p.blocks; b += step) {
        var lo0 = vec4<f32>();
        var hi0 = vec4<f32>();
        var lo1 = vec4<f32>();
        var hi1 = vec4<f32>();
        var sum_lo = 0.0;
        var sum_hi = 0.0;
        for (var j = 0u; j < 4u; j++) {
            let at = b * 8u + j;
            var x_lo = load_x(x + at);
            var x_hi = load_x(x + at + 4u);
            //% if has_gain
            share.squares += dot(x_lo, x_lo) + dot(x_hi, x_hi);
            x_lo *= load_gain(at);
            x_hi *= load_gain(at + 4u);
            //% endif
            sum_lo += x_lo.x + x_lo.y + x_lo.z + x_lo.w;
            sum_hi += x_hi.x + x_hi.y + x_hi.z + x_hi.w;
            x_lo *= COLUMN_SCALE;
            x_hi *= COLUMN_SCALE;
            let q0 = quads(b, j, slot0);
            let q1 = quads(b, j, slot1);
            lo0 += q0.lo * x_lo;
            hi0 += q0.hi * x_hi;
            lo1 += q1.lo * x_lo;
            hi1 += q1.hi * x_hi;
        }
        if HAS_SCALES {
            let s0 = scales(b, slot0);
            let s1 = scales(b, slot1);
            share.sum0 += s0.d_lo * lo0 + s0.d_hi * hi0 + s0.m_lo * sum_lo + s0.m_hi * sum_hi;
            share.sum1 += s1.d_lo * lo1 + s1.d_hi * hi1 + s1.m_lo * sum_lo + s1.m_hi * sum_hi;
        } else {
            share.sum0 += lo0 + hi0;
            share.sum1 += lo1 + hi1;
        }
    }
    return share;
}

// Writes the row pair of `slot`, counted from the task's first slot, given the sums over all
// columns.
fn finish_columns(token: u32, slot: u32, whole: Share) {
    //% if has_gain
    let rms = inverseSqrt(whole.squares / p.columns + p.eps);
    //% else
    let rms = 1.0;
    //% endif
    let r4 = group_of(slot);
    //% if PAIRED
    let groups = p.half4;
    //% else
    let groups = p.rows4;
    //% endif
    if r4 < groups {
        finish(token, r4, rms * whole.sum0, rms * whole.sum1);
    }
}
