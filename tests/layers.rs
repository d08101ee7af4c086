//! The house keeps its shape: imports point one way, files stay small, and no shader or kernel is
//! left unlisted.

use kaiwu::gpu::library;
use kaiwu::kernels;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer: a module may import from the layers before its own, and from itself.
const LAYERS: [&[&str]; 11] = [
    &["error", "platform", "plot"],
    &["files"],
    &["format", "hub"],
    &["text", "sample"],
    &["gpu"],
    &["kernels"],
    &["model"],
    &["generate", "train"],
    &["session"],
    &["workbench", "lab", "serve"],
    &["cli"],
];

/// Folders of `src/gpu` in their order: each imports from those before it, and by their names, not
/// by what `src/gpu/mod.rs` shows to others.
const GPU_FOLDERS: [&str; 10] = [
    "adapter",
    "records",
    "device",
    "tensor",
    "kernel",
    "selection",
    "software",
    "program",
    "user_shader",
    "open",
];

/// What is there for one software driver, and the only folders that may know of it.
const SOFTWARE: (&str, [&str; 2]) = ("software", ["program", "open"]);

/// Modules that say nothing of any driver, in no comment either.
const WITHOUT_DRIVERS: [&str; 3] = ["model", "train", "kernels"];

/// Those that are plain data and strings, and those that run on a device: the former are not the
/// latter's business.
const PLAIN: [&str; 4] = ["format", "hub", "text", "sample"];

/// Longest files, lines.
const LONGEST_SOURCE: usize = 450;
const LONGEST_SHADER: usize = 220;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files under `folder` that end with `ending`: path relative to the project, and text.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} files under {folder}");
    found
}

/// The line without a comment that takes all of it.
fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line }
}

/// Module that a file of src belongs to; `None` for the roots of library and program, which may
/// name everything.
fn module(file: &str) -> Option<&str> {
    let path = file.strip_prefix("src/")?;
    let name = path.split('/').next()?.trim_end_matches(".rs");
    (!matches!(name, "lib" | "main")).then_some(name)
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Modules named after `crate::` (or, in the program, `kaiwu::`) in a line; names of a `{...}` list
/// too.
fn imports(line: &str) -> Vec<&str> {
    let names = ["crate::", "kaiwu::"].into_iter().flat_map(|start| names_after(line, start));
    names.filter(|name| name.starts_with(|c: char| c.is_lowercase())).collect()
}

/// Names that stand behind `start` in a line; those of a `{...}` list too.
fn names_after<'a>(line: &'a str, start: &str) -> Vec<&'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let word = |text: &str| text.find(|c| !is_name(c)).unwrap_or(text.len());
    let mut found = vec![];
    for (at, _) in line.match_indices(start) {
        if line[..at].chars().next_back().is_some_and(is_name) {
            continue;
        }
        let rest = &line[at + start.len()..];
        match rest.strip_prefix('{') {
            // Of nested lists only the names on the outside are modules.
            Some(list) => found.extend(outside(list)),
            None => found.push(&rest[..word(rest)]),
        }
    }
    found
}

/// First words of the entries of a list, without those of the lists in it.
fn outside(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut names) = (0, Some(0), vec![]);
    for (at, c) in list.char_indices() {
        if let (Some(first), false) = (start, c.is_alphanumeric() || c == '_' || c == ' ') {
            names.push(list[first..at].trim());
            start = None;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return names,
            '}' => depth -= 1,
            ',' if depth == 0 => start = Some(at + 1),
            _ => {}
        }
    }
    names.extend(start.map(|first| list[first..].trim()));
    names
}

/// What is wrong with the imports of one file.
fn wrong_imports(file: &str, text: &str) -> Vec<String> {
    let Some(own) = module(file) else { return vec![] };
    let Some(own_rank) = rank(own) else {
        return vec![format!(
            "{file}: {own} is in no layer; add it to tests/layers.rs and docs/architecture.md"
        )];
    };
    // A statement over several lines is one, with the number of its first line.
    let mut statements: Vec<(usize, String)> = vec![];
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        match statements.last_mut() {
            Some((_, statement)) if open => statement.push_str(code(line).trim()),
            _ => statements.push((index + 1, code(line).to_owned())),
        }
        let statement = &statements[statements.len() - 1].1;
        open = statement.trim_start().trim_start_matches("pub ").starts_with("use ")
            && !statement.contains(';');
    }
    let mut wrong = vec![];
    for (number, line) in &statements {
        for name in imports(line) {
            let Some(rank) = rank(name) else { continue };
            if name != own && rank >= own_rank {
                wrong.push(format!("{file}:{number}: {own} imports {name}, which is not below it"));
            }
        }
        if own == "gpu" {
            wrong.extend(
                wrong_folder(file, line).map(|message| format!("{file}:{number}: {message}")),
            );
        }
        if own != "gpu" && line.contains("wgpu::") {
            wrong.push(format!("{file}:{number}: only src/gpu names wgpu"));
        }
        if PLAIN.contains(&own) && (line.contains("naga::") || line.contains("pollster::")) {
            wrong.push(format!("{file}:{number}: {own} is plain data and knows no device"));
        }
    }
    if WITHOUT_DRIVERS.contains(&own) {
        for (number, line) in (1..).zip(text.lines()) {
            if line.to_lowercase().contains("lavapipe") {
                wrong.push(format!("{file}:{number}: {own} says nothing of one driver"));
            }
        }
    }
    wrong
}

