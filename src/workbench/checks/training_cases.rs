//! Rows of the kernels that training needs.

use super::cases::Rows;
use crate::Result;
use crate::gpu::Tensor;
use crate::kernels::*;

/// A gradient so far in every other row.
fn base(table: &mut Rows, index: usize, shape: &[usize]) -> Result<Option<Tensor>> {
    (index % 2 == 1).then(|| table.filled("base", shape)).transpose()
}

fn add_gemm(table: &mut Rows) -> Result<()> {
    // M, N, K: one lane's worth, whole tiles, and neither rows, columns nor steps that fill one.
    let sizes = [
        (4, 4, 4),
        (32, 32, 16),
        (20, 36, 100),
        (100, 68, 44),
        (16, 256, 8),
        (72, 68, 16),
        (68, 36, 256),
        (260, 260, 128),
    ];
    for (index, (m, n, k)) in sizes.into_iter().enumerate() {
        for form in [Form::Nn, Form::Nt, Form::Tn] {
            // Rows need not come in fours where they are no columns of another operand.
            let (m, k) = match form {
                Form::Tn => (m, k - index % 2),
                _ => (m - 1, k),
            };
            let a = if form == Form::Tn { [k, m] } else { [m, k] };
            let b = if form == Form::Nt { [n, k] } else { [k, n] };
            let kernel = Gemm {
                a: table.filled("a", &a)?,
                b: table.filled("b", &b)?,
                base: base(table, index, &[m, n])?,
                c: table.empty("c", &[m, n])?,
                form,
                alpha: if index == 2 { 0.5 } else { 1.0 },
            };
            table.case(format!("{form:?} {m}x{n}x{k}"), kernel);
        }
    }
    Ok(())
}

fn add_pointwise(table: &mut Rows) -> Result<()> {
    for (index, rows) in [1, 3, 65, 257].into_iter().enumerate() {
        let shape = [rows, 12];
        let (a, b, y) =
            (table.filled("a", &shape)?, table.filled("b", &shape)?, table.empty("y", &shape)?);
        table.case(format!("{rows} rows"), Add { a, b, y });
        for kind in [Activation::Relu, Activation::Gelu] {
            let (x, y) = (table.filled("x", &shape)?, table.empty("y", &shape)?);
            table.case(format!("{kind:?}, {rows} rows"), Activate { x, y, kind });
            let (x, dy) = (table.filled("x", &shape)?, table.filled("dy", &shape)?);
            let (base, dx) = (base(table, index, &shape)?, table.empty("dx", &shape)?);
            table
                .case(format!("{kind:?}, {rows} rows"), ActivateBackward { x, dy, base, dx, kind });
        }
        let (x, y) = (table.filled("x", &[rows, 24])?, table.empty("y", &shape)?);
        table.case(format!("{rows} rows"), Swiglu { x, y });
        let (x, dy) = (table.filled("x", &[rows, 24])?, table.filled("dy", &shape)?);
        let (base, dx) = (base(table, index, &[rows, 24])?, table.empty("dx", &[rows, 24])?);
        table.case(format!("{rows} rows"), SwigluBackward { x, dy, base, dx });
    }
    for (index, (batch, period, kept)) in
        [(1, 1, 1), (3, 4, 1), (5, 7, 3), (40, 2, 2)].into_iter().enumerate()
    {
        let what = format!("{kept} of {period} rows, {batch} times");
        let (all, some) = ([batch * period, 20], [batch * kept, 20]);
        let (x, y) = (table.filled("x", &all)?, table.empty("y", &some)?);
        table.case(what.clone(), SliceLast { x, y, period, kept });
        let (dy, base, dx) =
            (table.filled("dy", &some)?, base(table, index, &all)?, table.empty("dx", &all)?);
        table.case(what.clone(), SliceLastBackward { dy, base, dx, period, kept });
        let kernel = Rope {
            x: table.filled("x", &all)?,
            rope: table.filled("rope", &[period + 3, 8])?,
            base: self::base(table, index, &all)?,
            y: table.empty("y", &all)?,
            rotated: 16,
            first: index,
            period,
            backwards: index > 1,
        };
        table.case(what, kernel);
    }
    Ok(())
}

