// The same as attention.wgsl with nothing shared: a lane owns one query of one head and walks over the cache alone.
// Needs no subgroups and no workgroup memory; neighbouring lanes are neighbouring heads of a token, which read the
// same or neighbouring rows of the cache.
//
// Grid: one workgroup of 32 lanes for each 32 of tokens * heads.

@compute @workgroup_size(32)
fn attention_query_per_lane(@builtin(global_invocation_id) global: vec3<u32>) {
    if global.x >= p.tokens * p.heads {
        return;
    }
    let head = global.x % p.heads;
    let key_head = head / p.group;
    let key4 = p.heads / p.group * p.head4;
    let last = load_step(0u).x + global.x / p.heads;
    let own = global.x * p.head4;
    var top = -1e30;
    var total = 0.0;
    var sum: array<vec4<f32>, {{ HEAD4 }}>;

    for (var token = 0u; token <= last; token++) {
        var s = 0.0;
        for (var d = 0u; d < {{ HEAD4 }}u; d++) {
            let key = load_keys((((token >> 3u) * key4) + key_head * p.head4 + d) * 8u + (token & 7u));
            s += dot(key, load_q(own + d));
        }
        s *= p.scale;
        let high = max(top, s);
        let fade = exp(top - high);
        let weight = exp(s - high);
        top = high;
        total = total * fade + weight;
        for (var d = 0u; d < {{ HEAD4 }}u; d++) {
            sum[d] = sum[d] * fade + weight * load_values(token * key4 + key_head * p.head4 + d);
        }
    }
    for (var d = 0u; d < {{ HEAD4 }}u; d++) {
        store_y(own + d, sum[d] / total);
    }
}
