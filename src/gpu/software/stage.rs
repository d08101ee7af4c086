//! Renames the declarations in a kernel's text, so that it can be a stage of a fused dispatch next
//! to other stages.

use crate::gpu::kernel::wgsl::{Token, declarations, tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The names that a stage's text declares.
pub(in crate::gpu) struct Names<'a> {
    all: BTreeSet<&'a str>,
    /// The functions that read the parameters, directly or through another function.
    readers: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    /// The names declared in a text that has no bindings.
    pub fn of(text: &'a str) -> Self {
        let tokens = tokens(text);
        let declared = declarations(&tokens);
        let all = declared.iter().map(|declared| declared.name.text).collect();
        let words = |tokens: &[Token<'a>]| tokens.iter().map(|token| token.text).collect();
        let functions: BTreeMap<&str, BTreeSet<&str>> = declared
            .iter()
            .filter(|declared| declared.kind == "fn")
            .map(|function| (function.name.text, words(function.rest)))
            .collect();
        let mut readers = BTreeSet::from(["p"]);
        while let Some((name, _)) = functions
            .iter()
            .find(|(name, words)| !readers.contains(*name) && !words.is_disjoint(&readers))
        {
            readers.insert(name);
        }
        readers.remove("p");
        Self { all, readers }
    }

    /// `text` with a number after every declared name, and with the parameters `p` passed as an
    /// argument to the functions that read them. If they were in a global variable, a driver could
    /// not tell that all lanes see the same values.
    pub fn numbered(&self, text: &str, number: usize) -> String {
        let tokens = tokens(text);
        let members: BTreeSet<usize> = declarations(&tokens)
            .iter()
            .filter(|declared| declared.kind == "struct")
            .flat_map(|structure| structure.rest.windows(2))
            .filter(|pair| pair[1].text == ":")
            .map(|pair| pair[0].at)
            .collect();
        let mut numbered = String::with_capacity(text.len() + text.len() / 8);
        let mut copied = 0;
        let token = |index: usize| tokens.get(index).map_or("", |token| token.text);
        for (index, name) in tokens.iter().enumerate() {
            let before = if index > 0 { token(index - 1) } else { "" };
            if !self.all.contains(name.text) || before == "." || members.contains(&name.at) {
                continue;
            }
            numbered.push_str(&text[copied..name.range().end]);
            let _ = write!(numbered, "_{number}");
            copied = name.range().end;
            if self.readers.contains(name.text) && token(index + 1) == "(" {
                numbered.push_str("(p");
                if before == "fn" {
                    let _ = write!(numbered, ": Parameters_{number}");
                }
                if token(index + 2) != ")" {
                    numbered.push_str(", ");
                }
                copied = tokens[index + 1].range().end;
            }
        }
        numbered.push_str(&text[copied..]);
        numbered
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn what_a_stage_declares_gets_its_number_and_readers_get_the_parameters() {
        let text = "\
            struct Parameters {\n    scales: u32,\n}\nalias Real = f32;\n\
            const WIDTH: u32 = 4u;\nfn scales(b: u32) -> u32 { return p.scales + b * WIDTH; }\n\
            fn load_x(i: u32) -> u32 { return tensor0[i] + scales(i); }\n\
            fn load_y(i: u32) -> u32 { return tensor1[i]; }\n\
            fn all() -> u32 {\n    return load_x(load_y(1u));\n} \
            fn one() -> Real { return 1.0; }\n";
        let expected = "\
            struct Parameters_2 {\n    scales: u32,\n}\nalias Real_2 = f32;\n\
            const WIDTH_2: u32 = 4u;\n\
            fn scales_2(p: Parameters_2, b: u32) -> u32 { return p.scales + b * WIDTH_2; }\n\
            fn load_x_2(p: Parameters_2, i: u32) -> u32 { \
            return tensor0[i] + scales_2(p, i); }\n\
            fn load_y_2(i: u32) -> u32 { return tensor1[i]; }\n\
            fn all_2(p: Parameters_2) -> u32 {\n    return load_x_2(p, load_y_2(1u));\n} \
            fn one_2() -> Real_2 { return 1.0; }\n";
        let names = Names::of(text);
        assert_eq!(names.numbered(text, 2), expected);
        assert_eq!(names.numbered("all()", 2), "all_2(p)");
    }
}
