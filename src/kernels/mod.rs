//! The kernels: a file each, its shaders of the same name in the same folder of `shaders/`, and a
//! line in the folder's list (`kernels!` in its `mod.rs`), from which everything that goes through
//! all kernels takes them. `docs/adding.md` says how to add one.
//!
//! ```
//! use kaiwu::gpu::{Device, Element, Kernel, Tensor};
//! use kaiwu::kernels::Add;
//!
//! let device = Device::Reference;
//! let tensor = |name| Tensor::zeros(&device, name, &[64], Element::F32);
//! let add = Add { a: tensor("a")?, b: tensor("b")?, y: tensor("y")? };
//! assert_eq!(add.name(), "add");
//! assert_eq!(add.operands().len(), 3);
//! # Ok::<(), kaiwu::Error>(())
//! ```

/// The list of a folder's kernels, a line `file::Kernel` each. It declares the files and exports
/// their kernels; a file has its kernel's name.
///
/// rustfmt finds no files that a macro declares: `make fmt` and `make lint` name them to it.
macro_rules! kernels {
    ($($file:ident::$kernel:ident,)*) => {
        $(
            pub(in crate::kernels) mod $file;
            pub use $file::$kernel;
        )*

        /// The kernels of this folder.
        pub(in crate::kernels) const LIST: &[$crate::kernels::Listed] =
            &[$($crate::kernels::Listed::new::<$kernel>(stringify!($file))),*];
    };
}

mod attention;
mod checked;
mod linear;
mod lookup;
mod loss;
mod moe;
mod pointwise;
mod roofline;
mod rows;
mod training;

pub use attention::*;
pub use checked::{BenchShape, Case, Cases, Checked, Listed, Numbers, Shapes};
pub use linear::*;
pub use lookup::*;
pub use loss::*;
pub use moe::*;
pub use pointwise::*;
pub use roofline::*;
pub use rows::*;
pub use training::*;

const FOLDERS: [&[Listed]; 9] = [
    attention::LIST,
    linear::LIST,
    lookup::LIST,
    loss::LIST,
    moe::LIST,
    pointwise::LIST,
    roofline::LIST,
    rows::LIST,
    training::LIST,
];

/// All kernels, folder by folder.
pub fn list() -> impl Iterator<Item = &'static Listed> {
    FOLDERS.into_iter().flatten()
}

/// Names of all kernels, sorted: those that structs, tests, benches and profiles use.
pub fn names() -> Vec<&'static str> {
    let mut all: Vec<_> = list().map(|listed| listed.name).collect();
    all.sort_unstable();
    all
}
