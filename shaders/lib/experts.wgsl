// What a workgroup of a product of single tokens computes. Without `routes` it is token 0 and all
// rows. With them, workgroup y computes token y of the product, which reads row y / p.share of x,
// and the rows of the expert that the token chose: p.rows4 slots, for experts are whole tiles.
struct Task {
    token: u32,
    x: u32, // first texel of its activations
    slot: u32, // first slot of its rows
    here: bool, // whether this part of the matrix has its expert
}

fn task_of(y: u32) -> Task {
    //% if has_routes
    let expert = u32(load_routes(y).x) - p.first_expert;
    return Task(y, y / p.share * p.blocks * 8u, expert * p.rows4, expert < p.experts);
    //% else
    return Task(0u, p.first_token * p.blocks * 8u, 0u, true);
    //% endif
}