/// What is wrong with a line's imports within `src/gpu`.
fn wrong_folder(file: &str, line: &str) -> Option<String> {
    let rank = |folder: &str| GPU_FOLDERS.iter().position(|known| *known == folder);
    let own = file.strip_prefix("src/gpu/")?.split_once('/')?.0;
    let Some(own_rank) = rank(own) else {
        return Some(format!("gpu/{own} is in no order; add it to tests/layers.rs"));
    };
    names_after(line, "crate::gpu::").into_iter().find_map(|name| {
        let Some(rank) = rank(name) else {
            return Some(format!("{name} is not named by its folder"));
        };
        if name != own && rank >= own_rank {
            return Some(format!("gpu/{own} imports {name}, which is not below it"));
        }
        let (software, may) = SOFTWARE;
        (name == software && name != own && !may.contains(&own))
            .then(|| format!("gpu/{own} is not to know of {software}"))
    })
}

#[track_caller]
fn assert_none(what: &str, wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

#[test]
fn imports_point_one_way() {
    let wrong =
        files("src", ".rs").iter().flat_map(|(file, text)| wrong_imports(file, text)).collect();
    assert_none("imports against the layers of docs/architecture.md", wrong);
}

#[test]
fn wrong_imports_are_found() {
    let rows = [
        ("src/gpu/a.rs", "use crate::kernels::Argmax;", 1),
        ("src/gpu/a.rs", "use crate::{Error, kernels::Argmax, gpu::Tensor, model};", 2),
        ("src/gpu/a.rs", "use crate::{\n    Error,\n    model::{Config, cli},\n};\n", 1),
        ("src/text/a.rs", "    let x = crate::gpu::Gpu::open();", 1),
        ("src/text/a.rs", "use crate::sample::Rng;", 1),
        ("src/kernels/a.rs", "fn f(x: wgpu::Buffer) {}", 1),
        ("src/main.rs", "use kaiwu::cli;", 0),
        ("src/cli/a.rs", "use kaiwu::model::Weights; use crate::cli::b;", 0),
        ("src/gpu/a.rs", "use wgpu::Buffer; // crate::format is below", 0),
        ("src/gpu/a.rs", "/// See [`crate::model::Runner`].", 0),
        ("src/kernels/a.rs", "use crate::gpu::{self, model};", 0),
        ("src/gpu/mod.rs", "pub use open::open::Gpu;", 0),
        ("src/gpu/tensor/a.rs", "use crate::gpu::device::device::Gpu;", 0),
        ("src/gpu/tensor/a.rs", "use crate::gpu::tensor::host::HostMemory;", 0),
        ("src/gpu/tensor/a.rs", "use crate::gpu::kernel::kernel::Kernel;", 1),
        ("src/gpu/tensor/a.rs", "use crate::gpu::{device::lock, open::probe};", 1),
        ("src/gpu/tensor/a.rs", "use crate::gpu::Gpu;", 1),
        ("src/gpu/program/a.rs", "use crate::gpu::software::chain;", 0),
        ("src/gpu/user_shader/a.rs", "use crate::gpu::software::chain;", 1),
        ("src/gpu/other/a.rs", "", 0),
        ("src/gpu/other/a.rs", "use crate::gpu::tensor::tensor::Tensor;", 1),
        ("src/model/a.rs", "// Lavapipe likes it.", 1),
        ("src/workbench/a.rs", "// Lavapipe likes it.", 0),
        ("src/other/a.rs", "", 1),
        ("src/other.rs", "", 1),
    ];
    for (file, text, expected) in rows {
        let found = wrong_imports(file, text);
        assert_eq!(found.len(), expected, "{file}: {text:?}: {found:?}");
    }
    assert!(
        wrong_imports("src/gpu/a.rs", "\n\nuse crate::cli;")[0].starts_with("src/gpu/a.rs:3: ")
    );
}

/// The string literals of a source file without its tests, each with the number of its line.
fn literals(text: &str) -> Vec<(usize, String)> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let (mut found, mut at) = (vec![], 0);
    while at < text.len() {
        let rest = &text[at..];
        let until = |end: &str| rest.find(end).map_or(text.len(), |length| at + length);
        if rest.starts_with("//") {
            at = until("\n");
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            at += 3;
        } else if rest.starts_with("r#\"") {
            let end = until("\"#");
            found.push((at, text[at + 3..end].to_owned()));
            at = end + 2;
        } else if let Some(inside) = rest.strip_prefix('"') {
            let mut is_escaped = false;
            let end = inside.find(|c| {
                let ends = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                ends
            });
            let end = end.unwrap_or(inside.len());
            found.push((at, inside[..end].to_owned()));
            at += end + 2;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    found.into_iter().map(|(at, literal)| (line(at), literal)).collect()
}

/// Whether a text names an option (`--context`) or a command (`kaiwu doctor`) of the program.
fn speaks_of_the_command_line(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let option = text.match_indices("--").any(|(at, _)| {
        !text[..at].ends_with(is_word) && text[at + 2..].starts_with(|c: char| c.is_lowercase())
    });
    // A folder of that name, and the program's own, are no commands.
    option || text.contains("`kaiwu ")
}

#[test]
fn the_library_does_not_speak_of_the_command_line() {
    let mut wrong = vec![];
    for (file, text) in files("src", ".rs") {
        if matches!(module(&file), None | Some("cli")) {
            continue;
        }
        for (line, literal) in literals(&text) {
            if speaks_of_the_command_line(&literal) {
                wrong.push(format!("{file}:{line}: {literal:?}"));
            }
        }
    }
    let what = "options and commands in the library's texts: say what is possible with an \
                error::Remedy, and name the option in src/cli/support/failure.rs";
    assert_none(what, wrong);
}

#[test]
fn texts_that_speak_of_the_command_line_are_found() {
    let rows = [
        ("let a = \"try a smaller --context\";", 1),
        ("let a = \"see `kaiwu doctor`\"; let b = \"--check\";", 2),
        ("let a = r#\"{\"way\": \"--lora\"}\"#;", 1),
        ("let a = \"a \\\" --lora\";", 1),
        ("let a = '\"'; // \"--lora\"\nlet b = \"kaiwu/quarantine.json\";", 0),
        ("/// Like `kaiwu doctor --all`.\nlet a = \"i-- and a--b and -- there\";", 0),
        ("#[cfg(test)]\nmod tests {\n    let a = \"--lora\";\n}\n", 0),
    ];
    for (text, expected) in rows {
        let found = literals(text).into_iter().filter(|(_, text)| speaks_of_the_command_line(text));
        assert_eq!(found.count(), expected, "{text}");
    }
}

#[test]
fn every_shader_is_used() {
    let shaders = files("shaders", ".wgsl");
    let sources = files("src", ".rs");
    let mut wrong = vec![];
    for file in shaders.keys() {
        match file.strip_prefix("shaders/lib/") {
            Some(name) if library().all(|(listed, _)| format!("{listed}.wgsl") != name) => {
                wrong.push(format!("{file} is no format's and not in gpu::LIBRARY"));
            }
            None if !sources.values().any(|text| text.contains(&format!("../{file}\")"))) => {
                wrong.push(format!("{file} is included by no file of src"));
            }
            _ => {}
        }
    }
    assert_none("shaders without a use", wrong);
}

/// The comment that a shader begins with, line by line.
fn header(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().take_while(|line| line.starts_with("//") && !line.starts_with("//%"));
    lines.map(|line| line[2..].strip_prefix(' ').unwrap_or_default().trim_end())
}

/// What the header of a kernel's shader lacks: its first lines are a formula, and three fields say
/// how the work is split. A field may stand in a library file that the shader includes.
fn missing_fields(text: &str) -> Vec<&'static str> {
    let included = library().filter(|(name, _)| {
        let line = format!("//% include \"{name}\"");
        text.lines().any(|found| found == line)
    });
    let mut texts = vec![text];
    texts.extend(included.map(|(_, text)| text));
    let says = |field: &str| {
        let says = |text: &&str| {
            let mut rest = header(text).skip_while(|line| !line.starts_with(field));
            let own = rest.next().and_then(|line| line.strip_prefix(field));
            // A list of operands begins on the next line.
            own.is_some_and(|own| {
                !own.is_empty() || rest.next().is_some_and(|line| line.starts_with("  "))
            })
        };
        texts.iter().any(says)
    };
    let mut missing = vec![];
    if !header(text).take_while(|line| !line.is_empty()).any(|line| line.contains(" = ")) {
        missing.push("a formula, // y[t, c] = …");
    }
    let fields = [
        ("Grid:", "// Grid: what x, y and z count"),
        ("Lane:", "// Lane: what a lane owns"),
        ("Reads:", "// Reads: which addresses neighbouring lanes read, and whether they coalesce"),
    ];
    missing.extend(fields.iter().filter(|(field, _)| !says(field)).map(|(_, missing)| missing));
    missing
}

#[test]
fn every_shader_says_what_it_computes_and_which_lane_reads_what() {
    let kernels =
        files("shaders", ".wgsl").into_iter().filter(|(file, _)| !file.starts_with("shaders/lib/"));
    let wrong = kernels.flat_map(|(file, text)| {
        let missing = missing_fields(&text).into_iter();
        missing.map(|missing| format!("{file}: its header lacks {missing}")).collect::<Vec<_>>()
    });
    assert_none("shaders whose header does not say how the work is split", wrong.collect());
    let whole =
        "// y = x.\n//\n// Grid: x over texels.\n// Lane: owns a texel.\n// Reads:\n//   x  it.\n";
    assert!(missing_fields(whole).is_empty());
    for line in whole.lines().filter(|line| line.len() > 2 && !line.contains(" x  it")) {
        let one = whole.replacen(line, "//", 1);
        assert_eq!(missing_fields(&one).len(), 1, "{one}");
    }
    let lane = whole.replace("Lane: owns a texel.", "Lane:");
    assert_eq!(missing_fields(&lane), ["// Lane: what a lane owns"]);
    assert_eq!(missing_fields("// y = x.\n//% include \"pointwise\"\n").len(), 0);
    assert_eq!(missing_fields("fn f() {} // Grid: x = y").len(), 4);
}

/// What of a shader's line is hard to read: its length, or code in a template's string.
fn hard_to_read(line: &str) -> Option<&'static str> {
    let values = line.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    if values.into_iter().any(|value| value.contains('"')) {
        return Some("code in a string: write two branches, //% if … //% else … //% endif");
    }
    (line.chars().count() > 100).then_some("more than 100 columns")
}

