// Rows of the product are the query, key and value of token t. Queries and keys are rotated by the
// token's position (Su et al. 2021, arXiv:2104.09864), where neighbouring numbers form a pair. The
// table holds cos, sin, cos, sin for two pairs in a texel. Keys and values are written to the
// cache.
//% include "cache_write"

fn rotate(v: vec4<f32>, turn: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(
        v.x * turn.x - v.y * turn.y,
        v.x * turn.y + v.y * turn.x,
        v.z * turn.z - v.w * turn.w,
        v.z * turn.w + v.w * turn.z,
    );
}

// Handles eight neighbouring rows starting at group matrix_r4, which is even.
fn finish(t: u32, matrix_r4: u32, product_lo: vec4<f32>, product_hi: vec4<f32>) {
    let r4 = matrix_r4 + p.first4;
    //% if has_bias
    let bias = t * p.bias_width4 + r4;
    let lo = product_lo + load_bias(bias);
    let hi = product_hi + load_bias(bias + 1u);
    //% else
    let lo = product_lo;
    let hi = product_hi;
    //% endif
    let position = load_step(0u).x + t;
    let is_value = r4 >= p.query4 + p.key4;
    let head = (r4 - p.query4 - select(0u, p.key4, is_value)) / HEAD4; // of a key or a value
    let d = (r4 % HEAD4) >> 1u;
    if is_value {
        keep_value(position, head, d, lo, hi);
        return;
    }
    let turn = position * HEAD4 + r4 % HEAD4;
    let rotated_lo = rotate(lo, load_rope(turn));
    let rotated_hi = rotate(hi, load_rope(turn + 1u));
    if r4 < p.query4 {
        store_q(t * p.query4 + r4, rotated_lo);
        store_q(t * p.query4 + r4 + 1u, rotated_hi);
    } else {
        keep_key(position, head, d, rotated_lo, rotated_hi);
    }
}
