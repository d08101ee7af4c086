//! Parses a line: a message for the model, or a command.

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// An empty line.
    Nothing,
    /// A message for the model.
    Message(&'a str),
    /// Forget the conversation.
    Reset,
    /// Answer the last question again.
    Regenerate,
    /// Remove the last question and its answer.
    Undo,
    /// Change the last question.
    Edit,
    /// Write the conversation into a file; `replace` allows it to exist.
    Save { file: &'a str, replace: bool },
    /// Continue the conversation of a file.
    Load(&'a str),
    /// Show the system message.
    ShowSystem,
    /// Change the system message.
    System(&'a str),
    /// Show the settings.
    ShowSettings,
    /// Change a setting.
    Set { name: &'a str, value: &'a str },
    /// Show how full the context is.
    Stats,
    /// Show all commands.
    Help,
    /// End the program.
    Quit,
    /// A command without its required argument, with its usage.
    Short(&'static str),
    /// An unknown command.
    Unknown(&'a str),
}

/// All commands: the usage of each, and what it does.
pub(super) const COMMANDS: [(&str, &str); 13] = [
    ("/help", "shows this"),
    ("/reset", "forgets the conversation but for the system message"),
    ("/regenerate", "answers the last message again, with other draws"),
    ("/undo", "takes back the last message and its answer"),
    ("/edit", "puts the last message into the line, to be changed and sent again"),
    ("/system TEXT", "sets the system message; \"\" takes it away, without TEXT it is shown"),
    ("/set NAME VALUE", "changes a setting, as in /set temperature 0.7; /set alone lists them"),
    ("/save FILE", "writes messages and settings as JSON; /save! FILE replaces a file"),
    ("/load FILE", "goes on with what /save wrote"),
    ("/stats", "tokens used and left, and the speed of the last answer"),
    ("/context", "the same as /stats"),
    ("/quit", "ends the program"),
    ("\"\"\"", "begins a message of several lines, and ends it"),
];

/// The help text of all commands.
pub(super) fn help() -> String {
    let line = |(usage, what): &(&str, &str)| format!("  {usage:<16} {what}");
    let lines: Vec<String> = COMMANDS.iter().map(line).collect();
    format!(
        "commands:\n{}\nA line that ends with a backslash goes on, as after Alt-Enter. Ctrl-C ends \
         an answer or clears the line; Ctrl-D ends the program.",
        lines.join("\n")
    )
}

impl<'a> Command<'a> {
    /// Parses a text of one or more lines.
    pub(super) fn of(text: &'a str) -> Self {
        let trimmed = text.trim();
        let (word, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let rest = rest.trim();
        // A command that takes no argument but has text after it is treated as a message, so that
        // nothing typed is lost.
        match (word, rest.is_empty()) {
            ("", _) => Self::Nothing,
            ("/reset", true) => Self::Reset,
            ("/regenerate", true) => Self::Regenerate,
            ("/undo", true) => Self::Undo,
            ("/edit", true) => Self::Edit,
            ("/stats" | "/context", true) => Self::Stats,
            ("/help", true) => Self::Help,
            ("/quit" | "/exit", true) => Self::Quit,
            ("/save" | "/save!", true) => Self::Short("/save FILE"),
            ("/save" | "/save!", false) => Self::Save { file: rest, replace: word.ends_with('!') },
            ("/load", true) => Self::Short("/load FILE"),
            ("/load", false) => Self::Load(rest),
            ("/system", true) => Self::ShowSystem,
            ("/system", false) => Self::System(rest),
            ("/set", true) => Self::ShowSettings,
            ("/set", false) => {
                let named = rest.split_once(|c: char| c.is_whitespace() || c == '=');
                let (name, value) = named.unwrap_or((rest, ""));
                Self::Set { name, value: value.trim_start_matches('=').trim() }
            }
            // A path is not a command.
            (word, true) if word.starts_with('/') && !word[1..].contains('/') => {
                Self::Unknown(word)
            }
            _ => Self::Message(message(text)),
        }
    }
}

/// The text without surrounding white space; if it has several lines, the first one keeps its
/// indentation.
fn message(text: &str) -> &str {
    let text = text.trim_end();
    if text.trim_start().contains('\n') {
        let indented = text.len() - text.trim_start().len();
        &text[text[..indented].rfind('\n').map_or(0, |at| at + 1)..]
    } else {
        text.trim_start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_messages() {
        use Command::*;
        let rows = [
            ("", Nothing),
            (" \r\n", Nothing),
            (" What is gravity? \n", Message("What is gravity?")),
            ("/usr/bin is what?", Message("/usr/bin is what?")),
            ("/etc/passwd", Message("/etc/passwd")),
            ("/dance", Unknown("/dance")),
            ("/", Unknown("/")),
            ("/help me with sums", Message("/help me with sums")),
            ("/reset the clock", Message("/reset the clock")),
            ("/reset", Reset),
            ("/exit", Quit),
            ("/context", Stats),
            ("/save", Short("/save FILE")),
            ("/save  my talk.json ", Save { file: "my talk.json", replace: false }),
            ("/save! a.json", Save { file: "a.json", replace: true }),
            ("/load a.json", Load("a.json")),
            ("/system", ShowSystem),
            ("/system Be brief.\nBe kind.", System("Be brief.\nBe kind.")),
            ("/set", ShowSettings),
            ("/set temperature 0.7", Set { name: "temperature", value: "0.7" }),
            ("/set top-p=0.9", Set { name: "top-p", value: "0.9" }),
            ("/set seed", Set { name: "seed", value: "" }),
            ("\n    def f():\n        pass\n\n", Message("    def f():\n        pass")),
            ("/reset\nnow", Message("/reset\nnow")),
        ];
        for (text, expected) in rows {
            assert_eq!(Command::of(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_command_of_the_help_is_one() {
        for (usage, _) in COMMANDS.iter().filter(|(usage, _)| usage.starts_with('/')) {
            let found = Command::of(usage);
            assert!(
                !matches!(found, Command::Unknown(_) | Command::Message(_)),
                "{usage}: {found:?}"
            );
            assert!(help().contains(usage));
        }
    }
}
