//! Turns a shader's function into an entry point by rendering the attributes of its head.
//!
//! A shader file has a function with the strategy's name. The names of its parameters say which
//! built-in values it needs ([`BUILTINS`]). A pipeline starts at this function, and a fused
//! dispatch calls it.

use super::kernel::Strategy;
use super::wgsl::{declarations, tokens};
use crate::{Error, Result};
use std::ops::Range;

/// The names that parameters of an entry function may have, and the built-in value of each (W3C,
/// WGSL, section 13.3.1.1).
///
/// `lane` is the index in the workgroup. Where a strategy needs a subgroup as large as its
/// workgroup, `lane` is the index in the subgroup, because subgroup broadcasts count by that.
const BUILTINS: &[(&str, &str)] = &[
    ("workgroup", "workgroup_id"),
    ("grid", "num_workgroups"),
    ("invocation", "global_invocation_id"),
    ("lane", "local_invocation_index"),
    ("subgroup_lane", "subgroup_invocation_id"),
    ("subgroup_size", "subgroup_size"),
    ("subgroup", "subgroup_id"),
    ("subgroups", "num_subgroups"),
];

/// The position of a function's head in a text, from `fn` to the closing parenthesis, and its
/// parameters as name and type.
struct Head<'a> {
    range: Range<usize>,
    parameters: Vec<(&'a str, &'a str)>,
}

fn head<'a>(text: &'a str, strategy: &Strategy) -> Result<Head<'a>> {
    let tokens = tokens(text);
    let wrong = |message| Error::Kernel { kernel: strategy.name.into(), message };
    let all = declarations(&tokens);
    let found = all.iter().find(|it| it.kind == "fn" && it.name.text == strategy.entry);
    let Some(function) = found else {
        return Err(wrong(format!("its shader has no function {}", strategy.entry)));
    };
    let Some(close) = function.rest.iter().find(|token| token.text == ")") else {
        return Err(wrong(format!("the parameters of {} have no end", strategy.entry)));
    };
    let from = function.rest[0].range().end;
    // No parameter type contains a comma.
    let parameters = text[from..close.at].split(',').map(str::trim).filter(|text| !text.is_empty());
    let parameters = parameters
        .map(|parameter| {
            let (name, kind) = parameter.split_once(':').unwrap_or((parameter, ""));
            (name.trim(), kind.trim())
        })
        .collect();
    Ok(Head { range: function.name.at..close.range().end, parameters })
}

/// The text with the function `strategy.entry` turned into the entry point of a pipeline.
///
/// # Errors
/// When there is no such function, or a parameter is not a built-in value.
pub(in crate::gpu) fn as_entry_point(text: &str, strategy: &Strategy) -> Result<String> {
    let Head { range, parameters } = head(text, strategy)?;
    let (entry, needs) = (strategy.entry, strategy.needs);
    let mut declared = vec![];
    let mut of_subgroup = false;
    for &(name, kind) in &parameters {
        if kind != "u32" && kind != "vec3<u32>" {
            // A structure: its members carry their own attributes.
            declared.push(format!("{name}: {kind}"));
            of_subgroup |= needs.subgroup > 0;
            continue;
        }
        let builtin = match BUILTINS.iter().find(|(known, _)| *known == name) {
            Some(_) if name == "lane" && needs.subgroup >= needs.lanes => "subgroup_invocation_id",
            Some((_, builtin)) => builtin,
            None => {
                let known: Vec<_> = BUILTINS.iter().map(|(known, _)| *known).collect();
                return Err(Error::Kernel {
                    kernel: strategy.name.into(),
                    message: format!(
                        "{entry} has a parameter `{name}`; an entry function may ask for {}",
                        known.join(", ")
                    ),
                });
            }
        };
        declared.push(format!("@builtin({builtin}) {name}: {kind}"));
    }
    if of_subgroup {
        // Naga 30 writes a structure's subgroup values into HLSL only if such an argument is
        // present too.
        declared.push("@builtin(subgroup_size) subgroup_size: u32".into());
    }
    let lines: String = declared.iter().map(|one| format!("\n    {one},")).collect();
    let end = if lines.is_empty() { "" } else { "\n" };
    let before = text[..range.start].trim_end().strip_suffix("fn").unwrap_or_default();
    let after = &text[range.end..];
    let size = needs.lanes;
    Ok(format!("{before}@compute @workgroup_size({size})\nfn {entry}({lines}{end}){after}"))
}

