//! What `/set` changes: how ids are chosen, and how long answers are.

use crate::Result;
use crate::cli::support::arguments::Limit;
use crate::cli::support::failure::usage;
use crate::cli::support::sampling::{Seed, parse_seed, parse_top_k};
use crate::generate::Options;
use crate::sample::SamplerSettings;
use serde::{Deserialize, Serialize};

/// Names of what can be set.
const NAMES: [&str; 9] = [
    "temperature",
    "top-k",
    "top-p",
    "min-p",
    "repetition-penalty",
    "frequency-penalty",
    "presence-penalty",
    "seed",
    "tokens",
];

/// The settings of a conversation, as its file has them. Those that are not there stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    seed: Option<u64>,
    /// Answers that have been drawn, so that the next one has other draws.
    answers: Option<u64>,
    /// Most tokens of an answer.
    tokens: Option<usize>,
}

impl Settings {
    /// Those of a conversation that had so many answers.
    pub(super) fn of(options: &Options, answers: u64) -> Self {
        let sampling = &options.sampling;
        Self {
            temperature: Some(sampling.temperature),
            top_k: Some(sampling.top_k),
            top_p: Some(sampling.top_p),
            min_p: Some(sampling.min_p),
            repetition_penalty: Some(sampling.repetition_penalty),
            frequency_penalty: Some(sampling.frequency_penalty),
            presence_penalty: Some(sampling.presence_penalty),
            seed: Some(sampling.seed),
            answers: Some(answers),
            tokens: options.max_tokens,
        }
    }