fn add_diagonal(table: &mut Rows) -> Result<()> {
    for (index, (rows, width, split)) in
        [(1, 4, 1), (5, 4, 2), (70, 12, 33), (257, 8, 0)].into_iter().enumerate()
    {
        let what = format!("[{rows}, {width}], {split} rows first");
        let (x, y) = (table.filled("x", &[rows, width])?, table.empty("y", &[rows, 2 * width])?);
        table.case(what.clone(), BlockDiagonal { x, y, split });
        let (dy, base) =
            (table.filled("dy", &[rows, 2 * width])?, base(table, index, &[rows, width])?);
        let dx = table.empty("dx", &[rows, width])?;
        table.case(what, BlockDiagonalBackward { dy, base, dx, split });
    }
    Ok(())
}

fn add_norm(table: &mut Rows) -> Result<()> {
    for (index, (rows, width)) in [(1, 4), (33, 32), (7, 132), (65, 36)].into_iter().enumerate() {
        for centred in [false, true] {
            let what = format!("[{rows}, {width}], centred {centred}");
            let shape = [rows, width];
            let (x, gain) = (table.filled("x", &shape)?, table.filled("gain", &[width])?);
            let (y, stats) = (table.empty("y", &shape)?, table.empty("stats", &[rows, 4])?);
            let bias = base(table, index, &[width])?;
            table.case(what.clone(), RowNorm { x, gain, bias, y, stats, centred, eps: 1e-5 });
            let kernel = NormBackward {
                x: table.filled("x", &shape)?,
                stats: table.filled("stats", &[rows, 4])?,
                gain: table.filled("gain", &[width])?,
                dy: table.filled("dy", &shape)?,
                base: base(table, index, &shape)?,
                dx: table.empty("dx", &shape)?,
                centred,
            };
            table.case(what.clone(), kernel);
            let kernel = NormGainBackward {
                x: table.filled("x", &shape)?,
                stats: table.filled("stats", &[rows, 4])?,
                dy: table.filled("dy", &shape)?,
                base: base(table, index, &[width])?,
                bias_base: base(table, index, &[width])?,
                dgain: table.empty("dgain", &[width])?,
                dbias: centred.then(|| table.empty("dbias", &[width])).transpose()?,
            };
            table.case(what, kernel);
        }
        let (x, base) = (table.filled("x", &[rows, width])?, base(table, index, &[width])?);
        let y = table.empty("y", &[width])?;
        table.case(format!("[{rows}, {width}]"), SumRows { x, base, y, rows });
    }
    Ok(())
}

fn add_causal(table: &mut Rows) -> Result<()> {
    let rows = [
        Heads { batch: 1, tokens: 1, queries: 1, n_heads: 1, n_kv_heads: 1, head_dim: 4 },
        Heads { batch: 3, tokens: 4, queries: 4, n_heads: 4, n_kv_heads: 4, head_dim: 8 },
        Heads { batch: 5, tokens: 4, queries: 1, n_heads: 4, n_kv_heads: 2, head_dim: 16 },
        Heads { batch: 2, tokens: 9, queries: 5, n_heads: 6, n_kv_heads: 2, head_dim: 12 },
        Heads { batch: 1, tokens: 40, queries: 40, n_heads: 2, n_kv_heads: 1, head_dim: 32 },
        Heads { batch: 2, tokens: 75, queries: 67, n_heads: 2, n_kv_heads: 2, head_dim: 16 },
    ];
    for (index, heads) in rows.into_iter().enumerate() {
        let Heads { batch, tokens, queries, n_heads: count, n_kv_heads, head_dim } = heads;
        let what = format!("{heads:?}");
        let (wide, keys) =
            ([batch * queries, count * head_dim], [batch * tokens, 2 * n_kv_heads * head_dim]);
        let each = [batch * queries * count, 4];
        let (q, kv) = (table.filled("q", &wide)?, table.filled("kv", &keys)?);
        let (y, stats) = (table.empty("y", &wide)?, table.empty("stats", &each)?);
        table.case(what.clone(), CausalAttention { q, kv, y, stats, heads });
        let kernel = CausalQueryBackward {
            q: table.filled("q", &wide)?,
            kv: table.filled("kv", &keys)?,
            y: table.filled("y", &wide)?,
            stats: table.filled("stats", &each)?,
            dy: table.filled("dy", &wide)?,
            base: base(table, index, &wide)?,
            dq: table.empty("dq", &wide)?,
            delta: table.empty("delta", &each)?,
            heads,
        };
        table.case(what.clone(), kernel);
        let kernel = CausalKeyBackward {
            q: table.filled("q", &wide)?,
            kv: table.filled("kv", &keys)?,
            stats: table.filled("stats", &each)?,
            delta: table.filled("delta", &each)?,
            dy: table.filled("dy", &wide)?,
            base: base(table, index, &keys)?,
            dkv: table.empty("dkv", &keys)?,
            heads,
        };
        table.case(what, kernel);
    }
    Ok(())
}

