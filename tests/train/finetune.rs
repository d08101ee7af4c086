//! Going on with a model: the training's forward pass against the runner, adapters and whole
//! models, and resuming.

use crate::common::Folder;
use crate::common::program::run;
use crate::common::{path, tiny};
use kaiwu::format::{Ignored, Lora, Source};
use kaiwu::gpu::{Access, Device, Gpu, GpuOptions, Program, Tensor};
use kaiwu::kernels::{CacheType, SampleBatch};
use kaiwu::model::{Runner, SessionOptions, Weights};
use kaiwu::text::{ChatTemplate, Tokenizer};
use kaiwu::train::{
    Batch, Data, Dataset, Lengths, LoraSettings, Network, Parameters, Target, TextRow, TextRun,
    TrainingOverrides, Tuning, Workspace, record,
};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn open() -> Arc<Gpu> {
    Gpu::open(&GpuOptions::default()).unwrap()
}

/// The tiny Llama as a GGUF file, in which queries and keys have another order.
fn gguf(folder: &Folder) -> PathBuf {
    let to = folder.0.join("tiny.gguf");
    let done = run(&["convert", "-m", path(&tiny("llama-f32")), "-o", path(&to)]);
    assert_eq!(done.code, 0, "{}", done.err);
    to
}

/// Some ids that every tiny vocabulary has.
fn ids(count: usize) -> Vec<u32> {
    (0..count).map(|i| (i * i * 7 + i * 3 + 5) as u32 % 300).collect()
}

/// Logits of the training's forward pass.
fn training_logits(gpu: &Arc<Gpu>, network: &Network, input: &[u32]) -> Vec<f32> {
    let device = Device::Gpu(Arc::clone(gpu));
    let words = |label: &str, words: &[u32]| {
        let tensor = Tensor::uniform(&device, label, words.len()).unwrap();
        let mut padded = words.to_vec();
        padded.resize(words.len().next_multiple_of(4), 0);
        tensor.write(gpu, 0, bytemuck::cast_slice(&padded));
        tensor
    };
    let tokens = input.len();
    let (ids, targets, totals) =
        (words("ids", input), words("targets", input), words("totals", &[0; 4]));
    let batch =
        Batch { ids, targets, totals, clock: None, size: 1, tokens, loss_positions: tokens };
    let recording = record(network, &mut Workspace::new(&device), &batch).unwrap();
    Program::compile(gpu, &recording).unwrap().run(gpu);
    let entry = recording.entries().iter().find(|entry| entry.label == "output").unwrap();
    let operands = entry.kernel.operands();
    let written = operands.iter().find(|operand| operand.access == Access::Write).unwrap();
    let logits = written.tensor.as_ref().unwrap();
    let padded = logits.read_f32(gpu).unwrap();
    padded.chunks(logits.dim(1)).flat_map(|row| &row[..network.shape.vocab_size]).copied().collect()
}

/// Logits of the runner, with an adapter or without.
fn runner_logits(gpu: &Arc<Gpu>, model: &Path, adapter: Option<&Path>, input: &[u32]) -> Vec<f32> {
    let device = Device::Gpu(Arc::clone(gpu));
    let source = Source::open(model).unwrap();
    let mut model = Weights::load(&device, &source, |_| ()).unwrap();
    if let Some(adapter) = adapter {
        model.adapt(&device, &[(Lora::open(adapter, "llama").unwrap(), 1.0)]).unwrap();
    }
    let vocabulary = model.config.vocab_size;
    let room = SessionOptions { expected: 64, cache: CacheType::F32, ..SessionOptions::default() };
    let mut runner = Runner::with_room(&device, &Arc::new(model), room).unwrap();
    let mut all = vec![];
    let each = |_: usize, logits: &[f32]| {
        all.extend_from_slice(&logits[..vocabulary]);
        Ok(())
    };
    runner.all_logits(input, each).unwrap();
    all
}

/// The largest difference.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() })
        .fold(0.0, f32::max)
}

