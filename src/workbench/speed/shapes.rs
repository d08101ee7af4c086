//! Kernel calls of real models, with weights and activations made up.

use super::family_shapes::family_shapes;
use super::training_shapes::training_shapes;
use crate::Result;
use crate::format::DType;
use crate::gpu::Gpu;
use crate::kernels::{
    Argmax, Attention, CacheType, Embed, Gate, GateUp, Input, Matmul, MergePieces, Pieces,
    QkvRopeCache,
};
use crate::workbench::checks::cases::Table;
use std::sync::Arc;

/// The sizes of a model of the Llama family.
struct Sizes {
    name: &'static str,
    dtype: DType,
    width: usize,
    heads: usize,
    key_heads: usize,
    head: usize,
    hidden: usize,
    /// Rows of the table of embeddings, which is also the output matrix; 0 leaves both out.
    vocabulary: usize,
}

const SMOL: Sizes = Sizes {
    name: "SmolLM2-135M",
    dtype: DType::Q4_1,
    width: 576,
    heads: 9,
    key_heads: 3,
    head: 64,
    hidden: 1536,
    vocabulary: 49152,
};

/// Its table of 128256 rows takes too long to make up.
const LLAMA: Sizes = Sizes {
    name: "Llama-3.2-1B",
    dtype: DType::Q4_0,
    width: 2048,
    heads: 32,
    key_heads: 8,
    head: 64,
    hidden: 8192,
    vocabulary: 0,
};

/// Model, tokens of a step, tokens in the cache before it.
const STEPS: [(&Sizes, usize, usize); 3] = [(&SMOL, 1, 256), (&SMOL, 256, 0), (&LLAMA, 1, 256)];

/// Appends a call to a table.
type Add = dyn Fn(&mut Table) -> Result<()>;
/// The same under a name.
type AddNamed = dyn Fn(&mut Table, String) -> Result<()>;

/// A call to be timed.
pub struct Shape {
    /// For instance "SmolLM2-135M decode ffn_down".
    pub what: String,
    /// Tokens in the cache, for the cost.
    pub context: usize,
    add: Box<Add>,
}

impl Shape {
    /// A call by its name, with `context` tokens in the cache for its cost; `add` appends it to a
    /// table.
    pub fn new(
        what: String,
        context: usize,
        add: impl Fn(&mut Table) -> Result<()> + 'static,
    ) -> Self {
        Self { what, context, add: Box::new(add) }
    }

    /// Its tensors on the device: a table with one row.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn table(&self, gpu: &Arc<Gpu>) -> Result<Table> {
        let mut table = Table::new(gpu);
        (self.add)(&mut table)?;
        Ok(table)
    }
}

/// A plain product: `tokens` rows of activations of width `columns`, `rows` outputs.
pub fn product_shape(dtype: DType, tokens: usize, rows: usize, columns: usize) -> Shape {
    let what = format!("{dtype} {tokens}x{rows}x{columns} product");
    Shape::new(what.clone(), 0, move |table| {
        product(table, &what, dtype, tokens, rows, columns, false)
    })
}

fn product(
    table: &mut Table,
    what: &str,
    dtype: DType,
    tokens: usize,
    rows: usize,
    columns: usize,
    residual: bool,
) -> Result<()> {
    let x = table.filled("x", &[tokens, columns])?;
    let w = table.matrix(dtype, rows, columns)?;
    let width = rows.next_multiple_of(4);
    let y = table.empty("y", &[tokens, width])?;
    let residual = residual.then(|| table.filled("residual", &[tokens, width])).transpose()?;
    // A matrix beyond one binding is timed by its first part.
    let w = w.parts()[0].clone();
    table.case(what.into(), Matmul { input: Input::plain(&x, tokens), w, residual, y });
    Ok(())
}

/// Appends a call that needs nothing to be known about it, under a name.
pub(in crate::workbench) type Plain = fn(&mut Table, String) -> Result<()>;

/// Such a call.
pub(in crate::workbench) fn plain(what: String, add: Plain) -> Shape {
    Shape::new(what.clone(), 0, move |table| add(table, what.clone()))
}

/// Calls of every kernel there is: [`model_shapes`], what other families have besides, and
/// training.
pub fn all_shapes() -> Vec<Shape> {
    let mut all = model_shapes();
    all.extend(family_shapes());
    all.extend(training_shapes());
    all
}

