//! What a kernel does on the machine at hand: is it right, how fast is it, and what is compiled.

pub mod cases;
mod check;
mod listing;
mod numbers;
mod translate;

pub use check::check_case;
pub use listing::{ListedKernel, ListedOperand, ListedStrategy, find, list};
pub use numbers::Numbers;
pub use translate::{Target, Translation, translate};