fn lora(rank: usize, targets: &[Target]) -> LoraSettings {
    LoraSettings { rank, alpha: 5.0, targets: targets.to_vec() }
}

fn tuning(model: &Path, lora: Option<LoraSettings>) -> Tuning {
    Tuning { model: model.to_owned(), name: String::new(), ignored: Ignored::default(), lora }
}

/// Whoever knows a question knows the answer.
fn examples(folder: &Folder) -> PathBuf {
    let lines = [
        r#"{"prompt": "one", "response": "two three"}"#,
        r#"{"messages": [{"role": "user", "content": "four"}, {"role": "assistant", "content": "five"}], "from": "me"}"#,
        "",
        r#"{"prompt": "six", "response": "the seven seas"}"#,
    ];
    folder.write("examples.jsonl", &(lines.join("\n") + "\n"))
}

fn finish(run: &mut TextRun) {
    while !run.is_done() {
        run.advance(&AtomicBool::new(false), |_| ()).unwrap();
    }
}

fn timeless(rows: &[TextRow]) -> Vec<TextRow> {
    rows.iter().map(|row| TextRow { seconds: 0.0, ..row.clone() }).collect()
}

#[test]
fn before_training_logits_are_the_runners() {
    let (gpu, folder) = (open(), Folder::new("tune-before"));
    // An output matrix of its own, a tied one, stretched frequencies, another epsilon within a
    // window, and another order.
    let folders = ["llama-f32", "llama-bf16-sharded", "llama3rope-f16", "mistral-f16"].map(tiny);
    for model in folders.into_iter().chain([gguf(&folder)]) {
        let input = ids(if model.ends_with("mistral-f16") { 8 } else { 40 });
        let expected = runner_logits(&gpu, &model, None, &input);
        for adapter in [None, Some(lora(4, &Target::ALL))] {
            let source = Source::open(&model).unwrap();
            let network = Network::loaded(&gpu, &source, input.len(), adapter.as_ref(), 1).unwrap();
            let off = apart(&training_logits(&gpu, &network, &input), &expected);
            assert!(off < 2e-3, "{}: {off}", model.display());
        }
    }
}

fn lengths(context: Option<usize>) -> Lengths {
    Lengths { context, longest: 256, skip_long: false }
}

#[test]
fn only_what_the_assistant_says_is_learned() {
    let folder = Folder::new("tune-dataset");
    let data = Data::read(&[examples(&folder)]).unwrap();
    let source = Source::open(&tiny("llama-f32")).unwrap();
    let tokenizer = Tokenizer::from_source(&source).unwrap();
    let template = ChatTemplate::from_source(&source, &tokenizer).unwrap();
    let dataset =
        Dataset::examples(&data, &tokenizer, template.as_ref(), lengths(None), 0.34).unwrap();
    assert_eq!((dataset.training.len(), dataset.validation.len(), dataset.context % 4), (2, 1, 0));
    let expected = [("one", "two three"), ("four", "five"), ("six", "the seven seas")];
    for (words, (prompt, response)) in dataset.words.chunks(dataset.context + 1).zip(expected) {
        let there: Vec<u32> =
            words.iter().copied().filter(|&word| word != SampleBatch::NONE).collect();
        let (read, learned): (Vec<u32>, Vec<u32>) = there.iter().partition(|word| *word >> 31 == 1);
        let read: Vec<u32> = read.iter().map(|word| word & (u32::MAX >> 1)).collect();
        let prompt = format!("<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n");
        assert_eq!(tokenizer.decode(&read, false), prompt);
        assert_eq!(tokenizer.decode(&learned, false), format!("{response}<|im_end|>"));
        // Every place that has something to learn is kept.
        assert!(read.len() > dataset.context - dataset.kept, "{} {dataset:?}", read.len());
    }
    let message = Dataset::examples(&data, &tokenizer, template.as_ref(), lengths(Some(8)), 0.0)
        .unwrap_err()
        .to_string();
    assert!(message.contains("line 1 has") && message.contains("context of 8"), "{message}");
}

