//! Each backward against finite differences, in the middle of a graph.
//!
//! The graphs run through the references alone, which `tests/kernels/reference.rs` holds against the device.
//! A parameter comes before the kernel under test and a loss after it, so that what flows in is no
//! constant, and that flows on.

use kaiwu::gpu::{Device, Element, Gradients, HostMemory, Recording, Tensor};
use kaiwu::kernels::*;
use kaiwu::workbench::Numbers;

/// A graph under construction, on the host.
struct Graph {
    recording: Recording,
    memory: HostMemory,
    numbers: Numbers,
    parameters: Vec<Tensor>,
}

impl Graph {
    fn new() -> Self {
        let (recording, memory) = (Recording::default(), HostMemory::default());
        Self { recording, memory, numbers: Numbers::new(3), parameters: vec![] }
    }

    fn empty(&self, label: &str, shape: &[usize]) -> Tensor {
        Tensor::zeros(&Device::Reference, label, shape, Element::F32).unwrap()
    }

    fn parameter(&mut self, label: &str, shape: &[usize]) -> Tensor {
        let tensor = self.empty(label, shape);
        let values = self.numbers.floats(tensor.len(), 0.7);
        self.memory.f32_mut(&tensor).copy_from_slice(&values);
        self.parameters.push(tensor.clone());
        tensor
    }

    fn words(&mut self, label: &str, words: &[u32]) -> Tensor {
        let tensor = Tensor::uniform(&Device::Reference, label, words.len()).unwrap();
        self.memory.u32_mut(&tensor).copy_from_slice(words);
        tensor
    }

    fn push(&mut self, kernel: impl kaiwu::gpu::Kernel + 'static) {
        self.recording.push(format!("call {}", self.recording.entries().len()), kernel);
    }

    /// A hidden tensor: a product of two parameters, so that the kernel under test has something
    /// before it.
    fn hidden(&mut self, label: &str, shape: &[usize]) -> Tensor {
        let (a, b) = (self.parameter("a", &[shape[0], 4]), self.parameter("b", &[shape[1], 4]));
        let y = self.empty(label, shape);
        self.push(Gemm::linear(&a, &b, None, &y));
        y
    }

    /// Ends the graph with the loss of predicting a column of each row of `logits`, one row masked.
    fn loss(&mut self, logits: &Tensor) -> Tensor {
        let (rows, width) = (logits.dim(0), logits.dim(1));
        let wanted: Vec<u32> =
            (0..rows as u32).map(|row| if row == 1 { 999 } else { row * 7 % 3 }).collect();
        let targets = self.words("targets", &wanted);
        let (found, totals) = (self.empty("rows", &[rows, 4]), self.words("totals", &[0; 4]));
        self.push(CrossEntropy {
            logits: logits.clone(),
            targets,
            rows: found.clone(),
            count: width - 1,
        });
        self.push(MeanLoss { rows: found, totals: totals.clone(), clock: None });
        totals
    }

    /// The loss, in double steps of `nudge` of a number of a parameter.
    fn at(&mut self, totals: &Tensor, parameter: &Tensor, index: usize, nudge: f32) -> f64 {
        let before = self.memory.f32(parameter)[index];
        self.memory.f32_mut(parameter)[index] = before + nudge;
        self.recording.run_reference(&mut self.memory);
        self.memory.f32_mut(parameter)[index] = before;
        f64::from(f32::from_bits(self.memory.u32(totals)[0]))
    }

    /// Holds the gradient of every parameter against differences.
    fn check(mut self, what: &str, logits: &Tensor) {
        let totals = self.loss(logits);
        let seed =
            Tensor::constant(&Device::Reference, "seed", &[4], &[1.0, 0.0, 0.0, 0.0]).unwrap();
        let seeds = [(totals.clone(), seed)];
        let gradients =
            Gradients::of(&Device::Reference, &self.recording, &self.parameters, &seeds, None)
                .unwrap();
        self.recording.run_reference(&mut self.memory);
        gradients.recording().run_reference(&mut self.memory);
        let mut flowed = 0.0;
        for parameter in self.parameters.clone() {
            let gradient = gradients
                .get(&parameter)
                .unwrap_or_else(|| panic!("{what}: {}", parameter.label()));
            let gradient = self.memory.f32(&gradient).to_vec();
            for (index, &found) in gradient.iter().enumerate() {
                let nudge = 4e-3;
                let up = self.at(&totals, &parameter, index, nudge);
                let expected =
                    (up - self.at(&totals, &parameter, index, -nudge)) / (2.0 * f64::from(nudge));
                let error = (f64::from(found) - expected).abs();
                assert!(
                    error < 4e-4 + 1e-2 * expected.abs(),
                    "{what}: d {}[{index}] is {found}, by differences {expected}",
                    parameter.label()
                );
                flowed += found.abs();
            }
        }
        assert!(flowed > 0.1, "{what}: nothing flowed");
    }
}

