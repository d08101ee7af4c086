// The task of a workgroup in a product of single tokens. Without `routes` it is token 0 and all
// rows. With them, workgroup y computes token y of the product. That token reads row y / p.share of
// x and the rows of its expert: p.rows4 slots, because experts are whole tiles.
struct Task {
    token: u32,
    x: u32, // first texel of the token's activations
    slot: u32, // first slot of the token's rows
    here: bool, // whether this part of the matrix has the token's expert
}

fn task_of(y: u32) -> Task {
    //% if has_routes
    let expert = u32(load_routes(y).x) - p.first_expert;
    return Task(y, y / p.share * p.blocks * 8u, expert * p.rows4, expert < p.experts);
    //% else
    return Task(0u, p.first_token * p.blocks * 8u, 0u, true);
    //% endif
}
