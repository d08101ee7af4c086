//! What a kernel does on the machine at hand: is it right, how fast is it, and what is compiled.

pub mod cases;
mod check;
mod doctor;
mod expert_cases;
mod family_cases;
mod listing;
mod matrix;
mod numbers;
mod own;
mod plot;
mod recorded;
mod reflect;
mod roofs;
mod shapes;
mod step_cost;
mod table;
mod timing;
mod training_cases;
mod translate;
mod tune;

pub use check::{check_case, check_case_by};
pub use doctor::{StrategyReport, examine, healthy, remember};
pub use listing::{ListedKernel, ListedOperand, ListedStrategy, find, list};
pub use matrix::{CELLS, Cell, CellReport, examine_cell};
pub use numbers::Numbers;
pub use own::{Fill, OwnCall, Size, Wish, measure_own, prepare};
pub use plot::roofline;
pub use recorded::recorded_shapes;
pub use reflect::{Field, Interface, Slot, SlotKind, reflect};
pub use roofs::{Roofs, measure_roofs};
pub use shapes::{Shape, model_shapes, product_shape};
pub use step_cost::{Limit, PaperAdapter, StepCost};
pub use timing::{Change, Measurement, Refused, changes, measure};
pub use translate::{Shader, Target, Translation, translate};
pub use tune::{Candidate, ShapeTuning, is_tunable, reference_seconds, tune};
