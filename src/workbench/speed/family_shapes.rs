//! Kernel calls that only some families of models have, those of judging a text, and the roofs
//! themselves.

use super::shapes::{Plain, plain};
use crate::Result;
use crate::format::DType;
use crate::gpu::{Kernel, Tensor};
use crate::kernels::*;
use crate::workbench::Shape;
use crate::workbench::checks::cases::Table;

/// Tokens of a prompt.
const TOKENS: usize = 256;
/// Qwen3-30B-A3B: 8 of 128 experts, each [768, 2048]. The products here are over eight experts
/// only: all of them are 400 million weights, and a token alone reads eight whatever there are.
const EXPERTS: usize = 128;
const CHOSEN: usize = 8;
const WIDTH: usize = 2048;
const HIDDEN: usize = 768;
/// SmolLM2's logits.
const VOCABULARY: usize = 49152;

/// Choices of `tokens` tokens among `experts`, all of them about as often.
fn routes(table: &mut Table, tokens: usize, experts: usize) -> Result<Tensor> {
    let route = |at: usize| [(at * 5 % experts) as f32, 0.125, 0.0, 0.0];
    table.given("routes", &[tokens * CHOSEN, 4], (0..tokens * CHOSEN).flat_map(route).collect())
}

/// The products of an expert layer: gate and up, or down.
fn experts(table: &mut Table, what: String, tokens: usize, down: bool) -> Result<()> {
    let count = tokens * CHOSEN;
    let (rows, columns) = if down { (WIDTH, HIDDEN) } else { (2 * HIDDEN, WIDTH) };
    let share = if down { 1 } else { CHOSEN };
    let x = table.filled("x", &[count / share, columns])?;
    let gain = table.filled("gain", &[columns])?;
    let w = table.matrix(DType::Q4_0, CHOSEN * rows, columns)?.parts()[0].clone();
    let routes = routes(table, tokens, CHOSEN)?;
    let groups = (tokens > 1).then(|| -> Result<Tensor> {
        let shape = [GroupChoices::rows(count, CHOSEN), 4];
        let (routes, groups) = (routes.clone(), table.empty("groups", &shape)?);
        let kernel = GroupChoices { routes, experts: CHOSEN, choices: count, groups };
        kernel.reference(&mut table.memory);
        let values = table.memory.f32(&kernel.groups).to_vec();
        table.given("groups", &shape, values)
    });
    let experts = Some(Experts { routes, rows, share, groups: groups.transpose()? });
    if down {
        let (input, y) =
            (Input { experts, ..Input::plain(&x, count) }, table.empty("y", &[count, rows])?);
        table.case(what, Matmul { input, w, residual: None, y });
    } else {
        let input = Input { experts, ..Input::normed(&x, &gain, 1e-6, count) };
        let y = table.empty("y", &[count, HIDDEN])?;
        table.case(what, GateUp { input, w, y, gate: Gate::Silu });
    }
    Ok(())
}

fn project(
    table: &mut Table,
    what: String,
    dtype: DType,
    [tokens, rows, columns]: [usize; 3],
    function: Function,
) -> Result<()> {
    let x = table.filled("x", &[tokens, columns])?;
    let w = table.matrix(dtype, rows, columns)?.parts()[0].clone();
    let y = table.empty("y", &[tokens, rows.next_multiple_of(32)])?;
    table.case(what, Linear { input: Input::plain(&x, tokens), w, first_row: 0, function, y });
    Ok(())
}

fn route(table: &mut Table, what: String, tokens: usize) -> Result<()> {
    let logits = table.filled("logits", &[tokens, EXPERTS])?;
    let routes = table.empty("routes", &[tokens * CHOSEN, 4])?;
    let (experts, chosen) = (EXPERTS, CHOSEN);
    table.case(what, Route { logits, experts, chosen, among_chosen: true, routes, tokens });
    Ok(())
}

