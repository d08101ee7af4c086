// Exchanges sums between eight lanes of a subgroup, for eight tokens.

// A lane has the numbers a and b of two tokens whose indices differ in this bit. Returns the one of
// the lane's own token plus the neighbour's number of that token.
fn meet(lane: u32, bit: u32, a: f32, b: f32) -> f32 {
    let upper = (lane & bit) != 0u;
    return select(a, b, upper) + subgroupShuffleXor(select(b, a, upper), bit);
}

fn highest(own: f32) -> f32 {
    let two = max(own, subgroupShuffleXor(own, 1u));
    let four = max(two, subgroupShuffleXor(two, 2u));
    return max(four, subgroupShuffleXor(four, 4u));
}
