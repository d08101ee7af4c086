// q, k = rope(norm(x) gain), v = x, for the heads of x[t]: queries and keys are normalised where
// they have gains (Henry et al. 2020, arXiv:2010.04245, with RMSNorm), then turned by their
// position as in finish_rope_cache.wgsl; keys and values go to the cache.
//
// In a cache of bytes, four lanes share a scale, and two a texel of levels: the largest numbers of
// all lanes, then their levels, meet in workgroup memory.
//
// Grid: x over heads of queries, keys and values; y over tokens.
// Lane: owns eight numbers of the workgroup's head. LANES = D / 8, at least 8, a power of two.
// Reads: neighbouring lanes read neighbouring pairs of texels, so that a head is contiguous.
//% if CACHE == "q8_0"
//% include "cache"
//% else
//% include "cache_write"
//% endif

const LANES: u32 = {{ LANES }}u;
var<workgroup> sums: array<f32, LANES>;
//% if CACHE == "q8_0"
var<workgroup> largest: array<f32, LANES>;
var<workgroup> levels: array<vec2<u32>, LANES>;

// 127 times the largest half: what a scale cannot reach is kept as large as one can.
const MOST: f32 = 8319008.0;

// The largest of 32 numbers.
fn largest_of(block: u32) -> f32 {
    let first = 4u * block;
    let two = max(largest[first], largest[first + 1u]);
    let other_two = max(largest[first + 2u], largest[first + 3u]);
    return min(max(two, other_two), MOST);
}

// Two scales as halves.
fn two_scales(pair: u32) -> u32 {
    if 8u * pair + 4u >= LANES {
        return 0u;
    }
    return pack2x16float(vec2<f32>(largest_of(2u * pair), largest_of(2u * pair + 1u)) / 127.0);
}

fn four_bytes(v: vec4<f32>) -> u32 {
    let within = clamp(v, vec4<f32>(-127.0), vec4<f32>(127.0));
    let level = bitcast<vec4<u32>>(vec4<i32>(round(within))) & vec4<u32>(0xffu);
    return level.x | (level.y << 8u) | (level.z << 16u) | (level.w << 24u);
}
//% endif

fn rotate(v: vec4<f32>, turn: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(
        v.x * turn.x - v.y * turn.y,
        v.x * turn.y + v.y * turn.x,
        v.z * turn.z - v.w * turn.w,
        v.z * turn.w + v.w * turn.z,
    );
}

fn qk_norm_rope(workgroup: vec3<u32>, lane: u32) {
    let h = workgroup.x;
    let t = workgroup.y;
    let position = load_step(0u).x + t;
    let inside = lane < HEAD8;
    // Lanes beyond the head's end repeat its last eight.
    let part = min(lane, HEAD8 - 1u) * 2u;
    let from_x = t * p.width4 + h * HEAD4 + part;
    var lo = load_x(from_x);
    var hi = load_x(from_x + 1u);
    let is_value = h >= p.n_heads + p.n_kv_heads;
    //% if has_q_gain
    sums[lane] = select(0.0, dot(lo, lo) + dot(hi, hi), inside);
    workgroupBarrier();
    //% endif
    if !is_value {
        //% if has_q_gain
        var squares = 0.0;
        for (var other = 0u; other < LANES; other++) {
            squares += sums[other];
        }
        let scale = inverseSqrt(squares / (4.0 * f32(HEAD4)) + p.eps);
        if h < p.n_heads {
            lo *= scale * load_q_gain(part);
            hi *= scale * load_q_gain(part + 1u);
        } else {
            lo *= scale * load_k_gain(part);
            hi *= scale * load_k_gain(part + 1u);
        }
        //% endif
        let turn = position * HEAD4 + part;
        lo = rotate(lo, load_rope(turn));
        hi = rotate(hi, load_rope(turn + 1u));
    }
    if h < p.n_heads {
        if inside {
            let at = (t * p.n_heads + h) * HEAD4 + part;
            store_q(at, lo);
            store_q(at + 1u, hi);
        }
        return;
    }
    let head = (h - p.n_heads) % p.n_kv_heads;
    //% if CACHE == "q8_0"
    let most = max(abs(lo), abs(hi));
    largest[lane] = select(0.0, max(max(most.x, most.y), max(most.z, most.w)), inside);
    workgroupBarrier();
    let block_most = largest_of(lane >> 2u);
    let inverse = select(127.0 / block_most, 0.0, block_most == 0.0 || !inside);
    levels[lane] = vec2<u32>(four_bytes(lo * inverse), four_bytes(hi * inverse));
    workgroupBarrier();
    // Even lanes store their levels with the next lane's, and the first one stores the scales.
    let both = vec4<u32>(levels[lane], levels[min(lane + 1u, LANES - 1u)]);
    let scales = vec4<u32>(two_scales(0u), two_scales(1u), two_scales(2u), two_scales(3u));
    let texel = 1u + (lane >> 1u);
    let stores = inside && (lane & 1u) == 0u;
    if is_value {
        let row = value_row(position, head);
        if stores {
            store_values(row + texel, both);
        }
        if lane == 0u {
            store_values(row, scales);
        }
    } else {
        let row = key_row(position, head);
        if stores {
            store_keys(row + texel * KEY_STEP, both);
        }
        if lane == 0u {
            store_keys(row, scales);
        }
    }
    //% else
    if !inside {
        return;
    }
    if is_value {
        keep_value(position, head, part >> 1u, lo, hi);
    } else {
        keep_key(position, head, part >> 1u, lo, hi);
    }
    //% endif
}
