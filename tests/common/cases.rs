//! The table of kernel calls that the kernels' tests share: awkward sizes, and every weight format.

use super::numbers::Numbers;
use kaiwu::format::{DType, blocks};
use kaiwu::gpu::{Element, Gpu, GpuOptions, HostMemory, Kernel, Place, StorageKind, Tensor, list_adapters};
use kaiwu::kernels::{Argmax, Attention, Embed, GateUp, Input, Matrix, OwnedRows, Product, QueryKeyValue};
use std::io::Write;
use std::sync::Arc;

/// Whether the adapter can hold tensors in `storage`. Where it cannot, a line says so on standard error itself, which
/// the test harness does not capture: no coverage is lost in silence.
pub fn can_store(storage: StorageKind) -> bool {
    let adapters = list_adapters(None).unwrap_or_else(|error| panic!("{error}"));
    let adapter = adapters.iter().find(|adapter| adapter.chosen).expect("one adapter is chosen");
    // As many as `Gpu::open` asks for.
    let can = storage == StorageKind::Buffer || adapter.storage_textures >= 8;
    if !can {
        let (test, count) = (std::thread::current(), adapter.storage_textures);
        let test = test.name().unwrap_or("a test");
        let line = format!(
            "SKIPPED {test} in {storage:?}: {} binds {count} storage textures, 8 are needed\n",
            adapter.name
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    can
}

/// One row of the table: a kernel call with its inputs filled.
pub struct Case {
    pub what: String,
    pub kernel: Arc<dyn Kernel>,
    pub memory: HostMemory,
}

pub struct Bench {
    pub gpu: Arc<Gpu>,
    place: Place,
    numbers: Numbers,
    memory: HostMemory,
    pub cases: Vec<Case>,
}

impl Bench {
    /// Opens the adapter; every tensor that may choose goes to `storage`.
    pub fn new(storage: StorageKind) -> Self {
        let options = GpuOptions { storage: Some(storage), ..GpuOptions::default() };
        let gpu = Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"));
        let place = Place::Device(Arc::clone(&gpu));
        Self { gpu, place, numbers: Numbers::new(7), memory: HostMemory::default(), cases: vec![] }
    }

    /// An f32 tensor of normal-ish numbers, on both sides.
    fn filled(&mut self, label: &str, shape: &[usize]) -> Tensor {
        let tensor = Tensor::zeros(&self.place, label, shape, Element::F32).unwrap();
        let values = self.numbers.floats(tensor.len(), 1.0);
        let mut bytes: Vec<u8> = bytemuck::cast_slice(&values).to_vec();
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        tensor.write(&self.gpu, 0, &bytes);
        self.memory.f32_mut(&tensor).copy_from_slice(&values);
        tensor
    }

    /// A cache tensor of halves, on both sides.
    fn halves(&mut self, label: &str, shape: &[usize]) -> Tensor {
        let tensor = Tensor::zeros(&self.place, label, shape, Element::F16).unwrap();
        let bytes = blocks::quantise(DType::F16, &self.numbers.floats(tensor.len(), 1.0));
        tensor.write(&self.gpu, 0, &bytes);
        self.memory.set(&tensor, bytemuck::pod_collect_to_vec(&bytes));
        tensor
    }

    fn empty(&mut self, label: &str, shape: &[usize]) -> Tensor {
        Tensor::zeros(&self.place, label, shape, Element::F32).unwrap()
    }

    fn words(&mut self, label: &str, words: &[u32]) -> Tensor {
        let tensor = Tensor::uniform(&self.place, label, words.len()).unwrap();
        let mut bytes: Vec<u8> = bytemuck::cast_slice(words).to_vec();
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        tensor.write(&self.gpu, 0, &bytes);
        self.memory.u32_mut(&tensor).copy_from_slice(words);
        tensor
    }

    fn matrix(&mut self, dtype: DType, rows: usize, columns: usize) -> Matrix {
        let values = self.numbers.floats(rows * columns, 0.3);
        let bytes = blocks::quantise(dtype, &values);
        let source = Arc::new(OwnedRows::new(dtype, columns, bytes));
        Matrix::load(&self.place, &format!("{dtype} [{rows}, {columns}]"), source).unwrap()
    }

    fn case(&mut self, what: String, kernel: impl Kernel + 'static) {
        let memory = std::mem::take(&mut self.memory);
        self.cases.push(Case { what, kernel: Arc::new(kernel), memory });
    }
}

/// Rows, columns, tokens: one lane's worth, more than a workgroup's, not whole workgroups, one and many tokens, more
/// tokens than a tile.
const PRODUCTS: [(usize, usize, usize); 7] =
    [(4, 32, 1), (68, 64, 1), (192, 288, 1), (4, 32, 2), (100, 96, 9), (132, 64, 17), (68, 64, 70)];

/// Rows of all formats: 256 columns are one K-quant superblock, 768 an odd count of them.
const FORMATS: [(usize, usize, usize); 4] = [(36, 256, 1), (72, 768, 1), (36, 256, 3), (40, 768, 10)];

fn add_products(bench: &mut Bench) {
    for (rows, columns, tokens) in PRODUCTS {
        for (norm, residual) in [(false, false), (true, true)] {
            let x = bench.filled("x", &[tokens + 1, columns]);
            let gain = bench.filled("gain", &[columns]);
            let w = bench.matrix(DType::Q4_1, rows, columns);
            let y = bench.empty("y", &[tokens, rows]);
            let residual = residual.then(|| bench.filled("residual", &[tokens, rows]));
            let mut input = match norm {
                true => Input::normed(&x, &gain, 1e-5, tokens),
                false => Input::plain(&x, tokens),
            };
            input.first_token = 1;
            let what = format!("[{rows}, {columns}] x {tokens}, norm {norm}");
            let w = w.parts()[0].clone();
            bench.case(what, Product { input, w, residual, y });
        }
    }
    for dtype in DType::ALL {
        for (rows, columns, tokens) in FORMATS {
            let x = bench.filled("x", &[tokens, columns]);
            let w = bench.matrix(dtype, rows, columns);
            let y = bench.empty("y", &[tokens, rows]);
            let what = format!("{dtype} [{rows}, {columns}] x {tokens}");
            let w = w.parts()[0].clone();
            bench.case(what, Product { input: Input::plain(&x, tokens), w, residual: None, y });
        }
    }
}

fn add_gate_up(bench: &mut Bench) {
    for (half, columns, tokens) in [(64, 32, 1), (192, 64, 1), (64, 32, 3), (192, 64, 9), (128, 96, 16)] {
        let x = bench.filled("x", &[tokens, columns]);
        let gain = bench.filled("gain", &[columns]);
        let w = bench.matrix(DType::Q8_0, 2 * half, columns);
        let y = bench.empty("y", &[tokens, half]);
        let what = format!("[2 * {half}, {columns}] x {tokens}");
        let w = w.parts()[0].clone();
        bench.case(what, GateUp { input: Input::normed(&x, &gain, 1e-6, tokens), w, y });
    }
}

/// Heads, key heads, head width, tokens, position.
const HEADS: [(usize, usize, usize, usize, u32); 10] = [
    (1, 1, 8, 1, 0),
    (4, 2, 16, 1, 7),
    (9, 3, 64, 1, 33),
    (3, 1, 128, 1, 8),
    (4, 4, 32, 5, 0),
    (9, 3, 64, 17, 5),
    (2, 1, 256, 3, 30),
    (16, 1, 80, 1, 19),
    (5, 1, 8, 13, 40),
    (6, 2, 24, 4, 12),
];

fn add_query_key_value(bench: &mut Bench) {
    for (heads, key_heads, head, tokens, position) in HEADS {
        let (capacity, columns) = (64, 64);
        let x = bench.filled("x", &[tokens, columns]);
        let gain = bench.filled("gain", &[columns]);
        let w = bench.matrix(DType::F16, (heads + 2 * key_heads) * head, columns);
        let kernel = QueryKeyValue {
            input: Input::normed(&x, &gain, 1e-5, tokens),
            w: w.parts()[0].clone(),
            step: bench.words("step", &[position]),
            rope: bench.filled("rope", &[capacity, head]),
            first_row: 0,
            q: bench.empty("q", &[tokens, heads * head]),
            keys: bench.halves("keys", &[capacity / 8, key_heads, head / 8, 8, 8]),
            values: bench.halves("values", &[capacity, key_heads, head]),
        };
        bench.case(format!("{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}"), kernel);
    }
}

/// The same where the cache is longer than a workgroup reads at once.
const LONG: [(usize, usize, usize, usize, u32); 2] = [(4, 2, 16, 1, 290), (3, 1, 24, 5, 150)];

fn add_attention(bench: &mut Bench) {
    for (heads, key_heads, head, tokens, position) in HEADS.into_iter().chain(LONG) {
        let capacity = (position as usize + tokens).next_multiple_of(64);
        let kernel = Attention {
            step: bench.words("step", &[position]),
            q: bench.filled("q", &[tokens, heads * head]),
            keys: bench.halves("keys", &[capacity / 8, key_heads, head / 8, 8, 8]),
            values: bench.halves("values", &[capacity, key_heads, head]),
            y: bench.empty("y", &[tokens, heads * head]),
            tokens,
            scale: 1.0 / (head as f32).sqrt(),
        };
        bench.case(format!("{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}"), kernel);
    }
}

fn add_embed(bench: &mut Bench) {
    for dtype in DType::ALL {
        let (rows, columns) = (44, 256);
        let ids = [0, 1, 2, 3, 43, 17, 0];
        let w = bench.matrix(dtype, rows, columns);
        let kernel = Embed {
            ids: bench.words("ids", &ids),
            w: w.parts()[0].clone(),
            y: bench.empty("y", &[ids.len(), columns]),
            tokens: ids.len(),
            scale: 1.5,
        };
        bench.case(format!("{dtype} [{rows}, {columns}]"), kernel);
    }
}

fn add_argmax(bench: &mut Bench) {
    // The largest first, last, twice (the first counts), beyond the count (does not count), all alike, and not there.
    let rows: [(usize, &[(usize, f32)]); 6] = [
        (1, &[(0, 1.0)]),
        (1021, &[(1020, 9.0)]),
        (1024, &[(700, 9.0), (300, 9.0)]),
        (33, &[(34, 99.0), (7, 9.0)]),
        (49152, &[]),
        (5, &[(0, -9.0), (1, -8.0), (2, -7.0), (3, -8.0), (4, -9.0)]),
    ];
    for (count, largest) in rows {
        let padded = count.next_multiple_of(4);
        let logits = bench.filled("logits", &[1, padded]);
        let mut values =
            if largest.is_empty() { vec![0.0; padded] } else { bench.numbers.floats(padded, 1.0) };
        for &(index, value) in largest {
            values[index.min(padded - 1)] = value;
        }
        logits.write(&bench.gpu, 0, bytemuck::cast_slice(&values));
        bench.memory.f32_mut(&logits).copy_from_slice(&values);
        let kernel = Argmax {
            logits,
            count,
            ids: bench.words("ids", &[5]),
            step: bench.words("step", &[41]),
            advance: 3,
        };
        bench.case(format!("{count} logits, largest {largest:?}"), kernel);
    }
}

/// The rows that are computed and compared.
pub fn table(storage: StorageKind) -> Bench {
    let mut bench = Bench::new(storage);
    add_products(&mut bench);
    add_gate_up(&mut bench);
    add_query_key_value(&mut bench);
    add_attention(&mut bench);
    add_embed(&mut bench);
    add_argmax(&mut bench);
    bench
}

/// Every shader text there is: each kernel with each format, with and without what it can leave out, for one and for
/// many tokens. Too many to compile, and never filled: for tests that look at the text.
pub fn variants(storage: StorageKind) -> Bench {
    let mut bench = table(storage);
    for dtype in DType::ALL {
        for tokens in [1, 9] {
            for normed in [false, true] {
                add_variant(&mut bench, dtype, tokens, normed);
            }
        }
    }
    bench
}

fn add_variant(bench: &mut Bench, dtype: DType, tokens: usize, normed: bool) {
    let (rows, columns, key_heads, head, capacity) = (128, 256, 2, 16, 8);
    let what = format!("{dtype} x {tokens}, norm {normed}");
    let x = bench.empty("x", &[tokens, columns]);
    let gain = bench.empty("gain", &[columns]);
    let input = || match normed {
        true => Input::normed(&x, &gain, 1e-5, tokens),
        false => Input::plain(&x, tokens),
    };
    let w = bench.matrix(dtype, rows, columns).parts()[0].clone();
    for residual in [false, true] {
        let residual = residual.then(|| bench.empty("residual", &[tokens, rows]));
        let y = bench.empty("y", &[tokens, rows]);
        let what = format!("{what}, residual {}", residual.is_some());
        bench.case(what, Product { input: input(), w: w.clone(), residual, y });
    }
    let y = bench.empty("y", &[tokens, rows / 2]);
    bench.case(what.clone(), GateUp { input: input(), w: w.clone(), y });
    let kernel = QueryKeyValue {
        input: input(),
        w,
        step: bench.words("step", &[0]),
        rope: bench.empty("rope", &[capacity, head]),
        first_row: 0,
        q: bench.empty("q", &[tokens, rows - 2 * key_heads * head]),
        keys: bench.halves("keys", &[capacity / 8, key_heads, head / 8, 8, 8]),
        values: bench.halves("values", &[capacity, key_heads, head]),
    };
    bench.case(what, kernel);
}
