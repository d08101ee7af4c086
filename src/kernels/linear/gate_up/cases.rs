//! Cases and benchmark shapes of gated products.

use crate::Result;
use crate::format::DType;
use crate::kernels::checked::{Cases, Checked, MODEL_STEPS, Shapes};
use crate::kernels::linear::made_up::{
    OWN_BIAS_TOKENS, VARIANT_SIZE, Variant, for_each_variant, input, own_biases,
};
use crate::kernels::moe::made_up::{self, ExpertProduct, PRODUCTS};
use crate::kernels::{Gate, GateUp, Input};

/// Half of the rows, the columns, and the tokens.
type Size = (usize, usize, usize);

impl GateUp {
    /// A call with a norm before the product.
    fn made_up(
        cases: &mut Cases,
        dtype: DType,
        (half, columns, tokens): Size,
        gate: Gate,
    ) -> Result<Self> {
        Ok(Self {
            input: input(cases, true, [tokens, columns], 1e-6)?,
            w: cases.matrix(dtype, 2 * half, columns)?,
            y: cases.empty("y", &[tokens, half])?,
            gate,
        })
    }
}

fn add_experts(cases: &mut Cases) -> Result<()> {
    for product in PRODUCTS {
        let ExpertProduct { experts: count, rows, columns, tokens, share, by_expert } = product;
        for (dtype, parts) in [(DType::Q8_0, 1), (DType::BF16, 2)] {
            let [part_rows, parts] = product.part_rows(parts);
            for part in 0..parts {
                let x = [tokens.div_ceil(share), columns];
                let experts = Some(product.choices(cases)?);
                let input = Input { tokens, experts, ..input(cases, true, x, 1e-6)? };
                let w = cases.parts(dtype, [count * rows, columns], part_rows)?.swap_remove(part);
                let y = cases.empty("y", &[tokens, rows / 2])?;
                let what = format!(
                    "{dtype}, {count} experts of [{rows}, {columns}] x {tokens} / {share}, \
                     part {part}, by expert {by_expert}"
                );
                cases.add(what, GateUp { input, w, y, gate: Gate::Silu });
            }
        }
    }
    Ok(())
}

/// Gate and up matrices of an expert layer of Qwen3-30B-A3B.
fn of_qwen(cases: &mut Cases, tokens: usize) -> Result<GateUp> {
    let (rows, count) = (2 * made_up::HIDDEN, tokens * made_up::CHOSEN);
    let experts = Some(made_up::of_qwen(cases, tokens, rows, made_up::CHOSEN)?);
    let input = input(cases, true, [tokens, made_up::WIDTH], 1e-6)?;
    Ok(GateUp {
        input: Input { tokens: count, experts, ..input },
        w: cases.matrix(DType::Q4_0, made_up::CHOSEN * rows, made_up::WIDTH)?,
        y: cases.empty("y", &[count, made_up::HIDDEN])?,
        gate: Gate::Silu,
    })
}

impl Checked for GateUp {
    fn cases(cases: &mut Cases) -> Result<()> {
        for size in [(64, 32, 1), (192, 64, 1), (64, 32, 3), (192, 64, 9), (128, 96, 16)] {
            let (half, columns, tokens) = size;
            let kernel = Self::made_up(cases, DType::Q8_0, size, Gate::Silu)?;
            cases.add(format!("[2 * {half}, {columns}] x {tokens}"), kernel);
        }
        for size in [(64, 32, 1), (192, 64, 9)] {
            let (half, columns, tokens) = size;
            let kernel = Self::made_up(cases, DType::Q5_0, size, Gate::Gelu)?;
            cases.add(format!("gelu, [2 * {half}, {columns}] x {tokens}"), kernel);
        }
        for tokens in OWN_BIAS_TOKENS {
            for gate in [Gate::Silu, Gate::Gelu] {
                let (input, w, what) = own_biases(cases, tokens)?;
                let y = cases.empty("y", &[tokens, w.rows() / 2])?;
                cases.add(format!("{what}, {gate:?}"), Self { input, w, y, gate });
            }
        }
        add_experts(cases)
    }

    fn variants(cases: &mut Cases) -> Result<()> {
        for_each_variant(cases, |cases, Variant { input, w, tokens, what, .. }| {
            for gate in [Gate::Silu, Gate::Gelu] {
                let y = cases.empty("y", &[tokens, VARIANT_SIZE[0] / 2])?;
                let kernel = Self { input: input.clone(), w: w.clone(), y, gate };
                cases.add(format!("{what}, {gate:?}"), kernel);
            }
            Ok(())
        })
    }

    fn shapes(shapes: &mut Shapes) {
        for step in &MODEL_STEPS {
            shapes.add_of_model(step, "ffn_gate_up", |cases, step| {
                let size = (step.intermediate_size, step.hidden_size, step.tokens);
                Self::made_up(cases, step.dtype, size, Gate::Silu)
            });
        }
        shapes
            .add("Qwen3-30B-A3B decode gate and up of eight experts", |cases| of_qwen(cases, 1))
            .large();
        shapes
            .add("Qwen3-30B-A3B prefill of 16 gate and up, eight experts", |cases| {
                of_qwen(cases, 16)
            })
            .large();
    }
}
