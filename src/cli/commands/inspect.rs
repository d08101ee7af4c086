//! `kaiwu inspect`: shows the content of a model file, and the memory that it takes to run.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::{IgnoringArguments, LoadingArguments, model_path};
use crate::cli::support::failure::{is_usage, usage};
use crate::cli::support::output::{count, print, print_pretty, size, table};
use crate::format::{Array, Lora, Source, TensorInfo, Value};
use crate::model::{Config, Declared, Footprint, Pooling, SessionOptions, notices};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show a model file's metadata and tensors, and what it would take on a device
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// Model: a GGUF file, a Hugging Face folder, or the owner/name of one that `kaiwu pull`
    /// fetched [default: KAIWU_MODEL, or the one that `make model` fetches]
    #[arg(value_name = "MODEL")]
    path: Option<PathBuf>,
    /// The model, under the option that other commands have
    #[arg(short, long, value_name = "PATH", conflicts_with = "path")]
    model: Option<PathBuf>,
    #[command(flatten)]
    ignoring: IgnoringArguments,
    /// Tokens of context to reckon with [default: the model's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    #[command(flatten)]
    loading: LoadingArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu inspect model.gguf --context 2048
  kaiwu inspect -m folder --quantize q4_0 --lora adapter
  kaiwu inspect HuggingFaceTB/SmolLM2-135M-Instruct
  kaiwu inspect model.gguf --json";

pub(in crate::cli) fn run(arguments: &Arguments) -> Outcome {
    let asked = arguments.path.clone().or_else(|| arguments.model.clone());
    let asked = asked.or_else(|| std::env::var_os("KAIWU_MODEL").map(PathBuf::from));
    let source =
        Source::open_ignoring(&model_path(asked.as_deref())?, &arguments.ignoring.ignored())?;
    let footprint = footprint(&source, arguments);
    if let Err(error) = &footprint
        && is_usage(error)
    {
        return footprint.map(|_| ExitCode::SUCCESS);
    }
    if arguments.json {
        print_pretty(&as_json(&source, &footprint))?
    } else {
        print(&as_text(&source, &footprint))?
    }
    Ok(ExitCode::SUCCESS)
}

fn footprint(source: &Source, arguments: &Arguments) -> Result<Footprint> {
    let config = Config::from_source(source)?;
    let context = arguments.context.map_or(config.max_context, |n| n as usize);
    if context > config.max_context {
        let message =
            format!("a context of {context} exceeds the model's own, {}", config.max_context);
        return Err(usage(message));
    }
    let LoadingArguments { quantize, cache, lora } = &arguments.loading;
    let adapters = Lora::open_all(lora, config.architecture.name)?;
    let room =
        SessionOptions { context: Some(context), cache: cache.cache, ..SessionOptions::default() };
    Ok(Footprint::new(source, *quantize, &adapters, &room)?.at_once())
}

/// Number of tensors, elements and bytes of each type.
fn by_type(tensors: &[TensorInfo]) -> BTreeMap<&'static str, (usize, u64, u64)> {
    let mut types = BTreeMap::<_, (usize, u64, u64)>::new();
    for tensor in tensors {
        let entry = types.entry(tensor.dtype.name()).or_default();
        *entry = (entry.0 + 1, entry.1 + tensor.elements(), entry.2 + tensor.bytes);
    }
    types
}

/// The format in which the model is stored.
fn kind(source: &Source) -> String {
    match source {
        Source::Gguf(gguf) => {
            let files = gguf.files().len();
            let parts = if files > 1 { format!(" in {files} files") } else { String::new() };
            format!("GGUF version {}{parts}", gguf.version())
        }
        Source::Folder(_) => "Hugging Face folder".into(),
    }
}

