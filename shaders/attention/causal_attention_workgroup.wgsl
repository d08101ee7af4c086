// y[n, h] = softmax(scale q[n, h] · keys) · values, as in causal_attention.wgsl, for GPUs: keys and
// values are staged in workgroup memory, TILE rows at a time.
//
// Rows that a query may not see are skipped by its lane; the barriers are reached by all lanes.
//
// Workgroup memory: 32 * TILE * HEAD4 bytes.
//
// Grid: x over LANES queries, y over heads, z over sequences.
// Lane: owns a query of the workgroup's head and sequence.
// Reads:
//   kv     HEAD4 neighbouring lanes read the texels of a head of a row, 16 * HEAD4 contiguous bytes
//          of its key and as many of its value: each row once for all of the workgroup's queries.
//   tiles  neighbouring lanes write neighbouring texels; all lanes read one address, which is one
//          load for all of them.
//   q, y   a lane's own, contiguous, each texel once.
//% include "causal"

const LANES: u32 = {{ LANES }}u;
const TILE: u32 = {{ TILE }}u;
var<workgroup> keys: array<vec4<f32>, TILE * HEAD4>;
var<workgroup> values: array<vec4<f32>, TILE * HEAD4>;

fn causal_attention_workgroup(workgroup: vec3<u32>, lane: u32) {
    let first = workgroup.x * LANES;
    // Surplus lanes repeat the last query and store nothing.
    let query = min(first + lane, p.queries - 1u);
    let row = (workgroup.z * p.queries + query) * p.n_heads + workgroup.y;
    let own = row * HEAD4;
    let hidden = p.tokens - p.queries; // places before the first query
    let end = hidden + min(first + LANES, p.queries);
    var top = -1e30;
    var total = 0.0;
    //% for d in range(HEAD4)
    let q{{ d }} = load_q(own + {{ d }}u) * p.scale;
    var sum{{ d }} = vec4<f32>();
    //% endfor
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
            //% for d in range(HEAD4)
            products = fma(q{{ d }}, keys[i * HEAD4 + {{ d }}u], products);
            //% endfor
            let s = dot(products, vec4<f32>(1.0));
            let high = max(top, s);
            let fade = exp(top - high);
            let weight = exp(s - high);
            top = high;
            total = fma(total, fade, weight);
            //% for d in range(HEAD4)
            sum{{ d }} = fma(sum{{ d }}, vec4<f32>(fade), weight * values[i * HEAD4 + {{ d }}u]);
            //% endfor
        }
        workgroupBarrier();
    }
    if first + lane < p.queries {
        //% for d in range(HEAD4)
        store_y(own + {{ d }}u, sum{{ d }} / total);
        //% endfor
        store_stats(row, vec4<f32>(top + log(total), 0.0, 0.0, 0.0));
    }
}