fn add_embedding_and_loss(table: &mut Rows) -> Result<()> {
    // Ids that come often, once and never; a count that fills no texel.
    let ids = [3, 0, 3, 3, 6, 1, 0, 3, 5, 3];
    for (index, width) in [4, 36, 300].into_iter().enumerate() {
        let what = format!("{} of 7 rows of {width}", ids.len());
        let places = (index > 0).then(|| table.filled("places", &[5, width])).transpose()?;
        let (table_of, y) =
            (table.filled("table", &[7, width])?, table.empty("y", &[ids.len(), width])?);
        let words = table.words("ids", &ids)?;
        table.case(what.clone(), Gather { ids: words, table: table_of, places, y });
        let kernel = Scatter {
            ids: table.words("ids", &ids)?,
            dy: table.filled("dy", &[ids.len(), width])?,
            base: base(table, index, &[7, width])?,
            dtable: table.empty("dtable", &[7, width])?,
        };
        table.case(what, kernel);
    }
    let targets = [2, u32::MAX, 0, 4, 1];
    for (index, count) in [5, 99, 1000usize].into_iter().enumerate() {
        let what = format!("{} rows of {count}", targets.len());
        let shape = [targets.len(), count.next_multiple_of(4)];
        let each = [targets.len(), 4];
        let (logits, rows) = (table.filled("logits", &shape)?, table.empty("rows", &each)?);
        let words = table.words("targets", &targets)?;
        table.case(what.clone(), CrossEntropy { logits, targets: words, rows, count });
        let kernel = CrossEntropyBackward {
            logits: table.filled("logits", &shape)?,
            targets: table.words("targets", &targets)?,
            rows: table.filled("rows", &each)?,
            drows: table.filled("drows", &each)?,
            base: base(table, index, &shape)?,
            dlogits: table.empty("dlogits", &shape)?,
            count,
        };
        table.case(what, kernel);
    }
    for (index, rows) in [1, 64, 130].into_iter().enumerate() {
        let what = format!("{rows} rows");
        let (found, totals) = (counted(table, rows)?, table.words("totals", &[0; 4])?);
        // Sums of bits are compared as bits: numbers that every order of summation gives alike.
        table.case(what.clone(), MeanLoss { rows: found, totals, clock: None });
        let kernel = MeanLossBackward {
            rows: table.filled("rows", &[rows, 4])?,
            totals: table.words("totals", &[1.0f32, 0.5, 7.0, 0.0].map(f32::to_bits))?,
            dtotals: table.filled("dtotals", &[12])?,
            clock: (index > 0)
                .then(|| table.words("clock", &[5 * index as u32, 0, 0, 0]))
                .transpose()?,
            drows: table.empty("drows", &[rows, 4])?,
        };
        table.case(what, kernel);
    }
    Ok(())
}

