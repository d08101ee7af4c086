// y[t] = residual[t] + Σ share[k] x[t * chosen + k] over the k of its experts, the shares being
// those in `routes`.
//
// Reads: of each expert's row neighbouring lanes read neighbouring texels; the share is one address
// for all.
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
