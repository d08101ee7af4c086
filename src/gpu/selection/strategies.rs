//! Which strategies of a kernel a device takes: those that the adapter allows, without those that
//! were found wrong, the one that was measured to be fastest first.

use super::fingerprint::fingerprint;
use super::quarantine::{Quarantine, Quarantined, WHOLE_STORAGE};
use super::tuning::{Tuned, Tuning};
use crate::gpu::device::adapter::AdapterReport;
use crate::gpu::device::device::{Capabilities, Gpu, GpuOptions, lock};
use crate::gpu::kernel::kernel::{Kernel, Strategy};
use crate::gpu::software::chain;
use crate::gpu::tensor::tensor::StorageKind;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What is known of strategies on one adapter with its driver.
#[derive(Default)]
pub(in crate::gpu) struct Choice {
    quarantined: Vec<Quarantined>,
    tuned: Vec<Tuned>,
    /// What was said to be left out.
    told: Mutex<BTreeSet<(String, String)>>,
}

impl Choice {
    /// Reads the files that `options` name. A damaged one is no reason not to run, but to say so.
    pub(in crate::gpu) fn load(options: &GpuOptions, report: &AdapterReport) -> Self {
        let mut choice = Self::default();
        match options.quarantine.as_deref().map(Quarantine::read).transpose() {
            Ok(known) => {
                choice.quarantined =
                    known.iter().flat_map(|known| known.of(report)).cloned().collect();
            }
            Err(error) => log::warn!("the list of strategies to avoid is left out: {error}"),
        }
        // A choice among strategies that sum in different orders must not depend on what was
        // measured.
        match options
            .tuning
            .as_deref()
            .filter(|_| !options.deterministic)
            .map(Tuning::read)
            .transpose()
        {
            Ok(known) => {
                choice.tuned = known.iter().flat_map(|known| known.of(report)).cloned().collect()
            }
            Err(error) => log::warn!("what was tuned is left out: {error}"),
        }
        choice
    }
}

impl Choice {
    /// The storage to take whichever is faster, where the other one was found wrong as a whole.
    pub(in crate::gpu) fn fit_storage(&self) -> Option<StorageKind> {
        let fit = |storage| {
            let of_it =
                |entry: &&Quarantined| entry.kernel == WHOLE_STORAGE && entry.storage == storage;
            !self
                .quarantined
                .iter()
                .filter(of_it)
                .any(|entry| entry.source == env!("CARGO_PKG_VERSION"))
        };
        let storage = match [StorageKind::Buffer, StorageKind::Texture].map(fit) {
            [true, false] => StorageKind::Buffer,
            [false, true] => StorageKind::Texture,
            // One is as good as the other.
            [true, true] | [false, false] => return None,
        };
        log::warn!("taking {storage:?}s: kernels were found wrong in the other storage");
        Some(storage)
    }
}

impl Gpu {
    /// Why this strategy, with these texts and this device's storage, is not to be used.
    fn quarantined(&self, kernel: &str, strategy: &Strategy) -> Option<&Quarantined> {
        let storage = self.capabilities().storage;
        let same = |entry: &&Quarantined| {
            (&*entry.kernel, &*entry.strategy, entry.storage) == (kernel, strategy.name, storage)
        };
        let mut entries = self.choice.quarantined.iter().filter(same);
        entries.find(|entry| entry.source == fingerprint(std::slice::from_ref(strategy)))
    }

    /// Whether this strategy was found wrong here, and is skipped.
    pub fn is_quarantined(&self, kernel: &str, strategy: &Strategy) -> bool {
        self.quarantined(kernel, strategy).is_some()
    }

    /// Leaves out what was found wrong here, and says so once.
    fn drop_quarantined(&self, kernel: &str, strategies: &mut Vec<Strategy>) {
        strategies.retain(|strategy| {
            let Some(Quarantined { reason, .. }) = self.quarantined(kernel, strategy) else { return true };
            if lock(&self.choice.told).insert((kernel.into(), strategy.name.into())) {
                log::warn!(
                    "kernel {kernel}: not using {}, which is wrong on this adapter ({reason})",
                    strategy.name
                );
            }
            false
        });
    }

    /// Whether calls may be one dispatch: nothing was found wrong with that here.
    pub(in crate::gpu) fn may_chain(&self) -> bool {
        let mut chains = vec![chain::as_strategy()];
        self.drop_quarantined("chain", &mut chains);
        !chains.is_empty()
    }

    /// The strategies of `kernel` that this device may use, the best guess first; at least one.
    /// Where `kaiwu autotune` measured this shape, the fastest one, in its best size, comes first.
    ///
    /// # Errors
    /// When all are quarantined.
    pub fn strategies(&self, kernel: &dyn Kernel) -> Result<Vec<Strategy>> {
        let mut all = kernel.strategies(self.capabilities());
        if all.is_empty() {
            let Capabilities { max_lanes, max_workgroup_bytes, .. } = self.capabilities();
            let message = format!(
                "no strategy runs on an adapter of {max_lanes} lanes a workgroup and {max_workgroup_bytes} bytes of \
                 workgroup memory; WebGPU's defaults are 256 and 16384"
            );
            return Err(Error::Kernel { kernel: kernel.name().into(), message });
        }
        self.drop_quarantined(kernel.name(), &mut all);
        if all.is_empty() {
            return Err(Error::Quarantined { kernel: kernel.name().into() });
        }
        if let Some((_, fastest)) = self.tuned(kernel) {
            all.retain(|strategy| strategy.name != fastest.name);
            all.insert(0, fastest);
        }
        Ok(all)
    }

    /// The strategies that `kaiwu autotune` chooses among: those of [`Gpu::strategies`] without an
    /// earlier choice, the one that comes first by itself leading, and their other sizes.
    pub fn tunable(&self, kernel: &dyn Kernel) -> Vec<Strategy> {
        let mut all = kernel.strategies(self.capabilities());
        let sizes = kernel.sizes(self.capabilities());
        all.extend(sizes.into_iter().filter(|size| self.capabilities().allows(&size.needs)));
        self.drop_quarantined(kernel.name(), &mut all);
        all
    }

    /// What was measured to be the fastest for this shape, if the shaders are still those it was
    /// chosen among.
    pub fn tuned(&self, kernel: &dyn Kernel) -> Option<(&Tuned, Strategy)> {
        if self.choice.tuned.is_empty() {
            return None;
        }
        let (shape, storage) = (kernel.shape(), self.capabilities().storage);
        let entry = self.choice.tuned.iter().find(|entry| {
            (&*entry.kernel, &entry.shape, entry.storage) == (kernel.name(), &shape, storage)
        })?;
        let all = self.tunable(kernel);
        if entry.source != fingerprint(&all) {
            log::debug!(
                "{} {shape}: tuned with other shaders, which counts no more",
                kernel.name()
            );
            return None;
        }
        let fastest = all.into_iter().find(|strategy| entry.means(strategy))?;
        Some((entry, fastest))
    }
}
