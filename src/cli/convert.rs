//! `kaiwu convert`: a model in another type, as a GGUF file. Needs no device.

use super::Outcome;
use super::arguments::ModelArgument;
use super::output::{print, print_json, size};
use super::progress::Progress;
use crate::Error;
use crate::format::{Gguf, NewTensor, Quantization, TensorInfo, Value, quantize, write_gguf};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a model with its matrices in another type as a GGUF file, which llama.cpp reads too
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// What the matrices become
    #[arg(long, value_name = "TYPE")]
    quantize: Quantization,
    /// The file to write; one that is there is replaced
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu convert -m model.gguf --quantize q4_k -o model.q4_k.gguf
  kaiwu convert --quantize q8_0 -o model.q8_0.gguf && kaiwu compare -m model.gguf -m model.q8_0.gguf README.md";

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let model = arguments.model.path()?;
    if model.is_dir() {
        let message = "is a folder, and this version converts GGUF files only; --quantize of `kaiwu generate` and others \
                       takes folders";
        return Err(Error::format(&model, message));
    }
    let gguf = Gguf::open(&model)?;
    let (quantization, output) = (arguments.quantize, &arguments.output);
    if is_same_file(gguf.path(), output) {
        let message = format!("{} is the model itself; give another file to write", output.display());
        return Err(Error::Usage(message));
    }
    let plan = quantize::plan(quantization, gguf.tensors());
    let new = |(tensor, &dtype): (&TensorInfo, _)| NewTensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype,
    };
    let tensors: Vec<NewTensor> = gguf.tensors().iter().zip(&plan).map(new).collect();
    let total = gguf.tensors().iter().map(|tensor| tensor.bytes).sum();
    let mut progress = Progress::bytes("converting", total);
    let mut done = 0;
    write_gguf(output, &metadata(&gguf, quantization), &tensors, |index| {
        let tensor = &gguf.tensors()[index];
        let bytes = quantize::convert(tensor.dtype, gguf.data(tensor), plan[index])
            .map_err(|message| gguf.path_error(format!("tensor {}: {message}", tensor.name)))?;
        gguf.release(tensor);
        done += tensor.bytes;
        progress.set(done);
        Ok(bytes)
    })?;
    drop(progress);
    let bytes = std::fs::metadata(output).map_err(Error::io("read", output))?.len();
    let weights: u64 = gguf.tensors().iter().map(TensorInfo::elements).sum();
    let bits = 8.0 * bytes as f64 / weights.max(1) as f64;
    if arguments.json {
        print_json(&json!({
            "model": gguf.path().display().to_string(),
            "output": output.display().to_string(),
            "type": quantization.dtype().name(),
            "bytes_before": gguf.file_bytes(),
            "bytes": bytes,
            "bits_per_weight": bits,
        }))?;
    } else {
        let (before, after) = (size(gguf.file_bytes()), size(bytes));
        print(&format!("{}: {after} ({before} before), {bits:.2} bits a weight\n", output.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The model's metadata with what the file says about its own types brought up to date.
fn metadata(gguf: &Gguf, quantization: Quantization) -> Vec<(String, Value)> {
    let new = [
        ("general.file_type", Value::U32(quantization.file_type())),
        // Of ggml's block layouts; 2 since May 2023.
        ("general.quantization_version", Value::U32(2)),
    ];
    let is_old = |(key, _): &&(String, Value)| new.iter().all(|(name, _)| name != key);
    let old: Vec<_> = gguf.metadata().iter().filter(is_old).cloned().collect();
    old.into_iter().chain(new.map(|(key, value)| (key.to_owned(), value))).collect()
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
