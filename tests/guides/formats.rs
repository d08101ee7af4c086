//! A format is one value: a toy goes through the checks that those of the table go through.

use kaiwu::format::DType;
use kaiwu::format::blocks::{dequantise, quantise};
use kaiwu::format::quant::{Format, Layout, PackedRow, Plane, Planes, Share, Wgsl, pack_row};
use kaiwu::gpu::*;
use std::collections::BTreeSet;
use std::path::Path;

/// A toy: 32 weights `d * (q - 2)`, q of 2 bits. A block is 8 bytes of pairs, four neighbouring
/// weights each, and `d`.
const Q2_TOY: Format = Format {
    name: "Q2_TOY",
    ggml_id: 1000,
    block_len: 32,
    block_bytes: 8 + 2,
    dequantise: |b, out| {
        let d = half::f16::from_le_bytes([b[8], b[9]]).to_f32();
        for (i, out) in out.iter_mut().enumerate() {
            *out = d * (f32::from(pair(b, i)) - 2.0);
        }
    },
    quantise: |weights, bytes| {
        let most =
            weights.iter().fold(0.0, |most: f32, w| if w.abs() > most.abs() { *w } else { most });
        let d = half::f16::from_f32(most / -2.0);
        let level = |w: f32| ((w / d.to_f32()).round() as i32).clamp(-2, 1) + 2;
        for four in weights.chunks_exact(4) {
            bytes.push((0..4).fold(0, |byte, i| byte | (level(four[i]) as u8) << (2 * i)));
        }
        bytes.extend(d.to_le_bytes());
    },
    search: None,
    layout: Layout { levels: Share::of(2, 1), scales: Share::of(1, 2), ..Layout::NONE },
    pack: |row: &[u8], packed: &mut PackedRow<'_>| {
        for (block, bytes) in row.chunks_exact(10).enumerate() {
            packed.put_pairs(Plane::Levels, block, |i| pair(bytes, i));
            packed.put_half(Plane::Scales, block, u16::from_le_bytes([bytes[8], bytes[9]]));
        }
    },
    wgsl: Wgsl {
        name: "q2_toy",
        source: r#"
//% include "nibbles"
//% include "bit_pairs"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

fn fetch(b: u32, j: u32, slot: u32) -> Pairs {
    return bit_pairs(0u, b, j, slot);
}

fn unpack(raw: Pairs) -> Quads {
    return Quads(field_quad(raw.lo, 3u), field_quad(raw.hi, 3u));
}

fn scales(b: u32, slot: u32) -> Scales {
    let d = half_steps(b, slot);
    return Scales(d, d, -2.0 * d, -2.0 * d);
}
"#,
    },
};

fn pair(block: &[u8], i: usize) -> u8 {
    block[i / 4] >> (2 * (i % 4)) & 3
}

/// All formats of the table, and the toy.
fn formats() -> Vec<Format> {
    DType::ALL.iter().map(|dtype| *dtype.format()).chain([Q2_TOY]).collect()
}

/// Numbers in -1..1 that look random and are the same on every machine.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 11u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn values(format: &Format, bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![f32::NAN; bytes.len() / format.block_bytes * format.block_len];
    dequantise(format, bytes, &mut values).expect("whole blocks");
    values
}

const COLUMNS: usize = 512;

#[test]
fn blocks_hold_about_what_they_are_made_of() {
    let weights = noise(COLUMNS);
    for format in formats() {
        let mut made = vec![("quantise", quantise(format, &weights))];
        if let Some(search) = format.search {
            let mut bytes = vec![];
            weights.chunks_exact(format.block_len).for_each(|block| search(block, &mut bytes));
            made.push(("search", bytes));
        }
        for (how, bytes) in made {
            assert_eq!(Some(bytes.len() as u64), format.bytes_for(COLUMNS as u64));
            let back = values(&format, &bytes);
            let worst = weights.iter().zip(&back).map(|(w, b)| (w - b).abs()).fold(0.0, f32::max);
            // A whole step of two bits; `tests/files/blocks.rs` has each format's own bound.
            assert!(worst <= 0.51, "{} {how}: off by {worst}", format.name);
        }
    }
}

