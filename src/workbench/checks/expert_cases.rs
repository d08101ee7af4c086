//! Rows of the table for mixtures of experts, and for biases that each token has of its own.

use super::cases::Rows;
use crate::Result;
use crate::format::DType;
use crate::gpu::{Kernel, Tensor};
use crate::kernels::{
    CacheType, Experts, Function, Gate, GateUp, GroupChoices, Input, Linear, Matmul, MixExperts,
    QkvRopeCache, Route,
};

/// Appends them.
pub(in crate::workbench) fn add(table: &mut Rows) -> Result<()> {
    add_route(table)?;
    add_groups(table)?;
    add_products(table)?;
    add_mix(table)?;
    add_own_biases(table)
}

/// Experts, choices, tokens: one of one, all, more experts than lanes, and as many choices as
/// lanes.
fn add_route(table: &mut Rows) -> Result<()> {
    for (experts, chosen, tokens) in
        [(1usize, 1, 1), (8, 3, 1), (6, 6, 5), (130, 8, 3), (200, 64, 2)]
    {
        for among_chosen in [false, true] {
            let width = experts.next_multiple_of(32);
            let mut values = table.numbers.floats(tokens * width, 3.0);
            // What pads the rows does not count; of equals, the first does.
            values.chunks_mut(width).for_each(|row| row[experts..].fill(99.0));
            if experts > 6 {
                (values[1], values[5], values[6]) = (50.0, 50.0, 50.0);
            }
            let kernel = Route {
                logits: table.given("logits", &[tokens, width], values)?,
                experts,
                chosen,
                among_chosen,
                routes: table.empty("routes", &[tokens * chosen, 4])?,
                tokens,
            };
            let what =
                format!("{chosen} of {experts}, {tokens} tokens, shares among them {among_chosen}");
            table.case(what, kernel);
        }
    }
    Ok(())
}

/// `count` choices (expert, share), beginning with the last expert; two that follow one another are
/// the same.
fn routes(table: &mut Rows, experts: usize, count: usize) -> Result<Tensor> {
    let route = |at: usize| {
        let expert = (at.div_ceil(2) * 5 + experts - 1) % experts;
        [expert as f32, 0.1 + 0.2 * (at % 4) as f32, 0.0, 0.0]
    };
    table.given("routes", &[count, 4], (0..count).flat_map(route).collect())
}

/// Experts and choices: one of one, a full group and one more, more experts than lanes, and experts
/// that nobody chose.
fn add_groups(table: &mut Rows) -> Result<()> {
    for (experts, choices) in [(1usize, 1), (1, 33), (3, 200), (130, 77), (64, 64)] {
        let routes = routes(table, experts, choices)?;
        let rows = GroupChoices::rows(choices, experts);
        let groups = table.empty("groups", &[rows, 4])?;
        table.case(
            format!("{choices} choices of {experts}"),
            GroupChoices { routes, experts, choices, groups },
        );
    }
    Ok(())
}

/// The same choices by expert.
fn grouped(table: &mut Rows, routes: &Tensor, experts: usize, choices: usize) -> Result<Tensor> {
    let shape = [GroupChoices::rows(choices, experts), 4];
    let (routes, groups) = (routes.clone(), table.empty("groups", &shape)?);
    let kernel = GroupChoices { routes, experts, choices, groups };
    kernel.reference(&mut table.memory);
    let values = table.memory.f32(&kernel.groups).to_vec();
    table.given("groups", &shape, values)
}

/// Experts, rows of each, columns, tokens of the product, how many share a row of activations, and
/// whether the tokens are sorted by expert: the second half of 70 tokens for one expert is a group
/// that is not full, some tiles of which are empty.
const PRODUCTS: [(usize, usize, usize, usize, usize, bool); 9] = [
    (1, 128, 32, 1, 1, false),
    (3, 128, 64, 2, 2, false),
    (8, 384, 96, 12, 3, false),
    (5, 256, 288, 7, 1, false),
    (1, 128, 32, 70, 1, true),
    (3, 128, 64, 2, 2, true),
    (8, 384, 96, 12, 3, true),
    (5, 256, 288, 90, 2, true),
    (9, 128, 64, 40, 4, true),
];

