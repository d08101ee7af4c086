// y[t] = residual[t] + the sum over k of share * x[t * chosen + k]: what a token's experts give, by
// their shares in `routes`. Neighbouring lanes read neighbouring texels of each expert's row, and
// one share. Grid: pointwise.
//% include "pointwise"

fn texel(i: u32) {
    let token = i / p.width4;
    let column = i % p.width4;
    var sum = load_residual(i);
    for (var k = token * p.chosen; k < (token + 1u) * p.chosen; k++) {
        sum += load_routes(k).y * load_x(k * p.x_width4 + column);
    }
    store_y(i, sum);
}
