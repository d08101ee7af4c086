//! Numbers in blocks: halves in and out, rounding, and the search for a better step.

use half::f16;

/// The half at byte `at`.
pub fn half_at(b: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([b[at], b[at + 1]]).to_f32()
}

/// Appends `value` as f16 and returns what was stored: quotients are taken by that.
pub fn put_half(bytes: &mut Vec<u8>, value: f32) -> f32 {
    let stored = f16::from_f32(value);
    bytes.extend(stored.to_le_bytes());
    stored.to_f32()
}

/// The nearest integer within bounds; 0 for the 0/0 of an all-zero block.
pub fn nearest(x: f32, min: i32, max: i32) -> i32 {
    (x.round() as i32).clamp(min, max)
}

/// The weight of the largest magnitude, with its sign.
pub fn largest(weights: &[f32]) -> f32 {
    weights.iter().fold(0.0, |most: f32, w| if w.abs() > most.abs() { *w } else { most })
}

/// The smallest and the largest weight.
pub fn bounds(weights: &[f32]) -> (f32, f32) {
    weights
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), w| (low.min(*w), high.max(*w)))
}

/// Step and minimum >= 0 of each group of levels from 0 to `top`, which reach from the smallest to
/// the largest weight: the minimum is subtracted.
pub fn steps_and_mins<const GROUPS: usize>(block: &[f32], top: f32) -> [(f32, f32); GROUPS] {
    let mut found = [(0.0, 0.0); GROUPS];
    for (found, group) in found.iter_mut().zip(block.chunks_exact(block.len() / GROUPS)) {
        let (low, high) = bounds(group);
        let min = (-low).max(0.0);
        *found = ((high + min).max(0.0) / top, min);
    }
    found
}

/// Searches for the step d of weights `d * q` with q from -half to half - 1: a few candidates
/// around the plain choice are rounded with, each gets the least-squares step of its levels, and
/// the one with the smallest squared error is taken, as llama.cpp does for its K types. There
/// larger weights count more; for these types that was measured to be worse.
pub fn search_step(block: &[f32], half: i32) -> f32 {
    let extreme = largest(block);
    if extreme == 0.0 {
        return 0.0;
    }
    let (mut step, mut most) = (extreme / -half as f32, 0.0);
    for candidate in -9..=9 {
        let inverse = -(half as f32 + 0.1 * candidate as f32) / extreme;
        let (mut xq, mut qq) = (0.0, 0.0);
        for &x in block {
            let q = nearest(x * inverse, -half, half - 1) as f32;
            xq += x * q;
            qq += q * q;
        }
        // With the step xq / qq the error is Σ x² - xq² / qq.
        if qq > 0.0 && xq * xq > most * qq {
            (step, most) = (xq / qq, xq * xq / qq);
        }
    }
    step
}

/// Searches for the step d and the minimum m >= 0 of weights `d * q - m` with q from 0 to `top`, as
/// [`search_step`] does, but larger weights count more.
pub fn search_step_and_min(group: &[f32], top: i32) -> (f32, f32) {
    let (low, high) = bounds(group);
    let low = low.min(0.0);
    if high <= low {
        return (0.0, -low);
    }
    let mean_square = group.iter().map(|x| x * x).sum::<f32>() / group.len() as f32;
    let weights = group.iter().map(|x| mean_square.sqrt() + x.abs());
    let (mut best, mut least) = (((high - low) / top as f32, -low), f32::INFINITY);
    for candidate in -10..=10 {
        let inverse = (top as f32 + 0.1 * candidate as f32) / (high - low);
        let level = |x: f32| nearest((x - low) * inverse, 0, top) as f32;
        let (mut w_, mut wx, mut wq, mut wxq, mut wqq) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (&x, w) in group.iter().zip(weights.clone()) {
            let q = level(x);
            w_ += w;
            wx += w * x;
            wq += w * q;
            wxq += w * x * q;
            wqq += w * q * q;
        }
        let determinant = w_ * wqq - wq * wq;
        if determinant <= 0.0 || wqq <= 0.0 {
            continue;
        }
        let (mut step, mut offset) =
            ((w_ * wxq - wx * wq) / determinant, (wqq * wx - wq * wxq) / determinant);
        if offset > 0.0 {
            (step, offset) = (wxq / wqq, 0.0);
        }
        let error = |(x, w): (&f32, f32)| w * (step * level(*x) + offset - x).powi(2);
        let error: f32 = group.iter().zip(weights.clone()).map(error).sum();
        if error < least && step > 0.0 {
            (best, least) = ((step, -offset), error);
        }
    }
    best
}