/// Rows in the same group of four, in other groups, in the other slot of a lane, and in another
/// tile.
const ROWS: [usize; 5] = [0, 1, 2, 7, 65];

#[test]
fn a_packed_row_keeps_all_of_its_bits_to_itself() {
    for format in formats() {
        let planes = Planes::new(&format, 66, COLUMNS);
        let packed = |row: usize, bytes: &[u8]| {
            let mut words = vec![0u32; 4 * planes.texels];
            pack_row(&format, &planes, row, bytes, &mut words);
            words
        };
        let mut taken = vec![0u32; 4 * planes.texels];
        for row in ROWS {
            let bytes = quantise(format, &noise(COLUMNS));
            let (plain, plain_values) = (packed(row, &bytes), values(&format, &bytes));
            let mut own = vec![0u32; 4 * planes.texels];
            let last = bytes.len() / format.block_bytes - 1;
            let blocks = BTreeSet::from([0, 1, last]);
            let of_block = |block| (0..8 * format.block_bytes).map(move |bit| (block, bit));
            for (block, bit) in blocks.into_iter().flat_map(of_block) {
                let bit = 8 * block * format.block_bytes + bit;
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let words = packed(row, &flipped);
                let changed = || own_bits(&plain, &words);
                let matters = values(&format, &flipped)
                    .iter()
                    .zip(&plain_values)
                    .any(|(a, b)| a.to_bits() != b.to_bits());
                assert!(
                    !matters || changed().any(|bits| bits != 0),
                    "{}: bit {bit} of a row is lost in packing",
                    format.name
                );
                own.iter_mut().zip(changed()).for_each(|(own, bits)| *own |= bits);
            }
            for (taken, own) in taken.iter_mut().zip(own) {
                assert_eq!(*taken & own, 0, "{}: row {row} writes another's bits", format.name);
                *taken |= own;
            }
        }
    }
}

fn own_bits<'a>(a: &'a [u32], b: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    a.iter().zip(b).map(|(a, b)| a ^ b)
}

/// y = all weights of a packed matrix, as the format's WGSL unpacks them.
struct Unpack {
    format: Format,
    planes: Planes,
    weights: Vec<f32>,
    w: Tensor,
    y: Tensor,
}

const UNPACK: &str = "
fn unpack_all(invocation: vec3<u32>) {
    let b = invocation.x >> 2u;
    let j = invocation.x & 3u;
    if b >= p.blocks { return; }
    let slot = slot_of(invocation.y >> 2u);
    let r = invocation.y & 3u;
    let w = weights(quads(b, j, slot), scales(b, slot));
    let at = (invocation.y * p.blocks + b) * 8u + j;
    store_y(at, vec4<f32>(w.lo[0][r], w.lo[1][r], w.lo[2][r], w.lo[3][r]));
    store_y(at + 4u, vec4<f32>(w.hi[0][r], w.hi[1][r], w.hi[2][r], w.hi[3][r]));
}
";

impl Kernel for Unpack {
    fn name(&self) -> &'static str {
        "unpack_all"
    }
    fn operands(&self) -> Vec<Operand> {
        vec![Operand::read("w", &self.w), Operand::write("y", &self.y)]
    }
    fn parameters(&self) -> Vec<Parameter> {
        let Planes { rows4, blocks, high, scales, supers, .. } = self.planes;
        let all = [rows4, blocks, high, scales, supers];
        ["rows4", "blocks", "high", "scales", "supers"]
            .into_iter()
            .zip(all)
            .map(|(name, value)| Parameter::U32(name, value as u32))
            .collect()
    }
    fn strategies(&self, _: &Capabilities) -> Vec<Strategy> {
        vec![Strategy {
            name: "unpack_all",
            entry: "unpack_all",
            source: format!("{}{UNPACK}", self.format.wgsl.source).leak(),
            constants: vec![("FORMAT", Constant::Word(self.format.wgsl.name))],
            needs: Needs::lanes(32),
            grid: [(self.planes.blocks as u32 * 4).div_ceil(32), self.y.dim(0) as u32, 1],
        }]
    }
    fn cost(&self, _: usize) -> Cost {
        Cost { read: self.w.bytes(), written: self.y.bytes(), operations: 0 }
    }
    fn reference(&self, memory: &mut HostMemory) {
        memory.f32_mut(&self.y)[..self.weights.len()].copy_from_slice(&self.weights);
    }
}