fn mix_experts(table: &mut Table, what: String, tokens: usize) -> Result<()> {
    let kernel = MixExperts {
        x: table.filled("x", &[tokens * CHOSEN, WIDTH])?,
        routes: routes(table, tokens, EXPERTS)?,
        chosen: CHOSEN,
        residual: table.filled("residual", &[tokens, WIDTH])?,
        y: table.empty("y", &[tokens, WIDTH])?,
        tokens,
    };
    table.case(what, kernel);
    Ok(())
}

/// Gemma 3 270M: width 640, four heads of 256 and one key head.
fn norm(table: &mut Table, what: String, tokens: usize) -> Result<()> {
    let columns = 640;
    let (x, gain) = (table.filled("x", &[tokens, columns])?, table.filled("gain", &[columns])?);
    let residual = Some(table.filled("residual", &[tokens, columns])?);
    let y = table.empty("y", &[tokens, columns])?;
    let (eps, centred) = (1e-6, false);
    table.case(
        what,
        Norm { x, gain, bias: None, residual, y, columns, eps, centred, first_token: 0, tokens },
    );
    Ok(())
}

fn qk_norm_rope(table: &mut Table, what: String, tokens: usize) -> Result<()> {
    let (heads, key_heads, head) = (4, 1, 256);
    let kernel = QkNormRope {
        x: table.filled("x", &[tokens, (heads + 2 * key_heads) * head])?,
        gains: Some([table.filled("q_gain", &[head])?, table.filled("k_gain", &[head])?]),
        eps: 1e-6,
        step: table.words("step", &[0])?,
        rope: table.filled("rope", &[TOKENS, head])?,
        q: table.empty("q", &[tokens, heads * head])?,
        cache: table.cache(CacheType::F16, [TOKENS, key_heads, head], false)?,
        tokens,
    };
    table.case(what, kernel);
    Ok(())
}

fn add_positions(table: &mut Table, what: String, tokens: usize) -> Result<()> {
    let kernel = AddPositions {
        step: table.words("step", &[0])?,
        x: table.filled("x", &[tokens, 768])?,
        w: table.filled("w", &[1024, 768])?,
        y: table.empty("y", &[tokens, 768])?,
        tokens,
    };
    table.case(what, kernel);
    Ok(())
}