#[test]
fn an_adapter_learns_examples_and_is_read_as_it_was_trained() {
    let (gpu, folder) = (open(), Folder::new("tune-lora"));
    let data = Data::read(&[examples(&folder)]).unwrap();
    let overrides = TrainingOverrides {
        steps: Some(40),
        eval_interval: Some(10),
        learning_rate: Some(0.02),
        ..TrainingOverrides::default()
    };
    let some = lora(3, &[Target::Q, Target::V, Target::Up]);
    for (model, settings) in [(tiny("llama-f32"), some), (gguf(&folder), lora(4, &Target::ALL))] {
        let tuning = tuning(&model, Some(settings.clone()));
        let mut run = TextRun::tune(&gpu, &tuning, &overrides, &data).unwrap();
        // Frozen weights have no gradients.
        let recording = run.trainer.recording();
        let wasted = ["scatter", "norm_gain_backward"];
        assert!(recording.entries().iter().all(|entry| !wasted.contains(&entry.kernel.name())));
        finish(&mut run);
        let [first, last] = [&run.rows[0], run.rows.last().unwrap()].map(|row| row.train_loss);
        // The output matrix stands still, and it is small: no token gets all of the probability.
        assert!(last < 0.6 * first, "{first} {last}");

        let out = run.export(&folder.0).unwrap();
        let input = ids(24);
        let trained = training_logits(&gpu, &run.trainer.network, &input);
        let off = apart(&runner_logits(&gpu, &model, Some(&out), &input), &trained);
        let moved = apart(&runner_logits(&gpu, &model, None, &input), &trained);
        assert!(
            off < 2e-3 && moved > 0.5,
            "{}: {off} from itself, {moved} from before",
            model.display()
        );
        let read = Lora::open(&out, "llama").unwrap();
        assert_eq!(read.additions().len(), 3 * settings.targets.len());
        assert!(read.additions().iter().all(|addition| addition.rank == settings.rank));
    }
}

/// Fills B with numbers that are the same everywhere, where A has any: the rest is padding, or no
/// target.
fn make_up(parameters: &Parameters, values: &mut [Vec<f32>]) {
    for (pair, tensors) in values.chunks_mut(2).zip(parameters.tensors().chunks(2)) {
        let ([a, b], [shape_a, shape_b]) = (pair, tensors) else { panic!("no pair") };
        let (columns, rank) = (shape_a.dim(1), shape_b.dim(1));
        let rows = shape_b.dim(0) / (shape_a.dim(0) / rank);
        for (i, b) in b.iter_mut().enumerate() {
            let (row, column) = (i / rank, i % rank);
            if a[(row / rows * rank + column) * columns] != 0.0 {
                *b = (row * 7919 + column * 3571) as f32 % 1000.0 / 5000.0 - 0.1;
            }
        }
    }
}

