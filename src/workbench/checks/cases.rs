//! The table of kernel calls that tests and `doctor` share: awkward sizes, and every weight format.

use crate::Result;
use crate::format::DType;
use crate::gpu::{Device, Gpu};
use crate::kernels::{
    Argmax, Attention, CacheType, Divergence, Embed, Function, Gate, GateUp, Input, Linear, Matmul,
    QkvRopeCache, RoofBarrier, RoofCopy, RoofMultiplyAdd, RoofMultiplyAddHalf, RoofRead,
    TokenLogProb,
};
use std::sync::Arc;

use super::table::put;
pub use super::table::{Case, Rows, Table};

/// Rows, columns, tokens: one lane's worth, more than a workgroup's, not whole workgroups, one and
/// many tokens, more tokens than a tile.
const PRODUCTS: [(usize, usize, usize); 7] =
    [(4, 32, 1), (68, 64, 1), (192, 288, 1), (4, 32, 2), (100, 96, 9), (132, 64, 17), (68, 64, 70)];

/// Rows of all formats: 256 columns are one K-quant superblock, 768 an odd count of them.
const FORMATS: [(usize, usize, usize); 4] =
    [(36, 256, 1), (72, 768, 1), (36, 256, 3), (40, 768, 10)];

fn add_products(table: &mut Rows) -> Result<()> {
    for (rows, columns, tokens) in PRODUCTS {
        for (norm, residual) in [(false, false), (true, true)] {
            let x = table.filled("x", &[tokens + 1, columns])?;
            let gain = table.filled("gain", &[columns])?;
            let w = table.matrix(DType::Q4_1, rows, columns)?;
            let y = table.empty("y", &[tokens, rows])?;
            let residual =
                residual.then(|| table.filled("residual", &[tokens, rows])).transpose()?;
            let mut input = match norm {
                true => Input::normed(&x, &gain, 1e-5, tokens),
                false => Input::plain(&x, tokens),
            };
            input.first_token = 1;
            let what = format!("[{rows}, {columns}] x {tokens}, norm {norm}");
            let w = w.parts()[0].clone();
            table.case(what, Matmul { input, w, residual, y });
        }
    }
    for dtype in DType::ALL {
        for (rows, columns, tokens) in FORMATS {
            let x = table.filled("x", &[tokens, columns])?;
            let w = table.matrix(dtype, rows, columns)?;
            let y = table.empty("y", &[tokens, rows])?;
            let what = format!("{dtype} [{rows}, {columns}] x {tokens}");
            let w = w.parts()[0].clone();
            table.case(what, Matmul { input: Input::plain(&x, tokens), w, residual: None, y });
        }
    }
    Ok(())
}

fn add_gate_up(table: &mut Rows) -> Result<()> {
    for (half, columns, tokens) in
        [(64, 32, 1), (192, 64, 1), (64, 32, 3), (192, 64, 9), (128, 96, 16)]
    {
        let x = table.filled("x", &[tokens, columns])?;
        let gain = table.filled("gain", &[columns])?;
        let w = table.matrix(DType::Q8_0, 2 * half, columns)?;
        let y = table.empty("y", &[tokens, half])?;
        let what = format!("[2 * {half}, {columns}] x {tokens}");
        let w = w.parts()[0].clone();
        table.case(
            what,
            GateUp { input: Input::normed(&x, &gain, 1e-6, tokens), w, y, gate: Gate::Silu },
        );
    }
    Ok(())
}

/// Heads, key heads, head width, tokens, position.
pub(in crate::workbench) const HEADS: [(usize, usize, usize, usize, u32); 10] = [
    (1, 1, 8, 1, 0),
    (4, 2, 16, 1, 7),
    (9, 3, 64, 1, 33),
    (3, 1, 128, 1, 8),
    (4, 4, 32, 5, 0),
    (9, 3, 64, 17, 5),
    (2, 1, 256, 3, 30),
    (16, 1, 80, 1, 19),
    (5, 1, 8, 13, 40),
    (6, 2, 24, 4, 12),
];

fn add_query_key_value(table: &mut Rows) -> Result<()> {
    for (heads, key_heads, head, tokens, position) in HEADS {
        let (capacity, columns) = (64, 64);
        let x = table.filled("x", &[tokens, columns])?;
        let gain = table.filled("gain", &[columns])?;
        let w = table.matrix(DType::F16, (heads + 2 * key_heads) * head, columns)?;
        let kernel = QkvRopeCache {
            input: Input::normed(&x, &gain, 1e-5, tokens),
            w: w.parts()[0].clone(),
            step: table.words("step", &[position])?,
            rope: table.filled("rope", &[capacity, head])?,
            first_row: 0,
            q: table.empty("q", &[tokens, heads * head])?,
            cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
        };
        table.case(
            format!("{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}"),
            kernel,
        );
    }
    Ok(())
}

