//! `kaiwu convert`: a model in another type, as a GGUF file. Needs no device.

use super::Outcome;
use super::arguments::ModelArgument;
use super::output::{print, print_json, size};
use super::progress::Progress;
use crate::format::{DType, NewTensor, Quantization, Source, TensorInfo, Value, quantize, write_gguf};
use crate::generate::{gguf_recommended, recommended};
use crate::model::Export;
use crate::text::gguf_tokenizer;
use crate::{Error, Result};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a model as a GGUF file, which llama.cpp reads too, its matrices in another type if asked for
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// What the matrices become; those of a Hugging Face folder may stay as they are
    #[arg(long, value_name = "TYPE")]
    quantize: Option<Quantization>,
    /// Leave the tokenizer out, which is written where it is byte-level BPE or SentencePiece
    #[arg(long)]
    no_tokenizer: bool,
    /// What the file calls the model [default: the model's name, or its folder's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The file to write; one that is there is replaced
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu convert -m folder/ -o model.gguf
  kaiwu convert -m model.gguf --quantize q4_k -o model.q4_k.gguf
  kaiwu convert --quantize q8_0 -o model.q8_0.gguf && kaiwu compare -m model.gguf -m model.q8_0.gguf README.md";

/// The key of what a model is called.
const NAME: &str = "general.name";

/// A model to be written.
struct Model {
    metadata: Vec<(String, Value)>,
    tensors: Vec<TensorInfo>,
    bytes_before: u64,
    /// The bytes of a tensor in a type.
    data: Box<dyn Fn(usize, DType) -> Result<Vec<u8>>>,
}

impl Model {
    fn open(source: Source, no_tokenizer: bool, name: Option<&str>) -> Result<Self> {
        let bytes_before = source.file_bytes();
        match source {
            Source::Gguf(gguf) => {
                let (mut metadata, tensors) = (gguf.metadata().to_vec(), gguf.tensors().to_vec());
                if let Some(name) = name {
                    metadata.retain(|(key, _)| key != NAME);
                    metadata.push((NAME.into(), Value::String(name.into())));
                }
                let data = Box::new(move |index: usize, dtype| {
                    let tensor = &gguf.tensors()[index];
                    let bytes = quantize::convert(tensor.dtype, gguf.data(tensor), dtype);
                    gguf.release(tensor);
                    bytes.map_err(|message| gguf.path_error(format!("tensor {}: {message}", tensor.name)))
                });
                Ok(Self { metadata, tensors, bytes_before, data })
            }
            Source::Folder(folder) => {
                let export = Export::new(&folder)?;
                let name = name.unwrap_or(&export.name);
                let called = vec![(NAME.into(), Value::String(name.into()))];
                let tokenizer = match no_tokenizer {
                    // llama.cpp's word for it.
                    true => vec![("tokenizer.ggml.model".into(), Value::String("no_vocab".into()))],
                    false => gguf_tokenizer(&folder, export.vocabulary(), name)?,
                };
                let settings = recommended(&Source::Folder(folder))?;
                let sampling = settings.as_ref().map(gguf_recommended).unwrap_or_default();
                let metadata = [export.metadata.clone(), called, sampling, tokenizer].concat();
                let tensors = export.tensors();
                let data = Box::new(move |index, dtype| export.data(index, dtype));
                Ok(Self { metadata, tensors, bytes_before, data })
            }
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let path = arguments.model.path()?;
    let source = arguments.model.open()?;
    let (quantization, output) = (arguments.quantize, &arguments.output);
    if is_same_file(&path, output) {
        let message = format!("{} is the model itself; give another file to write", output.display());
        return Err(Error::Usage(message));
    }
    if quantization.is_none() && matches!(source, Source::Gguf(_)) {
        let message =
            format!("{} is a GGUF file already; say what to turn it into by --quantize", path.display());
        return Err(Error::Usage(message));
    }
    let model = Model::open(source, arguments.no_tokenizer, arguments.name.as_deref())?;
    let as_they_are = || model.tensors.iter().map(|tensor| tensor.dtype).collect();
    let plan: Vec<DType> = quantization.map_or_else(as_they_are, |to| quantize::plan(to, &model.tensors));
    let new = |(tensor, &dtype): (&TensorInfo, _)| NewTensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype,
    };
    let tensors: Vec<NewTensor> = model.tensors.iter().zip(&plan).map(new).collect();
    let total = model.tensors.iter().map(|tensor| tensor.bytes).sum();
    let mut progress = Progress::bytes("converting", total);
    let mut done = 0;
    write_gguf(output, &metadata(&model, quantization), &tensors, |index| {
        let bytes = (model.data)(index, plan[index])?;
        done += model.tensors[index].bytes;
        progress.set(done);
        Ok(bytes)
    })?;
    drop(progress);
    let bytes = std::fs::metadata(output).map_err(Error::io("read", output))?.len();
    let weights: u64 = model.tensors.iter().map(TensorInfo::elements).sum();
    let bits = 8.0 * bytes as f64 / weights.max(1) as f64;
    let dtype = quantization.map_or_else(|| largest(&model.tensors), Quantization::dtype);
    if arguments.json {
        print_json(&json!({
            "model": path.display().to_string(),
            "output": output.display().to_string(),
            "type": dtype.name(),
            "bytes_before": model.bytes_before,
            "bytes": bytes,
            "bits_per_weight": bits,
        }))?;
    } else {
        let (before, after) = (size(model.bytes_before), size(bytes));
        print(&format!("{}: {after} ({before} before), {bits:.2} bits a weight\n", output.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The type of most of the bytes.
fn largest(tensors: &[TensorInfo]) -> DType {
    let bytes = |dtype: &DType| -> u64 {
        tensors.iter().filter(|tensor| tensor.dtype == *dtype).map(|tensor| tensor.bytes).sum()
    };
    DType::ALL.into_iter().max_by_key(bytes).unwrap_or(DType::F32)
}

/// The model's metadata with what the file says about its own types brought up to date.
fn metadata(model: &Model, quantization: Option<Quantization>) -> Vec<(String, Value)> {
    // After ggml's `enum llama_ftype`.
    let unchanged = || match largest(&model.tensors) {
        DType::F16 => 1,
        DType::BF16 => 32,
        _ => 0,
    };
    let new = [
        ("general.file_type", Value::U32(quantization.map_or_else(unchanged, Quantization::file_type))),
        // Of ggml's block layouts; 2 since May 2023.
        ("general.quantization_version", Value::U32(2)),
    ];
    let is_old = |(key, _): &&(String, Value)| new.iter().all(|(name, _)| name != key);
    let old: Vec<_> = model.metadata.iter().filter(is_old).cloned().collect();
    old.into_iter().chain(new.map(|(key, value)| (key.to_owned(), value))).collect()
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
