//! Shaders on adapters that are not here: every text there is, validated and translated by naga for
//! every backend.
//!
//! This shows that each shader is valid WGSL, uses only what its strategy claims, can be written as
//! SPIR-V, MSL, HLSL and GLSL, and keeps to WebGPU's default limits where that is promised. It does
//! not show that a driver compiles the translation, that barriers and subgroup operations are
//! reached uniformly, or that results are right. `scripts/portability.sh` hands the same texts to
//! the compilers of others; `write_shaders` is its first step.

use crate::common::cases::variants;
use crate::common::portable::Portable;
use kaiwu::gpu::{Capabilities, StorageKind, render};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// One rendered text and who it belongs to.
struct Shader {
    /// Kernel, the call that led to it, strategy, storage.
    what: String,
    kernel: &'static str,
    entry: &'static str,
    /// Offered to adapters with subgroups only.
    subgroups: bool,
    /// The strategy promised to need nothing.
    least: bool,
    /// Storage of the tensors that may choose.
    storage: StorageKind,
}

/// Adapters that strategies may be chosen for, those without subgroups first; the strategies of
/// `--deterministic`, too.
fn adapters(base: &Capabilities) -> Vec<Capabilities> {
    let mut all = vec![];
    for deterministic in [false, true] {
        for subgroup in [0, 4, 8, 16, 32, 64, 128] {
            all.extend([false, true].map(|software| Capabilities {
                subgroup,
                software,
                deterministic,
                f16: true,
                ..base.clone()
            }));
        }
    }
    all
}

/// Rows whose strategies are rendered in all sizes that `kaiwu autotune` may choose. A size changes
/// how many rows or tokens a text unrolls, and a format what it includes: each of both is here, but
/// not each with each, which is thousands.
fn sized(row: &str) -> bool {
    !kaiwu::format::DType::ALL.iter().any(|dtype| row.starts_with(&format!("{dtype} ")))
        || row.starts_with("Q4_1 ")
}

/// All texts of both storages, rendered once.
fn shaders() -> &'static BTreeMap<String, Shader> {
    static SHADERS: OnceLock<BTreeMap<String, Shader>> = OnceLock::new();
    SHADERS.get_or_init(rendered)
}

fn rendered() -> BTreeMap<String, Shader> {
    let mut all: BTreeMap<String, Shader> = BTreeMap::new();
    for storage in [StorageKind::Buffer, StorageKind::Texture] {
        let bench = variants(storage);
        for case in &bench.cases {
            let kernel = &*case.kernel;
            for adapter in adapters(bench.gpu.capabilities()) {
                let strategies = kernel.strategies(&adapter);
                let usual = strategies.len();
                let sizes = if sized(&case.what) { kernel.sizes(&adapter) } else { vec![] };
                let sizes = sizes.into_iter().filter(|size| adapter.allows(&size.needs));
                for (index, strategy) in strategies.into_iter().chain(sizes).enumerate() {
                    let mode = if adapter.deterministic { ", deterministic" } else { "" };
                    let (name, row) = (strategy.name, &case.what);
                    let what = format!("{} {row} ({name}{mode}), {storage:?}", kernel.name());
                    let text =
                        render(kernel, &strategy).unwrap_or_else(|error| panic!("{what}: {error}"));
                    let least = index + 1 == usual;
                    let entry = strategy.entry;
                    let (kernel, subgroups) = (kernel.name(), adapter.subgroup > 0);
                    let shader = Shader { what, kernel, entry, subgroups, least, storage };
                    all.entry(text).and_modify(|known| known.least |= least).or_insert(shader);
                }
            }
        }
    }
    let (text, shader) = chain();
    all.insert(text, shader);
    all
}

/// A layer as one dispatch, in buffers: what is a texture in it needs a buffer over the same
/// memory, which one driver has.
fn chain() -> (String, Shader) {
    let storage = StorageKind::Buffer;
    let bench = variants(storage);
    let capabilities =
        Capabilities { subgroup: 8, software: true, ..bench.gpu.capabilities().clone() };
    let of_one =
        |strategy: &kaiwu::gpu::Strategy| ["matvec", "attention"].contains(&strategy.entry);
    let (mut entries, mut strategies) = (vec![], vec![]);
    for wanted in ["qkv_rope_cache", "attention", "matmul", "gate_up", "matmul"] {
        let mut all = bench.cases.iter().filter(|case| case.kernel.name() == wanted);
        let (case, strategy) = all
            .find_map(|case| {
                Some((case, case.kernel.strategies(&capabilities).into_iter().find(of_one)?))
            })
            .unwrap_or_else(|| panic!("no case of {wanted} for one token"));
        entries.push(kaiwu::gpu::Entry { label: wanted.into(), kernel: case.kernel.clone() });
        strategies.push(strategy);
    }
    let text =
        kaiwu::gpu::render_chain(&entries, strategies, 3).expect("lanes that never meet").unwrap();
    let (what, kernel, entry) = ("a chain".into(), "chain", "chain");
    (text, Shader { what, kernel, entry, subgroups: true, least: false, storage })
}