    /// Puts them in the place of others, and gives the number of answers if there is one.
    ///
    /// # Errors
    /// When one is out of range; all stay as they were.
    pub(super) fn apply(&self, options: &mut Options, vocabulary: usize) -> Result<Option<u64>> {
        let base = options.sampling.clone();
        let sampling = SamplerSettings {
            temperature: self.temperature.unwrap_or(base.temperature),
            top_k: self.top_k.unwrap_or(base.top_k),
            top_p: self.top_p.unwrap_or(base.top_p),
            min_p: self.min_p.unwrap_or(base.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(base.repetition_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(base.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(base.presence_penalty),
            seed: self.seed.unwrap_or(base.seed),
            ..base
        };
        sampling.validate(vocabulary)?;
        if self.tokens == Some(0) {
            return Err(usage("tokens is 0, it must be 1 or more".into()));
        }
        options.sampling = sampling;
        options.max_tokens = self.tokens.or(options.max_tokens);
        Ok(self.answers)
    }
}

/// Sets one by its name, and says what that does where it is nothing.
///
/// # Errors
/// When there is none of that name, or the value is out of range; it stays as it was.
pub(super) fn set(
    options: &mut Options,
    vocabulary: usize,
    name: &str,
    value: &str,
) -> Result<Option<String>> {
    let name = name.replace('_', "-");
    if !NAMES.contains(&&*name) {
        let message = format!("there is no setting {name:?}; there are {}", NAMES.join(", "));
        return Err(usage(message));
    }
    let wrong = |why: String| usage(format!("{name} cannot be {value:?}: {why}"));
    let number = || value.parse::<f32>().map_err(|_| wrong("it must be a number".into()));
    let (mut sampling, mut tokens) = (options.sampling.clone(), options.max_tokens);
    match &*name {
        "temperature" => sampling.temperature = number()?,
        "top-k" => sampling.top_k = parse_top_k(value).map_err(wrong)?,
        "top-p" => sampling.top_p = number()?,
        "min-p" => sampling.min_p = number()?,
        "repetition-penalty" => sampling.repetition_penalty = number()?,
        "frequency-penalty" => sampling.frequency_penalty = number()?,
        "presence-penalty" => sampling.presence_penalty = number()?,
        "seed" if value == "random" => sampling.seed = Seed::Random.number(),
        "seed" => sampling.seed = parse_seed(value).map_err(wrong)?.number(),
        _ if value == "all" => tokens = None,
        _ => {
            let message =
                "it must be a whole number, 1 or more, or \"all\" for what the context holds";
            tokens = value.parse::<Limit>().map_err(|_| wrong(message.into()))?.most();
        }
    }
    sampling.validate(vocabulary)?;
    let draws = ["top-k", "top-p", "min-p", "seed"].contains(&&*name);
    let notice = (draws && sampling.is_greedy()).then(|| {
        format!(
            "{name} does nothing at temperature 0, which takes the likeliest token always; /set temperature 0.8 draws"
        )
    });
    (options.sampling, options.max_tokens) = (sampling, tokens);
    Ok(notice)
}

/// All with their values, a line each.
pub(super) fn listed(options: &Options) -> String {
    let s = &options.sampling;
    let values = [
        s.temperature.to_string(),
        s.top_k.to_string(),
        s.top_p.to_string(),
        s.min_p.to_string(),
        s.repetition_penalty.to_string(),
        s.frequency_penalty.to_string(),
        s.presence_penalty.to_string(),
        s.seed.to_string(),
        options.max_tokens.map_or("all that the context holds".into(), |most| most.to_string()),
    ];
    let greedy = if s.is_greedy() { " (the likeliest token always)" } else { "" };
    let lines: Vec<String> = NAMES
        .iter()
        .zip(values)
        .map(|(name, value)| {
            format!("  {name:<18} {value}{}", if *name == "temperature" { greedy } else { "" })
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_set_by_name_or_stay() {
        let mut options = Options::default();
        for (name, value) in [
            ("temperature", "0.8"),
            ("top_k", "40"),
            ("top-p", "0.9"),
            ("min-p", "0.05"),
            ("repetition-penalty", "1.1"),
            ("frequency-penalty", "-0.5"),
            ("presence_penalty", "0.25"),
            ("seed", "7"),
            ("tokens", "12"),
        ] {
            assert_eq!(set(&mut options, 100, name, value).unwrap(), None, "{name}");
        }
        let expected = SamplerSettings {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.9,
            min_p: 0.05,
            repetition_penalty: 1.1,
            frequency_penalty: -0.5,
            presence_penalty: 0.25,
            seed: 7,
            ..SamplerSettings::default()
        };
        let rows = [
            ("heat", "1", "there is no setting \"heat\"; there are temperature, top-k"),
            ("temperature", "-1", "0 (greedy) or a positive number"),
            ("temperature", "warm", "must be a number"),
            ("temperature", "", "must be a number"),
            ("top-p", "1.5", "above 0 and at most 1"),
            ("top-k", "-1", "0 keeps all"),
            ("seed", "-2", "-1 for a random one"),
            ("tokens", "0", "\"all\""),
        ];
        for (name, value, expected) in rows {
            let message = set(&mut options, 100, name, value).expect_err(name).to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert_eq!((&options.sampling, options.max_tokens), (&expected, Some(12)));
        assert!(listed(&options).contains("temperature        0.8\n"), "{}", listed(&options));
        set(&mut options, 100, "tokens", "all").unwrap();
        set(&mut options, 100, "temperature", "0").unwrap();
        assert_eq!(options.max_tokens, None);
        let notice = set(&mut options, 100, "top-p", "0.5").unwrap();
        assert!(notice.unwrap().starts_with("top-p does nothing at temperature 0"));
    }

    #[test]
    fn settings_come_back_as_they_were() {
        let sampling =
            SamplerSettings { temperature: 0.7, top_k: 3, seed: 9, ..Default::default() };
        let options = Options { sampling, max_tokens: Some(5), ..Options::default() };
        let mut other = Options::default();
        assert_eq!(Settings::of(&options, 4).apply(&mut other, 10).unwrap(), Some(4));
        assert_eq!((&other.sampling, other.max_tokens), (&options.sampling, Some(5)));
        assert_eq!(Settings::default().apply(&mut other, 10).unwrap(), None);
        assert_eq!(other.sampling, options.sampling);
        let wrong = Settings { top_p: Some(2.0), temperature: Some(0.1), ..Settings::default() };
        assert!(wrong.apply(&mut other, 10).is_err());
        assert_eq!(other.sampling, options.sampling);
    }
}
