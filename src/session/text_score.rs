//! Scores of a text's tokens.

use crate::Result;
use crate::generate::Windows;
use crate::model::Scorer;

/// The likelihood of one token according to a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenScore {
    /// The token.
    pub id: u32,
    /// Natural logarithm of its probability given the tokens before it; `None` for the first token
    /// of a window, which has no context.
    pub log_prob: Option<f64>,
}

/// The likelihoods of a text's tokens according to a model.
///
/// ```
/// let model = kaiwu::Model::load("tests/data/tiny/llama-f32")?;
/// let score = model.score("How are you today?")?;
/// assert!(score.perplexity() > 1.0);
/// for token in &score.tokens {
///     println!("{} {:?}", token.id, token.log_prob);
/// }
/// # Ok::<(), kaiwu::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextScore {
    /// Every token of the text.
    pub tokens: Vec<TokenScore>,
}

impl TextScore {
    pub(super) fn new(scorer: &mut Scorer, windows: &Windows, begins: bool) -> Result<Self> {
        let mut tokens = vec![];
        for window in windows.iter() {
            let scores = scorer.score(window, |_| ())?;
            // If each window begins with an added token, all tokens of the text have scores.
            tokens.extend((!begins).then(|| TokenScore { id: window[0], log_prob: None }));
            let scored = window[1..].iter().zip(&scores);
            tokens
                .extend(scored.map(|(&id, score)| TokenScore { id, log_prob: Some(-score.nll()) }));
        }
        Ok(Self { tokens })
    }

    /// Mean negative log likelihood of the tokens that have a score, in nats.
    pub fn mean_nll(&self) -> f64 {
        let scores: Vec<f64> = self.tokens.iter().filter_map(|token| token.log_prob).collect();
        -scores.iter().sum::<f64>() / scores.len() as f64
    }

    /// e to the power of [`TextScore::mean_nll`].
    pub fn perplexity(&self) -> f64 {
        self.mean_nll().exp()
    }
}
