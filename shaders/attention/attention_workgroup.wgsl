// y[t, h] = softmax(q[t, h] · keys / sqrt(D)) · values, as in attention.wgsl, for GPUs: a workgroup
// shares ROWS queries, HEADS heads of TOKENS tokens that use the same keys, and splits the cache
// between its teams of eight lanes. Needs no subgroups.
//
// A team keeps its own highest score, sum of weights and sum of values, as the softmax is computed;
// the teams' meet at the end. What a team sums before it has seen a token its query may see fades
// to nothing: its top is -1e30 then. Blocks beyond the last visible one are not read, but the
// barriers are reached by all lanes.
//
// Grid: x over TOKENS tokens, the last ones, which see most, first; y over heads / HEADS; z over
// PIECES of a token's cache, each with a softmax of its own. PARTS = HEAD8 / 8, rounded up.
// Lane: team * 8 + l. Of every TEAMS * 8 tokens of the cache, a team takes one block of eight.
// Reads:
//   q       all of the tile's queries, once, neighbouring lanes neighbouring texels, into workgroup
//           memory; from there all lanes read one address.
//   keys    lane l owns token l of its team's block: eight lanes read 128 contiguous bytes, and the
//           head's D / 8 steps follow one another: 16 D bytes for each team, teams being next to
//           each other. Keys and values that are halves may be read as such, 16 bytes a lane.
//   values  lane l owns the eight numbers l * 8 .. of the head (and every 64th after them): eight
//           lanes read up to 128 contiguous bytes of one token.
//   scores, weights  eight lanes write eight neighbouring words, and read one word or the team's
//            eight.
//% set ROWS = HEADS * TOKENS
//% include "cache_read"

const LANES: u32 = {{ 8 * TEAMS }}u;
var<workgroup> queries: array<vec4<f32>, {{ ROWS }}u * HEAD4>;
var<workgroup> scores: array<f32, {{ ROWS }}u * LANES>;
var<workgroup> weights: array<f32, {{ ROWS }}u * LANES>;
var<workgroup> sums: array<vec4<f32>, 2u * LANES>;

