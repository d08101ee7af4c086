//! A kernel's text as a stage of a chain: its entry point as a function, under names that stand
//! beside those of other stages.

use crate::gpu::kernel::kernel::Strategy;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The entry point as a plain function, and the arguments of its call.
pub(in crate::gpu) fn entry_as_function(
    text: &str,
    strategy: &Strategy,
) -> Option<(String, String)> {
    let head = format!("@compute @workgroup_size(8)\nfn {}(\n", strategy.entry);
    let (before, rest) = text.split_once(&head)?;
    let (parameters, body) = rest.split_once("\n) {\n")?;
    let (mut names, mut arguments) = (vec![], vec![]);
    for parameter in parameters.lines() {
        let (builtin, declared) = parameter.trim().strip_prefix("@builtin(")?.split_once(')')?;
        names.push(declared);
        arguments.push(match builtin {
            "workgroup_id" => "workgroup",
            "num_workgroups" => "grid",
            "subgroup_invocation_id" | "local_invocation_index" => "lane",
            _ => return None,
        });
    }
    let function = format!("{before}fn {}({}) {{\n{body}", strategy.entry, names.concat());
    Some((function, arguments.join(", ")))
}

/// What a stage's text declares.
pub(in crate::gpu) struct Names<'a> {
    all: BTreeSet<&'a str>,
    /// The functions that read the parameters, or call one that does.
    readers: BTreeSet<&'a str>,
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'a> Names<'a> {
    pub fn of(text: &'a str) -> Self {
        let declared =
            |line: &'a str, word: &str| line.strip_prefix(word)?.split(|c| !is_name(c)).next();
        let words = ["fn ", "struct ", "const "];
        let all = text
            .lines()
            .filter_map(|line| words.iter().find_map(|word| declared(line, word)))
            .collect();
        // Functions by the names in them.
        let mut functions: Vec<(&str, BTreeSet<&str>)> = vec![];
        let mut inside = false;
        for line in text.lines() {
            if let Some(name) = declared(line, "fn ") {
                functions.push((name, BTreeSet::new()));
                inside = true;
            }
            if let Some((_, names)) = functions.last_mut().filter(|_| inside) {
                names.extend(line.split(|c| !is_name(c)));
            }
            inside &= !line.ends_with('}') || line.starts_with(' ');
        }
        let mut readers = BTreeSet::from(["p"]);
        while let Some((name, _)) = functions.iter().find(|(name, names)| {
            !readers.contains(name) && names.iter().any(|name| readers.contains(name))
        }) {
            readers.insert(name);
        }
        readers.remove("p");
        Self { all, readers }
    }

    /// `text` with a number behind every declared name, so that it can stand beside others, and
    /// with the parameters `p` as an argument of the functions that read them: as a global variable
    /// nobody could tell that all lanes see the same.
    pub fn numbered(&self, text: &str, number: usize) -> String {
        let mut numbered = String::with_capacity(text.len() + text.len() / 8);
        let mut in_struct = false;
        for line in text.split_inclusive('\n') {
            in_struct = (in_struct || line.starts_with("struct ")) && !line.starts_with('}');
            let (mut rest, mut last) = (line, "");
            while let Some(start) = rest.find(is_name) {
                let (before, from) = rest.split_at(start);
                let (name, mut after) =
                    from.split_at(from.find(|c| !is_name(c)).unwrap_or(from.len()));
                let is_member = before.ends_with('.') || in_struct && after.starts_with(':');
                numbered.push_str(before);
                numbered.push_str(name);
                if self.all.contains(name) && !is_member {
                    let _ = write!(numbered, "_{number}");
                }
                if let Some(arguments) =
                    after.strip_prefix('(').filter(|_| self.readers.contains(name))
                {
                    numbered.push_str("(p");
                    if last == "fn" {
                        let _ = write!(numbered, ": Parameters_{number}");
                    }
                    if !arguments.starts_with(')') {
                        numbered.push_str(", ");
                    }
                    after = arguments;
                }
                (rest, last) = (after, name);
            }
            numbered.push_str(rest);
        }
        numbered
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn what_a_stage_declares_gets_its_number_and_readers_get_the_parameters() {
        let text = "struct Parameters {\n    scales: u32,\n}\n\
            const WIDTH: u32 = 4u;\nfn scales(b: u32) -> u32 { return p.scales + b * WIDTH; }\n\
            fn load_x(i: u32) -> u32 { return tensor0[i] + scales(i); }\n\
            fn load_y(i: u32) -> u32 { return tensor1[i]; }\n\
            fn all() -> u32 {\n    return load_x(load_y(1u));\n}\n";
        let expected = "struct Parameters_2 {\n    scales: u32,\n}\n\
            const WIDTH_2: u32 = 4u;\nfn scales_2(p: Parameters_2, b: u32) -> u32 { return p.scales + b * WIDTH_2; }\n\
            fn load_x_2(p: Parameters_2, i: u32) -> u32 { return tensor0[i] + scales_2(p, i); }\n\
            fn load_y_2(i: u32) -> u32 { return tensor1[i]; }\n\
            fn all_2(p: Parameters_2) -> u32 {\n    return load_x_2(p, load_y_2(1u));\n}\n";
        let names = Names::of(text);
        assert_eq!(names.numbered(text, 2), expected);
        assert_eq!(names.numbered("all()", 2), "all_2(p)");
    }
}
