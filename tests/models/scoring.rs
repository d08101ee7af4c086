//! Judging a model: likelihoods and divergences against reference results and against all logits
//! read back.

use crate::common::loaded::fixture;
use crate::common::log_sum_exp;
use kaiwu::generate::{Windows, comparison, likelihood};
use kaiwu::gpu::Device;
use kaiwu::model::{ModelComparison, Runner, Scorer, Weights};
use std::sync::Arc;

fn text_ids() -> Vec<u32> {
    let ids = fixture().golden["text"]["input_ids"].as_array().unwrap();
    ids.iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn judge(rows: usize) -> Scorer {
    Scorer::new(fixture().runner(), rows).unwrap()
}

#[test]
fn the_likelihood_of_a_text_is_the_references() {
    let ids = text_ids();
    let expected = fixture().golden["text"]["mean_nll"].as_f64().unwrap();
    // Rows a step: all at once as the program does it, and in pieces that the text is not whole
    // ones of.
    for rows in [Scorer::rows_for(49152), 50] {
        let windows = Windows::new(&ids, 512, None).unwrap();
        let mut progress = vec![];
        let found = likelihood(&mut judge(rows), &windows, |done| progress.push(done)).unwrap();
        let nll = found.mean_nll;
        assert!((nll - expected).abs() < 2e-4, "{rows} rows: {nll}, expected {expected}");
        assert!((found.perplexity.ln() - nll).abs() < 1e-9);
        assert_eq!(progress.last(), Some(&(ids.len() - 1)));
    }
}

#[test]
fn each_score_is_what_the_logits_say() {
    let ids = &text_ids()[..70];
    let scores = judge(32).score(ids, |_| ()).unwrap();
    assert_eq!(scores.len(), ids.len() - 1);
    let mut failures = vec![];
    let each = |token: usize, logits: &[f32]| {
        let Some(score) = scores.get(token) else { return Ok(()) };
        let (whole, logit) = (log_sum_exp(logits), logits[ids[token + 1] as usize]);
        let best =
            (0..logits.len()).fold(0, |best, id| if logits[id] > logits[best] { id } else { best });
        let right = (f64::from(score.logsumexp) - whole).abs() < 1e-4 && score.logit == logit;
        if !right || score.best as usize != best {
            failures.push(format!("token {token}: {score:?}, expected {whole}, {logit}, {best}"));
        }
        Ok(())
    };
    fixture().runner().all_logits(ids, each).unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn windows_are_judged_each_on_its_own() {
    let ids = text_ids();
    let windows = Windows::new(&ids[..60], 40, None).unwrap();
    let both = likelihood(&mut judge(32), &windows, |_| ()).unwrap();
    let alone = |ids: &[u32]| {
        let scores = judge(32).score(ids, |_| ()).unwrap();
        scores.iter().map(|score| score.nll()).sum::<f64>()
    };
    let expected = (alone(&ids[..40]) + alone(&ids[40..60])) / 58.0;
    assert!((both.mean_nll - expected).abs() < 1e-9, "{} and {expected}", both.mean_nll);
}

#[test]
fn the_references_alone_score_the_same() {
    let ids = &text_ids()[..6];
    let model = Arc::new(Weights::load(&Device::Reference, &fixture().gguf, |_| ()).unwrap());
    let runner = Runner::new(&Device::Reference, &model, None, 8).unwrap();
    let host = Scorer::new(runner, 8).unwrap().score(ids, |_| ()).unwrap();
    let device = judge(8).score(ids, |_| ()).unwrap();
    for (host, device) in host.iter().zip(&device) {
        assert!((host.nll() - device.nll()).abs() < 0.02, "{host:?}, {device:?}");
        assert_eq!(host.best, device.best);
    }
}

#[test]
fn a_model_does_not_diverge_from_itself() {
    let windows = Windows::new(&text_ids()[..50], 32, None).unwrap();
    let mut comparer = ModelComparison::new(fixture().runner(), fixture().runner()).unwrap();
    let found = comparison(&mut comparer, &windows, |_| ()).unwrap();
    assert_eq!(found.a, found.b);
    assert_eq!(found.top1_agreement, 1.0);
    assert!(found.max_divergence < 1e-5, "{found:?}");
}

#[test]
fn what_cannot_be_judged_is_an_error() {
    let mut judge = judge(8);
    assert!(judge.score(&[1, 49152], |_| ()).unwrap_err().to_string().contains("49152"));
    assert!(judge.score(&[49152, 1], |_| ()).unwrap_err().to_string().contains("49152"));
    assert_eq!(judge.score(&[1], |_| ()).unwrap(), []);
    assert_eq!(judge.score(&[], |_| ()).unwrap(), []);
}