/// The exporter writes what PEFT was given, byte by byte; `tests/models/lora.rs` reads it back. See
/// `tests/data/README.md`.
#[test]
fn an_adapter_is_what_peft_makes_of_it() {
    let (gpu, folder) = (open(), Folder::new("tune-peft"));
    let data = Data::read(&[examples(&folder)]).unwrap();
    let all = ("llama-f32", "llama-exported", lora(3, &Target::ALL));
    let some =
        ("llama-bf16-sharded", "llama-exported-some", lora(4, &[Target::Q, Target::V, Target::Up]));
    let rows = [(tiny(all.0), all.clone()), (gguf(&folder), all), (tiny(some.0), some)];
    for (model, (base, name, settings)) in rows {
        let name_of_base = format!("tests/data/tiny/{base}");
        let tuning = Tuning { name: name_of_base, ..tuning(&model, Some(settings)) };
        let run = TextRun::tune(&gpu, &tuning, &TrainingOverrides::default(), &data).unwrap();
        let parameters = &run.trainer.parameters;
        let mut values = parameters.read(&gpu).unwrap();
        make_up(parameters, &mut values);
        parameters.write(&gpu, &values).unwrap();
        let now = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&now).unwrap();
        run.export(&now).unwrap();
        let then = tiny("../lora").join(name);
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            let [now, then] = [&now, &then].map(|folder| std::fs::read(folder.join(file)).ok());
            assert!(
                now.is_some() && now == then,
                "{name}/{file}, now in {}",
                env!("CARGO_TARGET_TMPDIR")
            );
        }
        let bytes = std::fs::read(then.join("expected.safetensors")).unwrap();
        let peft = SafeTensors::deserialize(&bytes).unwrap();
        let input: Vec<u32> =
            bytemuck::pod_collect_to_vec(peft.tensor("input_ids").unwrap().data());
        let logits: Vec<f32> = bytemuck::pod_collect_to_vec(peft.tensor("logits").unwrap().data());
        // The network is as long as its examples; what comes later changes nothing.
        let (input, logits) = (&input[..24], &logits[..24 * logits.len() / input.len()]);
        let off = apart(&training_logits(&gpu, &run.trainer.network, input), logits);
        let moved = apart(&runner_logits(&gpu, &model, None, input), logits);
        assert!(off < 1e-4 && moved > 0.3, "{name}: {off} from PEFT, {moved} from before");
    }
}

#[test]
fn a_stopped_run_goes_on_as_if_nothing_had_happened() {
    let (gpu, folder) = (open(), Folder::new("tune-resumed"));
    let data = Data::read(&[examples(&folder)]).unwrap();
    let overrides = TrainingOverrides {
        steps: Some(9),
        eval_interval: Some(4),
        validation: Some(0.34),
        ..TrainingOverrides::default()
    };
    let tuning = tuning(&tiny("llama-f32"), Some(lora(4, &Target::ALL)));
    let mut whole = TextRun::tune(&gpu, &tuning, &overrides, &data).unwrap();
    finish(&mut whole);
    let mut stopped = TextRun::tune(&gpu, &tuning, &overrides, &data).unwrap();
    stopped.advance(&AtomicBool::new(false), |_| ()).unwrap();
    stopped.save(&folder.0).unwrap();
    // A run begins with a step at a time: the interrupt comes amid a row.
    let mut stopped = TextRun::resume(&gpu, &folder.0, &data, None).unwrap();
    assert_eq!(stopped.advance(&AtomicBool::new(true), |_| ()).unwrap(), None);
    assert_eq!(stopped.trainer.done(), 5);
    stopped.save(&folder.0).unwrap();
    let mut resumed = TextRun::resume(&gpu, &folder.0, &data, None).unwrap();
    finish(&mut resumed);
    assert_eq!(timeless(&resumed.rows), timeless(&whole.rows));
    assert!(resumed.rows.iter().all(|row| row.validation_loss.is_some()));
    let read = |run: &TextRun| run.trainer.parameters.read(&gpu).unwrap();
    assert!(read(&resumed) == read(&whole));
}

#[test]
fn a_whole_model_learns_a_text_and_is_written_in_its_form() {
    let (gpu, folder) = (open(), Folder::new("tune-full"));
    let data =
        Data::from(&*"One crow sits on the wall.\nTwo larks fly over the mill.\n".repeat(20));
    let overrides = TrainingOverrides {
        steps: Some(30),
        eval_interval: Some(10),
        learning_rate: Some(3e-3),
        context: Some(32),
        batch: Some(4),
        ..TrainingOverrides::default()
    };
    for model in [tiny("llama-f32"), tiny("llama-bf16-sharded"), gguf(&folder)] {
        let tuning = tuning(&model, None);
        let mut run = TextRun::tune(&gpu, &tuning, &overrides, &data).unwrap();
        finish(&mut run);
        let [first, last] =
            [&run.rows[0], run.rows.last().unwrap()].map(|row| row.validation_loss.unwrap());
        assert!(last < 0.7 * first, "{first} {last}");
        let out = Folder::new("tune-full-out");
        let made = run.export(&out.0).unwrap();
        let input = ids(24);
        let trained = training_logits(&gpu, &run.trainer.network, &input);
        let off = apart(&runner_logits(&gpu, &made, None, &input), &trained);
        let moved = apart(&runner_logits(&gpu, &model, None, &input), &trained);
        assert!(
            off < 2e-3 && moved > 0.5,
            "{}: {off} from itself, {moved} from before",
            model.display()
        );
    }
}

