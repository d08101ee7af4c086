// y[t] = finish(W · norm(x[t])) for many tokens, for GPUs: in tiles of 64 rows and TOKENS tokens.
//
// A tile walks over the columns a block of 32 at a time. The block's weights, turned into floats
// once, and its activations are staged in workgroup memory; then each lane multiplies its 8 rows by
// its 4 tokens. With HALF, for weights that are halves, the tile of weights is one, too, exactly:
// half of the memory. They are read as halves from a buffer (f16.wgsl), and all arithmetic is f32.
// RMSNorm: a lane sums the squares of the activations it stages; the sums meet in workgroup memory
// at the end.
//
// Workgroup memory: 8 KiB, or 4 with HALF, and 128 bytes a token.
//
// Grid: x over row tiles, y over TOKENS tokens; with TOKENS_FIRST the other way round, so that what
// follows one another shares its weights.
// Lane: (t mod TOKENS / 4) * 8 + pair owns the slots pair and pair + 8 of the tile and the tokens
// t, t + TOKENS / 4, …, 32 sums in registers.
// Reads:
//   W      task i < 64 unpacks step (i / 8) mod 4 of slot i mod 8 (+ 8 from 32 on): 32 lanes read
//          512 contiguous bytes (formats of up to 8 bits; those of 16 and 32 bits four runs of 128,
//          with every byte of W read once).
//   x      lane i reads texel i mod 8 of a token's block: eight lanes read 128 contiguous bytes.
//   tiles  eight lanes write or read 128 contiguous bytes of `weight_tile`, or 64 with HALF, all
//          different banks; lanes of other tokens read the same. In `x_tile`, [texel][token],
//          tokens are exchanged by an exclusive or with the texel, so that eight texels of one
//          token, written at once, and eight tokens of one texel, read at once, are both in
//          different banks.
//   y      eight lanes write the 64 neighbouring rows of a token.
//% include FORMAT
//% include FINISH
//% include "tile"

const TOKENS: u32 = {{ TOKENS }}u;
const GROUPS: u32 = {{ TOKENS // 4 }}u; // lanes that differ in tokens
const LANES: u32 = 8u * GROUPS;
//% if HALF
alias Weights = vec4<f16>;
//% else
alias Weights = vec4<f32>;
//% endif
var<workgroup> weight_tile: array<Weights, 512>; // [column][slot of the tile], four rows each
var<workgroup> x_tile: array<vec4<f32>, 8u * TOKENS>; // [texel][token ^ texel], four columns each

fn stage(column: u32, slot: u32, q: mat4x4<f32>, d: vec4<f32>, m: vec4<f32>) {
    //% for c in range(4)
    if HAS_SCALES {
        let weights = fma(q[{{ c }}], d * COLUMN_SCALE[{{ c }}], m);
        weight_tile[(column + {{ c }}u) * 16u + slot] = Weights(weights);
    } else {
        weight_tile[(column + {{ c }}u) * 16u + slot] = Weights(q[{{ c }}]);
    }
    //% endfor
}

fn matmul_workgroup_tile(workgroup: vec3<u32>, lane: u32) {
    //% if TOKENS_FIRST
    let row_tile = workgroup.y;
    let token_tile = workgroup.x;
    //% else
    let row_tile = workgroup.x;
    let token_tile = workgroup.y;
    //% endif
    let tile = tile_of(token_tile);
    //% if GROUPED
    if tile.count == 0u {
        return;
    }
    //% endif
    let first_row_slot = row_tile * {{ 8 if PAIRED else 16 }}u;
    let first_slot = tile.slot + first_row_slot;
    //% if PAIRED
    let second_slot = first_slot + p.half4;
    //% else
    let second_slot = first_slot + 8u;
    //% endif
    let pair = lane & 7u;
    let own_token = lane >> 3u;
    // What this lane stages: texel `pair` of the tokens own_token, own_token + GROUPS, …; surplus
    // ones repeat the last.
    //% for n in range(4)
    let token{{ n }} = own_token + {{ n }}u * GROUPS;
    let row{{ n }} = activations_of(token_of(tile, token{{ n }})) + pair;
    var low{{ n }} = vec4<f32>();
    var high{{ n }} = vec4<f32>();
    //% endfor
    var squares = vec4<f32>();

    for (var b = 0u; b < p.blocks; b++) {
        for (var task = lane; task < 64u; task += LANES) {
            let slot = select(first_slot, second_slot, task >= 32u) + (task & 7u);
            let j = (task >> 3u) & 3u;
            let q = quads(b, j, slot);
            let s = scales(b, slot);
            let tile_slot = (task & 7u) + (task >> 5u) * 8u;
            stage(4u * j, tile_slot, q.lo, s.d_lo, s.m_lo);
            stage(16u + 4u * j, tile_slot, q.hi, s.d_hi, s.m_hi);
        }
        //% if has_gain
        let gain = load_gain(b * 8u + pair);
        //% endif
        //% for n in range(4)
        {
            let x = load_x(row{{ n }} + b * 8u);
            let at = pair * TOKENS + (token{{ n }} ^ pair);
            //% if has_gain
            squares[{{ n }}] += dot(x, x);
            x_tile[at] = x * gain;
            //% else
            x_tile[at] = x;
            //% endif
        }
        //% endfor
        workgroupBarrier();
        // low<token>, high<token>: 4 tokens x 8 rows of sums in registers.
        for (var k = 0u; k < 8u; k++) {
            //% for n in range(4)
            let x{{ n }} = x_tile[k * TOKENS + (token{{ n }} ^ k)];
            //% endfor
            //% for c in range(4)
            {
                let w_low = vec4<f32>(weight_tile[k * 64u + {{ 16 * c }}u + pair]);
                let w_high = vec4<f32>(weight_tile[k * 64u + {{ 16 * c + 8 }}u + pair]);
                //% for n in range(4)
                low{{ n }} = fma(w_low, vec4<f32>(x{{ n }}[{{ c }}]), low{{ n }});
                high{{ n }} = fma(w_high, vec4<f32>(x{{ n }}[{{ c }}]), high{{ n }});
                //% endfor
            }
            //% endfor
        }
        workgroupBarrier();
    }

    //% if has_gain
    // The eight lanes of own_token have its squares in parts; the tile is free.
    x_tile[lane] = squares;
    workgroupBarrier();
    squares = vec4<f32>();
    for (var part = 0u; part < 8u; part++) {
        squares += x_tile[own_token * 8u + part];
    }
    let rms = inverseSqrt(squares / p.columns + p.eps);
    //% else
    let rms = vec4<f32>(1.0);
    //% endif
    let r4 = group_of(first_row_slot + pair);
    //% if PAIRED
    let groups = p.half4;
    //% else
    let groups = p.rows4;
    //% endif
    if r4 < groups {
        //% for n in range(4)
        if token{{ n }} < tile.count {
            let token = token_of(tile, token{{ n }});
            finish(token, r4, rms[{{ n }}] * low{{ n }}, rms[{{ n }}] * high{{ n }});
        }
        //% endfor
    }
}
