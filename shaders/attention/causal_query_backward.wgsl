// dq = scale Σ w (dy · v - delta) k (+ base) over the keys, with the weights w = exp(scale q · k -
// stats), which are computed again, and delta = dy · y: the gradient of causal_attention with
// respect to its queries (Dao et al. 2022, arXiv:2205.14135, appendix B).
//
// delta is kept for the gradient of keys and values.
//
// Grid: x over queries * heads, 32 a workgroup.
// Lane: owns a query of a head.
// Reads: neighbouring lanes read the same keys and values, or those of neighbouring heads, as in
// causal_attention.wgsl.
//% include "causal"

fn causal_query_backward(invocation: vec3<u32>) {
    if invocation.x >= p.rows * p.n_heads {
        return;
    }
    let n = invocation.x / p.n_heads;
    let head = invocation.x % p.n_heads / p.group;
    let first = n / p.queries * p.tokens;
    let last = first + p.tokens - p.queries + n % p.queries;
    let own = invocation.x * HEAD4;
    let level = load_stats(invocation.x).x;
    var parts = vec4<f32>();
    //% for d in range(HEAD4)
    let q{{ d }} = load_q(own + {{ d }}u) * p.scale;
    let dy{{ d }} = load_dy(own + {{ d }}u);
    parts = fma(dy{{ d }}, load_y(own + {{ d }}u), parts);
    var sum{{ d }} = vec4<f32>();
    //% endfor
    let delta = dot(parts, vec4<f32>(1.0));
    store_delta(invocation.x, vec4<f32>(delta, 0.0, 0.0, 0.0));
    for (var t = first; t <= last; t++) {
        let key = key_at(t, head);
        var products = vec4<f32>();
        var slopes = vec4<f32>();
        //% for d in range(HEAD4)
        let k{{ d }} = load_kv(key + {{ d }}u);
        products = fma(q{{ d }}, k{{ d }}, products);
        slopes = fma(dy{{ d }}, load_kv(key + p.keys4 + {{ d }}u), slopes);
        //% endfor
        let weight = exp(dot(products, vec4<f32>(1.0)) - level);
        let slope = weight * (dot(slopes, vec4<f32>(1.0)) - delta);
        //% for d in range(HEAD4)
        sum{{ d }} = fma(vec4<f32>(slope), k{{ d }}, sum{{ d }});
        //% endfor
    }
    //% for d in range(HEAD4)
    store_dq(own + {{ d }}u, fma(sum{{ d }}, vec4<f32>(p.scale), load_base(own + {{ d }}u)));
    //% endfor
}