/// The same where the cache is longer than a workgroup reads at once.
const LONG: [(usize, usize, usize, usize, u32); 2] = [(4, 2, 16, 1, 290), (3, 1, 24, 5, 150)];

fn add_attention(table: &mut Rows) -> Result<()> {
    for (heads, key_heads, head, tokens, position) in HEADS.into_iter().chain(LONG) {
        let capacity = (position as usize + tokens).next_multiple_of(64);
        let kernel = Attention {
            step: table.words("step", &[position])?,
            q: table.filled("q", &[tokens, heads * head])?,
            cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
            y: table.empty("y", &[tokens, heads * head])?,
            pieces: None,
            tokens,
            scale: 1.0 / (head as f32).sqrt(),
            window: None,
            cap: None,
        };
        table.case(
            format!("{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}"),
            kernel,
        );
    }
    Ok(())
}

fn add_embed(table: &mut Rows) -> Result<()> {
    for dtype in DType::ALL {
        let (rows, columns) = (44, 256);
        let ids = [0, 1, 2, 3, 43, 17, 0];
        let w = table.matrix(dtype, rows, columns)?;
        let kernel = Embed {
            ids: table.words("ids", &ids)?,
            w: w.parts()[0].clone(),
            y: table.empty("y", &[ids.len(), columns])?,
            tokens: ids.len(),
            scale: 1.5,
        };
        table.case(format!("{dtype} [{rows}, {columns}]"), kernel);
    }
    Ok(())
}

fn add_argmax(table: &mut Rows) -> Result<()> {
    // The largest first, last, twice (the first counts), beyond the count (does not count), all
    // alike, and not there.
    let rows: [(usize, &[(usize, f32)]); 6] = [
        (1, &[(0, 1.0)]),
        (1021, &[(1020, 9.0)]),
        (1024, &[(700, 9.0), (300, 9.0)]),
        (33, &[(34, 99.0), (7, 9.0)]),
        (49152, &[]),
        (5, &[(0, -9.0), (1, -8.0), (2, -7.0), (3, -8.0), (4, -9.0)]),
    ];
    for (count, largest) in rows {
        let padded = count.next_multiple_of(4);
        let logits = table.filled("logits", &[1, padded])?;
        let mut values =
            if largest.is_empty() { vec![0.0; padded] } else { table.numbers.floats(padded, 1.0) };
        for &(index, value) in largest {
            values[index.min(padded - 1)] = value;
        }
        put(&table.device, &logits, bytemuck::cast_slice(&values));
        table.memory.f32_mut(&logits).copy_from_slice(&values);
        let kernel = Argmax {
            logits,
            count,
            ids: table.words("ids", &[5])?,
            step: table.words("step", &[41])?,
            advance: 3,
        };
        table.case(format!("{count} logits, largest {largest:?}"), kernel);
    }
    Ok(())
}

/// Count of tokens, of logits, and the rows' width: fewer logits than lanes, not whole texels, rows
/// wider than the count.
const JUDGED: [(usize, usize, usize); 4] =
    [(1, 3, 4), (3, 257, 264), (2, 1021, 1024), (5, 4096, 4096)];

fn add_judges(table: &mut Rows) -> Result<()> {
    for (tokens, count, width) in JUDGED {
        let what = format!("{tokens} rows of {count} logits");
        let targets: Vec<u32> = (0..tokens).map(|token| (token * 7919 % count) as u32).collect();
        let kernel = TokenLogProb {
            logits: table.filled("logits", &[tokens, width])?,
            count,
            targets: table.words("targets", &targets)?,
            scores: table.empty("scores", &[tokens, 4])?,
            tokens,
        };
        table.case(what.clone(), kernel);
        let kernel = Divergence {
            logits_a: table.filled("logits_a", &[tokens, width])?,
            logits_b: table.filled("logits_b", &[tokens + 1, width + 4])?,
            scores_a: table.filled("scores_a", &[tokens, 4])?,
            scores_b: table.filled("scores_b", &[tokens, 4])?,
            count,
            y: table.empty("y", &[tokens, 4])?,
            tokens,
        };
        table.case(what, kernel);
    }
    Ok(())
}

