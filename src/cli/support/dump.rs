//! What a shader left in a buffer or texture, written to a file.

use super::output::count;
use crate::cli::support::failure::usage;
use crate::workbench::{Interface, Slot, SlotKind};
use crate::{Error, Result};
use half::f16;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A `--dump`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Dump {
    /// The variable.
    pub(in crate::cli) name: String,
    /// Where it goes.
    pub(in crate::cli) file: PathBuf,
}

/// How the numbers of a file are laid out.
#[derive(Debug, Clone, PartialEq)]
struct Layout {
    /// "f32", "u8".
    kind: &'static str,
    /// As NumPy names it.
    numpy: &'static str,
    /// Bytes of a number.
    width: usize,
    /// Numbers along each axis, the outermost first.
    shape: Vec<usize>,
}

pub(in crate::cli) fn parse(text: &str) -> std::result::Result<Dump, String> {
    let (name, file) = text.split_once('=').ok_or("expected NAME=FILE, such as y=y.npy")?;
    match (name.trim(), file) {
        ("", _) | (_, "") => Err("expected NAME=FILE, such as y=y.npy".into()),
        (name, file) => Ok(Dump { name: name.into(), file: file.into() }),
    }
}

/// Each must be of something that a shader can write.
pub(in crate::cli) fn check(dumps: &[Dump], interface: &Interface) -> Result<()> {
    let can = |slot: &&Slot| {
        matches!(slot.kind, SlotKind::Storage { .. } | SlotKind::StorageTexture { .. })
    };
    let names: Vec<_> = interface.slots.iter().filter(can).map(|slot| &*slot.name).collect();
    match dumps.iter().find(|dump| !names.contains(&&*dump.name)) {
        None => Ok(()),
        Some(dump) => Err(usage(format!(
            "--dump: the shader has no storage buffer or texture {:?}, but {}",
            dump.name,
            if names.is_empty() { "none".into() } else { names.join(", ") }
        ))),
    }
}

/// Writes what `slot` holds, `texels` of a texture along x, y and z, and says on standard error
/// what it is.
pub(in crate::cli) fn write(
    dump: &Dump,
    slot: &Slot,
    texels: Option<[u32; 3]>,
    bytes: &[u8],
) -> Result<()> {
    let layout = layout(&slot.kind, texels, bytes.len());
    let ending = dump.file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let (written, form) = match ending.as_deref() {
        Some("npy") => (npy(&layout, bytes), "in NumPy's format"),
        Some("json") => (json(&layout, bytes), "as JSON"),
        _ => (bytes.to_vec(), "as raw bytes, the least of a number first"),
    };
    std::fs::write(&dump.file, written).map_err(Error::io("write", &dump.file))?;
    let shape: Vec<_> = layout.shape.iter().map(usize::to_string).collect();
    eprintln!(
        "kaiwu: {} after one run: {} numbers of {} [{}] in {}, {form}",
        dump.name,
        count(layout.shape.iter().product::<usize>() as u64),
        layout.kind,
        shape.join(", "),
        dump.file.display()
    );
    Ok(())
}

fn layout(kind: &SlotKind, texels: Option<[u32; 3]>, bytes: usize) -> Layout {
    let numbers = |kind: naga::ScalarKind, width: usize| match (kind, width) {
        (naga::ScalarKind::Float, 2) => ("f16", "<f2"),
        (naga::ScalarKind::Float, _) => ("f32", "<f4"),
        (naga::ScalarKind::Sint, 1) => ("i8", "|i1"),
        (naga::ScalarKind::Sint, 2) => ("i16", "<i2"),
        (naga::ScalarKind::Sint, _) => ("i32", "<i4"),
        (_, 1) => ("u8", "|u1"),
        (_, 2) => ("u16", "<u2"),
        _ => ("u32", "<u4"),
    };
    let (kind, width, shape) = match (kind, texels) {
        (SlotKind::StorageTexture { format, .. }, Some([x, y, z])) => {
            let letters = format.chars().take_while(char::is_ascii_alphabetic).count().max(1);
            let digits: String = format.chars().filter(char::is_ascii_digit).collect();
            let width = digits.parse::<usize>().map_or(4, |bits| bits / 8);
            let kind = match &format[letters + digits.len()..] {
                "float" => naga::ScalarKind::Float,
                "sint" | "snorm" => naga::ScalarKind::Sint,
                _ => naga::ScalarKind::Uint,
            };
            let sides = [z, y, x].map(|side| side as usize);
            let sides = sides.into_iter().skip_while(|&side| side == 1);
            (kind, width, sides.chain((letters > 1).then_some(letters)).collect())
        }
        (SlotKind::Storage { bytes: head, stride, scalar, .. }, _) => {
            let scalar = scalar.unwrap_or(naga::Scalar::U32);
            let width = usize::from(scalar.width);
            let whole = bytes / width;
            let shape = match stride.map(|stride| stride as usize / width) {
                // Numbers between the elements, which fill up a stride, are numbers too.
                Some(each) if *head == 0 && each > 1 && whole.is_multiple_of(each) => {
                    vec![whole / each, each]
                }
                _ => vec![whole],
            };
            (scalar.kind, width, shape)
        }
        _ => (naga::ScalarKind::Uint, 4, vec![bytes / 4]),
    };
    let (kind, numpy) = numbers(kind, width);
    Layout { kind, numpy, width, shape }
}

