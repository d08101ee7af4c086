//! Whether kernels are right here: rows of awkward sizes, and doctor, which goes through them.

pub(in crate::workbench) mod cache_cases;
pub mod cases;
pub(in crate::workbench) mod chained;
pub(in crate::workbench) mod check;
pub(in crate::workbench) mod doctor;
pub(in crate::workbench) mod doctor_journal;
pub(in crate::workbench) mod expert_cases;
pub(in crate::workbench) mod family_cases;
pub(in crate::workbench) mod matrix;
pub(in crate::workbench) mod numbers;
pub(in crate::workbench) mod table;
pub(in crate::workbench) mod training_cases;
