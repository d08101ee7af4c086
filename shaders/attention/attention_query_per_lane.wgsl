// y[t, h] = softmax(q[t, h] · keys / sqrt(D)) · values, as in attention.wgsl, with nothing shared:
// needs no subgroups and no workgroup memory.
//
// Grid: x over tokens * heads, 32 a workgroup; z over PIECES of a token's cache.
// Lane: owns one query of one head and walks over the cache alone.
// Reads: neighbouring lanes are neighbouring heads of a token, which read the same or neighbouring
// parts of the cache.
//% include "cache_read"

fn attention_query_per_lane(invocation: vec3<u32>, workgroup: vec3<u32>) {
    if invocation.x >= p.tokens * p.n_heads {
        return;
    }
    let kv_head = invocation.x % p.n_heads / p.group;
    let last = load_step(0u).x + invocation.x / p.n_heads;
    let own = invocation.x * HEAD4;
    var top = -1e30;
    var total = 0.0;
    var lo: array<vec4<f32>, HEAD8>;
    var hi: array<vec4<f32>, HEAD8>;

    //% if WINDOW
    let seen = max(last + 1u, p.window) - p.window;
    //% else
    let seen = 0u;
    //% endif
    //% if PIECES
    let begin = (seen >> 5u) << 2u;
    let step = ((((last >> 3u) + 1u - begin) + {{ PIECES - 1 }}u) / {{ PIECES }}u + 3u) & ~3u;
    let start = max(seen, (begin + workgroup.z * step) * 8u);
    let end = min(last + 1u, (begin + (workgroup.z + 1u) * step) * 8u);
    //% else
    let start = seen;
    let end = last + 1u;
    //% endif
    for (var token = start; token < end; token++) {
        var s = 0.0;
        let key_at = key_row(token, kv_head);
        let key_scales = scales_of_key(key_at);
        let value_at = value_row(token, kv_head);
        let value_scales = scales_of_value(value_at);
        for (var d = 0u; d < HEAD8; d++) {
            let key = key_eight(key_at, d, key_scales);
            s = product8(key, load_q(own + 2u * d), load_q(own + 2u * d + 1u), s);
        }
        s *= p.scale;
        //% if CAPPED
        s = p.softcap * tanh(clamp(s / p.softcap, -10.0, 10.0));
        //% endif
        let high = max(top, s);
        let fade = exp(top - high);
        let weight = exp(s - high);
        top = high;
        total = total * fade + weight;
        for (var d = 0u; d < HEAD8; d++) {
            let value = value_eight(value_at, d, value_scales);
            lo[d] = lo[d] * fade + weight * value.lo;
            hi[d] = hi[d] * fade + weight * value.hi;
        }
    }
    //% if PIECES
    let row = workgroup.z * p.n_heads + invocation.x;
    store_stats(row, vec4<f32>(top, total, 0.0, 0.0));
    for (var d = 0u; d < HEAD8; d++) {
        store_y(row * HEAD4 + 2u * d, lo[d]);
        store_y(row * HEAD4 + 2u * d + 1u, hi[d]);
    }
    //% else
    for (var d = 0u; d < HEAD8; d++) {
        store_y(own + 2u * d, lo[d] / total);
        store_y(own + 2u * d + 1u, hi[d] / total);
    }
    //% endif
}
