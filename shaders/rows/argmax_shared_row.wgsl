// ids[0] = the index of the largest logit, as in argmax.wgsl, for GPUs.
//
// Grid: one workgroup of LANES lanes.
//% include "row"

const LOWEST: f32 = -3.4028234663852886e38;

fn argmax_shared_row(own: Lane) {
    let lane = own.lane;
    let texels = (p.count + 3u) >> 2u;
    // What stands for no token, or is no number, is never larger.
    var value = LOWEST;
    var index = p.count;
    for (var i = lane; i < texels; i += LANES) {
        let v = load_logits(i);
        for (var c = 0u; c < 4u; c++) {
            if v[c] > value && i * 4u + c < p.count {
                value = v[c];
                index = i * 4u + c;
            }
        }
    }
    let largest = row_max(value, own);
    let best = row_min(select(p.count, index, value == largest), own);
    if lane == 0u {
        store_ids(0u, vec4<u32>(best, 0u, 0u, 0u));
        store_step(0u, vec4<u32>(load_step(0u).x + p.advance, 0u, 0u, 0u));
    }
}
