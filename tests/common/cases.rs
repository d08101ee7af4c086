//! The table of kernel calls, on a device opened for a test.

use kaiwu::gpu::{Gpu, GpuOptions, StorageKind, list_adapters};
use kaiwu::kernels;
use kaiwu::workbench::cases;
pub use kaiwu::workbench::cases::CaseTable;
use std::io::Write;
use std::sync::Arc;

/// Says that a part of a test is left out, on standard error itself, which the test harness does
/// not capture: no coverage is lost in silence.
fn skipped(part: &str, reason: &str) {
    let test = std::thread::current();
    let line = format!("SKIPPED {} {part}: {reason}\n", test.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Whether the adapter can hold tensors in `storage`. Where it cannot, a line says so.
pub fn can_store(storage: StorageKind) -> bool {
    let adapters = list_adapters(None).unwrap_or_else(|error| panic!("{error}"));
    let adapter = adapters.iter().find(|adapter| adapter.chosen).expect("one adapter is chosen");
    // As many as `Gpu::open` asks for.
    let can = storage == StorageKind::Buffer || adapter.storage_textures >= 8;
    if !can {
        let (name, count) = (&adapter.name, adapter.storage_textures);
        let reason = format!("{name} binds {count} storage textures, 8 are needed");
        skipped(&format!("in {storage:?}"), &reason);
    }
    can
}

/// Whether this adapter runs a layer's kernels as one dispatch: lavapipe does, with subgroups of
/// eight lanes or more. Elsewhere a line says that it does not.
pub fn can_chain(gpu: &Gpu) -> bool {
    let can = gpu.report().driver == "llvmpipe" && gpu.capabilities().subgroup >= 8;
    if !can {
        skipped("of chains", &format!("{} is not lavapipe", gpu.report().name));
    }
    can
}

/// The adapter with its tensors in `storage`; textures share memory with a buffer unless
/// `without_aliases`.
pub fn open(storage: StorageKind, without_aliases: bool) -> Arc<Gpu> {
    let storage = Some(storage);
    super::open(&GpuOptions { storage, without_aliases, checked: true, ..GpuOptions::default() })
}

/// The rows that are computed and compared; every tensor that may choose is in `storage`.
pub fn table(storage: StorageKind) -> CaseTable {
    cases::table(&open(storage, false)).unwrap_or_else(|error| panic!("{error}"))
}

/// The cases of all kernels in textures that share no memory with a buffer.
pub fn table_without_aliases() -> CaseTable {
    cases::table(&open(StorageKind::Texture, true)).unwrap_or_else(|error| panic!("{error}"))
}

/// Every shader text there is, textures written as such: see [`cases::variants`].
pub fn variants(storage: StorageKind) -> CaseTable {
    cases::variants(&open(storage, true)).unwrap_or_else(|error| panic!("{error}"))
}

/// Kernels that no case of the table is of.
pub fn without_rows(table: &CaseTable) -> Vec<&'static str> {
    let tested = |kernel: &&str| table.cases.iter().any(|case| case.kernel.name() == *kernel);
    kernels::names().into_iter().filter(|kernel| !tested(kernel)).collect()
}
