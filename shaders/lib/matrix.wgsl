// The weight operand `w`: a matrix of p.rows4 * 4 rows and p.blocks * 32 columns.
//
// Every texel (16 bytes) holds the same columns of a group of four neighbouring rows, one row in
// each component. Groups are stored in slots: slots 16i + lane and 16i + 8 + lane hold the groups
// 16i + 2 lane and the next, so that each of eight lanes has eight neighbouring rows. A plane is
// [slot / 8][step along the columns][8]: eight lanes read 128 contiguous bytes, step by step
// through contiguous memory, and nothing is shuffled between lanes. A CPU's prefetcher can follow
// such a stream within a page, which it could not if the steps were outermost.
//
// The block of 32 columns b is read as four pairs j of quads:
//   lo: columns 4j .. 4j+3        hi: columns 16+4j .. 16+4j+3
// Each format file gives
//   fetch(b, j, slot)   the texels of a pair; loads that stand together run faster than loads
//                       between arithmetic
//   unpack(raw)         the integer levels of a pair, column c multiplied by 1 / COLUMN_SCALE[c]
//   scales(b, slot)     the step d and offset m of both halves: weight = d * level + m
//   COLUMN_SCALE      see above: masking a byte without shifting it leaves it 256^c too large
//   HAS_SCALES        false where levels are the weights

// The row group that is stored in a slot.
fn group_of(slot: u32) -> u32 {
    return (slot & ~15u) | ((slot & 7u) << 1u) | ((slot >> 3u) & 1u);
}

struct Quads {
    lo: mat4x4<f32>, // [column][row]
    hi: mat4x4<f32>,
}

struct Scales {
    d_lo: vec4<f32>, // one component for each row
    d_hi: vec4<f32>,
    m_lo: vec4<f32>,
    m_hi: vec4<f32>,
}

// The texel of step `step` out of `steps` in the plane that starts at `first`.
fn texel(first: u32, steps: u32, step: u32, slot: u32) -> u32 {
    return first + ((slot >> 3u) * steps + step) * 8u + (slot & 7u);
}

// The slot that holds row group r4.
fn slot_of(r4: u32) -> u32 {
    return (r4 & ~15u) | ((r4 & 1u) << 3u) | ((r4 & 15u) >> 1u);
}

fn quads(b: u32, j: u32, slot: u32) -> Quads {
    return unpack(fetch(b, j, slot));
}

// The weights as numbers, for code where speed does not matter.
fn weights(q: Quads, s: Scales) -> Quads {
    var w = q;
    for (var c = 0u; c < 4u; c++) {
        w.lo[c] = s.d_lo * (q.lo[c] * COLUMN_SCALE[c]) + s.m_lo;
        w.hi[c] = s.d_hi * (q.hi[c] * COLUMN_SCALE[c]) + s.m_hi;
    }
    return w;
}
