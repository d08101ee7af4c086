//! The guide `docs/adding.md`, "A kernel", against the tree: a kernel that follows it, from outside
//! the list, goes through what those in the list go through.

use crate::common::cases::{can_store, open};
use kaiwu::Result;
use kaiwu::gpu::{
    Capabilities, Cost, HostMemory, Kernel, Needs, Operand, Parameter, StorageKind, Strategy,
    Tensor,
};
use kaiwu::kernels::{Cases, Checked, Listed, Shapes, list};
use kaiwu::workbench::{cases, check_case};
use std::fs;
use std::path::Path;

/// `y = -x`, or something else where the shader is wrong.
struct Negate<const RIGHT: bool> {
    x: Tensor,
    y: Tensor,
}

const SHADER: &str = "// y = -x. Grid: pointwise.
//% include \"pointwise\"

fn texel(i: u32) {
    store_y(i, -load_x(i));
}
";

const WRONG: &str = "//% include \"pointwise\"

fn texel(i: u32) {
    store_y(i, vec4(0.01) - load_x(i));
}
";

impl<const RIGHT: bool> Kernel for Negate<RIGHT> {
    fn name(&self) -> &'static str {
        "negate"
    }

    fn operands(&self) -> Vec<Operand> {
        assert_eq!(self.x.len(), self.y.len(), "{}: size", self.y.label());
        vec![Operand::read("x", &self.x), Operand::write("y", &self.y)]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::U32("texels", self.y.len().div_ceil(4) as u32)]
    }

    fn strategies(&self, can: &Capabilities) -> Vec<Strategy> {
        // `pointwise` gives a lane four texels.
        let workgroups = self.y.len().div_ceil(4 * 4 * 64) as u32;
        let strategy = Strategy {
            name: "negate",
            entry: "negate",
            source: if RIGHT { SHADER } else { WRONG },
            constants: vec![("FOLD", kaiwu::gpu::Constant::Count(32_768))],
            needs: Needs::lanes(64),
            grid: [workgroups, 1, 1],
        };
        can.allowed(vec![strategy], vec![])
    }

    fn cost(&self, _: usize) -> Cost {
        let count = self.y.len() as u64;
        Cost { read: 4 * count, written: 4 * count, operations: count }
    }

    fn reference(&self, memory: &mut HostMemory) {
        let x = memory.f32(&self.x);
        memory.f32_mut(&self.y).iter_mut().zip(x.iter()).for_each(|(y, x)| *y = -x);
    }
}

impl<const RIGHT: bool> Checked for Negate<RIGHT> {
    fn cases(cases: &mut Cases) -> Result<()> {
        for rows in [1, 3, 65, 257] {
            let (x, y) = (cases.filled("x", &[rows, 12])?, cases.empty("y", &[rows, 12])?);
            cases.add(format!("{rows} rows"), Self { x, y });
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("training negate", |cases| {
            Ok(Self { x: cases.filled("x", &[512, 128])?, y: cases.empty("y", &[512, 128])? })
        });
    }
}

/// How many cases of a kernel were checked, and how many were right.
fn checked(storage: StorageKind, kernel: Listed) -> (usize, usize) {
    let mut table = cases::table_of(&open(storage, false), kernel).unwrap();
    let (mut all, mut right) = (0, 0);
    for case in &mut table.cases {
        for index in 0..case.kernel.strategies(table.gpu.capabilities()).len() {
            let comparison = check_case(&table.gpu, case, index).unwrap();
            all += 1;
            right += usize::from(comparison.divergence.is_none());
        }
    }
    (all, right)
}

#[test]
fn a_kernel_from_outside_the_list_is_checked_as_those_in_it() {
    let storages = [StorageKind::Buffer, StorageKind::Texture];
    for storage in storages.into_iter().filter(|&storage| can_store(storage)) {
        assert_eq!(checked(storage, Listed::new::<Negate<true>>("negate")), (4, 4));
        assert_eq!(checked(storage, Listed::new::<Negate<false>>("negate")), (4, 0));
        let argmax = list().find(|listed| listed.name == "argmax").unwrap();
        let (all, right) = checked(storage, *argmax);
        assert!(all == right && all >= 6, "{right} of {all}");
    }
    let mut shapes = Shapes::default();
    (Listed::new::<Negate<true>>("negate").shapes)(&mut shapes);
    let case = shapes.all[0].case(&open(StorageKind::Buffer, false)).unwrap();
    assert_eq!((shapes.all[0].what.as_str(), case.kernel.name()), ("training negate", "negate"));
}

/// The section of the guide that says how to add a kernel.
fn guide() -> String {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adding.md")).unwrap();
    let (_, section) = text.split_once("## A kernel\n").expect("the guide has the section");
    section.split("\n## ").next().unwrap().to_owned()
}

/// The guide with the names of a kernel that is there in place of the placeholders: each file it
/// names is there, too, and the line is one line of the folder's list and of no other file.
#[test]
fn the_guide_names_files_and_a_line_that_each_kernel_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = |text: &str| -> Vec<String> {
        let quoted = text.split('`').skip(1).step_by(2);
        let is_path = |word: &&str| word.contains('/') && !word.contains([' ', '*']);
        quoted.filter(is_path).map(str::to_owned).collect()
    };
    for (folder, name, kernel) in [
        ("pointwise", "add", "Add"),
        ("linear", "matmul", "Matmul"),
        ("attention", "attention", "Attention"),
    ] {
        let filled = guide().replace("<folder>", folder).replace("<name>", name);
        let mut found = paths(&filled);
        // The one that is there where cases are long only.
        if name == "add" {
            found.retain(|path| !path.ends_with("/cases.rs"));
        }
        assert!(found.len() >= 5, "{found:?}");
        for path in found {
            assert!(root.join(&path).exists(), "docs/adding.md names {path}, which is not there");
        }
        let line = filled.replace("<Type>", kernel);
        assert!(line.contains(&format!("`{name}::{kernel},`")), "the guide names no line");
        let list = fs::read_to_string(root.join(format!("src/kernels/{folder}/mod.rs"))).unwrap();
        let lines = list.lines().filter(|line| line.trim() == format!("{name}::{kernel},"));
        assert_eq!(lines.count(), 1, "src/kernels/{folder}/mod.rs");
    }
}
