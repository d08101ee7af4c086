//! All kernels with their strategies: those for this adapter, and those that others would be
//! offered.

use crate::gpu::{Access, Capabilities, Gpu, Kernel, Needs, Strategy};
use crate::kernels::names;
use crate::workbench::checks::cases::{Case, CaseTable};
use crate::{Error, Result};
use serde::Serialize;

/// A kernel with its strategies.
#[derive(Debug, Clone, Serialize)]
pub struct ListedKernel {
    /// Its name.
    pub kernel: &'static str,
    /// Names of what it reads and writes, in binding order.
    pub operands: Vec<ListedOperand>,
    /// Its strategies, in the order of preference.
    pub strategies: Vec<ListedStrategy>,
}

/// A tensor that a kernel binds.
#[derive(Debug, Clone, Serialize)]
pub struct ListedOperand {
    /// Name in the shader.
    pub name: &'static str,
    /// "read", "write", "read and write".
    pub access: &'static str,
}

/// A strategy of a kernel.
#[derive(Debug, Clone, Serialize)]
pub struct ListedStrategy {
    /// Its name.
    pub strategy: &'static str,
    /// The shader file below `shaders/`, without its folder and ending.
    pub shader: &'static str,
    /// Whether the open device offers it; `None` without a device.
    pub here: Option<bool>,
    /// Lanes of a workgroup, the most of its variants.
    pub lanes: u32,
    /// Workgroup memory, the most of its variants, bytes.
    pub workgroup_bytes: u32,
    /// The smallest subgroup it is right with; 0 if it uses none.
    pub subgroup: u32,
    /// Whether it computes in half precision.
    pub f16: bool,
    /// Found wrong here, and skipped.
    pub quarantined: bool,
}

/// Adapters that strategies may be chosen for, those without subgroups first.
fn adapters(base: &Capabilities) -> Vec<Capabilities> {
    let sizes = [0, 4, 8, 16, 32, 64, 128];
    let kinds = |subgroup| {
        [true, false].map(|software| Capabilities { subgroup, software, f16: true, ..base.clone() })
    };
    sizes.into_iter().flat_map(kinds).collect()
}

/// The strategies of one call for this adapter, then those that only other adapters are offered.
pub(in crate::workbench) fn strategies(
    kernel: &dyn Kernel,
    base: &Capabilities,
) -> Vec<(Strategy, bool)> {
    let here = kernel.strategies(base).into_iter().map(|strategy| (strategy, true));
    let others = adapters(base).into_iter().flat_map(|adapter| kernel.strategies(&adapter));
    let mut all: Vec<(Strategy, bool)> = vec![];
    for (strategy, here) in here.chain(others.map(|strategy| (strategy, false))) {
        if all.iter().all(|(known, _)| known.name != strategy.name) {
            all.push((strategy, here));
        }
    }
    all
}

/// All kernels, as their `cases` show them; `gpu` is the device to say more
/// of.
pub fn list(cases: &[Case], gpu: Option<&Gpu>) -> Vec<ListedKernel> {
    let can = gpu.map_or_else(Capabilities::least, |gpu| gpu.capabilities().clone());
    let listed = |&kernel: &&'static str| {
        let mut all: Vec<ListedStrategy> = vec![];
        let mut operands: Vec<ListedOperand> = vec![];
        for case in cases.iter().filter(|case| case.kernel.name() == kernel) {
            for (strategy, here) in strategies(&*case.kernel, &can) {
                let here = gpu.map(|_| here);
                let Needs { lanes, workgroup_bytes, subgroup, f16, .. } = strategy.needs;
                if let Some(known) = all.iter_mut().find(|known| known.strategy == strategy.name) {
                    known.here = known.here.max(here);
                    known.lanes = known.lanes.max(lanes);
                    known.workgroup_bytes = known.workgroup_bytes.max(workgroup_bytes);
                    continue;
                }
                all.push(ListedStrategy {
                    strategy: strategy.name,
                    shader: strategy.entry,
                    here,
                    lanes,
                    workgroup_bytes,
                    subgroup,
                    f16,
                    quarantined: gpu.is_some_and(|gpu| gpu.is_quarantined(kernel, &strategy)),
                });
            }
            if operands.is_empty() {
                operands.extend(case.kernel.operands().iter().map(|operand| ListedOperand {
                    name: operand.name,
                    access: match operand.access {
                        Access::Read => "read",
                        Access::Write => "write",
                        Access::ReadWrite => "read and write",
                    },
                }));
            }
        }
        ListedKernel { kernel, operands, strategies: all }
    };
    names().iter().map(listed).collect()
}

/// The first row of `table` with this kernel, strategy (the one that would be taken, if none is
/// named) and a description that contains `case`: its index, and the strategy.
///
/// # Errors
/// When there is no such kernel, strategy or row; the message names those there are.
pub fn find(
    table: &CaseTable,
    kernel: &str,
    strategy: Option<&str>,
    case: &str,
) -> Result<(usize, Strategy)> {
    if !names().contains(&kernel) {
        let message = format!("there is no kernel {kernel:?}, but {}", names().join(", "));
        return Err(Error::input(message));
    }
    let (mut names, mut rows) = (vec![], vec![]);
    for (index, row) in
        table.cases.iter().enumerate().filter(|(_, row)| row.kernel.name() == kernel)
    {
        let mut all = strategies(&*row.kernel, table.gpu.capabilities()).into_iter();
        let quarantined = |strategy: &Strategy| table.gpu.is_quarantined(kernel, strategy);
        let found = all.find(|(offered, here)| match strategy {
            Some(wanted) => offered.name == wanted,
            None => *here && !quarantined(offered),
        });
        let fits = row.what.to_lowercase().contains(&case.to_lowercase());
        if let (Some((found, _)), true) = (found, fits) {
            return Ok((index, found));
        }
        rows.push(row.what.as_str());
        let offered = strategies(&*row.kernel, table.gpu.capabilities());
        names.extend(offered.iter().map(|(strategy, _)| strategy.name));
    }
    names.sort_unstable();
    names.dedup();
    Err(Error::input(match strategy {
        Some(name) if !names.contains(&name) => {
            format!("{kernel} has no strategy {name:?}, but {}", names.join(", "))
        }
        _ => format!(
            "no row of {kernel} contains {case:?} and has that strategy; the rows are:\n  {}",
            rows.join("\n  ")
        ),
    }))
}
