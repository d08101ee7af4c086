//! Writes f32 tensors to a safetensors file one after another, so that the file is never in memory
//! as a whole.

use crate::files::AtomicFile;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// Text metadata of the file.
pub(in crate::train) type Words = Option<HashMap<String, String>>;

/// Writes f32 tensors as a safetensors file, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, Vec<f32>)],
    words: Words,
) -> Result<()> {
    let named = tensors.iter().map(|(name, shape, _)| (name.clone(), shape.clone())).collect();
    write_each(path, named, words, |index| Ok(Cow::Borrowed(&tensors[index].2)))
}

/// Writes f32 tensors as a safetensors file, whole or not at all. `read` gives the numbers of each
/// tensor by its index, just before they are written.
///
/// # Errors
/// When `read` fails, or the file cannot be written.
pub(in crate::train) fn write_each<'a>(
    path: &Path,
    tensors: Vec<(String, Vec<usize>)>,
    words: Words,
    read: impl Fn(usize) -> Result<Cow<'a, [f32]>>,
) -> Result<()> {
    // Tensors are sorted by name, so that equal tensors give equal files.
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by(|&a, &b| tensors[a].0.cmp(&tensors[b].0));
    let (mut infos, mut end) = (vec![], 0);
    for &index in &order {
        let (name, shape) = tensors[index].clone();
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        infos.push((name, TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, end) }));
    }
    let header =
        Metadata::new(words, infos).map_err(|error| Error::damaged(path, error.to_string()))?;
    let mut header = serde_json::to_vec(&header)
        .map_err(|error| Error::damaged(path, format!("JSON: {error}")))?;
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = AtomicFile::create(path)?;
    file.append(&(header.len() as u64).to_le_bytes())?;
    file.append(&header)?;
    for index in order {
        let values = read(index)?;
        let (name, shape) = &tensors[index];
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "{name}: numbers do not fill {shape:?}"
        );
        file.append(bytemuck::cast_slice(&values))?;
    }
    file.finish().map(|_| ())
}
