//! Calls that products are checked and timed on.

use crate::Result;
use crate::format::DType;
use crate::kernels::checked::{Cases, Checked, MODEL_STEPS, Shapes};
use crate::kernels::linear::made_up::{
    OWN_BIAS_TOKENS, VARIANT_SIZE, Variant, for_each_variant, input, own_biases,
};
use crate::kernels::moe::made_up::{self, ExpertProduct, PRODUCTS};
use crate::kernels::{Input, Matmul};

/// Rows, columns, tokens: one lane's worth, more than a workgroup's, not whole workgroups, one and
/// many tokens, more tokens than a tile.
const SIZES: [(usize, usize, usize); 7] =
    [(4, 32, 1), (68, 64, 1), (192, 288, 1), (4, 32, 2), (100, 96, 9), (132, 64, 17), (68, 64, 70)];

/// Sizes in all formats: 256 columns are one superblock of K-quants, 768 an odd count of them.
const FORMAT_SIZES: [(usize, usize, usize); 4] =
    [(36, 256, 1), (72, 768, 1), (36, 256, 3), (40, 768, 10)];

impl Matmul {
    /// A product of `tokens` rows of made-up activations of width `columns` with a made-up matrix
    /// of `rows` rows, or with its first part where it is beyond what one binding takes.
    ///
    /// # Errors
    /// When the device cannot hold the tensors.
    pub fn made_up(
        cases: &mut Cases,
        dtype: DType,
        [tokens, rows, columns]: [usize; 3],
        residual: bool,
    ) -> Result<Self> {
        let width = rows.next_multiple_of(4);
        Ok(Self {
            input: input(cases, false, [tokens, columns], 0.0)?,
            w: cases.matrix(dtype, rows, columns)?,
            residual: cases.filled_if(residual, "residual", &[tokens, width])?,
            y: cases.empty("y", &[tokens, width])?,
        })
    }
}

/// With a norm and a residual, and without; token 0 is the second row of the activations.
fn add_sizes(cases: &mut Cases) -> Result<()> {
    for (rows, columns, tokens) in SIZES {
        for both in [false, true] {
            let all = input(cases, both, [tokens + 1, columns], 1e-5)?;
            let kernel = Matmul {
                input: Input { first_token: 1, tokens, ..all },
                w: cases.matrix(DType::Q4_1, rows, columns)?,
                residual: cases.filled_if(both, "residual", &[tokens, rows])?,
                y: cases.empty("y", &[tokens, rows])?,
            };
            cases.add(format!("[{rows}, {columns}] x {tokens}, norm {both}"), kernel);
        }
    }
    Ok(())
}

fn add_biases(cases: &mut Cases) -> Result<()> {
    let (rows, columns) = (100, 96);
    for tokens in [1, 9] {
        for residual in [false, true] {
            let plain = Matmul::made_up(cases, DType::F16, [tokens, rows, columns], residual)?;
            let bias = cases.filled("bias", &[rows])?;
            let kernel = Matmul { input: plain.input.with_bias(Some(&bias)), ..plain };
            let what = format!("[{rows}, {columns}] x {tokens}, bias, residual {residual}");
            cases.add(what, kernel);
        }
    }
    for tokens in OWN_BIAS_TOKENS {
        let (input, w, what) = own_biases(cases, tokens)?;
        let residual = Some(cases.filled("residual", &[tokens, w.rows()])?);
        let y = cases.empty("y", &[tokens, w.rows()])?;
        cases.add(what, Matmul { input, w, residual, y });
    }
    Ok(())
}

fn add_experts(cases: &mut Cases) -> Result<()> {
    for product in PRODUCTS {
        let ExpertProduct { experts: count, rows, columns, tokens, share, by_expert } = product;
        for (dtype, parts) in [(DType::Q8_0, 1), (DType::BF16, 2)] {
            let [part_rows, parts] = product.part_rows(parts);
            for part in 0..parts {
                let x = [tokens.div_ceil(share), columns];
                let experts = Some(product.choices(cases)?);
                let input = Input { tokens, experts, ..input(cases, false, x, 0.0)? };
                let w = cases.parts(dtype, [count * rows, columns], part_rows)?.swap_remove(part);
                let y = cases.empty("y", &[tokens, rows])?;
                let what = format!(
                    "{dtype}, {count} experts of [{rows}, {columns}] x {tokens} / {share}, \
                     part {part}, by expert {by_expert}"
                );
                cases.add(what, Matmul { input, w, residual: None, y });
            }
        }
    }
    Ok(())
}

/// Down of an expert layer of Qwen3-30B-A3B.
fn down_of_qwen(cases: &mut Cases, tokens: usize) -> Result<Matmul> {
    let (rows, count) = (made_up::WIDTH, tokens * made_up::CHOSEN);
    let experts = Some(made_up::of_qwen(cases, tokens, rows, 1)?);
    Ok(Matmul {
        input: Input { experts, ..input(cases, false, [count, made_up::HIDDEN], 0.0)? },
        w: cases.matrix(DType::Q4_0, made_up::CHOSEN * rows, made_up::HIDDEN)?,
        residual: None,
        y: cases.empty("y", &[count, rows])?,
    })
}

impl Checked for Matmul {
    fn cases(cases: &mut Cases) -> Result<()> {
        add_sizes(cases)?;
        for dtype in DType::ALL {
            for (rows, columns, tokens) in FORMAT_SIZES {
                let kernel = Self::made_up(cases, dtype, [tokens, rows, columns], false)?;
                cases.add(format!("{dtype} [{rows}, {columns}] x {tokens}"), kernel);
            }
        }
        add_biases(cases)?;
        add_experts(cases)
    }

    fn variants(cases: &mut Cases) -> Result<()> {
        for_each_variant(cases, |cases, Variant { input, w, tokens, what, .. }| {
            for residual in [false, true] {
                let shape = [tokens, VARIANT_SIZE[0]];
                let kernel = Self {
                    input: input.clone(),
                    w: w.clone(),
                    residual: cases.filled_if(residual, "residual", &shape)?,
                    y: cases.empty("y", &shape)?,
                };
                cases.add(format!("{what}, residual {residual}"), kernel);
            }
            Ok(())
        })
    }

    fn shapes(shapes: &mut Shapes) {
        for step in &MODEL_STEPS {
            shapes.add_of_model(step, "attn_output", |cases, step| {
                let columns = step.n_heads * step.head_dim;
                Self::made_up(cases, step.dtype, [step.tokens, step.hidden_size, columns], true)
            });
            shapes.add_of_model(step, "ffn_down", |cases, step| {
                let size = [step.tokens, step.hidden_size, step.intermediate_size];
                Self::made_up(cases, step.dtype, size, true)
            });
            if step.vocab_size > 0 && step.tokens == 1 {
                let output = shapes.add_of_model(step, "output", |cases, step| {
                    let size = [1, step.vocab_size, step.hidden_size];
                    Self::made_up(cases, step.dtype, size, false)
                });
                output.large();
            }
        }
        shapes
            .add("Qwen3-30B-A3B decode down of eight experts", |cases| down_of_qwen(cases, 1))
            .large();
        shapes
            .add("Qwen3-30B-A3B prefill of 16 down, eight experts", |cases| down_of_qwen(cases, 16))
            .large();
    }
}