#[test]
fn the_device_unpacks_what_the_host_packs() {
    const ROWS: usize = 66;
    let gpu = Gpu::open(&GpuOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let device = Device::Gpu(gpu.clone());
    for format in formats() {
        let bytes = quantise(format, &noise(ROWS * COLUMNS));
        let planes = Planes::new(&format, ROWS, COLUMNS);
        let mut words = vec![0u32; 4 * planes.texels];
        for (row, bytes) in bytes.chunks_exact(bytes.len() / ROWS).enumerate() {
            pack_row(&format, &planes, row, bytes, &mut words);
        }
        let w = Tensor::zeros(&device, "w", &[planes.texels, 4], Element::U32).expect("it fits");
        w.write(&gpu, 0, bytemuck::cast_slice(&words));
        let y = Tensor::zeros(&device, "y", &[ROWS, COLUMNS], Element::F32).expect("it fits");
        let weights = values(&format, &bytes);
        let mut recording = Recording::default();
        recording.push(format.name, Unpack { format, planes, weights, w, y });
        let divergence = first_divergence(&gpu, &recording, &mut HostMemory::default())
            .unwrap_or_else(|error| panic!("{}: {error}", format.name));
        assert!(divergence.is_none(), "{}: {divergence:?}", format.name);
    }
}

#[test]
fn names_numbers_and_shaders_are_each_formats_own() {
    let formats = formats();
    let count =
        |of: &dyn Fn(&Format) -> String| formats.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!(count(&|format| format.name.to_owned()), formats.len());
    assert_eq!(count(&|format| format.ggml_id.to_string()), formats.len());
    assert_eq!(count(&|format| format.wgsl.name.to_owned()), formats.len());
}

/// Formats that have a part of their own to play: what checkpoints are stored in, and what
/// `Quantization` and the workbench choose.
const WITH_A_PART: [DType; 7] =
    [DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q5_0, DType::Q4K];

/// What docs/adding.md counts: a Rust file, a WGSL file, and lines of the table; nothing else in
/// `src` names the format.
#[test]
fn a_format_is_two_files_and_lines_of_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![];
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the tree") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                sources.push((std::fs::read_to_string(&path).expect("text"), path));
            }
        }
    }
    for dtype in DType::ALL.into_iter().filter(|dtype| !WITH_A_PART.contains(dtype)) {
        let module = dtype.format().wgsl.name;
        let own = root.join(format!("src/format/quant/{module}.rs"));
        assert!(own.is_file(), "{dtype} has a file of its own");
        assert!(root.join(format!("shaders/lib/{module}.wgsl")).is_file());
        let names = [format!("DType::{dtype:?}"), format!("{module}::"), format!("\"{module}\"")];
        for (text, path) in &sources {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines();
            let code = code.filter(|line| !line.trim_start().starts_with("//"));
            let text = code.collect::<Vec<_>>().join("\n");
            // Test cases and shapes to time choose a format each.
            let chooses = ["workbench", "cli", "checked", "cases.rs"];
            let allowed = *path == own
                || path.ends_with("format/quant/mod.rs")
                || path.iter().any(|part| chooses.iter().any(|name| part == *name));
            let named = names.iter().find(|name| text.contains(name.as_str()));
            assert!(allowed || named.is_none(), "{} names {dtype}: {named:?}", path.display());
        }
    }
}
