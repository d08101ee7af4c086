//! What a kernel does on the machine at hand: is it right, how fast is it, and what is compiled.

pub mod cases;
mod check;
mod doctor;
mod listing;
mod numbers;
mod roofs;
mod translate;

pub use check::check_case;
pub use doctor::{StrategyReport, examine, healthy, remember};
pub use listing::{ListedKernel, ListedOperand, ListedStrategy, find, list};
pub use numbers::Numbers;
pub use roofs::{Roofs, measure_roofs};
pub use translate::{Target, Translation, translate};