/// All calls of the steps above, those of a layer once.
pub fn model_shapes() -> Vec<Shape> {
    let mut all = vec![];
    for &(sizes, tokens, position) in &STEPS {
        let phase = if tokens == 1 { "decode".into() } else { format!("prefill of {tokens}") };
        let name = move |label: &str| format!("{} {phase} {label}", sizes.name);
        let Sizes { dtype, width, heads, key_heads, head, hidden, vocabulary, .. } = *sizes;
        let context = position + tokens;
        let capacity = context.next_multiple_of(64);
        let shape = |label: &str, add: Box<AddNamed>| {
            let what = name(label);
            Shape::new(what.clone(), position, move |table| add(table, what.clone()))
        };
        let add_product =
            |label: &str, tokens: usize, rows: usize, columns: usize, residual: bool| {
                let add = move |table: &mut Table, what: String| {
                    product(table, &what, dtype, tokens, rows, columns, residual)
                };
                shape(label, Box::new(add))
            };
        if vocabulary > 0 {
            all.push(shape(
                "embed",
                Box::new(move |table, what| {
                    let ids: Vec<u32> =
                        (0..tokens).map(|n| (n * 7919 % vocabulary) as u32).collect();
                    let (ids, w) =
                        (table.words("ids", &ids)?, table.matrix(dtype, vocabulary, width)?);
                    let (w, y) = (w.parts()[0].clone(), table.empty("y", &[tokens, width])?);
                    table.case(what, Embed { ids, w, y, tokens, scale: 1.0 });
                    Ok(())
                }),
            ));
        }
        all.push(shape(
            "attn_qkv",
            Box::new(move |table, what| {
                let (x, gain) =
                    (table.filled("x", &[tokens, width])?, table.filled("gain", &[width])?);
                let kernel = QkvRopeCache {
                    input: Input::normed(&x, &gain, 1e-5, tokens),
                    w: table.matrix(dtype, (heads + 2 * key_heads) * head, width)?.parts()[0]
                        .clone(),
                    step: table.words("step", &[position as u32])?,
                    rope: table.filled("rope", &[capacity, head])?,
                    first_row: 0,
                    q: table.empty("q", &[tokens, heads * head])?,
                    cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
                };
                table.case(what, kernel);
                Ok(())
            }),
        ));
        all.push(shape(
            "attention",
            Box::new(move |table, what| {
                let kernel = Attention {
                    step: table.words("step", &[position as u32])?,
                    q: table.filled("q", &[tokens, heads * head])?,
                    cache: table.cache(CacheType::F16, [capacity, key_heads, head], false)?,
                    y: table.empty("y", &[tokens, heads * head])?,
                    pieces: None,
                    tokens,
                    scale: 1.0 / (head as f32).sqrt(),
                    window: None,
                    cap: None,
                };
                table.case(what, kernel);
                Ok(())
            }),
        ));
        if tokens == 1 {
            all.push(shape(
                "merge_pieces",
                Box::new(move |table, what| {
                    let stats = table.given("stats", &[2, heads, 4], vec![1.0; 8 * heads])?;
                    let kernel = MergePieces {
                        x: table.filled("x", &[2, heads * head])?,
                        pieces: Pieces { count: 2, stats },
                        y: table.empty("y", &[1, heads * head])?,
                    };
                    table.case(what, kernel);
                    Ok(())
                }),
            ));
        }
        all.push(add_product("attn_output", tokens, width, heads * head, true));
        all.push(shape(
            "ffn_gate_up",
            Box::new(move |table, what| {
                let (x, gain) =
                    (table.filled("x", &[tokens, width])?, table.filled("gain", &[width])?);
                let (w, y) =
                    (table.matrix(dtype, 2 * hidden, width)?, table.empty("y", &[tokens, hidden])?);
                let w = w.parts()[0].clone();
                table.case(
                    what,
                    GateUp {
                        input: Input::normed(&x, &gain, 1e-5, tokens),
                        w,
                        y,
                        gate: Gate::Silu,
                    },
                );
                Ok(())
            }),
        ));
        all.push(add_product("ffn_down", tokens, width, hidden, true));
        if vocabulary > 0 && tokens == 1 {
            all.push(add_product("output", 1, vocabulary, width, false));
            all.push(shape(
                "argmax",
                Box::new(move |table, what| {
                    let logits = table.filled("logits", &[1, vocabulary])?;
                    let (ids, step) = (table.words("ids", &[0])?, table.words("step", &[0])?);
                    table.case(what, Argmax { logits, count: vocabulary, ids, step, advance: 0 });
                    Ok(())
                }),
            ));
        }
    }
    all
}