#[test]
fn products_and_residuals() {
    for form in [Form::Nn, Form::Nt, Form::Tn] {
        let mut graph = Graph::new();
        let a = graph.hidden("a", &if form == Form::Tn { [4, 8] } else { [8, 4] });
        let b = graph.hidden("b", &if form == Form::Nt { [12, 4] } else { [4, 12] });
        let base = graph.hidden("base", &[8, 12]);
        let (c, y) = (graph.empty("c", &[8, 12]), graph.empty("y", &[8, 12]));
        graph.push(Gemm { a, b, base: Some(base.clone()), c: c.clone(), form, alpha: 0.5 });
        // base has two readers, and c is added to itself: gradients meet.
        let twice = graph.empty("twice", &[8, 12]);
        graph.push(Add { a: c.clone(), b: c, y: twice.clone() });
        graph.push(Add { a: twice, b: base, y: y.clone() });
        graph.check(&format!("{form:?}"), &y);
    }
}

#[test]
fn activations() {
    for kind in [Activation::Relu, Activation::Gelu] {
        let mut graph = Graph::new();
        let x = graph.hidden("x", &[5, 8]);
        let y = graph.empty("y", &[5, 8]);
        graph.push(Activate { x, y: y.clone(), kind });
        graph.check(&format!("{kind:?}"), &y);
    }
    let mut graph = Graph::new();
    let x = graph.hidden("x", &[5, 16]);
    let y = graph.empty("y", &[5, 8]);
    graph.push(Swiglu { x, y: y.clone() });
    graph.check("SwiGLU", &y);
}

#[test]
fn norms() {
    for (centred, biased) in [(false, false), (true, false), (true, true)] {
        let mut graph = Graph::new();
        let x = graph.hidden("x", &[5, 8]);
        let gain = graph.parameter("gain", &[8]);
        let bias = biased.then(|| graph.parameter("bias", &[8]));
        let (y, stats) = (graph.empty("y", &[5, 8]), graph.empty("stats", &[5, 4]));
        graph.push(RowNorm { x: x.clone(), gain, bias, y: y.clone(), stats, centred, eps: 1e-5 });
        // And around the norm, as a residual.
        let z = graph.empty("z", &[5, 8]);
        graph.push(Add { a: x, b: y, y: z.clone() });
        graph.check(&format!("centred {centred}, biased {biased}"), &z);
    }
}

#[test]
fn causal_attention() {
    for (tokens, queries, heads, key_heads) in [(3, 3, 2, 2), (4, 1, 2, 1), (3, 2, 4, 2)] {
        let mut graph = Graph::new();
        let sizes =
            Heads { batch: 2, tokens, queries, n_heads: heads, n_kv_heads: key_heads, head_dim: 4 };
        let q = graph.hidden("q", &[2 * queries, heads * 4]);
        let kv = graph.hidden("kv", &[2 * tokens, 2 * key_heads * 4]);
        let y = graph.empty("y", &[2 * queries, heads * 4]);
        let stats = graph.empty("stats", &[2 * queries * heads, 4]);
        graph.push(CausalAttention { q, kv, y: y.clone(), stats, heads: sizes });
        graph.check(&format!("{sizes:?}"), &y);
    }
    // Queries that no parameter reaches.
    let mut graph = Graph::new();
    let sizes = Heads { batch: 2, tokens: 3, queries: 3, n_heads: 2, n_kv_heads: 1, head_dim: 4 };
    let q = graph.hidden("q", &[6, 8]);
    graph.parameters.clear();
    let kv = graph.hidden("kv", &[6, 8]);
    let (y, stats) = (graph.empty("y", &[6, 8]), graph.empty("stats", &[12, 4]));
    graph.push(CausalAttention { q, kv, y: y.clone(), stats, heads: sizes });
    graph.check("frozen queries", &y);
}

