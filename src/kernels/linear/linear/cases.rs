//! Calls that products with a function are checked and timed on.

use crate::Result;
use crate::format::DType;
use crate::kernels::checked::{Cases, Checked, PROMPT, Shapes};
use crate::kernels::linear::made_up::{
    OWN_BIAS_TOKENS, VARIANT_SIZE, Variant, for_each_variant, input, own_biases,
};
use crate::kernels::{Function, Linear};

/// Calls of real models: name, format, [tokens, rows, columns], function, and whether they take
/// long to make up.
const SHAPES: [(&str, DType, [usize; 3], Function, bool); 7] = [
    ("Gemma-3-270M decode attn_qkv", DType::Q5_0, [1, 1536, 640], Function::Identity, false),
    (
        "Gemma-3-270M prefill of 256 attn_qkv",
        DType::Q5_0,
        [PROMPT, 1536, 640],
        Function::Identity,
        true,
    ),
    ("GPT-2 decode ffn_up", DType::F16, [1, 3072, 768], Function::Gelu, false),
    (
        "SmolLM2-135M decode LoRA of rank 16, A of attn_qkv",
        DType::F32,
        [1, 48, 576],
        Function::Identity,
        false,
    ),
    (
        "SmolLM2-135M decode LoRA of rank 16, B of attn_qkv",
        DType::F32,
        [1, 960, 64],
        Function::Identity,
        false,
    ),
    (
        "SmolLM2-135M prefill of 256 LoRA of rank 16, A of attn_qkv",
        DType::F32,
        [PROMPT, 48, 576],
        Function::Identity,
        true,
    ),
    (
        "SmolLM2-135M prefill of 256 LoRA of rank 16, B of attn_qkv",
        DType::F32,
        [PROMPT, 960, 64],
        Function::Identity,
        true,
    ),
];

/// Long rows drive GELU and cap into their flat ends.
fn add_functions(cases: &mut Cases) -> Result<()> {
    for (rows, columns, tokens, first_row) in [(36, 1024, 1, 0), (100, 96, 17, 32)] {
        for function in [
            Function::Gelu,
            Function::GeluExact,
            Function::Identity,
            Function::Relu,
            Function::Cap(5.0),
        ] {
            let width = (first_row + rows + 8usize).next_multiple_of(32);
            let bias = cases.filled("bias", &[width])?;
            let kernel = Linear {
                input: input(cases, false, [tokens, columns], 0.0)?.with_bias(Some(&bias)),
                w: cases.matrix(DType::F32, rows, columns)?,
                first_row,
                function,
                y: cases.empty("y", &[tokens, width])?,
            };
            let what = format!("{function:?}, F32 [{rows}, {columns}] x {tokens} from {first_row}");
            cases.add(what, kernel);
        }
    }
    Ok(())
}

impl Checked for Linear {
    fn cases(cases: &mut Cases) -> Result<()> {
        add_functions(cases)?;
        for tokens in OWN_BIAS_TOKENS {
            for function in [Function::Gelu, Function::Relu, Function::Cap(5.0)] {
                let (input, w, what) = own_biases(cases, tokens)?;
                let y = cases.empty("y", &[tokens, w.rows() + 32])?;
                let kernel = Self { input, w, first_row: 32, function, y };
                cases.add(format!("{what}, {function:?}"), kernel);
            }
        }
        Ok(())
    }

    fn variants(cases: &mut Cases) -> Result<()> {
        for_each_variant(cases, |cases, Variant { input, w, tokens, normed, what }| {
            // What sums go through is one function; with a bias and without a norm is how models
            // have it.
            if normed {
                return Ok(());
            }
            for function in [Function::Identity, Function::Gelu, Function::Relu, Function::Cap(5.0)]
            {
                let bias = cases.filled("bias", &[VARIANT_SIZE[0]])?;
                let y = cases.empty("y", &[tokens, VARIANT_SIZE[0]])?;
                let input = input.clone().with_bias(Some(&bias));
                let kernel = Self { input, w: w.clone(), first_row: 0, function, y };
                cases.add(format!("{what}, {function:?}"), kernel);
            }
            Ok(())
        })
    }

    fn shapes(shapes: &mut Shapes) {
        for (name, dtype, [tokens, rows, columns], function, large) in SHAPES {
            let shape = shapes.add(name, move |cases| {
                Ok(Self {
                    input: input(cases, false, [tokens, columns], 0.0)?,
                    w: cases.matrix(dtype, rows, columns)?,
                    first_row: 0,
                    function,
                    y: cases.empty("y", &[tokens, rows.next_multiple_of(32)])?,
                })
            });
            shape.large = large;
        }
    }
}
