//! Rows of the table for what only some families of models have: biases, other norms and gates,
//! windows, caps.

use super::cases::{HEADS, Rows};
use crate::Result;
use crate::format::DType;
use crate::kernels::{
    AddPositions, Attention, CacheType, Function, Gate, GateUp, Input, Linear, Matmul, Norm,
    QkNormRope, QkvRopeCache,
};

/// Appends them.
pub(in crate::workbench) fn add(table: &mut Rows) -> Result<()> {
    add_biases(table)?;
    add_gates(table)?;
    add_project(table)?;
    add_norm(table)?;
    add_positions(table)?;
    add_rotate_heads(table)?;
    add_windows(table)?;
    super::expert_cases::add(table)
}

fn add_biases(table: &mut Rows) -> Result<()> {
    for tokens in [1, 9] {
        let (rows, columns) = (100, 96);
        for residual in [false, true] {
            let (x, bias) =
                (table.filled("x", &[tokens, columns])?, table.filled("bias", &[rows])?);
            let w = table.matrix(DType::F16, rows, columns)?.parts()[0].clone();
            let residual =
                residual.then(|| table.filled("residual", &[tokens, rows])).transpose()?;
            let y = table.empty("y", &[tokens, rows])?;
            let what =
                format!("[{rows}, {columns}] x {tokens}, bias, residual {}", residual.is_some());
            let input = Input::plain(&x, tokens).with_bias(Some(&bias));
            table.case(what, Matmul { input, w, residual, y });
        }
        for normed in [false, true] {
            let (heads, key_heads, head, capacity) = (4, 2, 24, 64);
            let rows = (heads + 2 * key_heads) * head;
            let (x, gain) =
                (table.filled("x", &[tokens, columns])?, table.filled("gain", &[columns])?);
            let bias = table.filled("bias", &[rows])?;
            let input = match normed {
                true => Input::normed(&x, &gain, 1e-6, tokens),
                false => Input::plain(&x, tokens),
            };
            let kernel = QkvRopeCache {
                input: input.with_bias(Some(&bias)),
                w: table.matrix(DType::BF16, rows, columns)?.parts()[0].clone(),
                first_row: 0,
                step: table.words("step", &[11])?,
                rope: table.filled("rope", &[capacity, head])?,
                q: table.empty("q", &[tokens, heads * head])?,
                cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
            };
            table.case(format!("bias, {tokens} tokens, norm {normed}"), kernel);
        }
    }
    Ok(())
}

fn add_gates(table: &mut Rows) -> Result<()> {
    for (half, columns, tokens) in [(64, 32, 1), (192, 64, 9)] {
        let (x, gain) = (table.filled("x", &[tokens, columns])?, table.filled("gain", &[columns])?);
        let w = table.matrix(DType::Q5_0, 2 * half, columns)?.parts()[0].clone();
        let y = table.empty("y", &[tokens, half])?;
        let input = Input::normed(&x, &gain, 1e-6, tokens);
        let what = format!("gelu, [2 * {half}, {columns}] x {tokens}");
        table.case(what, GateUp { input, w, y, gate: Gate::Gelu });
    }
    Ok(())
}

/// Long rows drive GELU and cap into their flat ends.
fn add_project(table: &mut Rows) -> Result<()> {
    for (rows, columns, tokens, first_row) in [(36, 1024, 1, 0), (100, 96, 17, 32)] {
        let gelus = [Function::Gelu, Function::GeluExact];
        for function in
            gelus.into_iter().chain([Function::Identity, Function::Relu, Function::Cap(5.0)])
        {
            let x = table.filled("x", &[tokens, columns])?;
            let width = (first_row + rows + 8usize).next_multiple_of(32);
            let bias = table.filled("bias", &[width])?;
            let w = table.matrix(DType::F32, rows, columns)?.parts()[0].clone();
            let y = table.empty("y", &[tokens, width])?;
            let input = Input::plain(&x, tokens).with_bias(Some(&bias));
            let what = format!("{function:?}, F32 [{rows}, {columns}] x {tokens} from {first_row}");
            table.case(what, Linear { input, w, first_row, function, y });
        }
    }
    Ok(())
}

