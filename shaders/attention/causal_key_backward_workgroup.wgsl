// dk = scale Σ w (dy · v - delta) q, dv = Σ w dy (+ base), as in causal_key_backward.wgsl, for
// GPUs: the queries that may see a place, and the gradients of what these attended to, are staged
// in workgroup memory, TILE queries of one head at a time.
//
// Queries before a place are skipped by its lane; the barriers are reached by all lanes.
//
// Workgroup memory: TILE * (32 * HEAD4 + 8) bytes.
//
// Grid: x over LANES places, y over KV heads, z over sequences.
// Lane: owns a place of the workgroup's sequence and KV head.
// Reads:
//   q, dy   HEAD4 neighbouring lanes read the texels of a head of a query, 16 * HEAD4 contiguous
//           bytes of each: once for all of the workgroup's places.
//   stats, delta  a lane reads those of one query.
//   tiles   neighbouring lanes write neighbouring texels; all lanes read one address, which is one
//           load for all of them.
//   kv, dkv  a lane's own, contiguous, each texel once.
//% include "causal"

const LANES: u32 = {{ LANES }}u;
const TILE: u32 = {{ TILE }}u;
var<workgroup> queries: array<vec4<f32>, TILE * HEAD4>;
var<workgroup> gradients: array<vec4<f32>, TILE * HEAD4>;
var<workgroup> levels: array<vec2<f32>, TILE>; // stats and delta

fn causal_key_backward_workgroup(workgroup: vec3<u32>, lane: u32) {
    let first = workgroup.x * LANES;
    // Surplus lanes repeat the last place and store nothing.
    let place = min(first + lane, p.tokens - 1u);
    let own = key_at(workgroup.z * p.tokens + place, workgroup.y);
    let hidden = p.tokens - p.queries; // places before the first query
    let sees = max(place, hidden) - hidden; // the first query that sees the place
    //% for d in range(HEAD4)
    let k{{ d }} = load_kv(own + {{ d }}u) * p.scale;
    let v{{ d }} = load_kv(own + p.keys4 + {{ d }}u);
    var dk{{ d }} = vec4<f32>();
    var dv{{ d }} = vec4<f32>();
    //% endfor
    for (var start = max(first, hidden) - hidden; start < p.queries; start += TILE) {
        for (var h = workgroup.y * p.group; h < (workgroup.y + 1u) * p.group; h++) {
            for (var task = lane; task < TILE * HEAD4; task += LANES) {
                let query = workgroup.z * p.queries + min(start + task / HEAD4, p.queries - 1u);
                let at = (query * p.n_heads + h) * HEAD4 + task % HEAD4;
                queries[task] = load_q(at);
                gradients[task] = load_dy(at);
            }
            if lane < TILE {
                let query = workgroup.z * p.queries + min(start + lane, p.queries - 1u);
                let at = query * p.n_heads + h;
                levels[lane] = vec2<f32>(load_stats(at).x, load_delta(at).x);
            }
            workgroupBarrier();
            let count = min(TILE, p.queries - start);
            for (var i = max(sees, start) - start; i < count; i++) {
                var products = vec4<f32>();
                var slopes = vec4<f32>();
                //% for d in range(HEAD4)
                products = fma(queries[i * HEAD4 + {{ d }}u], k{{ d }}, products);
                slopes = fma(gradients[i * HEAD4 + {{ d }}u], v{{ d }}, slopes);
                //% endfor
                let weight = exp(dot(products, vec4<f32>(1.0)) - levels[i].x);
                let slope = weight * (dot(slopes, vec4<f32>(1.0)) - levels[i].y);
                //% for d in range(HEAD4)
                dk{{ d }} = fma(vec4<f32>(slope), queries[i * HEAD4 + {{ d }}u], dk{{ d }});
                dv{{ d }} = fma(vec4<f32>(weight), gradients[i * HEAD4 + {{ d }}u], dv{{ d }});
                //% endfor
            }
            workgroupBarrier();
        }
    }
    if first + lane < p.tokens {
        //% for d in range(HEAD4)
        store_dkv(own + {{ d }}u, fma(dk{{ d }}, vec4<f32>(p.scale), load_base(own + {{ d }}u)));
        store_dkv(own + p.keys4 + {{ d }}u, dv{{ d }} + load_base(own + p.keys4 + {{ d }}u));
        //% endfor
    }
}