fn as_text(source: &Source, footprint: &Result<Footprint>) -> String {
    let mut text = format!(
        "{}: {}, {}\n\nmetadata\n",
        source.path().display(),
        kind(source),
        size(source.file_bytes())
    );
    let row = |key: &str, value: String| vec![format!("  {}", key.escape_debug()), value];
    let rows: Vec<_> = match source {
        Source::Gguf(gguf) => {
            gguf.metadata().iter().map(|(key, value)| row(key, value.to_string())).collect()
        }
        Source::Folder(folder) => {
            folder.config().iter().map(|(key, value)| row(key, value.to_string())).collect()
        }
    };
    text += &table(&rows, 2);

    text += "\ntensors\n";
    let rows: Vec<_> = source
        .tensors()
        .iter()
        .map(|tensor| {
            vec![
                format!("  {}", tensor.name.escape_debug()),
                tensor.dtype.name().into(),
                format!("{:?}", tensor.shape),
                size(tensor.bytes),
            ]
        })
        .collect();
    text += &table(&rows, 3);

    text += "\nby type\n";
    let row = |name: &str, (tensors, elements, bytes): (usize, u64, u64)| {
        vec![
            format!("  {name}"),
            format!("{tensors} tensors"),
            format!("{} weights", count(elements)),
            size(bytes),
        ]
    };
    let types = by_type(source.tensors());
    let mut rows: Vec<_> = types.iter().map(|(name, sums)| row(name, *sums)).collect();
    let all = types.values().fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
    rows.push(row("all", all));
    text += &table(&rows, 1);

    if let Some(pooling) = pooling(source) {
        text += &format!("\nvectors of texts (kaiwu embed)\n  {pooling}\n");
    }
    let notices = notices(source);
    if !notices.is_empty() {
        text += "\nto know\n";
    }
    notices.iter().for_each(|notice| text += &format!("  {notice}\n"));

    match footprint {
        Err(error) => text += &format!("\non the device\n  cannot run: {error}\n"),
        Ok(footprint) => {
            text += &format!("\non the device, with {} tokens of context\n", footprint.context);
            let row = |name: &str, bytes| vec![format!("  {name}"), size(bytes)];
            text += &table(
                &[
                    row("weights, packed", footprint.weights_bytes),
                    row("keys and values", footprint.cache_bytes),
                    row("activations, at most", footprint.activation_bytes),
                    row("all", footprint.total_bytes),
                ],
                1,
            );
        }
    }
    text
}

/// A description of how vectors are pooled, if the model's files say so.
fn pooling(source: &Source) -> Option<String> {
    match Pooling::declared(source) {
        Ok(declared) => declared
            .map(|Declared { pooling, said_by }| format!("{}, says {said_by}", pooling.name())),
        Err(error) => Some(format!("cannot be made: {error}")),
    }
}

fn as_json(source: &Source, footprint: &Result<Footprint>) -> serde_json::Value {
    let (version, metadata): (_, serde_json::Map<_, _>) = match source {
        Source::Gguf(gguf) => {
            let metadata =
                gguf.metadata().iter().map(|(key, value)| (key.clone(), value_as_json(value)));
            (Some(gguf.version()), metadata.collect())
        }
        Source::Folder(folder) => (None, folder.config().clone()),
    };
    let tensor = |tensor: &TensorInfo| {
        let TensorInfo { name, shape, dtype, offset, file: _, bytes } = tensor;
        json!({ "name": name, "dtype": dtype.name(), "shape": shape, "offset": offset, "bytes": bytes })
    };
    let types = by_type(source.tensors()).into_iter().map(|(name, (tensors, elements, bytes))| {
        (name.to_owned(), json!({ "tensors": tensors, "weights": elements, "bytes": bytes }))
    });
    json!({
        "path": source.path().display().to_string(),
        "version": version,
        "file_bytes": source.file_bytes(),
        "metadata": metadata,
        "tensors": source.tensors().iter().map(tensor).collect::<Vec<_>>(),
        "types": types.collect::<serde_json::Map<_, _>>(),
        "pooling": Pooling::declared(source).ok().flatten().map(|declared| declared.pooling.name()),
        "notices": notices(source),
        "device": match footprint {
            Ok(footprint) => json!(footprint),
            Err(error) => json!({ "error": error.to_string() }),
        },
    })
}

/// Scalars as JSON; arrays as their type and length, because a whole vocabulary would be useless
/// here.
fn value_as_json(value: &Value) -> serde_json::Value {
    let array =
        |array: &Array| json!({ "array": array.element_type_name(), "length": array.len() });
    match value {
        Value::U8(v) => json!(v),
        Value::I8(v) => json!(v),
        Value::U16(v) => json!(v),
        Value::I16(v) => json!(v),
        Value::U32(v) => json!(v),
        Value::I32(v) => json!(v),
        Value::F32(v) => json!(v),
        Value::Bool(v) => json!(v),
        Value::String(v) => json!(v),
        Value::U64(v) => json!(v),
        Value::I64(v) => json!(v),
        Value::F64(v) => json!(v),
        Value::Array(v) => array(v),
    }
}
