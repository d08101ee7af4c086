//! Sampling options.

use crate::sample::SamplerSettings;
use clap::Args;
use std::hash::{BuildHasher, Hasher, RandomState};

/// How ids are chosen.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Sampling")]
pub(in crate::cli) struct SamplingArguments {
    /// Divides the logits; 0 takes the likeliest token always [default: 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Keep the K likeliest tokens; 0 keeps all [default: 0]
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = parse_top_k)]
    top_k: Option<u32>,
    /// Keep the likeliest tokens whose probabilities reach P together [default: 1]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// Drop tokens less likely than this share of the likeliest one [default: 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f32>,
    /// Divides the logits of tokens seen among the latest 64; 1 is off [default: 1]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,
    /// Subtracted for each time a token was seen among the latest 64 [default: 0]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,
    /// Subtracted if a token was seen among the latest 64 [default: 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    presence_penalty: Option<f32>,
    /// Added to the logit of a token, -inf bans it; repeatable
    #[arg(long, value_name = "ID=VALUE", value_parser = parse_bias)]
    logit_bias: Vec<(u32, f32)>,
    /// Fixes the random draws; -1 takes a random seed [default: -1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_seed)]
    seed: Option<Seed>,
}

/// The random seed option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Seed {
    /// A new random seed for each run.
    Random,
    /// A fixed seed.
    Fixed(u64),
}

impl Seed {
    pub(in crate::cli) fn number(self) -> u64 {
        match self {
            Self::Fixed(seed) => seed,
            // 53 bits, so that JSON readers can represent the seed exactly.
            Self::Random => RandomState::new().build_hasher().finish() >> 11,
        }
    }
}

/// Parses a seed, or -1 for a random one.
pub(in crate::cli) fn parse_seed(text: &str) -> std::result::Result<Seed, String> {
    match text.trim() {
        "-1" => Ok(Seed::Random),
        number => number.parse().map(Seed::Fixed).map_err(|_| {
            format!("a seed is a whole number from 0 to {}, or -1 for a random one", u64::MAX)
        }),
    }
}

/// Parses how many of the likeliest tokens are kept.
pub(in crate::cli) fn parse_top_k(text: &str) -> std::result::Result<u32, String> {
    text.trim()
        .parse()
        .map_err(|_| "top_k is a whole number of tokens, 0 or more; 0 keeps all".into())
}

/// Parses a number of tokens.
pub(in crate::cli) fn parse_tokens(text: &str) -> std::result::Result<u32, String> {
    let number = text.trim().parse().ok().filter(|&number: &u32| number > 0);
    number.ok_or(
        "it must be a whole number of tokens, 1 or more; leave it out for as many as there may be"
            .into(),
    )
}

