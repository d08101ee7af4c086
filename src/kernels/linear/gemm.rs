//! Products of f32 matrices, with the transpositions of forward and backward passes.

use crate::Result;
use crate::gpu::{
    Capabilities, Constant, Cost, Gradients, HostMemory, Kernel, Needs, Operand, Parameter,
    Strategy, Tensor,
};
use crate::kernels::checked::{Cases, Checked, Shapes, grok};
use crate::kernels::pointwise::add::Add;

/// Which operand of a product is stored transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A [M, K] · B [K, N].
    Nn,
    /// A [M, K] · B [N, K] transposed: activations and a weight matrix.
    Nt,
    /// A [K, M] transposed · B [K, N]: the gradient of a weight matrix.
    Tn,
}

/// `C = alpha * op(A) · op(B) (+ base)`, where C is [M, N]. Widths are multiples of 4.
#[derive(Clone)]
pub struct Gemm {
    /// Left operand.
    pub a: Tensor,
    /// Right operand.
    pub b: Tensor,
    /// Added to the product [M, N], such as a residual or a gradient so far.
    pub base: Option<Tensor>,
    /// The result [M, N].
    pub c: Tensor,
    /// Which operand is transposed.
    pub form: Form,
    /// Factor of the product.
    pub alpha: f32,
}

impl Gemm {
    /// `y = x · Wᵀ (+ residual)`, where x is [T, K] and W is [N, K].
    pub fn linear(x: &Tensor, w: &Tensor, residual: Option<&Tensor>, y: &Tensor) -> Self {
        Self {
            a: x.clone(),
            b: w.clone(),
            base: residual.cloned(),
            c: y.clone(),
            form: Form::Nt,
            alpha: 1.0,
        }
    }

    /// The sizes M, N and K.
    fn sizes(&self) -> [usize; 3] {
        let (m, k) = match self.form {
            Form::Nn | Form::Nt => (self.a.dim(0), self.a.dim(1)),
            Form::Tn => (self.a.dim(1), self.a.dim(0)),
        };
        let (n, depth) = match self.form {
            Form::Nt => (self.b.dim(0), self.b.dim(1)),
            Form::Nn | Form::Tn => (self.b.dim(1), self.b.dim(0)),
        };
        let label = self.c.label();
        assert_eq!(k, depth, "{label}: the depths of the operands differ");
        assert_eq!([m, n], self.c.shape(), "{label}: shape");
        assert!(
            [n, self.a.dim(1), self.b.dim(1)].iter().all(|width| width.is_multiple_of(4)),
            "{label}: widths"
        );
        assert!(self.base.as_ref().is_none_or(|base| base.len() == m * n), "{label}: base");
        [m, n, k]
    }

    /// The form's name in shaders.
    fn form(&self) -> Constant {
        Constant::Word(match self.form {
            Form::Nn => "nn",
            Form::Nt => "nt",
            Form::Tn => "tn",
        })
    }

    /// A workgroup computes `rows` rows, 32 or 64, of 64 columns.
    fn workgroup_tile(&self, rows: u32) -> Strategy {
        let [m, n, _] = self.sizes();
        Strategy {
            name: "gemm_workgroup_tile",
            entry: "gemm_workgroup_tile",
            source: include_str!("../../../shaders/linear/gemm_workgroup_tile.wgsl"),
            constants: vec![("FORM", self.form()), ("ROWS", Constant::Count(rows))],
            needs: Needs::lanes(2 * rows).workgroup_bytes((8 << 10) + 128 * rows),
            grid: [(n as u32).div_ceil(64), (m as u32).div_ceil(rows), 1],
        }
    }

    /// The usual workgroup tile: smaller where large tiles would be too few to keep a GPU's cores
    /// busy. The limit is an estimate.
    fn usual_workgroup_tile(&self) -> Strategy {
        let large = self.workgroup_tile(64);
        if large.grid[0] * large.grid[1] >= 128 { large } else { self.workgroup_tile(32) }
    }

