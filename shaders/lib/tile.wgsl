// The tokens in a tile of a product, and the rows that they are multiplied with: the next TOKENS
// tokens and all rows. With GROUPED, where `group_choices` has sorted tokens by their expert, these
// are TOKENS tokens of a group and the rows of its expert.
struct Tile {
    first: u32, // index of the first token
    // Number of tokens, at most {{ TOKENS }}; with GROUPED 0 if the group has no more, or its
    // expert is in another part.
    count: u32,
    slot: u32, // first slot of the rows
}

fn tile_of(y: u32) -> Tile {
    //% if GROUPED
    let group = load_groups(y / {{ GROUP // TOKENS }}u);
    let before = y % {{ GROUP // TOKENS }}u * {{ TOKENS }}u;
    let expert = u32(group.x) - p.first_expert;
    let choices = select(0u, u32(group.z), expert < p.experts);
    let count = min(max(choices, before) - before, {{ TOKENS }}u);
    return Tile(p.tiles + u32(group.y) + before, count, expert * p.rows4);
    //% else
    let first = y * {{ TOKENS }}u;
    return Tile(first, min(p.tokens - first, {{ TOKENS }}u), 0u);
    //% endif
}

// Token number i of the tile; numbers past the end repeat the last token.
fn token_of(tile: Tile, i: u32) -> u32 {
    let place = tile.first + min(i, tile.count - 1u);
    //% if GROUPED
    return u32(load_groups(place).x);
    //% else
    return place;
    //% endif
}

// The first texel of a token's activations.
fn activations_of(token: u32) -> u32 {
    //% if GROUPED
    return token / p.share * p.blocks * 8u;
    //% else
    return (p.first_token + token) * p.blocks * 8u;
    //% endif
}
