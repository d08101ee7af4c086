//! What a kernel does on the machine at hand: is it right, how fast is it, and what is compiled.
//!
//! ```
//! use kaiwu::workbench::{cases, list};
//!
//! // What there is, without a device.
//! for kernel in list(&cases::on_host()?, None) {
//!     println!("{}: {} strategies", kernel.kernel, kernel.strategies.len());
//! }
//! # Ok::<(), kaiwu::Error>(())
//! ```

mod checks;
mod shaders;
mod speed;
pub use crate::kernels::{BenchShape, Numbers};
pub use checks::cases;
pub use checks::chained::{chain_text, examine_chains};
pub use checks::check::{check_case, check_case_by};
pub use checks::doctor::{Bounds, Pace, StrategyReport, examine, healthy, remember};
pub use checks::doctor_journal::{DoctorJournal, not_remembered};
pub use checks::matrix::{CELLS, Cell, CellReport, examine_cell};
pub use shaders::constants::Constant;
pub use shaders::listing::{ListedKernel, ListedOperand, ListedStrategy, find, list};
pub use shaders::reflect::{Interface, Slot, SlotKind, reflect};
pub use shaders::translate::{Shader, Target, Translation, translate};
pub use shaders::user_shader::{Fill, Size, UserShaderRun, Wish, prepare};
pub use shaders::values::Field;
pub use speed::change::{Change, changes, settle, vanished};
pub use speed::model_calls::recorded_shapes;
pub use speed::plot::roofline;
pub use speed::roofs::{Roofs, measure_roofs};
pub use speed::shapes::{all_shapes, model_shapes, product_shape};
pub use speed::step_cost::{Limit, PaperAdapter, StepCost};
pub use speed::timing::{Measurement, Refused, Stopwatch, UserShaderCall};
pub use speed::tune::{Candidate, ShapeTuning, is_tunable, reference_seconds, tune};
