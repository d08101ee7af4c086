// y[t, h] = softmax(q[t, h] · keys / sqrt(D)) · values over the tokens the query may see (Vaswani et al. 2017,
// arXiv:1706.03762), with the softmax computed as the keys come by (Milakov and Gimelshein 2018, arXiv:1805.02867).
//
// Eight lanes share ROWS queries, HEADS heads of TOKENS tokens that use the same keys (Ainslie et al. 2023,
// arXiv:2305.13245), and walk over the cache BLOCKS * 8 tokens at a time. For the scores a lane owns one token of each
// block, so that lanes read neighbouring texels of the keys; for the sums a lane owns the eight numbers lane * 8 .. of
// the head (and every 64th after them), so that lanes read neighbouring texels of the values. Lane i loads query i;
// queries and probabilities are shared through the subgroup.
//
// With WINDOW a query sees the p.window tokens up to its own only; with CAPPED scores are kept within p.cap.
//
// With PIECES a token's cache is cut into so many, each with a softmax of its own, whose sums are not divided yet.
//
// Grid: x over TOKENS tokens, y over heads / HEADS, z over pieces. PARTS = head8 / 8, rounded up.
//% set ROWS = HEADS * TOKENS
//% include "cache_read"

@compute @workgroup_size(8)
fn attention(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let first_head = workgroup.y * {{ HEADS }}u;
    // Early tokens see little, late ones much: taking them from both ends in turn evens out any run of workgroups,
    // for adapters that hand each core one run.
    let half_tile = workgroup.x / 2u;
    let tile = select(half_tile, grid.x - 1u - half_tile, (workgroup.x & 1u) == 1u);
    let first = tile * {{ TOKENS }}u;
    let head8 = p.head4 / 2u;
    let key_heads = p.heads / p.group;
    let key_head = first_head / p.group;
    let position = load_step(0u).x;
    // Lane i holds query i; surplus lanes and tokens repeat the last one.
    let own = min(lane, {{ ROWS - 1 }}u);
    let own_token = min(first + own / {{ HEADS }}u, p.tokens - 1u);
    let own_q = (own_token * p.heads + first_head + own % {{ HEADS }}u) * p.head4;
    //% for i in range(ROWS)
    let last{{ i }} = position + min(first + {{ i // HEADS }}u, p.tokens - 1u);
    var top{{ i }} = -1e30;
    var total{{ i }} = 0.0;
    //% for c in range(PARTS)
    var lo{{ i }}_{{ c }} = vec4<f32>();
    var hi{{ i }}_{{ c }} = vec4<f32>();
    //% endfor
    //% endfor

    let blocks = (last{{ ROWS - 1 }} >> 3u) + 1u;
    //% if WINDOW
    // The blocks with the first token that the earliest query sees, in the same steps whatever that query is.
    let begin = ((max(last0 + 1u, p.window) - p.window) >> 3u) / {{ 4 if PIECES else BLOCKS }}u * {{ 4 if PIECES else BLOCKS }}u;
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
    for (var block = start; block < end; block += {{ BLOCKS }}u) {
        //% for i in range(ROWS)
        //% for k in range(BLOCKS)
        var s{{ i }}_{{ k }} = 0.0;
        //% endfor
        //% endfor
        //% for k in range(BLOCKS)
        let key_at{{ k }} = key_row((block + {{ k }}u) * 8u + lane, key_head, key_heads, head8);
        let key_scales{{ k }} = scales_of_key(key_at{{ k }});
        //% endfor
        for (var d = 0u; d < head8; d++) {
            let q_lo = load_q(own_q + 2u * d);
            let q_hi = load_q(own_q + 2u * d + 1u);
            //% for k in range(BLOCKS)
            let key{{ k }} = key_eight(key_at{{ k }}, d, key_scales{{ k }});
            //% endfor
            //% for i in range(ROWS)
            {
                let lo = subgroupBroadcast(q_lo, {{ i }}u);
                let hi = subgroupBroadcast(q_hi, {{ i }}u);
                //% for k in range(BLOCKS)
                s{{ i }}_{{ k }} = product8(key{{ k }}, lo, hi, s{{ i }}_{{ k }});
                //% endfor
            }
            //% endfor
        }
        let token = block * 8u + lane;
        //% for i in range(ROWS)
        var high{{ i }} = top{{ i }};
        //% for k in range(BLOCKS)
        s{{ i }}_{{ k }} *= p.scale;
        //% if CAPPED
        s{{ i }}_{{ k }} = p.cap * tanh(clamp(s{{ i }}_{{ k }} / p.cap, -10.0, 10.0));
        //% endif
        //% if WINDOW
        s{{ i }}_{{ k }} = select(-1e30, s{{ i }}_{{ k }}, token + {{ 8 * k }}u <= last{{ i }} && token + {{ 8 * k }}u + p.window > last{{ i }});
        //% else
        s{{ i }}_{{ k }} = select(-1e30, s{{ i }}_{{ k }}, token + {{ 8 * k }}u <= last{{ i }});
        //% endif
        high{{ i }} = max(high{{ i }}, s{{ i }}_{{ k }});
        //% endfor
        high{{ i }} = subgroupMax(high{{ i }});
        let fade{{ i }} = exp(top{{ i }} - high{{ i }});
        top{{ i }} = high{{ i }};
        // The lanes' totals meet at the end.
        total{{ i }} *= fade{{ i }};
        //% for k in range(BLOCKS)
        let weight{{ i }}_{{ k }} = exp(s{{ i }}_{{ k }} - high{{ i }});
        total{{ i }} += weight{{ i }}_{{ k }};
        //% endfor
        //% for c in range(PARTS)
        lo{{ i }}_{{ c }} *= fade{{ i }};
        hi{{ i }}_{{ c }} *= fade{{ i }};
        //% endfor
        //% endfor
        //% for k in range(BLOCKS)
        let value_at{{ k }} = value_row((block + {{ k }}u) * 8u, key_head, key_heads, head8);
        //% for j in range(8)
        {
            let at = value_at{{ k }} + {{ j }}u * row_texels(head8);
            let value_scales = scales_of_value(at);
            //% for c in range(PARTS)
            let value{{ c }} = value_eight(at, lane + {{ 8 * c }}u, value_scales);
            //% endfor
            //% for i in range(ROWS)
            {
                let w = vec4<f32>(subgroupBroadcast(weight{{ i }}_{{ k }}, {{ j }}u));
                //% for c in range(PARTS)
                lo{{ i }}_{{ c }} = fma(w, value{{ c }}.lo, lo{{ i }}_{{ c }});
                hi{{ i }}_{{ c }} = fma(w, value{{ c }}.hi, hi{{ i }}_{{ c }});
                //% endfor
            }
            //% endfor
        }
        //% endfor
        //% endfor
    }

    //% for i in range(ROWS)
    {
        let all = subgroupAdd(total{{ i }});
        //% if PIECES
        let scale = 1.0;
        let row = workgroup.z * p.heads + first_head + {{ i }}u;
        if lane == 0u {
            store_stats(row, vec4<f32>(top{{ i }}, all, 0.0, 0.0));
        }
        //% else
        let scale = 1.0 / all;
        let row = (first + {{ i // HEADS }}u) * p.heads + first_head + {{ i % HEADS }}u;
        //% endif
        if first + {{ i // HEADS }}u < p.tokens {
            //% for c in range(PARTS)
            if lane + {{ 8 * c }}u < head8 {
                let at = row * p.head4 + 2u * lane + {{ 16 * c }}u;
                store_y(at, lo{{ i }}_{{ c }} * scale);
                store_y(at + 1u, hi{{ i }}_{{ c }} * scale);
            }
            //% endfor
        }
    }
    //% endfor
}