fn parse_bias(text: &str) -> std::result::Result<(u32, f32), String> {
    let (id, value) = text.split_once('=').ok_or("expected ID=VALUE, such as 42=-5.5")?;
    let id = id.trim().parse().map_err(|_| format!("{id:?} is not a token id"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} is not a number"))?;
    Ok((id, value))
}

impl SamplingArguments {
    /// The given settings, with the rest from `base`. If no seed is given, a random one is used.
    pub(in crate::cli) fn settings(&self, base: SamplerSettings) -> SamplerSettings {
        SamplerSettings {
            temperature: self.temperature.unwrap_or(base.temperature),
            top_k: self.top_k.unwrap_or(base.top_k),
            top_p: self.top_p.unwrap_or(base.top_p),
            min_p: self.min_p.unwrap_or(base.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(base.repetition_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(base.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(base.presence_penalty),
            logit_bias: self.logit_bias.clone(),
            seed: self.seed.unwrap_or(Seed::Random).number(),
            ..base
        }
    }

    /// The seed of one of many answers: the given seed, or a different one for each answer if none
    /// was given.
    pub(in crate::cli) fn seed_of(&self, first: u64, index: usize) -> u64 {
        match self.seed {
            Some(Seed::Fixed(seed)) => seed,
            Some(Seed::Random) | None => first.wrapping_add(index as u64) & ((1 << 53) - 1),
        }
    }

    /// Reports which of the given options have no effect because decoding is greedy.
    pub(in crate::cli) fn say_what_is_unused(&self, settings: &SamplerSettings) {
        if let Some(notice) = self.unused(settings) {
            eprintln!("kaiwu: {notice}");
        }
    }

    fn unused(&self, settings: &SamplerSettings) -> Option<String> {
        let given = [
            ("--top-k", self.top_k.is_some_and(|k| k > 0)),
            ("--top-p", self.top_p.is_some_and(|p| p < 1.0)),
            ("--min-p", self.min_p.is_some_and(|p| p > 0.0)),
            ("--seed", matches!(self.seed, Some(Seed::Fixed(_)))),
        ];
        let names: Vec<&str> =
            given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect();
        let (last, others) = names.split_last().filter(|_| settings.is_greedy())?;
        let (names, verb) = match others {
            [] => ((*last).to_owned(), "does"),
            others => (format!("{} and {last}", others.join(", ")), "do"),
        };
        Some(format!(
            "{names} {verb} nothing at temperature 0, which takes the likeliest token always; \
             --temperature 0.8 draws"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_replaces_that_one_value() {
        let base = SamplerSettings {
            temperature: 1.5,
            top_p: 0.9,
            penalty_window: 0,
            ..Default::default()
        };
        let given =
            SamplingArguments { top_k: Some(7), seed: Some(Seed::Fixed(3)), ..Default::default() };
        assert_eq!(
            given.settings(base.clone()),
            SamplerSettings { top_k: 7, seed: 3, ..base.clone() }
        );
        let given = SamplingArguments {
            temperature: Some(0.0),
            seed: Some(Seed::Fixed(0)),
            ..Default::default()
        };
        assert_eq!(given.settings(base.clone()), SamplerSettings { temperature: 0.0, ..base });
    }

    #[test]
    fn without_a_seed_there_is_another_one_each_time() {
        let seed = |given| {
            SamplingArguments { seed: given, ..Default::default() }
                .settings(Default::default())
                .seed
        };
        for given in [None, Some(Seed::Random)] {
            assert!(seed(given) != seed(given) && seed(given) < 1 << 53);
        }
    }

    #[test]
    fn what_does_nothing_is_named() {
        let (greedy, warm) = (
            SamplerSettings::default(),
            SamplerSettings { temperature: 0.8, ..Default::default() },
        );
        let rows = [
            (
                SamplingArguments { top_p: Some(0.5), ..Default::default() },
                Some("--top-p does nothing"),
            ),
            (
                SamplingArguments {
                    top_k: Some(4),
                    min_p: Some(0.1),
                    seed: Some(Seed::Fixed(0)),
                    ..Default::default()
                },
                Some("--top-k, --min-p and --seed do nothing"),
            ),
            (SamplingArguments { top_k: Some(0), top_p: Some(1.0), ..Default::default() }, None),
            (SamplingArguments { seed: Some(Seed::Random), ..Default::default() }, None),
            (SamplingArguments { repetition_penalty: Some(1.1), ..Default::default() }, None),
        ];
        for (given, expected) in rows {
            let said = given.unused(&greedy);
            assert_eq!(said.is_some(), expected.is_some(), "{given:?}: {said:?}");
            assert!(
                said.unwrap_or_default().starts_with(expected.unwrap_or_default()),
                "{given:?}"
            );
            assert_eq!(given.unused(&warm), None);
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_in_words() {
        assert_eq!(parse_seed("-1"), Ok(Seed::Random));
        assert_eq!(parse_seed("18446744073709551615"), Ok(Seed::Fixed(u64::MAX)));
        for text in ["-2", "1.5", "18446744073709551616", ""] {
            assert!(
                parse_seed(text).unwrap_err().contains("from 0 to 18446744073709551615"),
                "{text}"
            );
        }
        for text in ["-1", "4294967296", "many"] {
            assert!(parse_top_k(text).unwrap_err().contains("0 or more"), "{text}");
        }
        for text in ["-1", "0", "1e3"] {
            assert!(parse_tokens(text).unwrap_err().contains("1 or more"), "{text}");
        }
        assert_eq!((parse_top_k("0"), parse_tokens("1")), (Ok(0), Ok(1)));
    }
}
