//! Measures the speed of kernels: shapes of real models, roofs, timing, baselines and autotuning.

pub(in crate::workbench) mod change;
pub(in crate::workbench) mod model_calls;
pub(in crate::workbench) mod plot;
pub(in crate::workbench) mod roofs;
pub(in crate::workbench) mod shapes;
pub(in crate::workbench) mod step_cost;
pub(in crate::workbench) mod timing;
pub(in crate::workbench) mod tune;
pub(in crate::workbench) mod yardstick;
