//! Kernel calls of training, as `kaiwu grok` has them: 512 equations of four tokens, two layers of
//! width 128, 99 words.

use super::shapes::{Plain, plain};
use crate::Result;
use crate::gpu::{Access, Kernel, Tensor};
use crate::kernels::*;
use crate::workbench::Shape;
use crate::workbench::checks::cases::Table;

/// Equations of a step, tokens of one, all rows, width, inner width, words of the vocabulary (and
/// the texels' worth).
const BATCH: usize = 512;
const TOKENS: usize = 4;
const ROWS: usize = BATCH * TOKENS;
const WIDTH: usize = 128;
const HIDDEN: usize = 512;
const WORDS: usize = 99;
const PADDED: usize = 100;
/// The most numbers that a parameter has.
const NUMBERS: usize = WIDTH * HIDDEN;

const HEADS: Heads = Heads {
    batch: BATCH,
    tokens: TOKENS,
    queries: TOKENS,
    n_heads: 4,
    n_kv_heads: 4,
    head_dim: 32,
};

/// What `kernel` writes, computed by its reference, on both sides.
fn computed(table: &mut Table, kernel: &impl Kernel) {
    kernel.reference(&mut table.memory);
    for operand in kernel.operands() {
        if let (Some(tensor), Access::Write) = (operand.tensor, operand.access) {
            let words = table.memory.u32(&tensor);
            tensor.write(&table.gpu, 0, bytemuck::cast_slice(&words));
        }
    }
}

fn gemm(table: &mut Table, what: String, form: Form, a: [usize; 2], b: [usize; 2]) -> Result<()> {
    let m = if form == Form::Tn { a[1] } else { a[0] };
    let n = if form == Form::Nt { b[0] } else { b[1] };
    let (a, b, c) = (table.filled("a", &a)?, table.filled("b", &b)?, table.empty("c", &[m, n])?);
    table.case(what, Gemm { a, b, base: None, c, form, alpha: 1.0 });
    Ok(())
}

fn row_norm(table: &mut Table) -> Result<RowNorm> {
    Ok(RowNorm {
        x: table.filled("x", &[ROWS, WIDTH])?,
        gain: table.filled("gain", &[WIDTH])?,
        bias: None,
        y: table.empty("y", &[ROWS, WIDTH])?,
        stats: table.empty("stats", &[ROWS, 4])?,
        centred: true,
        eps: 1e-5,
    })
}

fn causal(table: &mut Table) -> Result<CausalAttention> {
    let each = [BATCH * HEADS.queries * HEADS.n_heads, 4];
    Ok(CausalAttention {
        q: table.filled("q", &[ROWS, WIDTH])?,
        kv: table.filled("kv", &[ROWS, 2 * WIDTH])?,
        y: table.empty("y", &[ROWS, WIDTH])?,
        stats: table.empty("stats", &each)?,
        heads: HEADS,
    })
}

fn query_gradient(table: &mut Table) -> Result<CausalQueryBackward> {
    let forward = causal(table)?;
    computed(table, &forward);
    let CausalAttention { q, kv, y, stats, heads } = forward;
    let (dq, delta) = (table.empty("dq", &[ROWS, WIDTH])?, table.empty("delta", stats.shape())?);
    let dy = table.filled("dy", &[ROWS, WIDTH])?;
    Ok(CausalQueryBackward { q, kv, y, stats, dy, base: None, dq, delta, heads })
}

fn cross_entropy(table: &mut Table) -> Result<CrossEntropy> {
    let targets: Vec<u32> = (0..BATCH).map(|n| (n * 7919 % WORDS) as u32).collect();
    Ok(CrossEntropy {
        logits: table.filled("logits", &[BATCH, PADDED])?,
        targets: table.words("targets", &targets)?,
        rows: table.empty("rows", &[BATCH, 4])?,
        count: WORDS,
    })
}

fn ids(table: &mut Table) -> Result<Tensor> {
    let ids: Vec<u32> = (0..ROWS).map(|n| (n * 7919 % WORDS) as u32).collect();
    table.words("ids", &ids)
}

fn step(table: &mut Table) -> Result<Step> {
    let schedule: Vec<u32> = [1e-3, 1.0, 1.0, 0.0f32, 0.0, 0.0, 0.0, 0.0].map(f32::to_bits).into();
    Ok(Step {
        clock: table.words("clock", &[0])?,
        schedule: table.words("schedule", &schedule)?,
        clip: None,
    })
}

