//! Training on the device against PyTorch, against itself, and from checkpoints.

use crate::common;
use kaiwu::gpu::{Gpu, GpuOptions, StorageKind};
use kaiwu::train::{Checkpoint, Score, Settings, Shape, Shuffle, Trainer};
use serde::Deserialize;
use std::sync::Arc;

/// A run of `tests/data/make_training.py`.
#[derive(Deserialize)]
struct Run {
    name: String,
    shape: Shape,
    settings: Settings,
    masked: bool,
    losses: Vec<f64>,
}

fn runs() -> Vec<Run> {
    let text = std::fs::read_to_string(common::data("training.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn open(storage: StorageKind, without_aliases: bool) -> Arc<Gpu> {
    let options = GpuOptions { storage: Some(storage), without_aliases, ..GpuOptions::default() };
    Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// The trainer of a run, and where its sequences begin: every step draws all of them.
fn trainer(gpu: &Arc<Gpu>, run: &Run) -> (Trainer, Vec<u32>) {
    let sequences = run.settings.batch * run.settings.accumulate;
    let words = sequences * run.shape.context + 1;
    let word = |i: usize| {
        let id = (i * i * 7 + i * 3 + i / 5) % run.shape.vocab_size;
        id as u32 | if run.masked && i.is_multiple_of(5) { 1 << 31 } else { 0 }
    };
    let data: Vec<u32> = (0..words).map(word).collect();
    let trainer =
        Trainer::new(gpu, &run.shape, &run.settings, &data).unwrap_or_else(|e| panic!("{e}"));
    let places = trainer.windows(0..words);
    assert_eq!(places.len(), sequences);
    (trainer, places)
}

fn losses(scores: &[Score]) -> Vec<f64> {
    scores.iter().map(|score| score.loss).collect()
}

#[test]
fn ten_steps_are_those_of_pytorch() {
    let places =
        [(StorageKind::Buffer, false), (StorageKind::Texture, false), (StorageKind::Texture, true)];
    for (storage, without_aliases) in places {
        if !common::cases::can_store(storage) {
            continue;
        }
        let gpu = open(storage, without_aliases);
        for run in runs() {
            let (mut trainer, places) = trainer(&gpu, &run);
            let mut order = Shuffle::new(places.len(), run.settings.seed);
            let found = losses(&trainer.train(run.losses.len(), &places, &mut order).unwrap());
            for (step, (found, expected)) in found.iter().zip(&run.losses).enumerate() {
                let error = (found - expected).abs() / expected;
                assert!(
                    error < 1e-4,
                    "{}, step {step}, {storage:?}: {found}, expected {expected}",
                    run.name
                );
            }
            println!("{} {found:?}", run.name);
        }
    }
}

/// Memory of one pass's gradients serves the next one.
#[test]
fn six_sequences_are_the_same_step_however_they_are_parted() {
    let gpu = open(StorageKind::Buffer, false);
    for run in runs() {
        let Settings { loss_positions, .. } = run.settings;
        let words = 18 * run.shape.context + 1;
        let data: Vec<u32> =
            (0..words).map(|i| (i * i * 7 + i) as u32 % run.shape.vocab_size as u32).collect();
        let after = |batch, accumulate| {
            let settings = Settings { batch, accumulate, loss_positions, ..run.settings.clone() };
            let mut trainer = Trainer::new(&gpu, &run.shape, &settings, &data).unwrap();
            let places = trainer.windows(0..words);
            losses(&trainer.train(5, &places, &mut Shuffle::new(places.len(), 1)).unwrap())
        };
        let whole = after(6, 1);
        for (batch, accumulate) in [(3, 2), (2, 3), (1, 6)] {
            for (parted, whole) in after(batch, accumulate).iter().zip(&whole) {
                let error = (parted - whole).abs() / whole;
                assert!(
                    error < 1e-4,
                    "{}: {accumulate} times {batch}: {parted}, {whole} whole",
                    run.name
                );
            }
        }
    }
}

#[test]
fn a_checkpoint_continues_as_if_nothing_had_happened() {
    let gpu = open(StorageKind::Buffer, false);
    let path =
        std::env::temp_dir().join(format!("kaiwu-{}-checkpoint.safetensors", std::process::id()));
    for run in runs() {
        let order = |places: &[u32]| Shuffle::new(places.len(), run.settings.seed);
        let (mut whole, places) = trainer(&gpu, &run);
        let expected = losses(&whole.train(9, &places, &mut order(&places)).unwrap());

        let (mut first, _) = trainer(&gpu, &run);
        let mut found = losses(&first.train(4, &places, &mut order(&places)).unwrap());
        Checkpoint::write(&path, &first, "words".to_string()).unwrap();
        let (mut second, _) = trainer(&gpu, &run);
        let checkpoint = Checkpoint::<String>::read(&path, &mut second).unwrap();
        assert_eq!((checkpoint.step, checkpoint.state.as_str()), (4, "words"));
        found.extend(losses(&second.train(5, &places, &mut order(&places)).unwrap()));
        assert_eq!(found, expected, "{}", run.name);
        let ends = [&whole, &second].map(|trainer| trainer.parameters.read(&gpu).unwrap());
        assert!(ends[0] == ends[1], "{}: parameters", run.name);

        // The evaluation changes nothing, and sees each sequence once.
        let score = second.evaluate(&places[1..]).unwrap();
        assert!(score.count > 0.0 && score.loss < expected[0] * 2.0);
        assert!(ends[1] == second.parameters.read(&gpu).unwrap());
    }
    // Another shape is refused, and so is a file that is none.
    let (mut other, _) = trainer(&gpu, &runs()[0]);
    let message = Checkpoint::<String>::read(&path, &mut other).err().unwrap().to_string();
    assert!(message.contains("token_embd"), "{message}");
    for bytes in [&b"{}"[..], b"\xff\xff\xff\xff\xff\xff\xff\xff", b""] {
        std::fs::write(&path, bytes).unwrap();
        assert!(Checkpoint::<String>::peek(&path).is_err());
    }
    let _ = std::fs::remove_file(&path);
}

#[test]
fn impossible_shapes_and_settings_are_refused() {
    let gpu = open(StorageKind::Buffer, false);
    let Run { shape, settings, .. } = runs().swap_remove(0);
    let shapes = [
        (Shape { n_heads: 3, ..shape.clone() }, "heads"),
        (Shape { hidden_size: 0, ..shape.clone() }, "hidden_size"),
        (Shape { n_kv_heads: 3, ..shape.clone() }, "key heads"),
        (Shape { intermediate_size: 30, ..shape.clone() }, "intermediate_size"),
        (Shape { n_layers: 1 << 40, ..shape.clone() }, "layers"),
        (Shape { vocab_size: 2, ..shape.clone() }, "vocabulary"),
    ];
    for (wrong, word) in shapes {
        let message = Trainer::new(&gpu, &wrong, &settings, &[1, 2, 3]).err().unwrap().to_string();
        assert!(message.contains(word), "{word}: {message}");
    }
    let all = [
        Settings { batch: 0, ..settings.clone() },
        Settings { loss_positions: 5, ..settings.clone() },
        Settings { accumulate: 0, ..settings.clone() },
        Settings { batch: 1 << 20, ..settings.clone() },
    ];
    for wrong in all {
        assert!(Trainer::new(&gpu, &shape, &wrong, &[1, 2, 3]).is_err(), "{wrong:?}");
    }
}