/// Version 1.0 of NumPy's format.
fn npy(layout: &Layout, bytes: &[u8]) -> Vec<u8> {
    let shape: String = layout.shape.iter().map(|side| format!("{side}, ")).collect();
    let mut header = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
        layout.numpy,
        shape.trim_end()
    );
    // Magic, version, and the header's length are ten bytes; with a newline all is a multiple of
    // 64.
    let whole = (10 + header.len() + 1).next_multiple_of(64);
    header += &" ".repeat(whole - 10 - header.len() - 1);
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    let numbers = layout.shape.iter().product::<usize>() * layout.width;
    file.extend(&bytes[..numbers.min(bytes.len())]);
    file
}

/// All numbers in a row, beside the shape; what is no finite number is null.
fn json(layout: &Layout, bytes: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| -> Value {
        match (layout.kind, bytes) {
            ("f32", &[a, b, c, d]) => json!(f32::from_le_bytes([a, b, c, d])),
            ("i32", &[a, b, c, d]) => json!(i32::from_le_bytes([a, b, c, d])),
            (_, &[a, b, c, d]) => json!(u32::from_le_bytes([a, b, c, d])),
            ("f16", &[a, b]) => json!(f16::from_le_bytes([a, b]).to_f32()),
            ("i16", &[a, b]) => json!(i16::from_le_bytes([a, b])),
            (_, &[a, b]) => json!(u16::from_le_bytes([a, b])),
            ("i8", &[a]) => json!(a as i8),
            (_, &[a]) => json!(a),
            _ => Value::Null,
        }
    };
    let data: Vec<Value> = bytes.chunks_exact(layout.width).map(number).collect();
    let mut text = json!({ "type": layout.kind, "shape": layout.shape, "data": data }).to_string();
    text.push('\n');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_what_is_in_them() {
        let texture = |format: &str| SlotKind::StorageTexture {
            format: format.into(),
            dimension: 2,
            layered: false,
            access: [false, true],
        };
        let buffer =
            |stride, scalar| SlotKind::Storage { bytes: 0, stride, scalar, access: [true, true] };
        for (kind, texels, bytes, expected) in [
            (texture("rgba16float"), Some([3, 2, 1]), 48, ("f16", vec![2, 3, 4])),
            (texture("r32sint"), Some([3, 2, 5]), 120, ("i32", vec![5, 2, 3])),
            (texture("rgba8snorm"), Some([2, 2, 1]), 16, ("i8", vec![2, 2, 4])),
            (texture("bgra8unorm"), Some([2, 1, 1]), 8, ("u8", vec![2, 4])),
            (buffer(Some(16), Some(naga::Scalar::F32)), None, 64, ("f32", vec![4, 4])),
            (buffer(Some(2), Some(naga::Scalar::F16)), None, 6, ("f16", vec![3])),
            (buffer(Some(8), None), None, 16, ("u32", vec![2, 2])),
        ] {
            let found = layout(&kind, texels, bytes);
            assert_eq!((found.kind, found.shape), expected, "{kind:?}");
        }
        let bytes: Vec<u8> = [1.5f32, f32::NAN].into_iter().flat_map(f32::to_le_bytes).collect();
        let layout = layout(&buffer(Some(4), Some(naga::Scalar::F32)), None, 8);
        let file = npy(&layout, &bytes);
        assert_eq!((file.len() - 8) % 64, 0);
        let header = String::from_utf8_lossy(&file[10..file.len() - 8]).into_owned();
        assert!(
            header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }")
                && header.ends_with(" \n")
        );
        assert_eq!(
            json(&layout, &bytes),
            b"{\"type\":\"f32\",\"shape\":[2],\"data\":[1.5,null]}\n"
        );
    }
}
