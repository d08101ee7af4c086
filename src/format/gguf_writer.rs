//! Writing GGUF files, version 3: the counterpart of [`super::gguf`].
//!
//! Specification: `docs/gguf.md` of ggml-org/ggml.

use super::dtype::DType;
use super::metadata::{Array, Value};
use crate::error::{Error, Result};
use crate::files::AtomicFile;
use std::path::Path;

/// Where tensor data starts, a multiple of it from the start of the file.
const ALIGNMENT: u64 = 32;

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTensor {
    /// GGUF's name.
    pub name: String,
    /// Sizes in elements, slowest axis first.
    pub shape: Vec<u64>,
    /// How its elements are stored.
    pub dtype: DType,
}

impl NewTensor {
    /// Bytes of its data; `None` where its rows are not whole blocks or the size overflows.
    pub fn bytes(&self) -> Option<u64> {
        let row = *self.shape.last()?;
        self.dtype.bytes_for(row)?;
        let elements = self.shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n))?;
        self.dtype.bytes_for(elements)
    }
}

/// Writes a file of these metadata and tensors to `path`. `data` gives the bytes of the tensor of
/// an index, one after the other. The file appears under its name only once it is whole;
/// `general.alignment` among the metadata is left out.
///
/// # Errors
/// When a tensor's bytes are not what its shape says, `data` fails, or the file cannot be written.
pub fn write_gguf(
    path: &Path,
    metadata: &[(String, Value)],
    tensors: &[NewTensor],
    data: impl FnMut(usize) -> Result<Vec<u8>>,
) -> Result<()> {
    write_gguf_to(AtomicFile::create(path)?, metadata, tensors, data).map(|_| ())
}

/// Writes what [`write_gguf`] writes to a file that was begun, standard output for instance, and
/// gives the count of bytes.
///
/// # Errors
/// When a tensor's bytes are not what its shape says, `data` fails, or the file cannot be written.
pub fn write_gguf_to(
    mut file: AtomicFile,
    metadata: &[(String, Value)],
    tensors: &[NewTensor],
    mut data: impl FnMut(usize) -> Result<Vec<u8>>,
) -> Result<u64> {
    let header =
        header(metadata, tensors).map_err(|message| Error::damaged(file.path(), message))?;
    file.append(&header)?;
    for (index, tensor) in tensors.iter().enumerate() {
        let mut bytes = data(index)?;
        if Some(bytes.len() as u64) != tensor.bytes() {
            let message =
                format!("tensor {} got {} bytes, which is not its size", tensor.name, bytes.len());
            return Err(Error::damaged(file.path(), message));
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        file.append(&bytes)?;
    }
    file.finish()
}

/// Everything before the tensors' data.
fn header(
    metadata: &[(String, Value)],
    tensors: &[NewTensor],
) -> std::result::Result<Vec<u8>, String> {
    let metadata: Vec<_> = metadata.iter().filter(|(key, _)| key != "general.alignment").collect();
    let mut out = b"GGUF".to_vec();
    put(&mut out, &3u32.to_le_bytes());
    put(&mut out, &(tensors.len() as u64).to_le_bytes());
    put(&mut out, &(metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_string(&mut out, key);
        put_value(&mut out, value);
    }
    let mut offset = 0u64;
    for tensor in tensors {
        let wrong = || {
            format!("tensor {} of shape {:?} cannot be {}", tensor.name, tensor.shape, tensor.dtype)
        };
        put_string(&mut out, &tensor.name);
        put(&mut out, &(tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().rev().for_each(|axis| put(&mut out, &axis.to_le_bytes()));
        put(&mut out, &tensor.dtype.ggml_id().to_le_bytes());
        put(&mut out, &offset.to_le_bytes());
        let bytes = tensor.bytes().and_then(|bytes| bytes.checked_next_multiple_of(ALIGNMENT));
        offset = bytes.and_then(|bytes| offset.checked_add(bytes)).ok_or_else(wrong)?;
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT as usize), 0);
    Ok(out)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn put_string(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    put(out, &(text.as_ref().len() as u64).to_le_bytes());
    put(out, text.as_ref());
}

/// The number of a value's type, and the value.
fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut number = |type_id: u32, bytes: &[u8]| {
        put(out, &type_id.to_le_bytes());
        put(out, bytes);
    };
    match value {
        Value::U8(v) => number(0, &v.to_le_bytes()),
        Value::I8(v) => number(1, &v.to_le_bytes()),
        Value::U16(v) => number(2, &v.to_le_bytes()),
        Value::I16(v) => number(3, &v.to_le_bytes()),
        Value::U32(v) => number(4, &v.to_le_bytes()),
        Value::I32(v) => number(5, &v.to_le_bytes()),
        Value::F32(v) => number(6, &v.to_le_bytes()),
        Value::Bool(v) => number(7, &[u8::from(*v)]),
        Value::U64(v) => number(10, &v.to_le_bytes()),
        Value::I64(v) => number(11, &v.to_le_bytes()),
        Value::F64(v) => number(12, &v.to_le_bytes()),
        Value::String(text) => {
            number(8, &[]);
            put_string(out, text);
        }
        Value::Array(array) => {
            number(9, &[]);
            put_array(out, array);
        }
    }
}

/// The number of the elements' type, how many there are, and the elements.
fn put_array(out: &mut Vec<u8>, array: &Array) {
    fn numbers<const N: usize, T: Copy>(
        out: &mut Vec<u8>,
        id: u32,
        all: &[T],
        bytes: fn(T) -> [u8; N],
    ) {
        put(out, &id.to_le_bytes());
        put(out, &(all.len() as u64).to_le_bytes());
        all.iter().for_each(|&number| put(out, &bytes(number)));
    }
    match array {
        Array::U8(v) => numbers(out, 0, v, u8::to_le_bytes),
        Array::I8(v) => numbers(out, 1, v, i8::to_le_bytes),
        Array::U16(v) => numbers(out, 2, v, u16::to_le_bytes),
        Array::I16(v) => numbers(out, 3, v, i16::to_le_bytes),
        Array::U32(v) => numbers(out, 4, v, u32::to_le_bytes),
        Array::I32(v) => numbers(out, 5, v, i32::to_le_bytes),
        Array::F32(v) => numbers(out, 6, v, f32::to_le_bytes),
        Array::Bool(v) => numbers(out, 7, v, |bit| [u8::from(bit)]),
        Array::U64(v) => numbers(out, 10, v, u64::to_le_bytes),
        Array::I64(v) => numbers(out, 11, v, i64::to_le_bytes),
        Array::F64(v) => numbers(out, 12, v, f64::to_le_bytes),
        Array::String(strings) => {
            put(out, &8u32.to_le_bytes());
            put(out, &(strings.len() as u64).to_le_bytes());
            (0..strings.len()).for_each(|i| put_string(out, strings.bytes(i).unwrap_or_default()));
        }
        Array::Nested(arrays) => {
            put(out, &9u32.to_le_bytes());
            put(out, &(arrays.len() as u64).to_le_bytes());
            arrays.iter().for_each(|array| put_array(out, array));
        }
    }
}