fn add_norm(table: &mut Rows) -> Result<()> {
    for (columns, tokens) in [(4usize, 1), (36, 3), (256, 1), (1028, 2)] {
        for (centred, bias, residual) in
            [(false, false, true), (false, false, false), (true, true, false), (true, true, true)]
        {
            let width = columns.next_multiple_of(32);
            // One row more, which is left out; what pads the rows is zero.
            let x = table.padded("x", &[tokens + 1, width], columns)?;
            let gain = table.padded("gain", &[width], columns)?;
            let bias = bias.then(|| table.filled("bias", &[width])).transpose()?;
            let residual =
                residual.then(|| table.filled("residual", &[tokens, width])).transpose()?;
            let y = table.empty("y", &[tokens, width])?;
            let what = format!(
                "{tokens} of {columns}, centred {centred}, residual {}",
                residual.is_some()
            );
            let kernel = Norm {
                x,
                gain,
                bias,
                residual,
                y,
                columns,
                eps: 1e-5,
                centred,
                first_token: 1,
                tokens,
            };
            table.case(what, kernel);
        }
    }
    Ok(())
}

fn add_positions(table: &mut Rows) -> Result<()> {
    for (width, tokens, position) in [(4, 1, 0), (160, 3, 5), (1024, 2, 61)] {
        let kernel = AddPositions {
            step: table.words("step", &[position])?,
            x: table.filled("x", &[tokens, width])?,
            w: table.filled("w", &[64, width])?,
            y: table.empty("y", &[tokens, width])?,
            tokens,
        };
        table.case(format!("{tokens} of {width} at {position}"), kernel);
    }
    Ok(())
}

fn add_rotate_heads(table: &mut Rows) -> Result<()> {
    for (heads, key_heads, head, tokens, position) in HEADS {
        for gains in [false, true] {
            let capacity = 64;
            let width = ((heads + 2 * key_heads) * head).next_multiple_of(32);
            let gains = match gains {
                true => Some([table.filled("q_gain", &[head])?, table.filled("k_gain", &[head])?]),
                false => None,
            };
            let what = format!(
                "{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}, gains {}",
                gains.is_some()
            );
            let kernel = QkNormRope {
                x: table.filled("x", &[tokens, width])?,
                gains,
                eps: 1e-6,
                step: table.words("step", &[position])?,
                rope: table.filled("rope", &[capacity, head])?,
                q: table.empty("q", &[tokens, heads * head])?,
                cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
                tokens,
            };
            table.case(what, kernel);
        }
    }
    Ok(())
}

/// Heads, key heads, head width, tokens, position, window, cap. Windows of one token, of a block,
/// across blocks, and wider than all.
#[allow(clippy::type_complexity)] // a table
const WINDOWS: [(usize, usize, usize, usize, u32, usize, Option<f32>); 6] = [
    (4, 2, 16, 1, 7, 1, None),
    (4, 2, 16, 9, 60, 8, None),
    (3, 1, 24, 1, 150, 8, Some(2.0)),
    (3, 1, 24, 13, 150, 100, Some(2.0)),
    (2, 1, 256, 5, 290, 33, None),
    (4, 4, 8, 20, 0, 512, None),
];

fn add_windows(table: &mut Rows) -> Result<()> {
    for (heads, key_heads, head, tokens, position, window, cap) in WINDOWS {
        let capacity = (position as usize + tokens).next_multiple_of(64);
        let kernel = Attention {
            step: table.words("step", &[position])?,
            q: table.filled("q", &[tokens, heads * head])?,
            cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
            y: table.empty("y", &[tokens, heads * head])?,
            pieces: None,
            tokens,
            scale: 0.4,
            window: Some(window),
            cap,
        };
        let what = format!(
            "{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}, window {window}, cap {cap:?}"
        );
        table.case(what, kernel);
    }
    Ok(())
}