fn add_products(table: &mut Rows) -> Result<()> {
    for (count, rows, columns, tokens, share, by_expert) in PRODUCTS {
        for (dtype, parts) in [(DType::Q8_0, 1), (DType::BF16, 2)] {
            // Of a stack in parts, each computes the tokens whose experts it has.
            let part_rows = count.div_ceil(parts) * rows;
            for part in 0..(count * rows).div_ceil(part_rows) {
                let what = format!(
                    "{dtype}, {count} experts of [{rows}, {columns}] x {tokens} / {share}, part {part}, by expert {by_expert}"
                );
                let input = |table: &mut Rows, normed: bool| -> Result<Input> {
                    let gain = table.filled("gain", &[columns])?;
                    let x = table.filled("x", &[tokens.div_ceil(share), columns])?;
                    let routes = routes(table, count, tokens)?;
                    let groups = match by_expert {
                        true => Some(grouped(table, &routes, count, tokens)?),
                        false => None,
                    };
                    let experts = Some(Experts { routes, rows, share, groups });
                    let input = match normed {
                        true => Input::normed(&x, &gain, 1e-6, tokens),
                        false => Input::plain(&x, tokens),
                    };
                    Ok(Input { experts, ..input })
                };
                let matrix = table.parts(dtype, [count * rows, columns], part_rows)?;
                let (w, y) = (matrix[part].clone(), table.empty("y", &[tokens, rows / 2])?);
                let kernel = GateUp { input: input(table, true)?, w, y, gate: Gate::Silu };
                table.case(what.clone(), kernel);
                let (w, y) = (matrix[part].clone(), table.empty("y", &[tokens, rows])?);
                let kernel = Matmul { input: input(table, false)?, w, residual: None, y };
                table.case(what, kernel);
            }
        }
    }
    Ok(())
}

fn add_mix(table: &mut Rows) -> Result<()> {
    for (width, x_width, chosen, tokens) in [(32, 64, 3, 1), (160, 160, 8, 5), (1024, 1024, 1, 2)] {
        let kernel = MixExperts {
            x: table.filled("x", &[tokens * chosen, x_width])?,
            routes: routes(table, 4, tokens * chosen)?,
            chosen,
            residual: table.filled("residual", &[tokens, width])?,
            y: table.empty("y", &[tokens, width])?,
            tokens,
        };
        table.case(format!("{chosen} for each of {tokens} tokens, {width} of {x_width}"), kernel);
    }
    Ok(())
}

/// A bias of each token's own, wider than the rows.
fn add_own_biases(table: &mut Rows) -> Result<()> {
    for tokens in [1, 9, 33] {
        let (rows, columns) = (128, 96);
        let what = format!("[{rows}, {columns}] x {tokens}, own biases");
        let input = |table: &mut Rows| -> Result<Input> {
            let x = table.filled("x", &[tokens, columns])?;
            let bias = table.filled("bias", &[tokens, rows + 32])?;
            Ok(Input::plain(&x, tokens).with_bias(Some(&bias)))
        };
        let w = table.matrix(DType::Q4_0, rows, columns)?.parts()[0].clone();
        let (input_, y) = (input(table)?, table.empty("y", &[tokens, rows])?);
        let residual = Some(table.filled("residual", &[tokens, rows])?);
        table.case(what.clone(), Matmul { input: input_, w: w.clone(), residual, y });
        for function in [Function::Gelu, Function::Relu, Function::Cap(5.0)] {
            let (input, w, y) = (input(table)?, w.clone(), table.empty("y", &[tokens, rows + 32])?);
            let what = format!("{what}, {function:?}");
            table.case(what, Linear { input, w, first_row: 32, function, y });
        }
        for gate in [Gate::Silu, Gate::Gelu] {
            let (input, y) = (input(table)?, table.empty("y", &[tokens, rows / 2])?);
            table.case(format!("{what}, {gate:?}"), GateUp { input, w: w.clone(), y, gate });
        }
        let (heads, key_heads, head, capacity) = (4, 2, 16, 64);
        let kernel = QkvRopeCache {
            input: input(table)?,
            w,
            first_row: 0,
            step: table.words("step", &[11])?,
            rope: table.filled("rope", &[capacity, head])?,
            q: table.empty("q", &[tokens, heads * head])?,
            cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
        };
        table.case(what, kernel);
    }
    Ok(())
}
