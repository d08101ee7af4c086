// dq = scale Σ w (dy · v - delta) k (+ base), as in causal_query_backward.wgsl, for GPUs: keys and
// values are staged in workgroup memory, TILE rows at a time.
//
// Workgroup memory: 32 * TILE * HEAD4 bytes.
//
// Grid: x over LANES queries, y over heads, z over sequences.
// Lane: owns a query of the workgroup's head and sequence.
// Reads: HEAD4 neighbouring lanes read 16 * HEAD4 contiguous bytes of a row's key and of its value,
// each row once for all of the workgroup's queries. A lane's own q, y, dy and dq are contiguous,
// and each texel is touched once.
//% include "causal"

const LANES: u32 = {{ LANES }}u;
const TILE: u32 = {{ TILE }}u;
var<workgroup> keys: array<vec4<f32>, TILE * HEAD4>;
var<workgroup> values: array<vec4<f32>, TILE * HEAD4>;

fn causal_query_backward_workgroup(workgroup: vec3<u32>, lane: u32) {
    let first = workgroup.x * LANES;
    // Surplus lanes repeat the last query and store nothing.
    let query = min(first + lane, p.queries - 1u);
    let row = (workgroup.z * p.queries + query) * p.n_heads + workgroup.y;
    let own = row * HEAD4;
    let hidden = p.tokens - p.queries; // places before the first query
    let end = hidden + min(first + LANES, p.queries);
    let level = load_stats(row).x;
    var parts = vec4<f32>();
    //% for d in range(HEAD4)
    let q{{ d }} = load_q(own + {{ d }}u) * p.scale;
    let dy{{ d }} = load_dy(own + {{ d }}u);
    parts = fma(dy{{ d }}, load_y(own + {{ d }}u), parts);
    var sum{{ d }} = vec4<f32>();
    //% endfor
    let delta = dot(parts, vec4<f32>(1.0));
    for (var start = 0u; start < end; start += TILE) {
        for (var task = lane; task < TILE * HEAD4; task += LANES) {
            let t = workgroup.z * p.tokens + min(start + task / HEAD4, p.tokens - 1u);
            let at = key_at(t, workgroup.y / p.group) + task % HEAD4;
            keys[task] = load_kv(at);
            values[task] = load_kv(at + p.keys4);
        }
        workgroupBarrier();
        let seen = clamp(hidden + query + 1u, start, start + TILE) - start;
        for (var i = 0u; i < seen; i++) {
            var products = vec4<f32>();
            var slopes = vec4<f32>();
            //% for d in range(HEAD4)
            products = fma(q{{ d }}, keys[i * HEAD4 + {{ d }}u], products);
            slopes = fma(dy{{ d }}, values[i * HEAD4 + {{ d }}u], slopes);
            //% endfor
            let weight = exp(dot(products, vec4<f32>(1.0)) - level);
            let slope = weight * (dot(slopes, vec4<f32>(1.0)) - delta);
            //% for d in range(HEAD4)
            sum{{ d }} = fma(vec4<f32>(slope), keys[i * HEAD4 + {{ d }}u], sum{{ d }});
            //% endfor
        }
        workgroupBarrier();
    }
    if first + lane < p.queries {
        store_delta(row, vec4<f32>(delta, 0.0, 0.0, 0.0));
        //% for d in range(HEAD4)
        store_dq(own + {{ d }}u, fma(sum{{ d }}, vec4<f32>(p.scale), load_base(own + {{ d }}u)));
        //% endfor
    }
}
