// rows[r] = (loss, ln Σ exp(logits[r]), is the target the likeliest, does the row count), with loss
// = ln Σ exp(logits[r]) - logits[r, target], over p.count columns.
//
// A target beyond them does not count.
//
// Grid: x over rows, 8 a workgroup.
// Lane: owns a row.
// Reads: each line of a cache serves a lane for eight steps, but neighbouring lanes read a row
// apart, which only adapters whose lanes are those of a CPU take well: cross_entropy_shared_row is
// for the others.

fn cross_entropy(invocation: vec3<u32>) {
    let r = invocation.x;
    if r >= p.rows {
        return;
    }
    let first = r * p.width4;
    let target_column = load_targets(r >> 2u)[r & 3u];
    var tops = vec4<f32>(-3e38);
    for (var i = 0u; i < p.width4; i++) {
        let inside = 4u * i + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.count);
        tops = max(tops, select(vec4<f32>(-3e38), load_logits(first + i), inside));
    }
    let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
    var sums = vec4<f32>();
    for (var i = 0u; i < p.width4; i++) {
        let inside = 4u * i + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.count);
        sums += select(vec4<f32>(), exp(load_logits(first + i) - top), inside);
    }
    let level = top + log(dot(sums, vec4<f32>(1.0)));
    if target_column >= p.count {
        store_rows(r, vec4<f32>(0.0, level, 0.0, 0.0));
        return;
    }
    let logit = load_logits(first + (target_column >> 2u))[target_column & 3u];
    store_rows(r, vec4<f32>(level - logit, level, select(0.0, 1.0, logit == top), 1.0));
}
