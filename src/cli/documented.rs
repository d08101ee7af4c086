//! What the documentation says of the command line, held against the command line.

use super::{GROUPS, program, support::usage::grouped};
use clap::Command;
use clap::builder::Resettable;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every command with the words that call it, without the program's name; the program itself
/// first.
fn commands(program: &Command) -> Vec<(Vec<String>, &Command)> {
    let mut found = vec![(vec![], program)];
    let mut next = 0;
    while next < found.len() {
        let (words, command) = found[next].clone();
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            found.push(([&words[..], &[below.get_name().to_owned()]].concat(), below));
        }
        next += 1;
    }
    found
}

#[test]
fn help_fits_terminals_and_has_an_example_of_each_command() {
    let mut program = grouped(program(), GROUPS);
    program.build();
    let all = commands(&program);
    assert!(all.len() > 20, "{}", all.len());
    for (words, command) in all {
        // What only has commands below it answers with their list.
        if command.is_subcommand_required_set() && !words.is_empty() {
            continue;
        }
        let example = format!("  kaiwu {}", words.join(" "));
        for width in [80, 100] {
            let help = command.clone().term_width(width).render_long_help().to_string();
            let Some((_, end)) = help.split_once("Examples:\n") else {
                panic!("{words:?} has no examples: {help}");
            };
            assert!(end.contains(&example), "{words:?}: {help}");
            let wide = help.lines().find(|line| line.chars().count() > width);
            assert_eq!(wide, None, "{words:?} at {width}");
            // Each line of a paragraph holds what has room in it: the next one's first word had
            // none.
            let lines: Vec<&str> = end.lines().collect();
            for pair in lines.windows(2) {
                if pair.iter().any(|line| line.is_empty() || line.starts_with(' ')) {
                    continue;
                }
                let next = pair[1].split(' ').next().unwrap_or_default();
                let full = pair[0].chars().count() + 1 + next.chars().count() > width;
                assert!(full, "{words:?} at {width} is ragged: {pair:?}");
            }
        }
    }
}

/// The documents in which people look for commands.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The commands that a line of a shell calls `kaiwu` with, each as words; comments, pipes and what
/// files take or give are left out.
fn calls(line: &str) -> Vec<Vec<String>> {
    let (mut calls, mut words) = (vec![], Vec::<String>::new());
    let mut word: Option<String> = None;
    let mut letters = line.trim_start_matches("$ ").chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                let text: String = letters.by_ref().take_while(|&other| other != letter).collect();
                word.get_or_insert_default().push_str(&text);
            }
            '#' if word.is_none() => break,
            '|' | ';' | '&' => {
                words.extend(word.take());
                calls.push(std::mem::take(&mut words));
            }
            ' ' | '\t' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    calls.push(words);
    for words in &mut calls {
        if let Some(at) = words.iter().position(|word| word.starts_with(['>', '<'])) {
            words.truncate(at);
        }
        // Variables before the command, and what measures it.
        let program = words.iter().position(|word| word == "kaiwu");
        words.drain(..program.unwrap_or(words.len()));
    }
    calls.retain(|words| !words.is_empty());
    calls
}

/// All calls of a document: lines of code blocks as they are, and code in sentences.
fn calls_of(text: &str) -> Vec<Vec<String>> {
    let mut found = vec![];
    let mut fenced = false;
    let text = text.replace("\\\n", " ");
    let mut sentences = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.extend(calls(line));
        } else {
            sentences += line;
            sentences.push('\n');
        }
    }
    for code in sentences.split('`').skip(1).step_by(2) {
        found.extend(calls(&code.replace('\n', " ")));
    }
    found
}

/// The program as it reads a documented call, whatever the environment says.
fn unmoved(command: Command) -> Command {
    command.mut_args(|argument| argument.env(Resettable::Reset)).mut_subcommands(unmoved)
}

/// What is wrong with a call. Where it is only a part of one, as in a sentence, the command and
/// the options must be there all the same.
fn complaint(call: &[String]) -> Option<String> {
    let error = unmoved(program()).try_get_matches_from(call).err()?;
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, InvalidSubcommand,
        MissingRequiredArgument, MissingSubcommand, UnknownArgument,
    };
    match error.kind() {
        DisplayHelp | DisplayVersion => None,
        DisplayHelpOnMissingArgumentOrSubcommand | MissingRequiredArgument | MissingSubcommand => {
            None
        }
        UnknownArgument | InvalidSubcommand => Some(error.to_string()),
        // "…" stands for whatever comes there.
        _ if call.iter().any(|word| word.contains('…')) => None,
        _ => Some(error.to_string()),
    }
}

#[test]
fn every_documented_command_line_is_understood() {
    let mut wrong = vec![];
    let mut seen = BTreeSet::new();
    for path in documents() {
        for call in calls_of(&fs::read_to_string(&path).unwrap()) {
            if let Some(complaint) = complaint(&call) {
                wrong.push(format!("{}: {}: {complaint}", path.display(), call.join(" ")));
            }
            seen.extend(call.into_iter().nth(1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for command in ["generate", "chat", "pull", "train", "doctor", "autotune"] {
        assert!(seen.contains(command), "no document calls kaiwu {command}: {seen:?}");
    }
}

#[test]
fn calls_that_are_wrong_are_found() {
    let rows = [
        ("kaiwu generate -n 4 \"It's # one\" # what follows", true),
        ("$ KAIWU_MODEL=a /usr/bin/time -f %M kaiwu generate -f a.txt > b.txt", true),
        ("kaiwu logits a --json | jq .ids && kaiwu version", true),
        ("kaiwu generate … --seed 4", true),
        ("kaiwu dance", false),
        ("kaiwu generate --no-such-option a", false),
        ("kaiwu version; kaiwu generate a -n many", false),
        ("kaiwu bench nothing", false),
    ];
    for (line, right) in rows {
        let found: Vec<String> = calls(line).iter().filter_map(|call| complaint(call)).collect();
        assert_eq!(found.is_empty(), right, "{line}: {found:?}");
        assert!(!calls(line).is_empty(), "{line}");
    }
    assert_eq!(calls_of("a `kaiwu\nversion`\n```sh\nkaiwu list \\\n  --json\n```").len(), 2);
    assert!(calls_of("kaiwu as a word, `KAIWU_MODEL`, and\n```\n./other kaiwus\n```").is_empty());
}
