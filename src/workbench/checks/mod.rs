//! Checks whether kernels are correct on this machine: cases of awkward sizes, and the doctor that
//! runs them.

pub mod cases;
pub(in crate::workbench) mod chained;
pub(in crate::workbench) mod check;
pub(in crate::workbench) mod doctor;
pub(in crate::workbench) mod doctor_journal;
pub(in crate::workbench) mod matrix;
