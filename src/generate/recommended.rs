//! How the makers of a model would have ids chosen.

use crate::Result;
use crate::format::{Folder, Gguf, Source, Value as Entry};
use crate::sample::SamplerSettings;
use serde_json::Value;

/// Settings that a model's files recommend: `generation_config.json` of a folder, as `transformers`
/// reads it, or `general.sampling.*` of a GGUF file. None where they say nothing, or that the
/// likeliest is to be taken.
///
/// # Errors
/// When a setting is of another type than it should be.
pub fn recommended(source: &Source) -> Result<Option<SamplerSettings>> {
    match source {
        Source::Folder(folder) => of_folder(folder),
        Source::Gguf(gguf) => of_gguf(gguf),
    }
}

fn of_folder(folder: &Folder) -> Result<Option<SamplerSettings>> {
    let Some(fields) = folder.opt_object("generation_config.json")? else { return Ok(None) };
    let number = |name: &str, default: f64| match fields.get(name).filter(|value| !value.is_null())
    {
        None => Ok(default),
        Some(value) => value.as_f64().ok_or_else(|| {
            folder.path_error(format!(
                "generation_config.json: {name} should be a number, but is {value}"
            ))
        }),
    };
    let samples = fields.get("do_sample").and_then(Value::as_bool) == Some(true);
    let repetition_penalty = number("repetition_penalty", 1.0)? as f32;
    // Penalties look at the whole conversation there.
    let plain =
        SamplerSettings { repetition_penalty, penalty_window: 0, ..SamplerSettings::default() };
    if !samples {
        return Ok(plain.has_penalties().then_some(plain));
    }
    Ok(Some(SamplerSettings {
        temperature: number("temperature", 1.0)? as f32,
        top_k: number("top_k", 50.0)? as u32,
        top_p: number("top_p", 1.0)? as f32,
        min_p: number("min_p", 0.0)? as f32,
        ..plain
    }))
}

/// The same in the words of a GGUF file.
pub fn gguf_recommended(settings: &SamplerSettings) -> Vec<(String, Entry)> {
    let count = |n: u32| Entry::I32(n.try_into().unwrap_or(i32::MAX));
    let all = [
        ("temp", Entry::F32(settings.temperature)),
        ("top_k", count(settings.top_k)),
        ("top_p", Entry::F32(settings.top_p)),
        ("min_p", Entry::F32(settings.min_p)),
        ("penalty_repeat", Entry::F32(settings.repetition_penalty)),
        // Of all tokens, as `of_folder` has it.
        ("penalty_last_n", Entry::I32(-1)),
    ];
    all.into_iter().map(|(name, value)| (format!("general.sampling.{name}"), value)).collect()
}

fn of_gguf(gguf: &Gguf) -> Result<Option<SamplerSettings>> {
    let number = |name: &str| gguf.opt_f32(&format!("general.sampling.{name}"));
    let Some(temperature) = number("temp")? else { return Ok(None) };
    let plain = SamplerSettings::default();
    let key = "general.sampling.penalty_last_n";
    let mut repetition_penalty = number("penalty_repeat")?.unwrap_or(plain.repetition_penalty);
    let penalty_window = match gguf.get(key) {
        // llama.cpp's word for all tokens; 0 is its word for none.
        Some(Entry::I32(..=-1)) => 0,
        _ => match gguf.opt_u32(key)? {
            Some(0) => {
                repetition_penalty = plain.repetition_penalty;
                plain.penalty_window
            }
            last => last.map_or(plain.penalty_window, |n| n as usize),
        },
    };
    Ok(Some(SamplerSettings {
        temperature,
        penalty_window,
        top_k: gguf.opt_u32("general.sampling.top_k")?.unwrap_or(plain.top_k),
        top_p: number("top_p")?.unwrap_or(plain.top_p),
        min_p: number("min_p")?.unwrap_or(plain.min_p),
        repetition_penalty,
        ..plain
    }))
}