#[test]
fn two_on_a_diagonal() {
    let mut graph = Graph::new();
    let x = graph.hidden("x", &[5, 4]);
    let y = graph.empty("y", &[5, 8]);
    graph.push(BlockDiagonal { x, y: y.clone(), split: 2 });
    graph.check("block_diagonal", &y);
}

#[test]
fn rotations_and_picked_rows() {
    let mut graph = Graph::new();
    let x = graph.hidden("x", &[6, 12]);
    let angles: Vec<f32> = (0..16).flat_map(|n| [(n as f32).cos(), (n as f32).sin()]).collect();
    let rope = Tensor::constant(&Device::Reference, "rope", &[4, 8], &angles).unwrap();
    let y = graph.empty("y", &[6, 12]);
    let turned = Rope {
        x,
        rope,
        base: None,
        y: y.clone(),
        rotated: 8,
        first: 1,
        period: 3,
        backwards: false,
    };
    graph.push(turned);
    let picked = graph.empty("picked", &[4, 12]);
    graph.push(SliceLast { x: y, y: picked.clone(), period: 3, kept: 2 });
    graph.check("rotated and picked", &picked);
}

#[test]
fn embeddings() {
    let mut graph = Graph::new();
    // Tied: the table is also the output matrix.
    let (table, places) = (graph.parameter("table", &[8, 4]), graph.parameter("places", &[3, 4]));
    let ids = graph.words("ids", &[5, 0, 5, 1, 5, 7]);
    let (x, y) = (graph.empty("x", &[6, 4]), graph.empty("y", &[6, 8]));
    graph.push(Gather { ids, table: table.clone(), places: Some(places), y: x.clone() });
    graph.push(Gemm::linear(&x, &table, None, &y));
    graph.check("embedding", &y);
}

#[test]
fn frozen_tensors_have_no_gradient_and_no_call() {
    let mut graph = Graph::new();
    let x = graph.hidden("x", &[5, 8]);
    let w = graph.parameter("w", &[8, 8]);
    let y = graph.empty("y", &[5, 8]);
    graph.push(Gemm::linear(&x, &w, None, &y));
    let totals = graph.loss(&y);
    let seed = Tensor::constant(&Device::Reference, "seed", &[4], &[1.0, 0.0, 0.0, 0.0]).unwrap();
    let seeds = [(totals, seed)];
    let of = |parameters: &[Tensor]| {
        Gradients::of(&Device::Reference, &graph.recording, parameters, &seeds, None).unwrap()
    };
    let all = of(&graph.parameters);
    let one = of(std::slice::from_ref(&w));
    assert!(one.get(&w).is_some() && one.get(&x).is_none());
    assert_eq!((all.recording().entries().len(), one.recording().entries().len()), (6, 3));
}

#[test]
fn what_cannot_be_derived_is_named() {
    let mut graph = Graph::new();
    let x = graph.hidden("x", &[5, 8]);
    let y = graph.empty("y", &[5, 8]);
    graph.push(RoofCopy { x: x.clone(), y: y.clone(), reads: 1 });
    let seeds = [(y, x)];
    let failed =
        Gradients::of(&Device::Reference, &graph.recording, &graph.parameters, &seeds, None);
    let message = failed.err().unwrap().to_string();
    assert!(message.contains("roof_copy") && message.contains("no derivative"), "{message}");
}

#[test]
fn a_tensor_written_twice_is_refused() {
    let mut graph = Graph::new();
    let x = graph.hidden("x", &[5, 8]);
    graph.push(Activate { x: x.clone(), y: x.clone(), kind: Activation::Relu });
    let failed = Gradients::of(
        &Device::Reference,
        &graph.recording,
        &graph.parameters,
        &[(x.clone(), x)],
        None,
    );
    assert!(failed.err().unwrap().to_string().contains("written before"));
}
