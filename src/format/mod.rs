//! Model files: bytes in, plain data out. Nothing here knows of the device.
//!
//! [`gguf`] reads a file's metadata and tensor table, [`dtype`] names the types its weights are stored in, and
//! [`blocks`] turns stored weights into `f32` and back.

pub mod blocks;
mod cursor;
pub mod dtype;
pub mod gguf;
pub mod gguf_writer;
pub mod metadata;
pub mod quantize;
pub(crate) mod small_blocks;
pub mod tensor_table;

pub use dtype::DType;
pub use gguf::Gguf;
pub use gguf_writer::{NewTensor, write_gguf};
pub use metadata::{Array, Strings, Value};
pub use quantize::Quantization;
pub use tensor_table::TensorInfo;