    /// A lane computes `rows` rows of `texels` texels of columns, and an iteration of its loop
    /// covers `steps` times four columns of the depth. Large tiles load less, and long iterations
    /// keep sums in registers for longer, but the code of an iteration must fit a core's
    /// instruction cache of 32 KiB. 32 rows times two texels or two steps take most of that.
    fn tile(&self, broadcast: bool, rows: u32, texels: u32, steps: u32) -> Strategy {
        let [m, n, k] = self.sizes();
        Strategy {
            name: if broadcast { "gemm_broadcast" } else { "gemm" },
            entry: "gemm",
            source: include_str!("../../../shaders/linear/gemm.wgsl"),
            constants: vec![
                ("FORM", self.form()),
                ("ROWS", Constant::Count(rows)),
                ("TEXELS", Constant::Count(texels)),
                ("STEPS", Constant::Count(steps)),
                ("RAGGED", Constant::Switch(self.form == Form::Tn && !k.is_multiple_of(4))),
                ("LOADS", Constant::Count(if broadcast { rows / 8 } else { rows })),
                ("BROADCAST", Constant::Switch(broadcast)),
            ],
            needs: Needs::lanes(8).subgroup(if broadcast { 8 } else { 0 }),
            grid: [(n as u32).div_ceil(32 * texels), (m as u32).div_ceil(rows), 1],
        }
    }

    /// A lane holds `texels` texels of columns of B and iterates over rows of A. The depth must be
    /// small enough for a core's nearest cache: the lanes hold 16 KiB for each 128 of the depth and
    /// texel.
    fn stationary(&self, texels: u32) -> Option<Strategy> {
        const TURNS: u32 = 64;
        let [m, n, k] = self.sizes();
        (self.form != Form::Tn && k as u32 * texels <= 256).then(|| Strategy {
            name: "gemm_stationary",
            entry: "gemm_stationary",
            source: include_str!("../../../shaders/linear/gemm_stationary.wgsl"),
            constants: vec![
                ("FORM", self.form()),
                ("DEPTH4", Constant::Count(k as u32 / 4)),
                ("TEXELS", Constant::Count(texels)),
                ("TURNS", Constant::Count(TURNS)),
            ],
            needs: Needs::lanes(8).subgroup(8),
            grid: [(n as u32).div_ceil(32 * texels), (m as u32).div_ceil(TURNS), 1],
        })
    }

    /// The usual number of texels: two load each row of A half as often, but at least four
    /// workgroups are needed so that two cores finish together.
    fn usual_stationary(&self) -> Option<Strategy> {
        let of = |texels, least| {
            self.stationary(texels).filter(|tile| tile.grid[0] * tile.grid[1] >= least)
        };
        of(2, 16).or_else(|| of(1, 4))
    }
}

