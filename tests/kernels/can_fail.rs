//! The checks can fail: what is wrong on purpose is found, by each of them.

use crate::common;
use crate::common::cases::table;
use crate::common::fake::Fake;
use crate::common::portable::Portable;
use kaiwu::gpu::{Gpu, Kernel, Needs, StorageKind, Strategy, Tensor, render};
use kaiwu::kernels;
use kaiwu::workbench::{cases::Case, check_case};
use std::sync::{Arc, Mutex};

/// The text of a shader with `from` replaced, kept for as long as the program runs: strategies hold
/// static texts.
fn replaced(strategy: Strategy, from: &str, to: &str) -> Strategy {
    static TEXTS: Mutex<Vec<&'static str>> = Mutex::new(vec![]);
    assert!(strategy.source.contains(from), "{} has no {from:?}", strategy.name);
    let text = strategy.source.replace(from, to);
    let mut texts = TEXTS.lock().unwrap();
    let kept = texts.iter().find(|known| **known == text).copied().unwrap_or_else(|| {
        let kept: &'static str = Box::leak(text.into_boxed_str());
        texts.push(kept);
        kept
    });
    Strategy { source: kept, ..strategy }
}

fn operand(kernel: &dyn Kernel, name: &str) -> Tensor {
    let found = kernel.operands().into_iter().find(|operand| operand.name == name);
    found.and_then(|operand| operand.tensor).expect("the kernel has this operand")
}

/// What the check says of the first row of `kernel`, spoilt.
fn found(
    kernel: &str,
    strategy: fn(Strategy) -> Strategy,
    reference: fn(&mut [f32]),
) -> Option<String> {
    let mut table = table(StorageKind::Buffer);
    let cases = std::mem::take(&mut table.cases);
    let gpu: &Gpu = &table.gpu;
    let case = cases.into_iter().find(|case| case.kernel.name() == kernel).unwrap();
    let (whole, y) = (Arc::clone(&case.kernel), operand(&*case.kernel, "y"));
    let spoilt = Fake::like(&case.kernel).with_change(strategy).with_reference(move |memory| {
        whole.reference(memory);
        reference(memory.f32_mut(&y));
    });
    let mut case = Case { kernel: Arc::new(spoilt), ..case };
    match check_case(gpu, &mut case, 0) {
        Ok(comparison) => comparison.divergence.map(|wrong| wrong.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn a_broken_shader_is_found() {
    assert_eq!(found("embed", |strategy| strategy, |_| ()), None);
    type Row = (fn(Strategy) -> Strategy, &'static str);
    let rows: [Row; 3] = [
        (|strategy| replaced(strategy, "p.scale", "(p.scale + 0.01)"), "y[0] is"),
        // A lane too few: what it should have written keeps what was there before.
        (|strategy| Strategy { grid: [1, strategy.grid[1] - 1, 1], ..strategy }, "expected"),
        (|strategy| replaced(strategy, "p.scale", "p.scales_"), "embed"),
    ];
    for (strategy, message) in rows {
        let found = found("embed", strategy, |_| ()).expect("a broken shader passes");
        assert!(found.contains(message), "{found}");
    }
}

#[test]
fn a_wrong_reference_is_found() {
    let rows: [fn(&mut [f32]); 3] = [
        |y| y[3] += 0.1,
        |y| y.swap(0, 1),
        |y| {
            if let Some(last) = y.last_mut() {
                *last = f32::NAN;
            }
        },
    ];
    for reference in rows {
        for kernel in ["embed", "matmul", "attention"] {
            let found = found(kernel, |strategy| strategy, reference);
            assert!(found.expect("a wrong reference passes").contains("expected"), "{kernel}");
        }
    }
}

#[test]
fn a_missing_row_is_found() {
    let mut table = table(StorageKind::Buffer);
    assert_eq!(common::cases::without_rows(&table), Vec::<&str>::new());
    for kernel in kernels::names() {
        let rows = std::mem::take(&mut table.cases);
        let (without, with) = rows.into_iter().partition(|case| case.kernel.name() != kernel);
        table.cases = without;
        assert_eq!(common::cases::without_rows(&table), [kernel]);
        table.cases.extend::<Vec<Case>>(with);
    }
}

#[test]
fn a_strategy_over_its_limits_is_found() {
    let table = table(StorageKind::Buffer);
    let argmax = table.cases.iter().find(|case| case.kernel.name() == "argmax").unwrap();
    let strategy = || argmax.kernel.strategies(table.gpu.capabilities()).swap_remove(0);
    let looked_at = |strategy: &Strategy| {
        let text = render(&*argmax.kernel, strategy).unwrap();
        let used =
            Portable::parse(&text, strategy.entry, false).unwrap_or_else(|error| panic!("{error}"));
        let (lanes, bytes) = used.lanes_and_workgroup_bytes();
        (used.breaches(), (lanes, bytes) == (strategy.needs.lanes, strategy.needs.workgroup_bytes))
    };
    assert_eq!(looked_at(&strategy()), (vec![], true));
    // More than WebGPU's default limits, in lanes and in workgroup memory.
    let large = Strategy { needs: Needs { lanes: 512, ..strategy().needs }, ..strategy() };
    assert_eq!(looked_at(&large), (vec!["workgroups of 512 x 1 x 1 lanes".to_owned()], true));
    let large = replaced(strategy(), "const LANES: u32 = 64u;", "const LANES: u32 = 4096u;");
    assert_eq!(looked_at(&large), (vec!["32768 bytes of workgroup memory".to_owned()], false));
    // More, or less, workgroup memory than it says itself; the lanes are those it says.
    for bytes in [0, 64 * 4, 64 * 16] {
        let other = Needs { workgroup_bytes: bytes, ..strategy().needs };
        assert_eq!(looked_at(&Strategy { needs: other, ..strategy() }), (vec![], false));
    }
}