#[test]
fn the_command_writes_an_adapter_that_generate_takes() {
    let folder = Folder::new("tune-command");
    let (model, data, out) = ("tests/data/tiny/llama-f32", examples(&folder), folder.0.join("out"));
    let train = ["train", "-m", model, "--data", path(&data), "--out", path(&out), "--lora", "4"];
    let done = run(&[&train[..], &["--steps", "40", "--learning-rate", "0.02", "--json"]].concat());
    assert_eq!(done.code, 0, "{}", done.err);
    let summary: serde_json::Value = done.json();
    assert_eq!(
        (&summary["steps"], &summary["validation_loss"]),
        (&40.into(), &serde_json::Value::Null)
    );
    for name in [
        "metrics.jsonl",
        "curve.svg",
        "curve.png",
        "adapter_config.json",
        "adapter_model.safetensors",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    for (prompt, expected) in [("one", "two three"), ("six", "the seven seas")] {
        let said =
            run(&["generate", "-m", model, "--lora", path(&out), "--chat", "-n", "16", prompt]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(said.out.trim(), expected);
    }
    let more = run(&[
        "train",
        "--resume",
        "--data",
        path(&data),
        "--out",
        path(&out),
        "--steps",
        "44",
        "--json",
    ]);
    let summary: serde_json::Value = more.json();
    assert_eq!(summary["steps"], 44, "{}", more.err);
    let config = std::fs::read(out.join("adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["base_model_name_or_path"], model);
}

#[test]
fn what_cannot_be_trained_is_refused_in_one_line() {
    let folder = Folder::new("tune-refused");
    let (good, out) = (examples(&folder), folder.0.join("out"));
    let text = folder.write("text.txt", "one two three");
    let config = folder.write("config-of-train.json", "{}");
    let llama = tiny("llama-f32");
    let wrong = |name: &str, line: &str| folder.write(name, line);
    let rows: [(&Path, PathBuf, &[&str], &str); 13] = [
        (&tiny("qwen3-bf16"), good.clone(), &[], "architecture is \"qwen3\""),
        (&tiny("llama-linear-bias"), good.clone(), &["--lora", "4"], "biases"),
        (&tiny("mistral-f16"), good.clone(), &["--lora", "4"], "window"),
        (&llama, good.clone(), &["--lora", "0"], "--lora <RANK>': 0 is not in 1..=256"),
        (&llama, good.clone(), &["--lora", "4", "--lora-targets", "q,x"], "\"x\" is none of"),
        (&llama, good.clone(), &["--batch", "0"], "--batch <N>': 0 is not in"),
        (&llama, good.clone(), &["--context", "4096"], "made for 256"),
        (&llama, text.clone(), &["--context", "0"], "--context <N>': 0 is not in"),
        (&llama, text, &[], "the text has"),
        (&llama, wrong("half.jsonl", "{\"prompt\": \"one\"}"), &[], "line 1: is neither"),
        (&llama, wrong("empty.jsonl", ""), &[], "no examples"),
        (
            &llama,
            wrong("mute.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}]}"),
            &[],
            "no response",
        ),
        (&config, good.clone(), &[], "learns plain text"),
    ];
    for (model, data, more, expected) in rows {
        let train = ["train", "-m", path(model), "--data", path(&data), "--out", path(&out)];
        let done = run(&[&train[..], more].concat());
        let message = done.err;
        assert!(done.code != 0 && message.contains(expected), "{expected}: {message}");
        assert!(done.out.is_empty(), "{message}");
    }
}
