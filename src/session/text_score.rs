//! How well a model expects a text.

use crate::Result;
use crate::generate::Windows;
use crate::model::Scorer;

/// How likely a model held a token to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenScore {
    /// The token.
    pub id: u32,
    /// ln of its probability given the tokens before it; none of a window's first token, where
    /// nothing was before it.
    pub log_prob: Option<f64>,
}

/// How likely a model held the tokens of a text to be.
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
            // Where each window begins with a token that is not the text's, all others have scores.
            tokens.extend((!begins).then(|| TokenScore { id: window[0], log_prob: None }));
            let scored = window[1..].iter().zip(&scores);
            tokens
                .extend(scored.map(|(&id, score)| TokenScore { id, log_prob: Some(-score.nll()) }));
        }
        Ok(Self { tokens })
    }

    /// Mean negative log likelihood of the tokens that have a score, nats.
    pub fn mean_nll(&self) -> f64 {
        let scores: Vec<f64> = self.tokens.iter().filter_map(|token| token.log_prob).collect();
        -scores.iter().sum::<f64>() / scores.len() as f64
    }

    /// e to the power of [`TextScore::mean_nll`].
    pub fn perplexity(&self) -> f64 {
        self.mean_nll().exp()
    }
}
