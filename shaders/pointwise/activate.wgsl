// y = f(x), f being ReLU or the tanh form of GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415).
//% include "pointwise"
//% include "activation"

fn texel(i: u32) {
    store_y(i, activation(load_x(i)));
}
