// y[t] = finish(W · norm(x[t])) for many tokens: prefill.
//
// Weights are turned into floats once for all tokens. With BROADCAST lane i loads the activations
// of tokens i, i + 8, … and the lanes share them through the subgroup; else every lane loads all.
// RMSNorm as in matvec.wgsl: lane i sums the squares of its tokens.
//
// Grid: x over row groups as in matvec.wgsl, y over TOKENS tokens; with TOKENS_FIRST the other way
// round, so that what follows one another shares its weights.
// Lane: owns two groups of four rows for TOKENS tokens, all sums in registers.
// Reads: neighbouring lanes read neighbouring texels of W, 128 contiguous bytes for eight lanes,
// and write neighbouring texels of y; what they read of x is shared, or one address.
//% include FORMAT
//% include FINISH
//% include "tile"

// sum<group>_<token>: 2 row groups x TOKENS x 4 sums in registers.
//% for g in range(2)
//% for t in range(TOKENS)
var<private> sum{{ g }}_{{ t }}: vec4<f32>;
//% endfor
//% endfor

// Adds four columns of all row groups times the activations of all tokens.
fn accumulate(
    //% for g in range(2)
    w{{ g }}: mat4x4<f32>,
    //% endfor
    //% for i in range(LOADS)
    x{{ i }}: vec4<f32>,
    //% endfor
) {
    //% for t in range(TOKENS)
    {
        //% if BROADCAST
        let x = subgroupBroadcast(x{{ t // 8 }}, {{ t % 8 }}u);
        //% else
        let x = x{{ t }};
        //% endif
        //% for c in range(4)
        //% for g in range(2)
        sum{{ g }}_{{ t }} = fma(w{{ g }}[{{ c }}], vec4<f32>(x[{{ c }}]), sum{{ g }}_{{ t }});
        //% endfor
        //% endfor
    }
    //% endfor
}

fn scaled(q: mat4x4<f32>, d: vec4<f32>, m: vec4<f32>) -> mat4x4<f32> {
    if HAS_SCALES {
        return mat4x4<f32>(
            fma(q[0], d, m),
            fma(q[1], d * COLUMN_SCALE.y, m),
            fma(q[2], d * COLUMN_SCALE.z, m),
            fma(q[3], d * COLUMN_SCALE.w, m),
        );
    }
    return q;
}

fn matmul(workgroup: vec3<u32>, lane: u32) {
    //% if TOKENS_FIRST
    let row_tile = workgroup.y;
    let token_tile = workgroup.x;
    //% else
    let row_tile = workgroup.x;
    let token_tile = workgroup.y;
    //% endif
    let slot = row_tile * {{ 8 if PAIRED else 16 }}u + lane;
    let tile = tile_of(token_tile);
    //% if GROUPED
    if tile.count == 0u {
        return;
    }
    //% endif
    let slot0 = tile.slot + slot;
    //% if PAIRED
    let slot1 = slot0 + p.half4;
    //% else
    let slot1 = slot0 + 8u;
    //% endif
    // Surplus tokens repeat the last one and store nothing.
    //% for i in range(LOADS)
    //% if BROADCAST
    let at{{ i }} = activations_of(token_of(tile, {{ 8 * i }}u + lane));
    //% else
    let at{{ i }} = activations_of(token_of(tile, {{ i }}u));
    //% endif
    var squares{{ i }} = 0.0;
    //% endfor

    for (var b = 0u; b < p.blocks; b++) {
        //% for g in range(2)
        let s{{ g }} = scales(b, slot{{ g }});
        //% endfor
        for (var j = 0u; j < 4u; j++) {
            let lo = b * 8u + j;
            let hi = lo + 4u;
            //% for i in range(LOADS)
            var lo{{ i }} = load_x(at{{ i }} + lo);
            var hi{{ i }} = load_x(at{{ i }} + hi);
            //% if has_gain
            squares{{ i }} += dot(lo{{ i }}, lo{{ i }}) + dot(hi{{ i }}, hi{{ i }});
            //% endif
            //% endfor
            //% if has_gain
            let gain_lo = load_gain(lo);
            let gain_hi = load_gain(hi);
            //% for i in range(LOADS)
            lo{{ i }} *= gain_lo;
            hi{{ i }} *= gain_hi;
            //% endfor
            //% endif
            //% for g in range(2)
            let q{{ g }} = quads(b, j, slot{{ g }});
            //% endfor
            accumulate(
                //% for g in range(2)
                scaled(q{{ g }}.lo, s{{ g }}.d_lo, s{{ g }}.m_lo),
                //% endfor
                //% for i in range(LOADS)
                lo{{ i }},
                //% endfor
            );
            accumulate(
                //% for g in range(2)
                scaled(q{{ g }}.hi, s{{ g }}.d_hi, s{{ g }}.m_hi),
                //% endfor
                //% for i in range(LOADS)
                hi{{ i }},
                //% endfor
            );
        }
    }

    // A loop, not a list: what follows a product is large code, and would stand here once for each
    // token.
    let r4 = group_of(slot);
    //% if PAIRED
    let in_matrix = r4 < p.half4;
    //% else
    let in_matrix = r4 < p.rows4;
    //% endif
    for (var t = 0u; t < {{ TOKENS }}u; t++) {
        var lo = sum0_0;
        var hi = sum1_0;
        //% if has_gain and not BROADCAST
        var squares = squares0;
        //% endif
        //% for k in range(1, TOKENS)
        if t == {{ k }}u {
            lo = sum0_{{ k }};
            hi = sum1_{{ k }};
            //% if has_gain and not BROADCAST
            squares = squares{{ k }};
            //% endif
        }
        //% endfor
        //% if has_gain
        //% if BROADCAST
        //% if LOADS == 1
        let squares = subgroupShuffle(squares0, t);
        //% else
        var own_squares = squares0;
        //% for i in range(1, LOADS)
        if t >= {{ 8 * i }}u {
            own_squares = squares{{ i }};
        }
        //% endfor
        let squares = subgroupShuffle(own_squares, t & 7u);
        //% endif
        //% endif
        let rms = inverseSqrt(squares / p.columns + p.eps);
        lo *= rms;
        hi *= rms;
        //% endif
        if in_matrix && t < tile.count {
            finish(token_of(tile, t), r4, lo, hi);
        }
    }
}
