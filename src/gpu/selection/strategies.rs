//! The strategies of a kernel that a device uses: those that the adapter allows and that were not
//! found wrong, with the one measured to be fastest first.

use super::fingerprint::fingerprint;
use crate::gpu::device::device::{Capabilities, Gpu, lock};
use crate::gpu::kernel::kernel::{Constant, Kernel, Strategy};
use crate::gpu::records::quarantine::Quarantined;
use crate::gpu::records::tuning::Tuned;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A strategy's counts by name.
pub fn sizes(strategy: &Strategy) -> BTreeMap<String, u32> {
    let count = |&(name, constant): &(&str, Constant)| match constant {
        Constant::Count(count) => Some((name.to_owned(), count)),
        Constant::Switch(_) | Constant::Word(_) => None,
    };
    strategy.constants.iter().filter_map(count).collect()
}

impl Gpu {
    /// The quarantine entry that excludes this strategy, with its texts and this device's storage,
    /// if any.
    fn quarantined(&self, kernel: &str, strategy: &Strategy) -> Option<&Quarantined> {
        let storage = self.capabilities().storage;
        let same = |entry: &&Quarantined| {
            (&*entry.kernel, &*entry.strategy, entry.storage) == (kernel, strategy.name, storage)
        };
        let mut entries = self.known.quarantined.iter().filter(same);
        entries.find(|entry| entry.source == fingerprint(std::slice::from_ref(strategy)))
    }

    /// Whether this strategy was found wrong on this adapter and is skipped.
    pub fn is_quarantined(&self, kernel: &str, strategy: &Strategy) -> bool {
        self.quarantined(kernel, strategy).is_some()
    }

    /// Removes strategies found wrong on this adapter, and logs each once.
    pub(in crate::gpu) fn drop_quarantined(&self, kernel: &str, strategies: &mut Vec<Strategy>) {
        strategies.retain(|strategy| {
            let Some(Quarantined { reason, .. }) = self.quarantined(kernel, strategy) else {
                return true;
            };
            if lock(&self.known.told).insert((kernel.into(), strategy.name.into())) {
                log::warn!(
                    "kernel {kernel}: not using {}, which is wrong on this adapter ({reason})",
                    strategy.name
                );
            }
            false
        });
    }

    /// The strategies of `kernel` that this device may use, the best guess first; at least one. If
    /// `kaiwu autotune` measured this shape, the fastest one comes first, in its best size.
    ///
    /// # Errors
    /// When all strategies are quarantined.
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

    /// The strategies that `kaiwu autotune` chooses among: those of [`Gpu::strategies`] in their
    /// order without tuning, and their variants in other sizes.
    pub fn tunable(&self, kernel: &dyn Kernel) -> Vec<Strategy> {
        let mut all = kernel.strategies(self.capabilities());
        let sizes = kernel.sizes(self.capabilities());
        all.extend(sizes.into_iter().filter(|size| self.capabilities().allows(&size.needs)));
        self.drop_quarantined(kernel.name(), &mut all);
        all
    }

    /// The strategy measured to be the fastest for this shape, if the shaders are unchanged since.
    pub fn tuned(&self, kernel: &dyn Kernel) -> Option<(&Tuned, Strategy)> {
        if self.known.tuned.is_empty() {
            return None;
        }
        let (shape, storage) = (kernel.shape(), self.capabilities().storage);
        let entry = self.known.tuned.iter().find(|entry| {
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
        let fastest = all.into_iter().find(|strategy| is_meant(entry, strategy))?;
        Some((entry, fastest))
    }
}

/// Whether `entry` names this strategy in this size.
fn is_meant(entry: &Tuned, strategy: &Strategy) -> bool {
    entry.strategy == strategy.name && entry.sizes == sizes(strategy)
}
