//! A step of the choice of a token is a type, from outside of the crate too.

use kaiwu::Error;
use kaiwu::format::Source;
use kaiwu::generate::{Generator, Options};
use kaiwu::gpu::Device;
use kaiwu::model::{Runner, SessionOptions, Weights};
use kaiwu::sample::filters::{Temperature, TopK};
use kaiwu::sample::{Candidates, Chain, Effect, Filter, Sampler, SamplerSettings};
use kaiwu::text::Tokenizer;
use std::path::Path;
use std::sync::Arc;

/// Drops tokens further below the likeliest one than so many deviations of all (Tang et al. 2024,
/// arXiv:2411.07641).
struct TopNSigma(f32);

impl Filter for TopNSigma {
    fn apply(&self, tokens: &mut Candidates<'_>, _: &[u32]) -> kaiwu::Result<()> {
        let all = tokens.logits();
        let (count, sum) = (all.len() as f32, all.iter().map(|token| token.value).sum::<f32>());
        let deviation = |value: f32| (value - sum / count).powi(2);
        let sigma = (all.iter().map(|token| deviation(token.value)).sum::<f32>() / count).sqrt();
        let most = all.iter().map(|token| token.value).fold(f32::NEG_INFINITY, f32::max);
        all.retain(|token| token.value >= most - self.0 * sigma);
        Ok(())
    }

    fn effect(&self) -> Effect {
        Effect::Keeps
    }

    fn validate(&self, _: usize) -> kaiwu::Result<()> {
        if self.0 > 0.0 {
            return Ok(());
        }
        Err(Error::setting("top_n_sigma", format!("is {}, it must be positive", self.0)))
    }
}

/// Never the token that was chosen last.
struct NoEcho;

impl Filter for NoEcho {
    fn apply(&self, tokens: &mut Candidates<'_>, history: &[u32]) -> kaiwu::Result<()> {
        if let Some(logit) = history.last().and_then(|&last| tokens.logit_mut(last)) {
            *logit = f32::NEG_INFINITY;
        }
        Ok(())
    }
}

/// Which ids come up in many draws, in order.
fn drawn(chain: Chain, logits: &[f32], history: &[u32]) -> Vec<u32> {
    let mut sampler = Sampler::with(chain, 3);
    let draw = |_| sampler.sample(&mut logits.to_vec(), history).expect("a token is left");
    let mut ids: Vec<u32> = (0..2000).map(draw).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Mean 1, deviation 1.58.
const LOGITS: [f32; 4] = [3.0, 2.0, 0.0, -1.0];

#[test]
fn a_filter_from_outside_works_as_those_of_the_crate() {
    assert_eq!(drawn(Chain::new(), &LOGITS, &[]), [0, 1, 2, 3]);
    assert_eq!(drawn(Chain::new().append(TopNSigma(1.0)), &LOGITS, &[]), [0, 1]);
    assert_eq!(drawn(Chain::new().append(NoEcho), &LOGITS, &[7, 0]), [1, 2, 3]);
    // Among others, before and after weights were taken, and of tokens that were dropped already.
    let chain = Chain::new().temperature(2.0).top_k(3).append(NoEcho).top_p(0.9).append(NoEcho);
    assert_eq!(drawn(chain, &LOGITS, &[0]), [1, 2]);
    let chain = Chain::new().top_k(2).append(NoEcho).append(TopNSigma(5.0)).min_p(0.01);
    assert_eq!(drawn(chain, &LOGITS, &[3]), [0, 1]);
    // The likeliest of what it leaves.
    assert_eq!(drawn(Chain::new().append(NoEcho).temperature(0.0), &LOGITS, &[0]), [1]);
}

#[test]
fn a_chain_is_checked_and_says_whether_it_reads_logits() {
    let wrong = Chain::new().top_p(0.5).append(TopNSigma(-1.0));
    let error = wrong.validate(4).expect_err("out of range").to_string();
    assert!(error.contains("top_n_sigma"), "{error}");
    let greedy = || Chain::new().top_k(5).temperature(0.0);
    assert!(!greedy().needs_logits() && !greedy().append(TopNSigma(1.0)).needs_logits());
    assert!(greedy().append(NoEcho).needs_logits() && Chain::new().top_k(1).needs_logits());
    // Banning the only token is an error that names the step.
    let mut sampler = Sampler::with(Chain::new().top_k(1).append(NoEcho), 0);
    let error = sampler.sample(&mut LOGITS.to_vec(), &[0]).expect_err("none is left").to_string();
    assert!(error.contains("NoEcho"), "{error}");
}

#[test]
fn settings_are_a_chain_of_the_same_steps() {
    let settings = SamplerSettings { temperature: 0.7, top_k: 2, seed: 5, ..Default::default() };
    let by_hand = Chain::new().append(TopK(2)).append(Temperature(0.7));
    assert_eq!(format!("{:?}", settings.chain()), format!("{by_hand:?}"));
    let draws = |mut sampler: Sampler| -> Vec<u32> {
        (0..50).map(|_| sampler.sample(&mut LOGITS.to_vec(), &[]).expect("a token")).collect()
    };
    assert_eq!(draws(Sampler::new(settings)), draws(Sampler::with(by_hand, 5)));
}

/// Only ids that divide evenly.
struct MultiplesOf(u32);

impl Filter for MultiplesOf {
    fn apply(&self, tokens: &mut Candidates<'_>, _: &[u32]) -> kaiwu::Result<()> {
        tokens.logits().retain(|token| token.id % self.0 == 0);
        Ok(())
    }
}

#[test]
fn an_answer_of_a_model_goes_by_the_chain() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/llama-f32");
    let source = Source::open(&folder).expect("a checkpoint");
    let tokenizer = Arc::new(Tokenizer::from_source(&source).expect("its tokenizer"));
    let device = Device::Reference;
    let weights = Arc::new(Weights::load(&device, &source, |_| ()).expect("its weights"));
    let room = SessionOptions { expected: 32, ..SessionOptions::default() };
    let runner = Runner::with_room(&device, &weights, room).expect("room for it");
    let mut generator = Generator::new(runner, tokenizer);
    let mut ids = |chain: Option<Chain>| {
        let options = Options { chain, max_tokens: Some(6), ..Options::default() };
        generator.answer(&[1, 5, 9], &options, |_| Ok(())).expect("an answer").ids
    };
    let plain = ids(None);
    assert!(plain.iter().any(|id| id % 7 != 0), "{plain:?}");
    assert_eq!(ids(Some(SamplerSettings::default().chain())), plain);
    let chosen = ids(Some(Chain::new().append(MultiplesOf(7)).temperature(0.0)));
    assert!(chosen.len() == 6 && chosen.iter().all(|id| id % 7 == 0), "{chosen:?}");
}