/// Fails with every failure there is, shortest first.
#[track_caller]
fn report(total: usize, mut failures: Vec<String>) {
    failures.sort_by_key(String::len);
    assert!(failures.is_empty(), "{} of {total} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn shaders_translate_to_every_language() {
    let all = shaders();
    let failures = all.iter().filter_map(|(text, shader)| {
        Portable::parse(text, shader.entry, shader.subgroups)
            .and_then(|portable| portable.translate())
            .err()
            .map(|message| format!("{}: {message}", shader.what))
    });
    report(all.len(), failures.collect());
    // Whatever naga does not write in a language is said, and is what that language lacks.
    let f16 = all.keys().filter(|text| text.starts_with("enable f16;")).count();
    assert!(f16 > 0);
    println!(
        "{} texts are written as SPIR-V, MSL, HLSL and GLSL, {f16} with f16 as all but GLSL",
        all.len() - f16
    );
}

#[test]
fn the_last_strategy_needs_nothing_beyond_the_default_limits() {
    let all = shaders();
    let least: Vec<_> = all.iter().filter(|(_, shader)| shader.least).collect();
    let kernels: BTreeSet<_> = least.iter().map(|(_, shader)| shader.kernel).collect();
    assert_eq!(kernels, kaiwu::kernels::names().into_iter().collect());
    let failures = least.iter().filter_map(|(text, shader)| {
        // Whatever adapters it is offered to, it may not use subgroups.
        let breaches = match Portable::parse(text, shader.entry, false) {
            Ok(portable) => portable.breaches(),
            Err(message) => vec![message],
        };
        (!breaches.is_empty()).then(|| format!("{}: {}", shader.what, breaches.join(", ")))
    });
    report(least.len(), failures.collect());
}

#[test]
fn every_format_has_its_shaders() {
    let all = shaders();
    for kernel in ["matmul", "linear", "gate_up", "qkv_rope_cache", "embed"] {
        for dtype in kaiwu::format::DType::ALL {
            for storage in [StorageKind::Buffer, StorageKind::Texture] {
                let (format, storage) = (format!(" {dtype} "), format!(", {storage:?}"));
                let found = all.values().any(|shader| {
                    shader.kernel == kernel
                        && shader.what.contains(&format)
                        && shader.what.ends_with(&storage)
                });
                assert!(found, "no shader of {kernel} for{format}{storage}");
            }
        }
    }
}

/// What `kaiwu autotune` and `--deterministic` may choose besides is among the texts.
#[test]
fn sizes_and_deterministic_strategies_are_rendered() {
    let all = shaders();
    let bench = variants(StorageKind::Buffer);
    let mut found = [0, 0];
    for case in &bench.cases {
        let can = bench.gpu.capabilities();
        let deterministic = Capabilities { deterministic: true, ..can.clone() };
        let usual: BTreeSet<_> = case
            .kernel
            .strategies(can)
            .iter()
            .map(|strategy| render(&*case.kernel, strategy).unwrap())
            .collect();
        let sizes = if sized(&case.what) { case.kernel.sizes(can) } else { vec![] };
        let sizes = sizes.into_iter().filter(|size| can.allows(&size.needs));
        for (kind, strategies) in
            [sizes.collect(), case.kernel.strategies(&deterministic)].iter().enumerate()
        {
            for strategy in strategies {
                let text = render(&*case.kernel, strategy).unwrap();
                assert!(all.contains_key(&text), "{} ({})", case.what, strategy.name);
                found[kind] += usize::from(!usual.contains(&text));
            }
        }
    }
    assert!(found.iter().all(|&count| count > 20), "{found:?}");
}

/// The checks above can fail: each kernel's least demanding shader, broken in one way at a time.
#[test]
fn broken_shaders_are_found() {
    let all = shaders();
    let mut seen = BTreeSet::new();
    for (text, shader) in all.iter().filter(|(_, shader)| shader.least) {
        if !seen.insert(shader.kernel) {
            continue;
        }
        let broken = |text: String| {
            Portable::parse(&text, shader.entry, false).map(|portable| portable.breaches())
        };
        assert_eq!(broken(text.clone()), Ok(vec![]), "{} before it was broken", shader.what);

        let replaced = |from: &str, to: &str| {
            assert!(text.contains(from), "{} has no {from:?} to break", shader.what);
            text.replacen(from, to, 1)
        };
        let subgroups = format!("{text}\nfn extra() -> f32 {{ return subgroupAdd(1.0); }}\n");
        let lane = replaced("@builtin(", "@builtin(subgroup_invocation_id) extra: u32, @builtin(");
        // A kernel with one operand has none to share with.
        let shared = match text.contains("@binding(2)") {
            true => replaced("@binding(2)", "@binding(1)"),
            false => lane.clone(),
        };
        let refused = [
            ("its end is cut off", text.trim_end().trim_end_matches('}').to_owned()),
            ("the parameters have another name", replaced("var<uniform> p:", "var<uniform> q_:")),
            (
                "the parameters hold a bool",
                replaced("struct Parameters {", "struct Parameters {\n    extra: bool,"),
            ),
            ("two operands share a binding", shared),
            (
                "the entry point has another name",
                replaced(&format!("fn {}(", shader.entry), "fn other("),
            ),
            ("a subgroup operation", subgroups.clone()),
            ("a subgroup's lane", lane),
        ];
        for (what, text) in refused {
            assert!(broken(text).is_err(), "{}: {what}, but it passes", shader.what);
        }
        // With subgroups claimed the same operation is fine, and not written for what has none.
        let claimed = Portable::parse(&subgroups, shader.entry, true).unwrap();
        assert_eq!(claimed.translate().unwrap(), ["SPIR-V", "MSL", "HLSL 6.0", "GLSL 4.30"]);

        let buffers: String = (0..9)
            .map(|i| {
                format!(
                    "@group(0) @binding({}) var<storage, read> extra{i}: array<u32>;\n",
                    100 + i
                )
            })
            .collect();
        let size = text.find("@workgroup_size(").expect("a compute shader has a size");
        let sized = format!(
            "{}@workgroup_size(64, 8{}",
            &text[..size],
            &text[size + text[size..].find(')').expect("the size ends")..]
        );
        let beyond = [
            ("storage buffers", format!("{text}\n{buffers}")),
            (
                "bytes of workgroup memory",
                format!("{text}\nvar<workgroup> extra: array<vec4<f32>, 1025>;\n"),
            ),
            ("lanes", sized),
        ];
        for (what, text) in beyond {
            let breaches = broken(text).unwrap();
            assert!(
                breaches.iter().any(|words| words.contains(what)),
                "{}: {what}: {breaches:?}",
                shader.what
            );
        }
    }
    assert_eq!(seen.len(), kaiwu::kernels::names().len());
}

/// Writes every text, its SPIR-V and its HLSL to the folder that `KAIWU_SHADERS` names, and beside
/// them `index.json`, which says of each what it is: for compilers that are not linked to these
/// tests.
#[test]
#[ignore = "writes files: scripts/portability.sh calls it"]
fn write_shaders() {
    let folder =
        std::env::var_os("KAIWU_SHADERS").expect("KAIWU_SHADERS names the folder to write to");
    let folder = std::path::PathBuf::from(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mut index = vec![];
    for (number, (text, shader)) in shaders().iter().enumerate() {
        let portable = Portable::parse(text, shader.entry, shader.subgroups).expect(&shader.what);
        let file = format!("{}-{number:04}", shader.entry);
        let write = |ending: &str, bytes: &[u8]| {
            std::fs::write(folder.join(format!("{file}.{ending}")), bytes).unwrap();
        };
        write("wgsl", text.as_bytes());
        for (ending, checked) in [("checked.spv", true), ("unchecked.spv", false)] {
            write(ending, bytemuck::cast_slice(&portable.spirv(checked).expect(&shader.what)));
        }
        for (ending, fxc) in [("fxc.hlsl", true), ("dxc.hlsl", false)] {
            write(ending, portable.hlsl(fxc).expect(&shader.what).as_bytes());
        }
        index.push(serde_json::json!({
            "file": file,
            "what": shader.what,
            "kernel": shader.kernel,
            "entry": shader.entry,
            "subgroups": shader.subgroups,
            "f16": portable.f16(),
            "workgroup_bytes": portable.lanes_and_workgroup_bytes().1,
            "least": shader.least,
            "buffers": shader.storage == StorageKind::Buffer,
        }));
    }
    let index = serde_json::to_string_pretty(&index).unwrap();
    std::fs::write(folder.join("index.json"), index).unwrap();
}