const CALLS: &[(&str, Plain)] = &[
    ("gemm of a layer", |t, what| gemm(t, what, Form::Nn, [ROWS, WIDTH], [WIDTH, HIDDEN])),
    ("gemm of the inputs' gradient", |t, what| {
        gemm(t, what, Form::Nt, [ROWS, HIDDEN], [WIDTH, HIDDEN])
    }),
    ("gemm of the weights' gradient", |t, what| {
        gemm(t, what, Form::Tn, [ROWS, WIDTH], [ROWS, HIDDEN])
    }),
    ("add", |t, what| {
        let [a, b] = ["a", "b"].map(|name| t.filled(name, &[ROWS, WIDTH]));
        let kernel = Add { a: a?, b: b?, y: t.empty("y", &[ROWS, WIDTH])? };
        t.case(what, kernel);
        Ok(())
    }),
    ("activate", |t, what| {
        let (x, y) = (t.filled("x", &[ROWS, HIDDEN])?, t.empty("y", &[ROWS, HIDDEN])?);
        t.case(what, Activate { x, y, kind: Activation::Relu });
        Ok(())
    }),
    ("activate_backward", |t, what| {
        let (x, dy) = (t.filled("x", &[ROWS, HIDDEN])?, t.filled("dy", &[ROWS, HIDDEN])?);
        let dx = t.empty("dx", &[ROWS, HIDDEN])?;
        t.case(what, ActivateBackward { x, dy, base: None, dx, kind: Activation::Relu });
        Ok(())
    }),
    ("swiglu", |t, what| {
        let (x, y) = (t.filled("x", &[ROWS, 2 * HIDDEN])?, t.empty("y", &[ROWS, HIDDEN])?);
        t.case(what, Swiglu { x, y });
        Ok(())
    }),
    ("swiglu_backward", |t, what| {
        let (x, dy) = (t.filled("x", &[ROWS, 2 * HIDDEN])?, t.filled("dy", &[ROWS, HIDDEN])?);
        let dx = t.empty("dx", &[ROWS, 2 * HIDDEN])?;
        t.case(what, SwigluBackward { x, dy, base: None, dx });
        Ok(())
    }),
    ("slice_last", |t, what| {
        let (x, y) = (t.filled("x", &[ROWS, WIDTH])?, t.empty("y", &[BATCH, WIDTH])?);
        t.case(what, SliceLast { x, y, period: TOKENS, kept: 1 });
        Ok(())
    }),
    ("slice_last_backward", |t, what| {
        let (dy, dx) = (t.filled("dy", &[BATCH, WIDTH])?, t.empty("dx", &[ROWS, WIDTH])?);
        t.case(what, SliceLastBackward { dy, base: None, dx, period: TOKENS, kept: 1 });
        Ok(())
    }),
    ("rope", |t, what| {
        let kernel = Rope {
            x: t.filled("x", &[ROWS, WIDTH])?,
            rope: t.filled("rope", &[TOKENS, HEADS.head_dim])?,
            base: None,
            y: t.empty("y", &[ROWS, WIDTH])?,
            rotated: WIDTH,
            first: 0,
            period: TOKENS,
            backwards: false,
        };
        t.case(what, kernel);
        Ok(())
    }),
    ("row_norm", |t, what| {
        let kernel = row_norm(t)?;
        t.case(what, kernel);
        Ok(())
    }),
    ("norm_backward", |t, what| {
        let forward = row_norm(t)?;
        computed(t, &forward);
        let RowNorm { x, gain, stats, .. } = forward;
        let (dy, dx) = (t.filled("dy", &[ROWS, WIDTH])?, t.empty("dx", &[ROWS, WIDTH])?);
        t.case(what, NormBackward { x, stats, gain, dy, base: None, dx, centred: true });
        Ok(())
    }),
    ("norm_gain_backward", |t, what| {
        let forward = row_norm(t)?;
        computed(t, &forward);
        let RowNorm { x, stats, .. } = forward;
        let (dy, dgain) = (t.filled("dy", &[ROWS, WIDTH])?, t.empty("dgain", &[WIDTH])?);
        let dbias = Some(t.empty("dbias", &[WIDTH])?);
        t.case(what, NormGainBackward { x, stats, dy, base: None, bias_base: None, dgain, dbias });
        Ok(())
    }),
    ("sum_rows", |t, what| {
        let (x, y) = (t.filled("x", &[ROWS, WIDTH])?, t.empty("y", &[WIDTH])?);
        t.case(what, SumRows { x, base: None, y, rows: ROWS });
        Ok(())
    }),
    ("causal_attention", |t, what| {
        let kernel = causal(t)?;
        t.case(what, kernel);
        Ok(())
    }),
    ("causal_query_backward", |t, what| {
        let kernel = query_gradient(t)?;
        t.case(what, kernel);
        Ok(())
    }),
    ("causal_key_backward", |t, what| {
        let before = query_gradient(t)?;
        computed(t, &before);
        let CausalQueryBackward { q, kv, stats, delta, dy, heads, .. } = before;
        let dkv = t.empty("dkv", &[ROWS, 2 * WIDTH])?;
        t.case(what, CausalKeyBackward { q, kv, stats, delta, dy, base: None, dkv, heads });
        Ok(())
    }),
    ("gather", |t, what| {
        let (ids, table, y) =
            (ids(t)?, t.filled("table", &[WORDS, WIDTH])?, t.empty("y", &[ROWS, WIDTH])?);
        t.case(what, Gather { ids, table, places: None, y });
        Ok(())
    }),
    ("scatter", |t, what| {
        let (ids, dy) = (ids(t)?, t.filled("dy", &[ROWS, WIDTH])?);
        let dtable = t.empty("dtable", &[WORDS, WIDTH])?;
        t.case(what, Scatter { ids, dy, base: None, dtable });
        Ok(())
    }),
    ("cross_entropy", |t, what| {
        let kernel = cross_entropy(t)?;
        t.case(what, kernel);
        Ok(())
    }),
    ("cross_entropy_backward", |t, what| {
        let forward = cross_entropy(t)?;
        computed(t, &forward);
        let CrossEntropy { logits, targets, rows, count } = forward;
        let (drows, dlogits) =
            (t.filled("drows", &[BATCH, 4])?, t.empty("dlogits", &[BATCH, PADDED])?);
        t.case(
            what,
            CrossEntropyBackward { logits, targets, rows, drows, base: None, dlogits, count },
        );
        Ok(())
    }),
    ("mean_loss", |t, what| {
        // Sums of bits are compared as bits: small whole numbers, which every order of summation
        // gives alike.
        let rows = (0..BATCH).flat_map(|r| [(r % 5) as f32, 0.0, (r % 2) as f32, 1.0]).collect();
        let (rows, totals) = (t.given("rows", &[BATCH, 4], rows)?, t.words("totals", &[0; 4])?);
        t.case(what, MeanLoss { rows, totals, clock: None });
        Ok(())
    }),
    ("mean_loss_backward", |t, what| {
        let totals = [1.0f32, 0.5, BATCH as f32, 0.0].map(f32::to_bits);
        let kernel = MeanLossBackward {
            rows: t.filled("rows", &[BATCH, 4])?,
            totals: t.words("totals", &totals)?,
            dtotals: t.filled("dtotals", &[4])?,
            clock: None,
            drows: t.empty("drows", &[BATCH, 4])?,
        };
        t.case(what, kernel);
        Ok(())
    }),
    ("adamw", |t, what| {
        let squares = (0..NUMBERS).map(|n| (n % 7) as f32 * 0.1).collect();
        let kernel = Adamw {
            step: step(t)?,
            w: t.filled("w", &[NUMBERS])?,
            g: t.filled("g", &[NUMBERS])?,
            m: t.filled("m", &[NUMBERS])?,
            v: t.given("v", &[NUMBERS], squares)?,
            next: [t.empty("w", &[NUMBERS])?, t.empty("m", &[NUMBERS])?, t.empty("v", &[NUMBERS])?],
            betas: [0.9, 0.98],
            eps: 1e-8,
            decay: 1.0,
        };
        t.case(what, kernel);
        Ok(())
    }),
    ("sgd", |t, what| {
        let kernel = Sgd {
            step: step(t)?,
            w: t.filled("w", &[NUMBERS])?,
            g: t.filled("g", &[NUMBERS])?,
            m: t.filled("m", &[NUMBERS])?,
            next: [t.empty("w", &[NUMBERS])?, t.empty("m", &[NUMBERS])?],
            momentum: 0.9,
            decay: 0.1,
        };
        t.case(what, kernel);
        Ok(())
    }),
    ("square_sum", |t, what| {
        let whole = (0..NUMBERS).map(|n| (n % 3) as f32).collect();
        let (x, total) = (t.given("x", &[NUMBERS], whole)?, t.words("total", &[0; 4])?);
        t.case(what, SquareSum { x, base: None, total });
        Ok(())
    }),
    ("block_diagonal", |t, what| {
        // B of gate and up of SmolLM2-135M, at rank 16.
        let (x, y) = (t.filled("x", &[3072, 16])?, t.empty("y", &[3072, 32])?);
        t.case(what, BlockDiagonal { x, y, split: 1536 });
        Ok(())
    }),
    ("block_diagonal_backward", |t, what| {
        let (dy, dx) = (t.filled("dy", &[3072, 32])?, t.empty("dx", &[3072, 16])?);
        t.case(what, BlockDiagonalBackward { dy, base: None, dx, split: 1536 });
        Ok(())
    }),
    ("sample_batch", |t, what| {
        let words: Vec<u32> = (0..4 * 9409).map(|n| n % WORDS as u32).collect();
        let starts: Vec<u32> = (0..BATCH as u32).map(|n| 4 * (n * 7919 % 9409)).collect();
        let kernel = SampleBatch {
            words: words.len(),
            data: t.integers("data", &words)?,
            starts: t.integers("starts", &starts)?,
            clock: t.words("clock", &[0])?,
            ids: t.words("ids", &vec![0; ROWS])?,
            targets: t.words("targets", &vec![0; BATCH])?,
            batch: BATCH,
        };
        t.case(what, kernel);
        Ok(())
    }),
    ("increment_step", |t, what| {
        let clock = t.words("clock", &[0])?;
        t.case(what, IncrementStep { clock });
        Ok(())
    }),
];

/// Each of them once.
pub(in crate::workbench) fn training_shapes() -> impl Iterator<Item = Shape> {
    CALLS.iter().map(|&(name, add)| plain(format!("training {name}"), add))
}
