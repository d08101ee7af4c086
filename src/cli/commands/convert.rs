//! `kaiwu convert`: writes a model as a GGUF file, optionally in another type. Needs no device.

use crate::Result;
use crate::cli::Outcome;
use crate::cli::support::arguments::{ModelArgument, parse_lora};
use crate::cli::support::choice::choice;
use crate::cli::support::failure::{failed, usage};
use crate::cli::support::output::{print, print_json, size};
use crate::cli::support::progress::Progress;
use crate::files::AtomicFile;
use crate::format::{
    DType, Lora, NewTensor, Quantization, Source, TensorInfo, Value, quantize, write_gguf_to,
};
use crate::generate::{gguf_recommended, recommended};
use crate::model::{Config, Export, Merge};
use crate::text::gguf_tokenizer;
use clap::Args;
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a model as a GGUF file, which llama.cpp reads too, its matrices in another type if asked
/// for
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// What the matrices become; those of a Hugging Face folder may stay as they are
    #[arg(long, value_name = "TYPE", value_parser = choice::<Quantization>())]
    quantize: Option<Quantization>,
    /// Sum a LoRA adapter into the matrices, times SCALE where given: a folder of PEFT's or its
    /// adapter_model.safetensors; repeatable
    #[arg(long, value_name = "PATH[:SCALE]", value_parser = parse_lora)]
    lora: Vec<(PathBuf, f32)>,
    /// Leave the tokenizer out, which is written where it is byte-level BPE or SentencePiece
    #[arg(long)]
    no_tokenizer: bool,
    /// What the file calls the model [default: the model's name, or its folder's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The file to write, - for standard output; one that is there is replaced
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  kaiwu convert -m folder/ -o model.gguf
  kaiwu convert -m model.gguf --quantize q4_k -o model.q4_k.gguf
  kaiwu convert -m model.gguf --lora runs/facts -o merged.gguf
  kaiwu convert -m folder/ -o - | ssh host 'cat > model.gguf'
  kaiwu convert --quantize q8_0 -o model.q8_0.gguf && kaiwu compare -m model.gguf -m model.q8_0.gguf README.md";

/// The metadata key of a model's name.
const NAME: &str = "general.name";

/// A model to be written.
struct Model {
    metadata: Vec<(String, Value)>,
    tensors: Vec<TensorInfo>,
    bytes_before: u64,
    /// Gives the bytes of a tensor in a type.
    data: Box<dyn Fn(usize, DType) -> Result<Vec<u8>>>,
}

