// Rows of the product are the query, key and value of token t. Queries and keys are rotated by the token's position
// (Su et al. 2021, arXiv:2104.09864), neighbouring numbers forming a pair; the table holds cos, sin, cos, sin for
// two pairs a texel. Keys and values go to the cache:
//   keys   [context / 8, K, D / 4, 8 tokens]  so that lanes with neighbouring tokens read neighbouring texels
//   values [context, K, D / 4]                so that lanes with neighbouring parts of the head do
fn finish(t: u32, matrix_r4: u32, v: vec4<f32>, unused: vec4<f32>) {
    let r4 = matrix_r4 + p.first4;
    let position = load_step(0u).x + t;
    if r4 >= p.query4 + p.key4 {
        store_values(position * p.key4 + r4 - p.query4 - p.key4, v);
        return;
    }
    let turn = load_rope(position * p.head4 + r4 % p.head4);
    let rotated = vec4<f32>(
        v.x * turn.x - v.y * turn.y,
        v.x * turn.y + v.y * turn.x,
        v.z * turn.z - v.w * turn.w,
        v.z * turn.w + v.w * turn.z,
    );
    if r4 < p.query4 {
        store_q(t * p.query4 + r4, rotated);
    } else {
        store_keys(((position >> 3u) * p.key4 + r4 - p.query4) * 8u + (position & 7u), rotated);
    }
}
