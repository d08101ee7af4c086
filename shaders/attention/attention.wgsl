// y[t, h] = softmax(q[t, h] · keys / sqrt(D)) · values over the tokens the query may see (Vaswani
// et al. 2017, arXiv:1706.03762), with the softmax computed as the keys come by (Milakov and
// Gimelshein 2018, arXiv:1805.02867).
//
// Eight lanes share ROWS queries, HEADS heads of TOKENS tokens that use the same keys (Ainslie et
// al. 2023, arXiv:2305.13245), and walk over the cache eight tokens at a time. Of eight tokens'
// sums each lane gets those of one, so that the softmax has a token a lane. With WINDOW a query
// sees the p.window tokens up to its own only; with CAPPED scores are kept within p.softcap. With
// PIECES a token's cache is cut into so many, each with a softmax of its own, whose sums are not
// divided yet. PARTS = HEAD8 / 8, rounded up.
//
// Grid: x over TOKENS tokens, y over heads / HEADS, z over pieces.
// Lane: owns the eight numbers lane * 8 .. of the head (and every 64th after them): of the queries,
// which it keeps, of the keys, so that a score is a sum over lanes, and of the values.
// Reads: neighbouring texels of the values; of the keys too, or every eighth one, whose neighbours
// are those of the next tokens.
//% set ROWS = HEADS * TOKENS
//% include "cache_read"
//% include "eight_lanes"

// The factor that is left out of keys, cut in two so that large queries do not overflow.
const SCORE_UNIT: f32 = 0x1p16;
const QUERY_UNIT: f32 = MOVED / SCORE_UNIT;

