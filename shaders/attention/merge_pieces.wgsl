// y[h] = Σ share[k, h] · x[k, h] / Σ share[k, h] · total[k, h], with share = exp(top[k, h] - the
// highest top): one token's attention from pieces of the cache, each with a softmax of its own (Dao
// et al. 2023, Flash-Decoding).
//
// Grid: x over texels of y, 8 a workgroup.
// Lane: owns a texel of y.
// Reads: neighbouring lanes read and write neighbouring texels; of the stats, lanes of one head
// read the same.

fn merge_pieces(workgroup: vec3<u32>, lane: u32) {
    let at = workgroup.x * 8u + lane;
    if at < p.texels {
        let head = at / p.head4;
        var high = -1e30;
        for (var k = 0u; k < p.pieces; k++) {
            high = max(high, load_stats(k * p.n_heads + head).x);
        }
        var sum = vec4<f32>();
        var total = 0.0;
        for (var k = 0u; k < p.pieces; k++) {
            let stats = load_stats(k * p.n_heads + head);
            let share = exp(stats.x - high);
            sum = fma(vec4<f32>(share), load_x(k * p.texels + at), sum);
            total = fma(share, stats.y, total);
        }
        store_y(at, sum / total);
    }
}