impl Model {
    fn open(source: Source, arguments: &Arguments) -> Result<Self> {
        let (no_tokenizer, name) = (arguments.no_tokenizer, arguments.name.as_deref());
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
                    bytes.map_err(|message| gguf.tensor_error(&tensor.name, message))
                });
                Ok(Self { metadata, tensors, bytes_before, data })
            }
            Source::Folder(folder) => {
                let export = Export::new(&folder)?;
                let name = name.unwrap_or(&export.name);
                let called = vec![(NAME.into(), Value::String(name.into()))];
                let tokenizer = if no_tokenizer {
                    // llama.cpp's value for a file without a tokenizer.
                    vec![("tokenizer.ggml.model".into(), Value::String("no_vocab".into()))]
                } else {
                    gguf_tokenizer(&folder, export.vocabulary(), name)?
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

impl Model {
    /// The model with adapters merged into its matrices.
    fn merged(self, merge: Merge) -> Self {
        let (data, tensors) = (self.data, self.tensors.clone());
        let data = Box::new(move |index: usize, dtype| {
            let name = &tensors[index].name;
            if !merge.changes(name) {
                return data(index, dtype);
            }
            let mut values: Vec<f32> = bytemuck::pod_collect_to_vec(&data(index, DType::F32)?);
            merge.add(name, &mut values);
            let bytes = quantize::convert(DType::F32, bytemuck::cast_slice(&values), dtype);
            bytes.map_err(|message| {
                failed(format!("tensor {name} with what adapters add: {message}"))
            })
        });
        Self { data, ..self }
    }
}

/// The adapters that were asked for, checked against the model.
fn merge(source: &Source, asked: &[(PathBuf, f32)]) -> Result<Option<Merge>> {
    if asked.is_empty() {
        return Ok(None);
    }
    let adapters = Lora::open_all(asked, Config::from_source(source)?.architecture.name)?;
    Merge::new(source, &adapters).map(Some)
}

/// Warns if quantised weights are rounded a second time.
fn warn_of_twice(tensors: &[TensorInfo], plan: &[DType], are_changed: bool) {
    let is_quantised = |dtype: DType| dtype.block_len() > 1;
    let mut pairs = tensors.iter().map(|tensor| tensor.dtype).zip(plan.iter().copied());
    let twice = pairs
        .find(|&(from, to)| (from != to || are_changed) && is_quantised(from) && is_quantised(to));
    if let Some((from, to)) = twice {
        eprintln!(
            "kaiwu: weights of {from} are rounded again, to {to}, and lose by both; begin with a \
             model of f32, f16 or bf16 where there is one (llama.cpp does this with \
             --allow-requantize only)"
        );
    }
}

pub(in crate::cli) fn run(arguments: &Arguments) -> Outcome {
    let path = arguments.model.path()?;
    let source = arguments.model.open()?;
    let (quantization, output) = (arguments.quantize, &arguments.output);
    if is_of_model(&source, output) {
        let message = format!(
            "{} is a file of the model itself; give another file to write",
            output.display()
        );
        return Err(usage(message));
    }
    if quantization.is_none() && arguments.lora.is_empty() && matches!(source, Source::Gguf(_)) {
        let message = format!(
            "{} is a GGUF file already; say what to turn it into by --quantize",
            path.display()
        );
        return Err(usage(message));
    }
    let merge = merge(&source, &arguments.lora)?;
    let mut model = Model::open(source, arguments)?;
    if let Some(merge) = merge {
        model = model.merged(merge);
    }
    let as_they_are = || model.tensors.iter().map(|tensor| tensor.dtype).collect();
    let plan: Vec<DType> =
        quantization.map_or_else(as_they_are, |to| quantize::plan(to, &model.tensors));
    let new = |(tensor, &dtype): (&TensorInfo, _)| NewTensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype,
    };
    let tensors: Vec<NewTensor> = model.tensors.iter().zip(&plan).map(new).collect();
    warn_of_twice(&model.tensors, &plan, !arguments.lora.is_empty());
    let total = model.tensors.iter().map(|tensor| tensor.bytes).sum();
    let mut progress = Progress::bytes("converting", total);
    let mut done = 0;
    let file = open(arguments)?;
    // A summary must not go to standard output if the file does.
    let is_standard_output = file.is_standard_output();
    let bytes = write_gguf_to(file, &metadata(&model, quantization), &tensors, |index| {
        let bytes = (model.data)(index, plan[index])?;
        done += model.tensors[index].bytes;
        progress.set(done);
        Ok(bytes)
    })?;
    drop(progress);
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
        let name = if is_standard_output {
            "standard output".into()
        } else {
            output.display().to_string()
        };
        let summary = format!("{name}: {after} ({before} before), {bits:.2} bits a weight\n");
        if is_standard_output {
            eprint!("kaiwu: {summary}");
        } else {
            print(&summary)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Begins the output file, or uses standard output if asked to.
fn open(arguments: &Arguments) -> Result<AtomicFile> {
    let output = &arguments.output;
    let file = if output.as_os_str() == "-" {
        AtomicFile::standard_output()?
    } else {
        AtomicFile::create(output)?
    };
    if !file.is_standard_output() {
        return Ok(file);
    }
    if arguments.json {
        return Err(usage("standard output has the model; --json needs another -o FILE".into()));
    }
    if std::io::stdout().is_terminal() {
        let message =
            "standard output is a terminal; send it to a program or file, or give a name to -o";
        return Err(usage(message.into()));
    }
    Ok(file)
}

/// The type that most of the bytes have.
fn largest(tensors: &[TensorInfo]) -> DType {
    let bytes = |dtype: &DType| -> u64 {
        tensors.iter().filter(|tensor| tensor.dtype == *dtype).map(|tensor| tensor.bytes).sum()
    };
    DType::ALL.into_iter().max_by_key(bytes).unwrap_or(DType::F32)
}

/// The model's metadata, with the fields about the file's types updated.
fn metadata(model: &Model, quantization: Option<Quantization>) -> Vec<(String, Value)> {
    // Values of ggml's `enum llama_ftype`.
    let unchanged = || match largest(&model.tensors) {
        DType::F16 => 1,
        DType::BF16 => 32,
        _ => 0,
    };
    let new = [
        (
            "general.file_type",
            Value::U32(quantization.map_or_else(unchanged, Quantization::file_type)),
        ),
        // Version of ggml's block layouts; 2 since May 2023.
        ("general.quantization_version", Value::U32(2)),
    ];
    let is_old = |(key, _): &&(String, Value)| new.iter().all(|(name, _)| name != key);
    let old: Vec<_> = model.metadata.iter().filter(is_old).cloned().collect();
    old.into_iter().chain(new.map(|(key, value)| (key.to_owned(), value))).collect()
}

/// Whether `output` exists and belongs to the model: one of its GGUF files, or anything in its
/// folder that is not a GGUF file.
fn is_of_model(source: &Source, output: &Path) -> bool {
    let Ok(output) = std::fs::canonicalize(output) else { return false };
    let is = |path: &Path| std::fs::canonicalize(path).is_ok_and(|path| path == output);
    match source {
        Source::Gguf(gguf) => gguf.files().any(is),
        Source::Folder(folder) => {
            output.extension().is_none_or(|kind| kind != "gguf")
                && output.parent().is_some_and(|parent| {
                    std::fs::canonicalize(folder.path()).is_ok_and(|folder| folder == parent)
                })
        }
    }
}
