// Queries, keys and values of tokens from one tensor: the heads of queries and keys are normalised where they have gains
// (Henry et al. 2020, arXiv:2010.04245, with RMSNorm), then rotated by their position as in finish_rope_cache; keys and
// values go to the cache as halves.
//
// A workgroup owns a head of a token, a lane eight numbers of it. Grid: x over heads of queries, keys and values; y over
// tokens. LANES = D / 8, at least 8, a power of two.
//% include "cache"

const LANES: u32 = {{ LANES }}u;
var<workgroup> sums: array<f32, LANES>;

fn rotate(v: vec4<f32>, turn: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(
        v.x * turn.x - v.y * turn.y,
        v.x * turn.y + v.y * turn.x,
        v.z * turn.z - v.w * turn.w,
        v.z * turn.w + v.w * turn.z,
    );
}

@compute @workgroup_size(LANES)
fn rotate_heads(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let h = workgroup.x;
    let t = workgroup.y;
    let position = load_step(0u).x + t;
    let inside = lane * 2u < p.head4;
    let part = min(lane * 2u, p.head4 - 2u);
    let from_x = t * p.width4 + h * p.head4 + part;
    var lo = load_x(from_x);
    var hi = load_x(from_x + 1u);
    sums[lane] = select(0.0, dot(lo, lo) + dot(hi, hi), inside);
    workgroupBarrier();
    if !inside {
        return;
    }
    if h >= p.heads + p.key_heads {
        let v = h - p.heads - p.key_heads;
        store_values(value_texel(position, v, p.key_heads, p.head4 >> 1u, part >> 1u), pack_halves(lo, hi));
        return;
    }
    //% if has_q_gain
    var squares = 0.0;
    for (var other = 0u; other < LANES; other++) {
        squares += sums[other];
    }
    let scale = inverseSqrt(squares / (4.0 * f32(p.head4)) + p.eps);
    if h < p.heads {
        lo *= scale * load_q_gain(part);
        hi *= scale * load_q_gain(part + 1u);
    } else {
        lo *= scale * load_k_gain(part);
        hi *= scale * load_k_gain(part + 1u);
    }
    //% endif
    let turn = position * p.head4 + part;
    lo = rotate(lo, load_rope(turn));
    hi = rotate(hi, load_rope(turn + 1u));
    if h < p.heads {
        let at = (t * p.heads + h) * p.head4 + part;
        store_q(at, lo);
        store_q(at + 1u, hi);
    } else {
        let at = key_texel(position, h - p.heads, p.key_heads, p.head4 >> 1u, part >> 1u);
        store_keys(at, pack_halves(lo, hi));
    }
}
