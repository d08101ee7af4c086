// y[n, h] = softmax(scale q[n, h] · keys) · values over the places up to the query's own, with the
// softmax computed as the keys come by.
//
// stats[n, h] keeps the logarithm of the sum of exponentials, for the gradient.
//
// Grid: x over queries * heads, 32 a workgroup.
// Lane: owns a query of a head.
// Reads: neighbouring lanes are neighbouring heads of a query: those of one KV head read the same
// texel of kv at once, and the others neighbouring heads of the same row. A lane's own q and y are
// contiguous, and each texel of them is touched once.
//% include "causal"

fn causal_attention(invocation: vec3<u32>) {
    if invocation.x >= p.rows * p.n_heads {
        return;
    }
    let n = invocation.x / p.n_heads;
    let head = invocation.x % p.n_heads / p.group;
    let first = n / p.queries * p.tokens;
    let last = first + p.tokens - p.queries + n % p.queries;
    let own = invocation.x * HEAD4;
    var top = -1e30;
    var total = 0.0;
    //% for d in range(HEAD4)
    let q{{ d }} = load_q(own + {{ d }}u) * p.scale;
    var sum{{ d }} = vec4<f32>();
    //% endfor
    for (var t = first; t <= last; t++) {
        let key = key_at(t, head);
        var products = vec4<f32>();
        //% for d in range(HEAD4)
        products = fma(q{{ d }}, load_kv(key + {{ d }}u), products);
        //% endfor
        let s = dot(products, vec4<f32>(1.0));
        let high = max(top, s);
        let fade = exp(top - high);
        let weight = exp(s - high);
        top = high;
        total = fma(total, fade, weight);
        //% for d in range(HEAD4)
        sum{{ d }} = fma(sum{{ d }}, vec4<f32>(fade), weight * load_kv(key + p.keys4 + {{ d }}u));
        //% endfor
    }
    //% for d in range(HEAD4)
    store_y(own + {{ d }}u, sum{{ d }} / total);
    //% endfor
    store_stats(invocation.x, vec4<f32>(top + log(total), 0.0, 0.0, 0.0));
}