/// The expression that calls the function `strategy.entry` from a fused dispatch, where only
/// `workgroup`, `grid` and `lane` are known.
///
/// # Errors
/// When there is no such function, or it needs other values.
pub(in crate::gpu) fn call(text: &str, strategy: &Strategy) -> Result<String> {
    let parameters = head(text, strategy)?.parameters;
    let names: Vec<_> = parameters.iter().map(|&(name, _)| name).collect();
    if let Some(name) = names.iter().find(|name| !["workgroup", "grid", "lane"].contains(name)) {
        return Err(Error::Kernel {
            kernel: strategy.name.into(),
            message: format!("it asks for `{name}`, which a fused dispatch does not give"),
        });
    }
    Ok(format!("{}({})", strategy.entry, names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::kernel::kernel::Needs;

    fn strategy(needs: Needs) -> Strategy {
        Strategy { name: "s", entry: "f", source: "", constants: vec![], needs, grid: [1, 1, 1] }
    }

    #[test]
    fn heads_ask_by_name() {
        let text = "// fn f() {}\nfn f(workgroup: vec3<u32>, lane: u32) {\n}\nfn g() {}\n";
        let of = |text: &str, needs| as_entry_point(text, &strategy(needs));
        let expected = "// fn f() {}\n@compute @workgroup_size(64)\nfn f(\n    \
            @builtin(workgroup_id) workgroup: vec3<u32>,\n    \
            @builtin(local_invocation_index) lane: u32,\n) {\n}\nfn g() {}\n";
        assert_eq!(of(text, Needs::lanes(64)).unwrap(), expected);
        // A subgroup smaller than the workgroup, and one as large as the workgroup.
        assert_eq!(of(text, Needs::lanes(64).subgroup(8)).unwrap(), expected);
        assert!(
            of(text, Needs::lanes(8).subgroup(8)).unwrap().contains("(subgroup_invocation_id)")
        );
        assert_eq!(
            of("fn f() {}", Needs::lanes(1)).unwrap(),
            "@compute @workgroup_size(1)\nfn f() {}"
        );
        // A structure stays unchanged, and gets an extra argument where naga needs it.
        let text = "fn f(own: Lane) {}";
        let head = "@compute @workgroup_size(32)\nfn f(\n    own: Lane,\n";
        assert_eq!(of(text, Needs::lanes(32)).unwrap(), format!("{head}) {{}}"));
        let size = "    @builtin(subgroup_size) subgroup_size: u32,\n";
        assert_eq!(of(text, Needs::lanes(32).subgroup(4)).unwrap(), format!("{head}{size}) {{}}"));

        let message = of("fn f(me: u32) {}", Needs::lanes(1)).unwrap_err().to_string();
        assert!(message.contains("`me`") && message.contains("workgroup, grid"), "{message}");
        let message = of("fn g() {}", Needs::lanes(1)).unwrap_err().to_string();
        assert!(message.contains("no function f"), "{message}");
    }

    #[test]
    fn fused_dispatches_give_three_things() {
        let needs = Needs::lanes(8);
        let of = |text: &str| call(text, &strategy(needs));
        let text = "fn f(\n    workgroup: vec3<u32>,\n    grid: vec3<u32>,\n    lane: u32,\n) {}";
        assert_eq!(of(text).unwrap(), "f(workgroup, grid, lane)");
        let message = of("fn f(subgroup: u32) {}").unwrap_err().to_string();
        assert!(message.contains("`subgroup`"), "{message}");
    }
}
