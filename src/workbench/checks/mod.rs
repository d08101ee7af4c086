//! Whether kernels are right here: cases of awkward sizes, and doctor, which goes through them.

pub mod cases;
pub(in crate::workbench) mod chained;
pub(in crate::workbench) mod check;
pub(in crate::workbench) mod doctor;
pub(in crate::workbench) mod doctor_journal;
pub(in crate::workbench) mod matrix;
