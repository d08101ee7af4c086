//! The table of kernel calls, on a device opened for a test.

use kaiwu::gpu::{Gpu, GpuOptions, StorageKind};
use kaiwu::workbench::cases;
pub use kaiwu::workbench::cases::Table;
use std::sync::Arc;

fn open(storage: StorageKind) -> Arc<Gpu> {
    let options = GpuOptions { storage: Some(storage), ..GpuOptions::default() };
    Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// The rows that are computed and compared; every tensor that may choose is in `storage`.
pub fn table(storage: StorageKind) -> Table {
    cases::table(&open(storage)).unwrap_or_else(|error| panic!("{error}"))
}

/// Every shader text there is: see [`cases::variants`].
pub fn variants(storage: StorageKind) -> Table {
    cases::variants(&open(storage)).unwrap_or_else(|error| panic!("{error}"))
}
