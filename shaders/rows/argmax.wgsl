// ids[0] = the index of the largest of p.count logits, the lowest index where several are equal,
// and p.count where none is a number.
//
// step.x grows by p.advance, so that the next decode step can follow without the host.
//
// Grid: one workgroup of 64 lanes.
// Lane: looks at every LANES-th texel; the best of each lane meet in workgroup memory.
// Reads: neighbouring lanes read neighbouring texels, 1024 contiguous bytes at a step.

const LANES: u32 = 64u;
var<workgroup> best_value: array<f32, LANES>;
var<workgroup> best_index: array<u32, LANES>;

fn argmax(lane: u32) {
    var value = -3.4028234663852886e38;
    var index = p.count;
    let texels = (p.count + 3u) >> 2u;
    for (var i = lane; i < texels; i += LANES) {
        let v = load_logits(i);
        for (var c = 0u; c < 4u; c++) {
            if v[c] > value && i * 4u + c < p.count {
                value = v[c];
                index = i * 4u + c;
            }
        }
    }
    best_value[lane] = value;
    best_index[lane] = index;
    workgroupBarrier();
    if lane == 0u {
        for (var other = 1u; other < LANES; other++) {
            let v = best_value[other];
            let i = best_index[other];
            if v > value || (v == value && i < index) {
                value = v;
                index = i;
            }
        }
        store_ids(0u, vec4<u32>(index, 0u, 0u, 0u));
        store_step(0u, vec4<u32>(load_step(0u).x + p.advance, 0u, 0u, 0u));
    }
}