fn attention_workgroup(workgroup: vec3<u32>, grid: vec3<u32>, lane: u32) {
    let l = lane & 7u;
    let team = lane >> 3u;
    let first_head = workgroup.y * {{ HEADS }}u;
    let first = (grid.x - 1u - workgroup.x) * {{ TOKENS }}u;
    let kv_head = first_head / p.group;
    let position = load_step(0u).x;
    // Surplus tokens repeat the last one.
    for (var i = lane; i < {{ ROWS }}u * HEAD4; i += LANES) {
        let row = i / HEAD4;
        let token = min(first + row / {{ HEADS }}u, p.tokens - 1u);
        let head = first_head + row % {{ HEADS }}u;
        queries[i] = load_q((token * p.n_heads + head) * HEAD4 + i % HEAD4);
    }
    //% for i in range(ROWS)
    let last{{ i }} = position + min(first + {{ i // HEADS }}u, p.tokens - 1u);
    var top{{ i }} = -1e30;
    var total{{ i }} = 0.0;
    //% for c in range(PARTS)
    var lo{{ i }}_{{ c }} = vec4<f32>();
    var hi{{ i }}_{{ c }} = vec4<f32>();
    //% endfor
    //% endfor
    workgroupBarrier();

    let blocks = (last{{ ROWS - 1 }} >> 3u) + 1u;
    //% if WINDOW
    //% set together = 4 if PIECES else TEAMS
    let first_seen = (max(last0 + 1u, p.window) - p.window) >> 3u;
    let begin = first_seen / {{ together }}u * {{ together }}u;
    //% else
    let begin = 0u;
    //% endif
    //% if PIECES
    let step = ((blocks - begin + {{ PIECES - 1 }}u) / {{ PIECES }}u + 3u) & ~3u;
    let seen = begin + workgroup.z * step;
    let end = min(seen + step, blocks);
    //% else
    let seen = begin;
    let end = blocks;
    //% endif
    for (var start = seen; start < end; start += {{ TEAMS }}u) {
        let block = start + team;
        let token = block * 8u + l;
        //% for i in range(ROWS)
        var s{{ i }} = 0.0;
        //% endfor
        if block < end {
            let key_at = key_row(token, kv_head);
            let key_scales = scales_of_key(key_at);
            for (var d = 0u; d < HEAD8; d++) {
                let key = key_eight(key_at, d, key_scales);
                //% for i in range(ROWS)
                {
                    let q_at = {{ i }}u * HEAD4 + 2u * d;
                    s{{ i }} = product8(key, queries[q_at], queries[q_at + 1u], s{{ i }});
                }
                //% endfor
            }
        }
        //% for i in range(ROWS)
        s{{ i }} *= p.scale;
        //% if CAPPED
        s{{ i }} = p.softcap * tanh(clamp(s{{ i }} / p.softcap, -10.0, 10.0));
        //% endif
        //% if WINDOW
        let in_window{{ i }} = token + p.window > last{{ i }};
        s{{ i }} = select(-1e30, s{{ i }}, block < end && token <= last{{ i }} && in_window{{ i }});
        //% else
        s{{ i }} = select(-1e30, s{{ i }}, block < end && token <= last{{ i }});
        //% endif
        scores[{{ i }}u * LANES + lane] = s{{ i }};
        //% endfor
        // The next round writes scores only after the second barrier, and weights only after its
        // first: each array is read by then.
        workgroupBarrier();
        //% for i in range(ROWS)
        var high{{ i }} = top{{ i }};
        //% endfor
        for (var j = lane & ~7u; j <= (lane | 7u); j++) {
            //% for i in range(ROWS)
            high{{ i }} = max(high{{ i }}, scores[{{ i }}u * LANES + j]);
            //% endfor
        }
        //% for i in range(ROWS)
        {
            let fade = exp(top{{ i }} - high{{ i }});
            top{{ i }} = high{{ i }};
            total{{ i }} *= fade;
            //% for c in range(PARTS)
            lo{{ i }}_{{ c }} *= fade;
            hi{{ i }}_{{ c }} *= fade;
            //% endfor
            weights[{{ i }}u * LANES + lane] = exp(s{{ i }} - high{{ i }});
        }
        //% endfor
        workgroupBarrier();
        // lo<row>_<part>, hi<row>_<part>: ROWS x PARTS x 8 numbers of the result in registers.
        if block < end {
            let value_at = value_row(block * 8u, kv_head);
            for (var j = 0u; j < 8u; j++) {
                let at = value_at + j * ROW_TEXELS;
                let value_scales = scales_of_value(at);
                let from_lane = (lane & ~7u) + j;
                //% for c in range(PARTS)
                // Lanes beyond the head's end read its last texel, and store nothing.
                let value{{ c }} = value_eight(at, min(l + {{ 8 * c }}u, HEAD8 - 1u), value_scales);
                //% endfor
                //% for i in range(ROWS)
                {
                    let w = weights[{{ i }}u * LANES + from_lane];
                    total{{ i }} += w;
                    //% for c in range(PARTS)
                    lo{{ i }}_{{ c }} = fma(vec4<f32>(w), value{{ c }}.lo, lo{{ i }}_{{ c }});
                    hi{{ i }}_{{ c }} = fma(vec4<f32>(w), value{{ c }}.hi, hi{{ i }}_{{ c }});
                    //% endfor
                }
                //% endfor
            }
        }
    }

    // The teams meet: their highest scores first, then what they summed, scaled to the highest of
    // all.
    //% for i in range(ROWS)
    scores[{{ i }}u * LANES + lane] = top{{ i }};
    //% endfor
    workgroupBarrier();
    //% for i in range(ROWS)
    var highest{{ i }} = top{{ i }};
    {
        var high = top{{ i }};
        for (var other = l; other < LANES; other += 8u) {
            high = max(high, scores[{{ i }}u * LANES + other]);
        }
        highest{{ i }} = high;
        let fade = exp(top{{ i }} - high);
        weights[{{ i }}u * LANES + lane] = total{{ i }} * fade;
        //% for c in range(PARTS)
        lo{{ i }}_{{ c }} *= fade;
        hi{{ i }}_{{ c }} *= fade;
        //% endfor
    }
    //% endfor
    //% for i in range(ROWS)
    //% for c in range(PARTS)
    workgroupBarrier();
    sums[lane] = lo{{ i }}_{{ c }};
    sums[LANES + lane] = hi{{ i }}_{{ c }};
    workgroupBarrier();
    if lane < 16u && l + {{ 8 * c }}u < HEAD8 && first + {{ i // HEADS }}u < p.tokens {
        var total = 0.0;
        var sum = vec4<f32>();
        for (var other = l; other < LANES; other += 8u) {
            total += weights[{{ i }}u * LANES + other];
            sum += sums[(lane >> 3u) * LANES + other];
        }
        //% if PIECES
        let row = workgroup.z * p.n_heads + first_head + {{ i }}u;
        store_y(row * HEAD4 + 2u * (l + {{ 8 * c }}u) + (lane >> 3u), sum);
        if lane == 0u {
            store_stats(row, vec4<f32>(highest{{ i }}, total, 0.0, 0.0));
        }
        //% else
        let row = (first + {{ i // HEADS }}u) * p.n_heads + first_head + {{ i % HEADS }}u;
        store_y(row * HEAD4 + 2u * (l + {{ 8 * c }}u) + (lane >> 3u), sum / total);
        //% endif
    }
    //% endfor
    //% endfor
}
