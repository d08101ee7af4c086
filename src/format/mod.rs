//! Model files: bytes in, plain data out. Nothing here knows of the device.
//!
//! A [`Source`] is a model's file or folder. [`gguf`] reads a file's metadata and tensor table,
//! [`folder`] those of a Hugging Face folder, [`quant`] has the formats weights are stored in, and
//! [`blocks`] turns stored weights into `f32` and back.
//!
//! ```
//! use kaiwu::format::Source;
//!
//! let source = Source::open("tests/data/tiny/llama-f32".as_ref())?;
//! for tensor in source.tensors() {
//!     println!("{} {:?} {}", tensor.name, tensor.shape, tensor.dtype);
//! }
//! let norm = source.tensor("output_norm.weight")?;
//! assert_eq!(source.data(norm).len() as u64, norm.bytes);
//! # Ok::<(), kaiwu::Error>(())
//! ```

pub mod blocks;
mod cursor;
pub mod dtype;
mod files;
pub mod folder;
pub mod gguf;
mod gguf_part;
pub mod gguf_writer;
mod ignored;
mod json;
pub mod lora;
mod lora_gguf;
mod lora_mlx;
mod lora_peft;
mod mapped;
pub mod metadata;
mod names;
pub mod quant;
pub mod quantize;
mod shard;
pub mod source;
mod split;
mod strings;
pub mod tensor_table;
mod weight_files;

pub use dtype::DType;
pub(crate) use files::is_there;
pub use folder::Folder;
pub use gguf::Gguf;
pub use gguf_writer::{NewTensor, write_gguf, write_gguf_to};
pub use ignored::Ignored;
pub use json::with_words;
pub use lora::{Lora, LowRank};
#[cfg(feature = "train")]
pub(crate) use mapped::Mapped;
pub use metadata::{Array, Value};
pub use quantize::Quantization;
pub use source::Source;
pub use strings::Strings;
pub use tensor_table::TensorInfo;