fn add_roofs(table: &mut Rows) -> Result<()> {
    for (lanes, reads, times) in [(8, 1, 1), (24, 5, 2), (256, 3, 3), (768, 2, 1)] {
        let x = table.filled("x", &[lanes * reads, 4])?;
        let y = table.empty("y", &[lanes, 4])?;
        let what = format!("{lanes} lanes, {reads} texels each, {times} times");
        table.case(what, RoofRead { x, y, reads, times });
        let x = table.filled("x", &[lanes * reads, 4])?;
        let y = table.empty("y", &[lanes * reads, 4])?;
        table.case(format!("{lanes} lanes, {reads} texels each"), RoofCopy { x, y, reads });
        for chains in RoofMultiplyAdd::CHAINS {
            let x = table.filled("x", &[lanes, 4])?;
            let y = table.empty("y", &[lanes, 4])?;
            let kernel = RoofMultiplyAdd { x, y, rounds: reads, chains, factor: 0.75, addend: 0.5 };
            table.case(format!("{lanes} lanes, {reads} rounds of {chains} chains"), kernel);
        }
        let x = table.filled("x", &[lanes, 4])?;
        let y = table.empty("y", &[lanes, 4])?;
        let kernel = RoofMultiplyAddHalf { x, y, rounds: reads, factor: 0.75, addend: 0.5 };
        table.case(format!("{lanes} lanes, {reads} rounds"), kernel);
    }
    for rounds in [0, 1, 63, 65] {
        let x = table.filled("x", &[RoofBarrier::LANES, 4])?;
        let y = table.empty("y", &[RoofBarrier::LANES, 4])?;
        table.case(format!("{rounds} rounds"), RoofBarrier { x, y, rounds });
    }
    Ok(())
}

/// The rows that are computed and compared.
///
/// # Errors
/// When the device cannot hold them.
pub fn table(gpu: &Arc<Gpu>) -> Result<Table> {
    let mut table = Table::new(gpu);
    fill(&mut table)?;
    Ok(table)
}

/// The same rows without a device, to be looked at.
///
/// # Errors
/// Never, as long as the rows are sound.
pub fn on_host() -> Result<Rows> {
    let mut rows = Rows::new(Device::Reference);
    fill(&mut rows)?;
    Ok(rows)
}

fn fill(table: &mut Rows) -> Result<()> {
    add_products(table)?;
    add_gate_up(table)?;
    add_query_key_value(table)?;
    add_attention(table)?;
    add_embed(table)?;
    add_argmax(table)?;
    add_judges(table)?;
    super::family_cases::add(table)?;
    super::cache_cases::add(table)?;
    add_roofs(table)?;
    super::training_cases::add(table)?;
    Ok(())
}

/// Every shader text there is: each kernel with each format, with and without what it can leave
/// out, for one and for many tokens. Too many to compile, and never filled: for tests that look at
/// the text.
///
/// # Errors
/// When the device cannot hold them.
pub fn variants(gpu: &Arc<Gpu>) -> Result<Table> {
    let mut table = table(gpu)?;
    for dtype in DType::ALL {
        for tokens in [1, 9] {
            for normed in [false, true] {
                add_variant(&mut table, dtype, tokens, normed)?;
            }
        }
    }
    Ok(table)
}

fn add_variant(table: &mut Rows, dtype: DType, tokens: usize, normed: bool) -> Result<()> {
    let (rows, columns, key_heads, head, capacity) = (128, 256, 2, 16, 64);
    let what = format!("{dtype} x {tokens}, norm {normed}");
    let x = table.empty("x", &[tokens, columns])?;
    let gain = table.empty("gain", &[columns])?;
    let input = || match normed {
        true => Input::normed(&x, &gain, 1e-5, tokens),
        false => Input::plain(&x, tokens),
    };
    let w = table.matrix(dtype, rows, columns)?.parts()[0].clone();
    for residual in [false, true] {
        let residual = residual.then(|| table.empty("residual", &[tokens, rows])).transpose()?;
        let y = table.empty("y", &[tokens, rows])?;
        let what = format!("{what}, residual {}", residual.is_some());
        table.case(what, Matmul { input: input(), w: w.clone(), residual, y });
    }
    for gate in [Gate::Silu, Gate::Gelu] {
        let y = table.empty("y", &[tokens, rows / 2])?;
        table.case(format!("{what}, {gate:?}"), GateUp { input: input(), w: w.clone(), y, gate });
    }
    // What sums go through is one function; with a bias and without norm is how models have it.
    if !normed {
        for function in [Function::Identity, Function::Gelu, Function::Relu, Function::Cap(5.0)] {
            let bias = table.empty("bias", &[rows])?;
            let input = input().with_bias(Some(&bias));
            let y = table.empty("y", &[tokens, rows])?;
            let what = format!("{what}, {function:?}");
            table.case(what, Linear { input, w: w.clone(), first_row: 0, function, y });
        }
    }
    let kernel = QkvRopeCache {
        input: input(),
        w,
        step: table.words("step", &[0])?,
        rope: table.empty("rope", &[capacity, head])?,
        first_row: 0,
        q: table.empty("q", &[tokens, rows - 2 * key_heads * head])?,
        cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
    };
    table.case(what, kernel);
    Ok(())
}
