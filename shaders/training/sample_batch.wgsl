// ids[b] = data[start .. start + p.tokens], with start = starts[clock * p.batch + b]; targets[b] =
// the words after the last p.kept of them: the next batch.
//
// The top bit of a word says that it is no target. A start beyond the data gives ids of zero and no
// targets.
//
// Grid: x over texels of ids, then of targets, 32 a workgroup.
// Lane: owns four neighbouring ids or targets.
// Reads: neighbouring lanes read and write neighbouring texels of a sequence.

const NONE: u32 = 0xffffffffu;

// Word `place` of sequence b.
fn word(b: u32, place: u32) -> u32 {
    let at = load_clock(0u).x * p.batch + b;
    let i = load_starts(at >> 2u)[at & 3u];
    if i >= p.words || p.words - i <= place {
        return NONE;
    }
    return load_data((i + place) >> 2u)[(i + place) & 3u];
}

fn sample_batch(invocation: vec3<u32>) {
    var ids = vec4<u32>();
    let texels = (p.batch * p.tokens + 3u) >> 2u;
    if invocation.x < texels {
        for (var c = 0u; c < 4u; c++) {
            let t = 4u * invocation.x + c;
            if t < p.batch * p.tokens {
                let found = word(t / p.tokens, t % p.tokens);
                ids[c] = select(found & 0x7fffffffu, 0u, found == NONE);
            }
        }
        store_ids(invocation.x, ids);
        return;
    }
    let target_texel = invocation.x - texels;
    let target_texels = (p.batch * p.kept + 3u) >> 2u;
    if target_texel < target_texels {
        for (var c = 0u; c < 4u; c++) {
            let t = 4u * target_texel + c;
            ids[c] = NONE;
            if t < p.batch * p.kept {
                let found = word(t / p.kept, p.tokens - p.kept + t % p.kept + 1u);
                ids[c] = select(found, NONE, (found >> 31u) != 0u);
            }
        }
        store_targets(target_texel, ids);
    }
}
