// dk = scale Σ w (dy · v - delta) q, dv = Σ w dy (+ base), over the queries that see the place and
// the heads that share its key: the gradient of causal_attention with respect to keys and values.
//
// The weights w are those of causal_query_backward.wgsl, which also gives delta.
//
// Grid: x over rows * KV heads, 32 a workgroup.
// Lane: owns a KV head of a row.
// Reads: neighbouring lanes are neighbouring KV heads of a row, then the next row: those of one KV
// head read the same q and dy at once, and the others neighbouring heads of the same rows, which
// stay in a cache until all texels of a head are read.
//% include "causal"

fn causal_key_backward(invocation: vec3<u32>) {
    let n_kv_heads = p.n_heads / p.group;
    let t = invocation.x / n_kv_heads;
    if t >= p.rows / p.queries * p.tokens {
        return;
    }
    let head = invocation.x % n_kv_heads;
    let own = key_at(t, head);
    let place = t % p.tokens;
    let hidden = p.tokens - p.queries; // places before the first query
    let first_row = t / p.tokens * p.queries;
    //% for d in range(HEAD4)
    let k{{ d }} = load_kv(own + {{ d }}u) * p.scale;
    let v{{ d }} = load_kv(own + p.keys4 + {{ d }}u);
    var dk{{ d }} = vec4<f32>();
    var dv{{ d }} = vec4<f32>();
    //% endfor
    for (var n = max(place, hidden) - hidden; n < p.queries; n++) {
        for (var h = head * p.group; h < (head + 1u) * p.group; h++) {
            let query = (first_row + n) * p.n_heads + h;
            var products = vec4<f32>();
            var slopes = vec4<f32>();
            //% for d in range(HEAD4)
            let q{{ d }} = load_q(query * HEAD4 + {{ d }}u);
            let dy{{ d }} = load_dy(query * HEAD4 + {{ d }}u);
            products = fma(q{{ d }}, k{{ d }}, products);
            slopes = fma(dy{{ d }}, v{{ d }}, slopes);
            //% endfor
            let weight = exp(dot(products, vec4<f32>(1.0)) - load_stats(query).x);
            let slope = weight * (dot(slopes, vec4<f32>(1.0)) - load_delta(query).x);
            //% for d in range(HEAD4)
            dk{{ d }} = fma(vec4<f32>(slope), q{{ d }}, dk{{ d }});
            dv{{ d }} = fma(vec4<f32>(weight), dy{{ d }}, dv{{ d }});
            //% endfor
        }
    }
    //% for d in range(HEAD4)
    store_dkv(own + {{ d }}u, fma(dk{{ d }}, vec4<f32>(p.scale), load_base(own + {{ d }}u)));
    store_dkv(own + p.keys4 + {{ d }}u, dv{{ d }} + load_base(own + p.keys4 + {{ d }}u));
    //% endfor
}