#[test]
fn shaders_are_code_and_not_strings() {
    let mut wrong = vec![];
    for (file, text) in files("shaders", ".wgsl") {
        let lines = (1..).zip(text.lines());
        wrong.extend(lines.filter_map(|(number, line)| {
            Some(format!("{file}:{number}: {}", hard_to_read(line)?))
        }));
    }
    assert_none("lines of shaders that are hard to read", wrong);
    assert!(hard_to_read("let at = {{ i }}u;").is_none());
    assert!(hard_to_read("let at = {{ \"lane\" if BROADCAST else \"0u\" }};").is_some());
    assert!(hard_to_read(&"x".repeat(101)).is_some());
}

/// Names that the kernels of a file give themselves.
fn kernel_names<'a>(file: &str, text: &'a str) -> Vec<&'a str> {
    let after = text.split("fn name(&self) -> &'static str {").skip(1);
    let literals = after.map(|after| after.split('}').next().unwrap_or_default().trim());
    let name = |literal: &'a str| literal.strip_prefix('"')?.strip_suffix('"');
    literals
        .map(|literal| {
            name(literal)
                .unwrap_or_else(|| panic!("{file}: a kernel's name is one literal, not {literal}"))
        })
        .collect()
}

#[test]
fn every_kernel_is_listed_under_the_name_of_its_file() {
    let mut listed: BTreeSet<_> = kernels::names().into_iter().collect();
    assert_eq!(listed.len(), kernels::names().len(), "a name is in two lists");
    let mut wrong = vec![];
    for (file, text) in &files("src/kernels", ".rs") {
        let stem = file.rsplit('/').next().unwrap().trim_end_matches(".rs");
        for name in kernel_names(file, text) {
            if name != stem {
                wrong.push(format!("{file}: the kernel {name:?} has a file of its own name"));
            } else if !listed.remove(name) {
                wrong.push(format!("{file}: has no line in the list of its folder's mod.rs"));
            }
        }
    }
    assert_none("kernels that are not listed", wrong);
    // The one kernel that `gpu` has, to probe the adapter with.
    assert!(listed.remove("roof_read"));
    assert!(listed.is_empty(), "listed, but no kernel calls itself so: {listed:?}");
}

#[test]
fn files_stay_small() {
    let mut wrong = vec![];
    for (folder, ending, longest) in
        [("src", ".rs", LONGEST_SOURCE), ("shaders", ".wgsl", LONGEST_SHADER)]
    {
        for (file, text) in files(folder, ending) {
            let lines = text.lines().count();
            if lines > longest {
                wrong.push(format!(
                    "{file} has {lines} lines, more than {longest}: what is its second noun?"
                ));
            }
        }
    }
    assert_none("files that grew too long", wrong);
}
