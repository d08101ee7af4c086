//! With `deterministic`, a token's logits have the same bits however its prompt was cut and
//! whatever the cache held.

use crate::common;
use kaiwu::format::{DType, Gguf, blocks};
use kaiwu::gpu::{Device, Element, Entry, Gpu, GpuOptions, Kernel, Program, Strategy, Tensor};
use kaiwu::kernels::{
    Attention, CacheType, Gate, GateUp, Input, LayerCache, Matmul, Matrix, OwnedRows, Side,
};
use kaiwu::model::{Runner, SessionOptions, Weights};
use kaiwu::workbench::Numbers;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Tokens of the prompt: whole chunks of none of the lengths below, and several blocks of the
/// cache.
const TOKENS: usize = 52;
/// The same where each takes long on software adapters.
const FEW: usize = 13;

fn hash(logits: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    logits.iter().for_each(|logit| logit.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// Hashes of the logits after the prompt by the way they were come by, and of those after each of
/// its tokens.
fn hashes(options: &GpuOptions, tokens: usize) -> (Vec<(&'static str, u64)>, Vec<u64>) {
    let gpu = Gpu::open(options).unwrap_or_else(|error| panic!("{error}"));
    let gguf = Arc::new(Gguf::open(&common::default_model()).unwrap());
    let device = Device::Gpu(gpu);
    let model = Arc::new(Weights::load(&device, &gguf, |_| ()).unwrap());
    let runner = || Runner::new(&device, &model, None, 64).unwrap();
    let ids: Vec<u32> = (0..tokens as u32).map(|n| 300 + 97 * n % 4000).collect();
    let mut found = vec![];

    for (what, chunk) in [("one piece", 256), ("chunks of 33", 33), ("chunks of 7", 7)] {
        let room = SessionOptions { expected: 64, chunk, ..SessionOptions::default() };
        let mut runner = Runner::with_room(&device, &model, room).unwrap();
        runner.prefill(&ids, |_| ()).unwrap();
        found.push((what, hash(&runner.last_logits().unwrap())));
    }

    let mut runner = runner();
    let mut by_token = vec![];
    for &id in &ids {
        runner.feed(id).unwrap();
        by_token.push(hash(&runner.last_logits().unwrap()));
    }
    found.push(("token by token", by_token[tokens - 1]));

    // What was computed after the prefix is still in the cache, and must not be seen.
    for (what, prefix) in
        [("a third of it in the cache", tokens / 3), ("most of it in the cache", tokens - 3)]
    {
        runner.rewind(prefix);
        runner.prefill(&[17; 6], |_| ()).unwrap();
        runner.rewind(prefix);
        runner.prefill(&ids[prefix..], |_| ()).unwrap();
        found.push((what, hash(&runner.last_logits().unwrap())));
    }

    if tokens == FEW {
        return (found, by_token);
    }
    // A cache that grows on the way.
    let mut small = Runner::new(&device, &model, None, 1).unwrap();
    small.prefill(&[17; 70], |_| ()).unwrap();
    small.rewind(0);
    small.prefill(&ids, |_| ()).unwrap();
    found.push(("a cache that grew", hash(&small.last_logits().unwrap())));

    let mut all = vec![];
    runner
        .all_logits(&ids, |_, row| {
            all.push(hash(row));
            Ok(())
        })
        .unwrap();
    assert_eq!(all, by_token, "logits of all tokens at once, beside those of each");
    (found, by_token)
}

#[track_caller]
fn assert_one(options: &GpuOptions, tokens: usize) {
    let (found, by_token) = hashes(options, tokens);
    assert!(found.iter().all(|(_, hash)| *hash == found[0].1), "{options:?}: {found:#x?}");
    // Hashes that say nothing would all be alike.
    let mut distinct = by_token.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), tokens, "different tokens have different logits");
}

#[test]
fn logits_have_the_same_bits_however_the_prompt_is_cut() {
    assert_one(&GpuOptions { deterministic: true, ..GpuOptions::default() }, TOKENS);
}

#[test]
fn so_they_have_without_subgroups() {
    assert_one(
        &GpuOptions { deterministic: true, without_subgroups: true, ..GpuOptions::default() },
        FEW,
    );
}

/// The shapes of one kernel: of all tokens at once, and of each alone.
struct Alike {
    what: String,
    all: Arc<dyn Kernel>,
    each: Vec<Arc<dyn Kernel>>,
}

fn filled(gpu: &Arc<Gpu>, numbers: &mut Numbers, shape: &[usize]) -> Tensor {
    let device = Device::Gpu(Arc::clone(gpu));
    let values = numbers.floats(shape.iter().product(), 1.0);
    Tensor::constant(&device, "x", shape, &values).unwrap()
}

fn alike(gpu: &Arc<Gpu>) -> Vec<Alike> {
    let device = Device::Gpu(Arc::clone(gpu));
    let mut numbers = Numbers::new(11);
    let empty = |shape: &[usize]| Tensor::zeros(&device, "y", shape, Element::F32).unwrap();
    let tokens = 11;
    let mut all = vec![];
    for (dtype, rows, columns) in
        [(DType::Q4_1, 132, 288), (DType::Q6K, 68, 256), (DType::F16, 256, 64)]
    {
        let bytes = blocks::quantise(dtype, &numbers.floats(rows * columns, 0.3));
        let source = Arc::new(OwnedRows::new(dtype, columns, bytes));
        let w = Matrix::load(&device, "w", source).unwrap().parts()[0].clone();
        let x = filled(gpu, &mut numbers, &[tokens, columns]);
        let gain = filled(gpu, &mut numbers, &[columns]);
        let input = |first: usize, count: usize| Input {
            first_token: first,
            ..Input::normed(&x, &gain, 1e-5, count)
        };
        let product = |first, count: usize| -> Arc<dyn Kernel> {
            let y = empty(&[count, rows]);
            Arc::new(Matmul { input: input(first, count), w: w.clone(), residual: None, y })
        };
        all.push(Alike {
            what: format!("product of {dtype}"),
            all: product(0, tokens),
            each: (0..tokens).map(|token| product(token, 1)).collect(),
        });
        if rows % 128 == 0 {
            let gate_up = |first, count: usize| -> Arc<dyn Kernel> {
                Arc::new(GateUp {
                    input: input(first, count),
                    w: w.clone(),
                    y: empty(&[count, rows / 2]),
                    gate: Gate::Silu,
                })
            };
            all.push(Alike {
                what: format!("gate_up of {dtype}"),
                all: gate_up(0, tokens),
                each: (0..tokens).map(|token| gate_up(token, 1)).collect(),
            });
        }
    }
    let (f16, f32, q8_0) = (CacheType::F16, CacheType::F32, CacheType::Q8_0);
    for (kind, heads, key_heads, head, position, window, ring) in [
        (f16, 9, 3, 64, 5, None, None),
        (f16, 4, 2, 16, 150, None, None),
        (f16, 2, 1, 80, 0, None, None),
        (f16, 4, 2, 16, 150, Some(37), None),
        (f16, 3, 3, 24, 100, Some(5), None),
        (f32, 4, 2, 16, 150, None, None),
        (q8_0, 9, 3, 64, 150, None, None),
        (f16, 4, 2, 16, 300, Some(54), Some(64)),
        (q8_0, 4, 2, 32, 300, Some(100), Some(128)),
    ] {
        let positions = ring.unwrap_or(192);
        let cache =
            LayerCache::new(&device, "cache", kind, [positions, key_heads, head], window.is_some())
                .unwrap();
        for (side, tensor) in [(Side::Keys, &cache.keys), (Side::Values, &cache.values)] {
            let mut words = vec![0; tensor.words()];
            for position in 0..positions {
                for key_head in 0..key_heads {
                    cache.set_head(
                        side,
                        &mut words,
                        position,
                        key_head,
                        &numbers.floats(head, 1.0),
                    );
                }
            }
            tensor.write(gpu, 0, bytemuck::cast_slice(&words));
        }
        let q = numbers.floats(tokens * heads * head, 1.0);
        let attention = |first: usize, count: usize| -> Arc<dyn Kernel> {
            let width = heads * head;
            let step = Tensor::uniform(&device, "step", 1).unwrap();
            step.write(gpu, 0, bytemuck::cast_slice(&[(position + first) as u32, 0, 0, 0]));
            let q = &q[first * width..][..count * width];
            Arc::new(Attention {
                step,
                q: Tensor::constant(&device, "q", &[count, width], q).unwrap(),
                cache: cache.clone(),
                y: empty(&[count, width]),
                pieces: None,
                tokens: count,
                scale: 1.0 / (head as f32).sqrt(),
                window,
                cap: None,
            })
        };
        all.push(Alike {
            what: format!(
                "attention of {heads}/{key_heads} heads of {head}, {kind:?}, window {window:?}"
            ),
            all: attention(0, tokens),
            each: (0..tokens).map(|token| attention(token, 1)).collect(),
        });
    }
    all
}

/// What a strategy writes, bit by bit.
fn bits(gpu: &Arc<Gpu>, kernel: &Arc<dyn Kernel>, strategy: &Strategy) -> Vec<u32> {
    let entry = Entry { label: strategy.name.into(), kernel: Arc::clone(kernel) };
    Program::compile_entries(gpu, &[entry], |_| strategy.clone()).unwrap().run(gpu);
    let y = kernel.operands().into_iter().find(|operand| operand.name == "y").unwrap();
    y.tensor.unwrap().read(gpu).unwrap()
}

#[test]
fn each_strategy_gives_a_token_the_same_bits_alone_and_among_others() {
    for without_subgroups in [false, true] {
        let options =
            GpuOptions { deterministic: true, without_subgroups, ..GpuOptions::default() };
        let gpu = Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"));
        let mut checked = 0;
        for Alike { what, all, each } in alike(&gpu) {
            let (many, one) =
                (all.strategies(gpu.capabilities()), each[0].strategies(gpu.capabilities()));
            let names =
                |all: &[Strategy]| all.iter().map(|strategy| strategy.name).collect::<Vec<_>>();
            assert_eq!(
                names(&many),
                names(&one),
                "{what}: the same strategies for one token and for many"
            );
            for (many, one) in many.iter().zip(&one) {
                let together = bits(&gpu, &all, many);
                let alone: Vec<u32> =
                    each.iter().flat_map(|kernel| bits(&gpu, kernel, one)).collect();
                let differ = together.iter().zip(&alone).filter(|(a, b)| a != b).count();
                assert_eq!((differ, together.len()), (0, alone.len()), "{what} ({})", many.name);
                checked += 1;
            }
        }
        assert!(checked >= 22, "{checked}");
    }
}
