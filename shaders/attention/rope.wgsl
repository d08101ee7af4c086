// y[t] = x[t] with each pair of neighbouring numbers of its first p.rotated4 texels turned by the
// angle of position t (+ base): rotary positions (Su et al. 2021, arXiv:2104.09864).
//
// With p.sign = -1 the pairs are turned back, which is the gradient. The table has cos, sin, cos,
// sin for two pairs a texel.
//% include "pointwise"

fn texel(i: u32) {
    let column = i % p.width4;
    var v = load_x(i);
    if column < p.rotated4 {
        let position = p.first + i / p.width4 % p.period;
        let angles = load_angles(position * p.head4 + column % p.head4);
        let turn = angles * vec4<f32>(1.0, p.sign, 1.0, p.sign);
        v = vec4<f32>(
            v.x * turn.x - v.y * turn.y,
            v.x * turn.y + v.y * turn.x,
            v.z * turn.z - v.w * turn.w,
            v.z * turn.w + v.w * turn.z,
        );
    }
    store_y(i, v + load_base(i));
}
