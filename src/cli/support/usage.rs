//! Help texts for terminals of any width, and error messages about arguments.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use std::process::ExitCode;

/// Widest example, so that it fits in most terminals.
const WIDTH: usize = 79;

/// Prepares a command and its subcommands: help is wrapped at the terminal's width, and values may
/// be negative.
pub(in crate::cli) fn prepared(command: Command) -> Command {
    let command = match command.get_after_help().map(ToString::to_string) {
        Some(help) => command.after_help(reflowed(&help)),
        None => command,
    };
    command.mut_args(with_negatives).mut_subcommands(prepared)
}

/// Lists the program's commands in groups in its help, whereas clap would list them one after
/// another.
pub(in crate::cli) fn grouped(program: Command, groups: &[(&str, &[&str])]) -> Command {
    let mut list = String::new();
    for (group, names) in groups {
        list += &format!("{group}:\n");
        for name in *names {
            let found =
                program.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
            let about = found.unwrap_or_else(|| "Show the help of a command".into());
            list += &hanging(&format!("  {name:<12}"), &about);
        }
        list.push('\n');
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{{all-args}}{{after-help}}"
    );
    // Clap omits hidden commands from the usage line.
    let program = program.override_usage("kaiwu [OPTIONS] <COMMAND>").help_template(template);
    program.mut_subcommands(|command| command.hide(true))
}

/// A text whose further lines are indented to its first word, which comes after `start`.
fn hanging(start: &str, text: &str) -> String {
    let (mut lines, mut line) = (String::new(), start.to_owned());
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &format!("{line}\n");
            line = " ".repeat(start.chars().count());
        }
        line += &format!(" {word}");
    }
    lines + &format!("{line}\n")
}

/// Makes `-1` after a numeric option its value, valid or not, rather than an option.
fn with_negatives(argument: Arg) -> Arg {
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    if takes_value && !argument.is_allow_hyphen_values_set() {
        argument.allow_negative_numbers(true)
    } else {
        argument
    }
}

/// Joins the lines of paragraphs, because the terminal's width is unknown where they are written.
/// Breaks long examples, which are indented, in a way that a shell understands.
fn reflowed(help: &str) -> String {
    let mut text = String::new();
    let mut open = false;
    for line in help.lines() {
        let prose = !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
        text.push_str(match (open && prose, text.is_empty()) {
            (true, _) => " ",
            (false, true) => "",
            (false, false) => "\n",
        });
        if line.starts_with(' ') {
            text.push_str(&broken(line))
        } else {
            text.push_str(line)
        }
        open = prose;
    }
    text
}

/// Breaks a command over several lines, each but the last ending with a backslash. It breaks only
/// between words, preferably before an option or another command, so that names and values stay
/// together.
fn broken(line: &str) -> String {
    let mut rest = line.trim_start();
    let indent = line.len() - rest.len();
    let mut margin = indent;
    let mut lines = vec![];
    while margin + rest.chars().count() > WIDTH {
        let (mut quote, mut last, mut best) = (None, None, None);
        for (count, (at, c)) in rest.char_indices().enumerate() {
            if margin + count + 2 > WIDTH {
                break;
            }
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, ' ') => {
                    last = Some(at);
                    if rest[at + 1..].starts_with(['-', '&', '|', '"']) {
                        best = last;
                    }
                }
                _ => {}
            }
        }
        let Some(at) = best.or(last) else { break };
        lines.push(format!("{:margin$}{} \\", "", &rest[..at]));
        rest = rest[at..].trim_start();
        margin = indent + 4;
    }
    lines.push(format!("{:margin$}{rest}", ""));
    lines.join("\n")
}

/// Prints help and versions as answers, and everything else as a usage error.
pub(in crate::cli) fn explain(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader of the output that has gone away is not an error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let hint = hint(&mut error);
    let text = error.render().to_string();
    eprint!("kaiwu: {}", with_hint(text.strip_prefix("error: ").unwrap_or(&text), hint.as_deref()));
    ExitCode::from(2)
}

/// Inserts a hint after the first paragraph of a text.
fn with_hint(text: &str, hint: Option<&str>) -> String {
    match (hint, text.split_once("\n\n")) {
        (None, _) => text.to_owned(),
        (Some(hint), Some((first, rest))) => format!("{first}\n\n  tip: {hint}\n\n{rest}"),
        (Some(hint), None) => format!("{text}\n  tip: {hint}\n"),
    }
}

/// The whole argument with one dash that clap names by its first letter only.
fn whole_argument(named: &str) -> String {
    let given = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let short = !named.starts_with("--");
    given
        .take_while(|argument| argument != "--")
        .find(|argument| short && argument.starts_with(named))
        .unwrap_or(named.into())
}

/// The value names of texts among the arguments.
const TEXTS: [&str; 2] = ["PROMPT", "TEXT"];

/// The words before the arguments in a usage line.
fn command_of(usage: &str) -> String {
    let words = usage.split_whitespace().skip_while(|&word| word != "kaiwu");
    words.take_while(|word| !word.starts_with(['[', '<', '-'])).collect::<Vec<_>>().join(" ")
}

/// Advice about an argument, which replaces clap's if that would change its meaning.
fn hint(error: &mut clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let ContextValue::String(given) = error.get(ContextKind::InvalidArg)? else {
                return None;
            };
            let given = whole_argument(given);
            let similar = error.get(ContextKind::SuggestedArg).is_some();
            if !given.starts_with('-') {
                return None;
            }
            let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
            error.insert(ContextKind::InvalidArg, ContextValue::String(given.clone()));
            // Clap's suggestion has no quotes, and is useless if there is no text to give.
            error.remove(ContextKind::Suggested);
            (!similar && TEXTS.iter().any(|text| usage.contains(text))).then(|| {
                let command = command_of(&usage);
                format!(
                    "a text that begins with \"-\" comes last, after --, as in: {command} -- {}",
                    quoted(&given)
                )
            })
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let ContextValue::String(value) = error.get(ContextKind::InvalidValue)? else {
                return None;
            };
            let negative =
                value.strip_prefix('-').is_some_and(|digits| digits.parse::<f64>().is_ok());
            let told = error.to_string().contains("invalid digit");
            (negative && told).then(|| "it must be a whole number, 0 or more".into())
        }
        _ => None,
    }
}

/// The argument quoted for a shell.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined_and_examples_stay() {
        let written = "One line\nand its end.\n\nExamples:\n  kaiwu a\n  kaiwu \
            b\n\nAnother\nparagraph\nhere.";
        let joined =
            "One line and its end.\n\nExamples:\n  kaiwu a\n  kaiwu b\n\nAnother paragraph here.";
        assert_eq!(reflowed(written), joined);
    }

    #[test]
    fn long_examples_are_broken_between_words() {
        let long = format!(
            "  kaiwu generate {} --chat \"Who painted {}?\"",
            "-m models/a ".repeat(4).trim(),
            "it ".repeat(20)
        );
        let broken = broken(&long);
        let lines: Vec<&str> = broken.lines().collect();
        assert!(
            lines.len() > 1 && lines[0].len() <= WIDTH && lines[0].ends_with(" \\"),
            "{broken}"
        );
        assert!(lines[1].trim_start().starts_with(['-', '"']), "{broken}");
        let joined: Vec<&str> = broken.split(" \\\n").map(str::trim_start).collect();
        assert_eq!(joined.join(" "), long.trim_start());
    }

    #[test]
    fn arguments_are_quoted_where_shells_need_it() {
        assert_eq!(quoted("--x=1"), "--x=1");
        assert_eq!(quoted("- it's"), "'- it'\\''s'");
    }
}