const CALLS: &[(&str, Plain)] = &[
    ("Gemma-3-270M decode norm", |t, what| norm(t, what, 1)),
    ("Gemma-3-270M prefill of 256 norm", |t, what| norm(t, what, TOKENS)),
    ("Gemma-3-270M decode attn_qkv", |t, what| {
        project(t, what, DType::Q5_0, [1, 1536, 640], Function::Identity)
    }),
    ("Gemma-3-270M prefill of 256 attn_qkv", |t, what| {
        project(t, what, DType::Q5_0, [TOKENS, 1536, 640], Function::Identity)
    }),
    ("Gemma-3-270M decode qk_norm_rope", |t, what| qk_norm_rope(t, what, 1)),
    ("Gemma-3-270M prefill of 256 qk_norm_rope", |t, what| qk_norm_rope(t, what, TOKENS)),
    ("GPT-2 decode ffn_up", |t, what| project(t, what, DType::F16, [1, 3072, 768], Function::Gelu)),
    ("GPT-2 prefill of 256 positions", |t, what| add_positions(t, what, TOKENS)),
    ("SmolLM2-135M decode LoRA of rank 16, A of attn_qkv", |t, what| {
        project(t, what, DType::F32, [1, 48, 576], Function::Identity)
    }),
    ("SmolLM2-135M decode LoRA of rank 16, B of attn_qkv", |t, what| {
        project(t, what, DType::F32, [1, 960, 64], Function::Identity)
    }),
    ("SmolLM2-135M prefill of 256 LoRA of rank 16, A of attn_qkv", |t, what| {
        project(t, what, DType::F32, [TOKENS, 48, 576], Function::Identity)
    }),
    ("SmolLM2-135M prefill of 256 LoRA of rank 16, B of attn_qkv", |t, what| {
        project(t, what, DType::F32, [TOKENS, 960, 64], Function::Identity)
    }),
    ("Qwen3-30B-A3B decode route", |t, what| route(t, what, 1)),
    ("Qwen3-30B-A3B prefill of 256 route", |t, what| route(t, what, TOKENS)),
    ("Qwen3-30B-A3B prefill of 256 group_choices", |t, what| {
        let routes = routes(t, TOKENS, EXPERTS)?;
        let (experts, choices) = (EXPERTS, TOKENS * CHOSEN);
        let groups = t.empty("groups", &[GroupChoices::rows(choices, experts), 4])?;
        t.case(what, GroupChoices { routes, experts, choices, groups });
        Ok(())
    }),
    ("Qwen3-30B-A3B decode gate and up of eight experts", |t, what| experts(t, what, 1, false)),
    ("Qwen3-30B-A3B decode down of eight experts", |t, what| experts(t, what, 1, true)),
    ("Qwen3-30B-A3B prefill of 16 gate and up, eight experts", |t, what| {
        experts(t, what, 16, false)
    }),
    ("Qwen3-30B-A3B prefill of 16 down, eight experts", |t, what| experts(t, what, 16, true)),
    ("Qwen3-30B-A3B decode mix_experts", |t, what| mix_experts(t, what, 1)),
    ("Qwen3-30B-A3B prefill of 256 mix_experts", |t, what| mix_experts(t, what, TOKENS)),
    ("SmolLM2-135M perplexity likelihood", |t, what| {
        let (tokens, count) = (32, VOCABULARY);
        let targets: Vec<u32> = (0..tokens).map(|token| (token * 7919 % count) as u32).collect();
        let logits = t.filled("logits", &[tokens, count])?;
        let (targets, scores) = (t.words("targets", &targets)?, t.empty("scores", &[tokens, 4])?);
        t.case(what, TokenLogProb { logits, count, targets, scores, tokens });
        Ok(())
    }),
    ("SmolLM2-135M compare divergence", |t, what| {
        let (tokens, count) = (32, VOCABULARY);
        let kernel = Divergence {
            logits_a: t.filled("logits_a", &[tokens, count])?,
            logits_b: t.filled("logits_b", &[tokens, count])?,
            scores_a: t.filled("scores_a", &[tokens, 4])?,
            scores_b: t.filled("scores_b", &[tokens, 4])?,
            count,
            y: t.empty("y", &[tokens, 4])?,
            tokens,
        };
        t.case(what, kernel);
        Ok(())
    }),
    ("roof read of 16 MiB", |t, what| {
        let (x, y) = (t.filled("x", &[1 << 20, 4])?, t.empty("y", &[1 << 14, 4])?);
        t.case(what, RoofRead { x, y, reads: 64, times: 1 });
        Ok(())
    }),
    ("roof copy of 16 MiB", |t, what| {
        let (x, y) = (t.filled("x", &[1 << 20, 4])?, t.empty("y", &[1 << 20, 4])?);
        t.case(what, RoofCopy { x, y, reads: 64 });
        Ok(())
    }),
    ("roof multiply_add", |t, what| {
        let (x, y) = (t.filled("x", &[2048, 4])?, t.empty("y", &[2048, 4])?);
        let chains = RoofMultiplyAdd::CHAINS[0];
        t.case(what, RoofMultiplyAdd { x, y, rounds: 256, chains, factor: 0.75, addend: 0.5 });
        Ok(())
    }),
    ("roof multiply_add_half", |t, what| {
        let (x, y) = (t.filled("x", &[2048, 4])?, t.empty("y", &[2048, 4])?);
        t.case(what, RoofMultiplyAddHalf { x, y, rounds: 256, factor: 0.75, addend: 0.5 });
        Ok(())
    }),
    ("roof barrier", |t, what| {
        let [x, y] = ["x", "y"].map(|name| t.filled(name, &[RoofBarrier::LANES, 4]));
        t.case(what, RoofBarrier { x: x?, y: y?, rounds: 1024 });
        Ok(())
    }),
];

/// Each of them once.
pub(in crate::workbench) fn family_shapes() -> impl Iterator<Item = Shape> {
    CALLS.iter().map(|&(name, add)| plain(name.to_owned(), add))
}
