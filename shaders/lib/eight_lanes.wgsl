// What eight lanes of a subgroup find out about eight tokens together.

// Of two numbers a lane has for tokens that differ in this bit, the one that is its own, with what
// its neighbour has of it.
fn meet(lane: u32, bit: u32, a: f32, b: f32) -> f32 {
    let upper = (lane & bit) != 0u;
    return select(a, b, upper) + subgroupShuffleXor(select(b, a, upper), bit);
}

fn highest(own: f32) -> f32 {
    let two = max(own, subgroupShuffleXor(own, 1u));
    let four = max(two, subgroupShuffleXor(two, 2u));
    return max(four, subgroupShuffleXor(four, 4u));
}
