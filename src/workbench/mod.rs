//! What a kernel does on the machine at hand: is it right, how fast is it, and what is compiled.

pub mod cases;
mod check;
mod doctor;
mod family_cases;
mod listing;
mod numbers;
mod plot;
mod roofs;
mod shapes;
mod timing;
mod translate;

pub use check::check_case;
pub use doctor::{StrategyReport, examine, healthy, remember};
pub use listing::{ListedKernel, ListedOperand, ListedStrategy, find, list};
pub use numbers::Numbers;
pub use plot::roofline;
pub use roofs::{Roofs, measure_roofs};
pub use shapes::{Shape, model_shapes, product_shape};
pub use timing::{Change, Measurement, Refused, changes, measure};
pub use translate::{Target, Translation, translate};