impl Kernel for Gemm {
    fn name(&self) -> &'static str {
        "gemm"
    }

    fn operands(&self) -> Vec<Operand> {
        vec![
            Operand::read("a", &self.a),
            Operand::read("b", &self.b),
            Operand::optional("base", self.base.as_ref()),
            Operand::write("c", &self.c),
        ]
    }

    fn parameters(&self) -> Vec<Parameter> {
        let [m, n, k] = self.sizes();
        vec![
            Parameter::U32("rows", m as u32),
            Parameter::U32("rows4", m as u32 / 4),
            Parameter::U32("columns4", n as u32 / 4),
            Parameter::U32("depth", k as u32),
            Parameter::U32("depth4", k.div_ceil(4) as u32),
            Parameter::F32("alpha", self.alpha),
        ]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        let large = match self.sizes()[2].div_ceil(4) % 2 {
            0 => self.tile(true, 32, 1, 2),
            _ => self.tile(true, 32, 2, 1),
        };
        // At least four pieces keep two cores busy.
        let enough = large.grid[0] * large.grid[1] >= 4;
        let shared = if enough { large } else { self.tile(true, 16, 1, 1) };
        let held = self.usual_stationary().filter(|_| can.software);
        let lanes = [held, Some(shared), Some(self.tile(false, 8, 1, 1))];
        can.allowed(lanes.into_iter().flatten().collect(), vec![self.usual_workgroup_tile()])
    }

    fn sizes(&self, can: &Capabilities) -> Vec<Strategy> {
        let usual = self.usual_workgroup_tile().constants;
        let tiles = [32, 64].map(|rows| self.workgroup_tile(rows)).into_iter();
        let depth4 = self.sizes()[2].div_ceil(4) as u32;
        let lanes = [(16, 1, 1), (32, 1, 1), (64, 1, 1), (32, 2, 1), (32, 1, 2)];
        let lanes = lanes.into_iter().filter(|(.., steps)| depth4.is_multiple_of(*steps));
        let lanes = lanes.map(|(rows, texels, steps)| self.tile(true, rows, texels, steps));
        // The data that its lanes hold of B does not fit a GPU's cache.
        let held = [1, 2]
            .into_iter()
            .filter(|_| can.software)
            .filter_map(|texels| self.stationary(texels));
        lanes.chain(held).chain(tiles.filter(|tile| tile.constants != usual)).collect()
    }

    fn cost(&self, _: usize) -> Cost {
        let [m, n, k] = self.sizes().map(|size| size as u64);
        let base = if self.base.is_some() { m * n } else { 0 };
        Cost { read: 4 * (m * k + n * k + base), written: 4 * m * n, operations: 2 * m * n * k }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let [m, n, depth] = self.sizes();
        let (a, b) = (memory.f32(&self.a), memory.f32(&self.b));
        let base = self.base.as_ref().map(|base| memory.f32(base));
        let left = |i: usize, k: usize| {
            if self.form == Form::Tn { a[k * m + i] } else { a[i * depth + k] }
        };
        let right = |k: usize, j: usize| {
            if self.form == Form::Nt { b[j * depth + k] } else { b[k * n + j] }
        };
        let c = memory.f32_mut(&self.c);
        for i in 0..m {
            for j in 0..n {
                let product: f32 = (0..depth).map(|k| left(i, k) * right(k, j)).sum();
                c[i * n + j] =
                    self.alpha * product + base.as_ref().map_or(0.0, |base| base[i * n + j]);
            }
        }
    }

    fn backward(&self, gradients: &mut Gradients) -> Result<()> {
        let Some(dc) = gradients.get(&self.c) else { return Ok(()) };
        if let Some(base) = &self.base {
            Add::pass(gradients, base, &dc)?;
        }
        let (a, b) = (&self.a, &self.b);
        let mut push = |operand: &Tensor, left: &Tensor, right: &Tensor, form| -> Result<()> {
            if let Some(target) = gradients.target(operand)? {
                let (a, b, alpha) = (left.clone(), right.clone(), self.alpha);
                gradients.push(Gemm { a, b, base: target.base, c: target.to, form, alpha });
            }
            Ok(())
        };
        match self.form {
            Form::Nn => {
                push(a, &dc, b, Form::Nt)?;
                push(b, a, &dc, Form::Tn)
            }
            Form::Nt => {
                push(a, &dc, b, Form::Nn)?;
                push(b, &dc, a, Form::Tn)
            }
            Form::Tn => {
                push(a, b, &dc, Form::Nt)?;
                push(b, a, &dc, Form::Nn)
            }
        }
    }
}

/// M, N, K of the cases: work for a single lane, whole tiles, and rows, columns and steps that do
/// not fill one.
const CASE_SIZES: [(usize, usize, usize); 8] = [
    (4, 4, 4),
    (32, 32, 16),
    (20, 36, 100),
    (100, 68, 44),
    (16, 256, 8),
    (72, 68, 16),
    (68, 36, 256),
    (260, 260, 128),
];

impl Checked for Gemm {
    fn cases(cases: &mut Cases) -> Result<()> {
        for (index, (m, n, k)) in CASE_SIZES.into_iter().enumerate() {
            for form in [Form::Nn, Form::Nt, Form::Tn] {
                // The rows are a multiple of four only if they are columns in memory.
                let (m, k) = if form == Form::Tn { (m, k - index % 2) } else { (m - 1, k) };
                let kernel = Self {
                    a: cases.filled("a", &if form == Form::Tn { [k, m] } else { [m, k] })?,
                    b: cases.filled("b", &if form == Form::Nt { [n, k] } else { [k, n] })?,
                    base: cases.filled_if(index % 2 == 1, "base", &[m, n])?,
                    c: cases.empty("c", &[m, n])?,
                    form,
                    alpha: if index == 2 { 0.5 } else { 1.0 },
                };
                cases.add(format!("{form:?} {m}x{n}x{k}"), kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        let (rows, width, hidden) = (grok::ROWS, grok::WIDTH, grok::HIDDEN);
        for (name, form, a, b, c) in [
            ("a layer", Form::Nn, [rows, width], [width, hidden], [rows, hidden]),
            ("the inputs' gradient", Form::Nt, [rows, hidden], [width, hidden], [rows, width]),
            ("the weights' gradient", Form::Tn, [rows, width], [rows, hidden], [width, hidden]),
        ] {
            shapes.add(format!("training gemm of {name}"), move |cases| {
                let (a, b) = (cases.filled("a", &a)?, cases.filled("b", &b)?);
                Ok(Self { a, b, base: None, c: cases.empty("c", &c)?, form, alpha: 1.0 })
            });
        }
    }
}