fn attention(workgroup: vec3<u32>, grid: vec3<u32>, lane: u32) {
    let first_head = workgroup.y * {{ HEADS }}u;
    // Early tokens see little, late ones much: taking them from both ends in turn evens out any run
    // of workgroups, for adapters that hand each core one run.
    let half_tile = workgroup.x / 2u;
    let tile = select(half_tile, grid.x - 1u - half_tile, (workgroup.x & 1u) == 1u);
    let first = tile * {{ TOKENS }}u;
    let kv_head = first_head / p.group;
    let position = load_step(0u).x;
    //% for c in range(PARTS)
    // Lanes beyond the head read its last numbers, which their queries of 0 leave out.
    let d{{ c }} = min(lane + {{ 8 * c }}u, HEAD8 - 1u);
    //% endfor
    //% for i in range(ROWS)
    let token{{ i }} = min(first + {{ i // HEADS }}u, p.tokens - 1u);
    let last{{ i }} = position + token{{ i }};
    let q{{ i }} = (token{{ i }} * p.n_heads + first_head + {{ i % HEADS }}u) * HEAD4;
    var top{{ i }} = -1e30;
    var total{{ i }} = 0.0;
    //% for c in range(PARTS)
    let scale{{ i }}_{{ c }} = select(0.0, p.scale * QUERY_UNIT, lane + {{ 8 * c }}u < HEAD8);
    let q_lo{{ i }}_{{ c }} = scale{{ i }}_{{ c }} * load_q(q{{ i }} + 2u * d{{ c }});
    let q_hi{{ i }}_{{ c }} = scale{{ i }}_{{ c }} * load_q(q{{ i }} + 2u * d{{ c }} + 1u);
    var lo{{ i }}_{{ c }} = vec4<f32>();
    var hi{{ i }}_{{ c }} = vec4<f32>();
    //% endfor
    //% endfor

    let blocks = (last{{ ROWS - 1 }} >> 3u) + 1u;
    //% if WINDOW
    // The block with the first token that the earliest query sees.
    let first_seen = (max(last0 + 1u, p.window) - p.window) >> 3u;
    //% if PIECES
    let begin = first_seen & ~3u;
    //% else
    let begin = first_seen;
    //% endif
    //% else
    let begin = 0u;
    //% endif
    //% if PIECES
    let step = ((blocks - begin + {{ PIECES - 1 }}u) / {{ PIECES }}u + 3u) & ~3u;
    let start = begin + workgroup.z * step;
    let end = min(start + step, blocks);
    //% else
    let start = begin;
    let end = blocks;
    //% endif
    // Memory is asked early: for all keys and values of eight tokens before their arithmetic, so
    // that little is kept where a driver calls a function for each load, and for the first key and
    // value of the next eight before the values are used.
    //% for c in range(PARTS)
    var key_ahead{{ c }} = stored_key(key_row(start * 8u, kv_head), d{{ c }});
    var value_ahead{{ c }} = stored_value(value_row(start * 8u, kv_head), d{{ c }});
    //% endfor
    for (var block = start; block < end; block++) {
        let value_at = value_row(block * 8u, kv_head);
        let key_at = key_row(block * 8u, kv_head);
        //% for j in range(8)
        let key_at{{ j }} = after(key_at, {{ j }}u * NEXT_KEY);
        let key_scales{{ j }} = scales_of_key(key_at{{ j }});
        //% for c in range(PARTS)
        //% if j == 0
        let stored0_{{ c }} = key_ahead{{ c }};
        //% else
        let stored{{ j }}_{{ c }} = stored_key(key_at{{ j }}, d{{ c }});
        //% endif
        //% endfor
        //% endfor
        //% for j in range(8)
        let value_at{{ j }} = after(value_at, {{ j }}u * ROW_TEXELS);
        let value_scales{{ j }} = scales_of_value(value_at{{ j }});
        //% for c in range(PARTS)
        //% if j == 0
        let value0_{{ c }} = value_ahead{{ c }};
        //% else
        let value{{ j }}_{{ c }} = stored_value(value_at{{ j }}, d{{ c }});
        //% endif
        //% endfor
        //% endfor

        // s<row>_<token>_<part>: ROWS x 8 scores in registers, each summed over the lane's parts.
        //% for j in range(8)
        //% for c in range(PARTS)
        let key{{ j }}_{{ c }} = moved(stored{{ j }}_{{ c }}, d{{ c }}, key_scales{{ j }});
        //% endfor
        //% for i in range(ROWS)
        let s{{ i }}_{{ j }}_0 = product8(key{{ j }}_0, q_lo{{ i }}_0, q_hi{{ i }}_0, 0.0);
        //% for c in range(1, PARTS)
        let s{{ i }}_{{ j }}_{{ c }} = product8(
            key{{ j }}_{{ c }}, q_lo{{ i }}_{{ c }}, q_hi{{ i }}_{{ c }},
            s{{ i }}_{{ j }}_{{ c - 1 }},
        );
        //% endfor
        //% endfor
        //% endfor

        let next = min(block + 1u, end - 1u) * 8u;
        //% for c in range(PARTS)
        key_ahead{{ c }} = stored_key(key_row(next, kv_head), d{{ c }});
        value_ahead{{ c }} = stored_value(value_row(next, kv_head), d{{ c }});
        //% endfor
        // Of the eight tokens' sums a lane gets those of one: after three exchanges s<row> is the
        // score of token `lane` with all lanes' parts in it.
        let token = block * 8u + lane;
        //% set last = PARTS - 1
        //% for i in range(ROWS)
        //% for j in range(0, 8, 2)
        let two{{ i }}_{{ j }} = meet(
            lane, 1u, s{{ i }}_{{ j }}_{{ last }}, s{{ i }}_{{ j + 1 }}_{{ last }},
        );
        //% endfor
        let four{{ i }} = meet(lane, 2u, two{{ i }}_0, two{{ i }}_2);
        var s{{ i }} = meet(lane, 4u, four{{ i }}, meet(lane, 2u, two{{ i }}_4, two{{ i }}_6));
        s{{ i }} *= SCORE_UNIT;
        //% if CAPPED
        s{{ i }} = p.softcap * tanh(clamp(s{{ i }} / p.softcap, -10.0, 10.0));
        //% endif
        //% if WINDOW
        s{{ i }} = select(-1e30, s{{ i }}, token <= last{{ i }} && token + p.window > last{{ i }});
        //% else
        s{{ i }} = select(-1e30, s{{ i }}, token <= last{{ i }});
        //% endif
        let high{{ i }} = max(top{{ i }}, highest(s{{ i }}));
        //% endfor
        // What the sums so far fade by is the same for all lanes, so that a lane has that of one
        // row.
        var drop = top0 - high0;
        //% for i in range(1, ROWS)
        drop = select(drop, top{{ i }} - high{{ i }}, lane == {{ i }}u);
        //% endfor
        let fades = exp(drop);
        //% for i in range(ROWS)
        let fade{{ i }} = subgroupBroadcast(fades, {{ i }}u);
        top{{ i }} = high{{ i }};
        let weight{{ i }} = exp(s{{ i }} - high{{ i }});
        let moving{{ i }} = weight{{ i }} * MOVED;
        // The lanes' totals meet at the end.
        total{{ i }} = fma(total{{ i }}, fade{{ i }}, weight{{ i }});
        //% for c in range(PARTS)
        lo{{ i }}_{{ c }} *= fade{{ i }};
        hi{{ i }}_{{ c }} *= fade{{ i }};
        //% endfor
        //% endfor

        // lo<row>_<part>, hi<row>_<part>: ROWS x PARTS x 8 numbers of the result in registers, to
        // which each of the eight tokens adds its value times its weight.
        //% for j in range(8)
        {
            //% for c in range(PARTS)
            let value{{ c }} = moved(value{{ j }}_{{ c }}, d{{ c }}, value_scales{{ j }});
            //% endfor
            //% for i in range(ROWS)
            {
                let w = vec4<f32>(subgroupBroadcast(moving{{ i }}, {{ j }}u));
                //% for c in range(PARTS)
                lo{{ i }}_{{ c }} = fma(w, value{{ c }}.lo, lo{{ i }}_{{ c }});
                hi{{ i }}_{{ c }} = fma(w, value{{ c }}.hi, hi{{ i }}_{{ c }});
                //% endfor
            }
            //% endfor
        }
        //% endfor
    }

    //% for i in range(ROWS)
    {
        let all = subgroupAdd(total{{ i }});
        //% if PIECES
        let scale = 1.0;
        let row = workgroup.z * p.n_heads + first_head + {{ i }}u;
        if lane == 0u {
            store_stats(row, vec4<f32>(top{{ i }}, all, 0.0, 0.0));
        }
        //% else
        let scale = 1.0 / all;
        let row = (first + {{ i // HEADS }}u) * p.n_heads + first_head + {{ i % HEADS }}u;
        //% endif
        if first + {{ i // HEADS }}u < p.tokens {
            //% for c in range(PARTS)
            if lane + {{ 8 * c }}u < HEAD8 {
                let at = row * HEAD4 + 2u * lane + {{ 16 * c }}u;
                store_y(at, lo{{ i }}_{{ c }} * scale);
                store_y(at + 1u, hi{{ i }}_{{ c }} * scale);
            }
            //% endfor
        }
    }
    //% endfor
}
