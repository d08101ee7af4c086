// y[t, h] = softmax(q[t, h] · keys / sqrt(D)) · values over the tokens the query may see (Vaswani et al. 2017,
// arXiv:1706.03762), with the softmax computed as the keys come by (Milakov and Gimelshein 2018, arXiv:1805.02867).
//
// Eight lanes share QUERIES queries of one head and walk over the cache eight tokens at a time. For the scores a lane
// owns one of the eight tokens, so that lanes read neighbouring texels of the keys; for the sum a lane owns parts
// lane, lane + 8, … of the head, so that lanes read neighbouring texels of the values. The lanes share queries and
// probabilities through the subgroup.
//
// Grid: x over heads, y over QUERIES tokens. PARTS = head4 / 8, rounded up.

@compute @workgroup_size(8)
fn attention(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let head = workgroup.x;
    let key_head = head / p.group;
    let first = workgroup.y * {{ QUERIES }}u;
    let query4 = p.heads * p.head4;
    let key4 = p.heads / p.group * p.head4;
    let position = load_step(0u).x;
    // Lane i holds query first + i; surplus lanes repeat the last one.
    let own_query = min(first + min(lane, {{ QUERIES - 1 }}u), p.tokens - 1u);
    let own_q = own_query * query4 + head * p.head4;
    //% for i in range(QUERIES)
    let last{{ i }} = position + min(first + {{ i }}u, p.tokens - 1u);
    var top{{ i }} = -1e30;
    var total{{ i }} = 0.0;
    //% for c in range(PARTS)
    var sum{{ i }}_{{ c }} = vec4<f32>();
    //% endfor
    //% endfor

    for (var block = 0u; block <= last{{ QUERIES - 1 }} >> 3u; block++) {
        //% for i in range(QUERIES)
        var s{{ i }} = 0.0;
        //% endfor
        for (var d = 0u; d < p.head4; d++) {
            let key = load_keys((block * key4 + key_head * p.head4 + d) * 8u + lane);
            let q = load_q(own_q + d);
            //% for i in range(QUERIES)
            s{{ i }} += dot(key, subgroupBroadcast(q, {{ i }}u));
            //% endfor
        }
        let token = block * 8u + lane;
        //% for i in range(QUERIES)
        s{{ i }} = select(-1e30, s{{ i }} * p.scale, token <= last{{ i }});
        let high{{ i }} = max(top{{ i }}, subgroupMax(s{{ i }}));
        let fade{{ i }} = exp(top{{ i }} - high{{ i }});
        top{{ i }} = high{{ i }};
        let weight{{ i }} = exp(s{{ i }} - high{{ i }});
        total{{ i }} = total{{ i }} * fade{{ i }} + subgroupAdd(weight{{ i }});
        //% for c in range(PARTS)
        sum{{ i }}_{{ c }} *= fade{{ i }};
        //% endfor
        //% endfor
        //% for j in range(8)
        {
            let at = ((block * 8u + {{ j }}u) * key4) + key_head * p.head4 + lane;
            //% for c in range(PARTS)
            let value{{ c }} = load_values(at + {{ 8 * c }}u);
            //% endfor
            //% for i in range(QUERIES)
            let w{{ i }} = vec4<f32>(subgroupBroadcast(weight{{ i }}, {{ j }}u));
            //% for c in range(PARTS)
            sum{{ i }}_{{ c }} = fma(w{{ i }}, value{{ c }}, sum{{ i }}_{{ c }});
            //% endfor
            //% endfor
        }
        //% endfor
    }

    //% for i in range(QUERIES)
    if first + {{ i }}u < p.tokens {
        let at = (first + {{ i }}u) * query4 + head * p.head4 + lane;
        //% for c in range(PARTS)
        if lane + {{ 8 * c }}u < p.head4 {
            store_y(at + {{ 8 * c }}u, sum{{ i }}_{{ c }} / total{{ i }});
        }
        //% endfor
    }
    //% endfor
}