/// Losses that are small whole numbers, of as many rows as are a power of two.
fn counted(table: &mut Rows, rows: usize) -> Result<Tensor> {
    let counting = 1 << rows.ilog2();
    let row =
        |r: usize| if r < counting { [(r % 5) as f32, 0.0, (r % 2) as f32, 1.0] } else { [0.0; 4] };
    table.given("rows", &[rows, 4], (0..rows).flat_map(row).collect())
}

fn add_steps(table: &mut Rows) -> Result<()> {
    let schedule = [[0.0; 4], [0.01, 2.0, 3.0, 0.0], [9.0; 4]].concat();
    for (index, count) in [4, 256, 1300].into_iter().enumerate() {
        for clipped in [false, true] {
            let step = |table: &mut Rows| -> Result<Step> {
                let squares = [4.0f32, 0.0, 0.0, 0.0].map(f32::to_bits);
                Ok(Step {
                    clock: table.words("clock", &[1])?,
                    schedule: table.words("schedule", bytemuck::cast_slice(&schedule))?,
                    clip: clipped
                        .then(|| Ok((table.words("squares", &squares)?, 1.5)))
                        .transpose()?,
                })
            };
            let what = format!("{count} numbers, clipped {clipped}");
            let squared = (0..count).map(|n| (n % 7) as f32 * 0.1).collect();
            let kernel = Adamw {
                step: step(table)?,
                w: table.filled("w", &[count])?,
                g: table.filled("g", &[count])?,
                m: table.filled("m", &[count])?,
                v: table.given("v", &[count], squared)?,
                next: [
                    table.empty("w", &[count])?,
                    table.empty("m", &[count])?,
                    table.empty("v", &[count])?,
                ],
                betas: [0.9, 0.98],
                eps: 1e-8,
                decay: 0.1,
            };
            table.case(what.clone(), kernel);
            let kernel = Sgd {
                step: step(table)?,
                w: table.filled("w", &[count])?,
                g: table.filled("g", &[count])?,
                m: table.filled("m", &[count])?,
                next: [table.empty("w", &[count])?, table.empty("m", &[count])?],
                momentum: 0.9,
                decay: 0.1,
            };
            table.case(what, kernel);
        }
        let whole = (0..count).map(|n| (n % 3) as f32).collect();
        let x = table.given("x", &[count], whole)?;
        let base =
            (index > 0).then(|| table.words("base", &[5f32.to_bits(), 0, 0, 0])).transpose()?;
        let total = table.words("total", &[0; 4])?;
        table.case(format!("{count} numbers"), SquareSum { x, base, total });
    }
    Ok(())
}

fn add_draw(table: &mut Rows) -> Result<()> {
    let words = 33;
    // A sequence at the start, one that is cut off by the end, one beyond it; the second tick's.
    let starts = [9, 9, 9, 0, 27, SampleBatch::NONE];
    for (tokens, kept) in [(4, 1), (7, 7), (3, 2)] {
        let marked = |n: u32| (n * 3 % 50) | if n % 4 == 1 { 1 << 31 } else { 0 };
        let kernel = SampleBatch {
            data: table.integers("data", &(0..36).map(marked).collect::<Vec<_>>())?,
            starts: table.integers("starts", &[&starts[..], &[0, 0]].concat())?,
            clock: table.words("clock", &[1])?,
            ids: table.words("ids", &vec![0; 3 * tokens])?,
            targets: table.words("targets", &vec![0; 3 * kept])?,
            words,
            batch: 3,
        };
        table.case(format!("{tokens} tokens, {kept} targets"), kernel);
    }
    let clock = table.words("clock", &[6])?;
    table.case("from 6".into(), IncrementStep { clock });
    Ok(())
}

/// Appends all of them.
pub(in crate::workbench) fn add(table: &mut Rows) -> Result<()> {
    add_gemm(table)?;
    add_pointwise(table)?;
    add_diagonal(table)?;
    add_norm(table)?;
    add_causal(table)?;
    add_embedding_and_loss(table)?;
    add_steps(table)?;
    add_draw(table)
}
