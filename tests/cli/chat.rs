//! `kaiwu chat` as a script and a person meet it.

use crate::common::program::{Ran, kaiwu, run_with};
use crate::common::{Folder, data};
use kaiwu::format::Source;
use kaiwu::generate::{Answer, Conversation, FinishReason, PromptRoom};
use kaiwu::text::{ChatTemplate, Message, Tokenizer};
use serde_json::Value;
use std::path::Path;

/// The smallest model: what it says makes no sense, but it says it at once.
fn tiny(arguments: &[&str]) -> std::process::Command {
    let mut command = kaiwu();
    command.args(["chat", "-m"]).arg(data("tiny/llama-f32")).args(arguments);
    command
}

fn talk(arguments: &[&str], input: &str) -> Ran {
    let ran = run_with(&mut tiny(arguments), input);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran
}

/// The messages of a saved conversation, with their roles.
fn saved(path: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let word = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
    let messages = value["messages"].as_array().unwrap();
    messages.iter().map(|message| (word(message, "role"), word(message, "content"))).collect()
}

/// What was said by the user or by the model.
fn said_by(role: &str, path: &Path) -> Vec<String> {
    saved(path).into_iter().filter(|(by, _)| by == role).map(|(_, content)| content).collect()
}

#[test]
fn chat_reads_lines_and_prints_answers() {
    let lines = "What is the capital of Japan?\n\n/help\n/dance\n/reset\nWhat color is the sky?\n/quit\nNever read\n";
    let ran = run_with(kaiwu().args(["chat", "-n", "12", "--temperature", "0"]), lines);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let answers: Vec<&str> = ran.out.lines().collect();
    assert!(
        answers.len() == 2 && answers[0].contains("Tokyo") && answers[1].contains("blue"),
        "{answers:?}"
    );
    assert!(
        ran.err.contains("forgets the conversation") && ran.err.contains("no /dance"),
        "{}",
        ran.err
    );
    assert!(!ran.out.contains('>'));
}

#[test]
fn messages_come_from_lines_and_blocks_of_a_pipe() {
    let folder = Folder::new("chat-lines");
    let file = folder.0.join("talk.json");
    let long = "x".repeat(150);
    let lines = format!(
        "\u{feff}first\n\"\"\"\n  two\n\n/undo \\\n\"\"\"\n/usr/bin is what?\n{long}\n/dance\n/save {}\n",
        file.display()
    );
    let ran = talk(&["-n", "1", "--temperature", "0"], &lines);
    let expected = ["first", "  two\n\n/undo \\", "/usr/bin is what?", &long];
    assert_eq!(said_by("user", &file), expected, "{}", ran.err);
    assert!(ran.err.contains("there is no /dance"), "{}", ran.err);
}

#[test]
fn lines_of_any_length_arrive_whole() {
    // A token a byte or so: the notice says how many came.
    let needed = |length: usize| {
        let ran = talk(&["-n", "1", "--temperature", "0"], &format!("{}\n", "q".repeat(length)));
        let words = ran.err.split_once("the text needs ").expect("a notice").1;
        words.split_once(' ').unwrap().0.parse::<usize>().unwrap()
    };
    let (short, long) = (needed(5000), needed(100_000));
    assert!(short > 5000 / 2 && long > 19 * short, "{short} and {long} tokens");
}

#[test]
fn each_answer_has_draws_of_its_own_and_a_seed_fixes_them_all() {
    let warm = ["-n", "6", "--temperature", "1.5", "--seed"];
    let folder = Folder::new("chat-draws");
    let answers = |seed: &str, name: &str| {
        let file = folder.0.join(name);
        // A conversation that is begun anew each time, so that nothing but the draws can differ.
        let lines = format!(
            "a\n/save {0}-1\n/reset\na\n/save {0}-2\n/regenerate\n/save {0}-3\n",
            file.display()
        );
        talk(&[&warm[..], &[seed]].concat(), &lines);
        let each =
            (1..=3).map(|number| said_by("assistant", &folder.0.join(format!("{name}-{number}"))));
        each.map(|answers| answers.join("|")).collect::<Vec<_>>()
    };
    let first = answers("3", "a");
    assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2], "{first:?}");
    assert_eq!(first, answers("3", "b"));
    assert_ne!(first, answers("4", "c"));
    // -1 is a seed that nobody chose.
    let random = || talk(&[&warm[..], &["-1"]].concat(), "a\na\na\n").out;
    assert_ne!(random(), random());
}

/// The tiny model, whose makers would have ids drawn.
fn recommending(name: &str) -> Folder {
    let folder = Folder::new(name);
    for entry in std::fs::read_dir(data("tiny/llama-f32")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.0.join(path.file_name().unwrap())).unwrap();
    }
    folder.write(
        "generation_config.json",
        r#"{"do_sample": true, "temperature": 1.5, "top_p": 0.95, "top_k": 77}"#,
    );
    folder
}

#[test]
fn what_is_given_replaces_that_one_value_of_what_is_recommended() {
    let model = recommending("chat-recommended");
    let listed = |arguments: &[&str]| {
        let mut command = kaiwu();
        command.args(["chat", "-m"]).arg(&model.0).args(arguments);
        let ran = run_with(&mut command, "/set\n");
        assert_eq!((ran.code, &*ran.out), (0, ""), "{}", ran.err);
        let value = |name: &str| {
            let line = ran.err.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        ["temperature", "top-k", "top-p", "min-p", "repetition-penalty"].map(value)
    };
    assert_eq!(listed(&[]), ["1.5", "77", "0.95", "0", "1"]);
    assert_eq!(listed(&["--top-p", "0.9"]), ["1.5", "77", "0.9", "0", "1"]);
    assert_eq!(
        listed(&["--temperature", "0.8", "--min-p", "0.1"]),
        ["0.8", "77", "0.95", "0.1", "1"]
    );
    assert_eq!(
        listed(&["--repetition-penalty", "1.05", "--top-k", "0"]),
        ["1.5", "0", "0.95", "0", "1.05"]
    );
}

#[test]
fn options_of_draws_are_said_to_do_nothing_without_draws() {
    let model = data("tiny/llama-f32");
    let rows: [(&[&str], &str); 4] = [
        (&["--top-p", "0.5", "--seed", "3"], "--top-p and --seed do nothing at temperature 0"),
        (&["--top-k", "40"], "--top-k does nothing at temperature 0"),
        (&["--seed", "-1"], ""),
        (&["--seed", "3", "--temperature", "0.5"], ""),
    ];
    for command in ["chat", "generate"] {
        for (options, notice) in rows {
            let mut command_line = kaiwu();
            command_line.arg(command).arg("-m").arg(&model).args(options).args(["-n", "2"]);
            if command == "generate" {
                command_line.arg("Hello");
            }
            let ran = run_with(&mut command_line, "");
            assert_eq!(ran.code, 0, "{}", ran.err);
            let said =
                ran.err.contains(if notice.is_empty() { "nothing at temperature" } else { notice });
            assert_eq!(said, !notice.is_empty(), "{command} {options:?}: {}", ran.err);
        }
    }
}

#[test]
fn negative_numbers_are_refused_by_their_range() {
    let rows = [
        (["--temperature", "-1"], "0 (greedy) or a positive number"),
        (["--top-k", "-1"], "0 keeps all"),
        (["--top-p", "-0.5"], "above 0 and at most 1"),
        (["--min-p", "-0.5"], "from 0 to 1"),
        (["--repetition-penalty", "-1"], "a positive number; 1 is off"),
        (["--seed", "-2"], "or -1 for a random one"),
        (["-n", "0"], "a number of tokens above 0"),
        (["--context", "-1"], "1 or more"),
    ];
    for (option, range) in rows {
        let ran = run_with(&mut tiny(&option), "");
        assert_eq!((ran.code, &*ran.out), (2, ""), "{option:?}: {}", ran.err);
        assert!(ran.err.contains(range) && !ran.err.contains("-- -"), "{option:?}: {}", ran.err);
    }
}

#[test]
fn a_full_context_loses_its_oldest_turns_and_nothing_else() {
    let folder = Folder::new("chat-full");
    let file = folder.0.join("talk.json");
    let questions: Vec<String> =
        (0..8).map(|number| format!("Question number {number}?")).collect();
    let lines = format!("{}\n/stats\n/save {}\n", questions.join("\n"), file.display());
    let ran = talk(
        &["--context", "160", "-n", "8", "--temperature", "0", "--system", "Be brief."],
        &lines,
    );
    assert!(ran.err.contains("the context of 160 tokens is full: the oldest"), "{}", ran.err);
    assert!(!ran.err.contains("the text needs"), "{}", ran.err);
    assert!(
        ran.err.contains(" of 160 tokens used, ")
            && ran.err.contains("; 8 turns, of which the oldest ")
    );
    // The file has what the context has no more.
    assert_eq!(said_by("user", &file), questions);
    assert_eq!(saved(&file)[0], ("system".into(), "Be brief.".into()));

    // A message that has no room at all changes nothing.
    let long = "z".repeat(2000);
    let again = folder.0.join("again.json");
    let lines = format!("/load {}\n{long}\n/stats\n/save {}\n", file.display(), again.display());
    let ran = talk(&["--context", "160"], &lines);
    assert!(
        ran.err.contains("the text needs ") && ran.err.contains("but the context holds 160"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("; 8 turns\n"), "{}", ran.err);
    assert_eq!(saved(&again), saved(&file));
}

#[test]
fn an_answer_that_fills_the_context_goes_on_while_turns_can_leave() {
    let folder = Folder::new("chat-goes-on");
    let file = folder.0.join("talk.json");
    let head = "one\ntwo\n/set tokens 4\nthree\n/set tokens all\n/stats\n";
    let lines = format!("{head}four\n/stats\n/save {}\n/regenerate\n/stats\n", file.display());
    let arguments = ["--context", "160", "-n", "20", "--temperature", "0", "--system", "Be brief."];
    // Nothing ends an answer but the context.
    let bias = ["--logit-bias", "2=-inf"];
    let ran = talk(&[&arguments[..], &bias].concat(), &lines);
    assert!(ran.err.contains("left it while the answer was written"), "{}", ran.err);
    assert!(ran.err.contains("cut short: the context of 160 tokens is full"), "{}", ran.err);
    // All that had to leave has left: the question and the one answer fill the context.
    assert!(ran.err.contains("; 4 turns, of which the oldest 3 left the context"), "{}", ran.err);
    // A prompt and an answer that the context would not hold together, had nothing left.
    let last = ran.err.rsplit_once("the last answer: ").unwrap().1;
    let number = |text: &str| text.split([' ', ',']).next().unwrap().parse::<usize>().unwrap();
    let (answer, prompt) = (number(last), number(last.split_once("after a prompt of ").unwrap().1));
    assert!(answer + prompt > 161 + 20, "{prompt} and {answer} tokens");
    // What was printed is what the conversation has.
    let answers = said_by("assistant", &file);
    assert_eq!(answers.len(), 4);
    assert!(ran.out.contains(&answers[3]) && answers[3].len() > answers[0].len(), "{answers:?}");
}

#[test]
fn commands_change_the_conversation_as_they_say() {
    let folder = Folder::new("chat-commands");
    let path = |name: &str| folder.0.join(name).display().to_string();
    let (one, two, three) = (path("one.json"), path("two.json"), path("three.json"));
    let lines = [
        "/undo",
        "/regenerate",
        "one",
        "two",
        &format!("/save {one}"),
        "/undo",
        "/system Be kind.",
        "three",
        &format!("/save {two}"),
        &format!("/save {one}"),
        "/edit",
        &format!("/load {}", path("none.json")),
        &format!("/load {one}"),
        "/system",
        "/set temperature 7",
        "/set top_p 2",
        &format!("/save {three}"),
        "/set heat 1",
    ];
    let ran = talk(&["-n", "2", "--temperature", "0"], &lines.join("\n"));
    for part in [
        "there is nothing to take back",
        "there is no answer to give again",
        "taken back: two",
        "the system message is set",
        "one.json is there already and stays as it is; /save!",
        "/edit needs a terminal",
        "cannot open",
        "goes on after 4 messages",
        "there is no system message of yours",
        "top_p is 2, it must be above 0 and at most 1",
        "there is no setting \"heat\"",
    ] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert_eq!(said_by("user", Path::new(&one)), ["one", "two"]);
    assert_eq!(said_by("user", Path::new(&two)), ["one", "three"]);
    assert_eq!(said_by("system", Path::new(&two)), ["Be kind."]);
    assert_eq!(saved(Path::new(&three)), saved(Path::new(&one)));
    let text = std::fs::read_to_string(&three).unwrap();
    assert!(text.contains("\"temperature\": 7.0"), "{text}");
}

#[test]
fn damaged_conversations_are_named_and_change_nothing() {
    let folder = Folder::new("chat-damaged");
    let texts = [
        ("{\"messages\": [{\"role\"", "no JSON"),
        ("[{\"role\": \"user\", \"content\": \"a\"}]", "a question without an answer"),
        (
            "[{\"role\": \"assistant\", \"content\": \"a\"}]",
            "message 1 is of the role \"assistant\"",
        ),
        ("{\"messages\": [], \"settings\": {\"top_p\": 7}}", "top_p is 7"),
    ];
    let files = texts.iter().enumerate();
    let files: Vec<_> =
        files.map(|(at, (text, _))| folder.write(&format!("{at}.json"), text)).collect();
    let loads: Vec<_> = files.iter().map(|file| format!("/load {}\n", file.display())).collect();
    let out = folder.0.join("out.json");
    let ran = talk(&["-n", "1"], &format!("one\n{}/save {}\n", loads.concat(), out.display()));
    for (file, (_, expected)) in files.iter().zip(texts) {
        let named = ran
            .err
            .lines()
            .any(|line| line.contains(&*file.to_string_lossy()) && line.contains(expected));
        assert!(named, "{expected}: {}", ran.err);
    }
    assert_eq!(said_by("user", &out), ["one"]);
}

/// An answer as a model might give it, with the end of its turn.
fn answer(tokenizer: &Tokenizer, text: &str) -> Answer {
    let end = tokenizer.end_of_turn()[0];
    Answer {
        ids: [tokenizer.encode(text, false).unwrap(), vec![end]].concat(),
        text: text.into(),
        finish_reason: FinishReason::Stop,
        reused: 0,
        first_token: None,
        prefill_seconds: 0.0,
        decode_seconds: 0.0,
        prefill: Default::default(),
        decode: Default::default(),
    }
}

#[test]
fn prompts_lose_whole_turns_and_as_few_as_need_be() {
    let source = Source::open(&data("tiny/llama-f32")).unwrap();
    let tokenizer = Tokenizer::from_source(&source).unwrap();
    let template = || ChatTemplate::from_source(&source, &tokenizer).unwrap().unwrap();
    let room = PromptRoom::new(200, None);
    assert_eq!(room, PromptRoom { context: 200, answer: 25, spare: 50 });
    let mut talk = Conversation::new(template(), Some("Be brief."));
    let (mut left, mut times) = (0, 0);
    for number in 0..40 {
        let question = format!("Question {number}: {}?", "why ".repeat(number % 7));
        let before = (talk.turns(), talk.tokens(&tokenizer).unwrap());
        let asked = talk.ask_within(&tokenizer, &question, room).unwrap();
        left += asked.left;
        times += usize::from(asked.left > 0);

        // What the template makes of the system message and of the latest turns, whole.
        let prompt = |left: usize| {
            let all = talk.messages();
            let shown: Vec<Message> =
                all[..1].iter().chain(&all[1 + 2 * left..]).cloned().collect();
            template().render(&shown, true).unwrap()
        };
        assert_eq!(tokenizer.decode(&asked.ids, false), prompt(left), "question {number}");
        match asked.left {
            0 => assert!(asked.ids.len() <= 201 - 25),
            _ => {
                let more = tokenizer.encode(&prompt(left - 1), false).unwrap();
                assert!(
                    asked.ids.len() <= 201 - 50 && more.len() > 201 - 50,
                    "{} tokens",
                    asked.ids.len()
                );
            }
        }

        // As if it had not been asked.
        talk.unanswered();
        assert_eq!((talk.turns(), talk.tokens(&tokenizer).unwrap()), before);
        assert_eq!(talk.ask_within(&tokenizer, &question, room).unwrap(), asked);

        // Taken back, the same question gives the same prompt.
        talk.answered(&tokenizer, &answer(&tokenizer, "Not this."));
        assert_eq!(talk.undo().as_deref(), Some(&*question));
        assert_eq!(talk.ask_within(&tokenizer, &question, room).unwrap(), asked);
        talk.answered(&tokenizer, &answer(&tokenizer, "Because."));
        assert_eq!(talk.turns(), (number + 1, left));
    }
    assert!(left > 20 && times < left, "{left} turns left at {times} questions");

    // Going back further than what is known of the prompts.
    for number in (10..40).rev() {
        assert!(talk.undo().unwrap().starts_with(&format!("Question {number}:")));
    }
    let asked = talk.ask_within(&tokenizer, "And now?", room).unwrap();
    assert!(asked.ids.len() <= 201 - 25);
    assert!(tokenizer.decode(&asked.ids, false).contains("Be brief."));
}

#[cfg(unix)]
mod at_a_terminal {
    use super::*;
    use crate::common::pty::Terminal;
    use std::os::unix::fs::PermissionsExt;

    /// The program at a terminal that knows its ways, with its state in a folder of the test's.
    fn person(folder: &Folder, arguments: &[&str]) -> Terminal {
        let mut command = tiny(&[&["-n", "1", "--temperature", "0"], arguments].concat());
        command
            .env("TERM", "xterm")
            .env("XDG_STATE_HOME", &folder.0)
            .env_remove("KAIWU_NO_HISTORY");
        let mut terminal = Terminal::new(&mut command);
        terminal.shows("/help lists the commands");
        terminal.shows("> ");
        terminal
    }

    #[test]
    fn a_pasted_line_arrives_whole() {
        let folder = Folder::new("pty-long");
        let mut terminal = person(&folder, &[]);
        let text = "long ".repeat(1200);
        let piped = talk(&["-n", "1", "--temperature", "0"], &format!("{text}\n"));
        let notice = piped.err.split_once("the text needs ").unwrap().1.split_once(',').unwrap().0;
        terminal.types(&format!("\u{1b}[200~{text}\u{1b}[201~\r"));
        terminal.shows(&format!("the text needs {notice}"));
        // Of a terminal that does not mark what is pasted, too.
        terminal.types(&format!("{text}\r"));
        terminal.shows(&format!("the text needs {notice}"));
        terminal.shows("> ");
        terminal.types("\u{4}");
        assert_eq!(terminal.ends(), Some(0));
    }

    #[test]
    fn several_lines_are_one_message() {
        let folder = Folder::new("pty-lines");
        let file = folder.0.join("talk.json");
        let mut terminal = person(&folder, &[]);
        for keys in [
            "\u{1b}[200~one\n\n    two\u{1b}[201~\r",
            "three\\\rfour\r",
            "five\u{1b}\rsix\r",
            "\"\"\"\r/help\r\"\"\"\r",
            "helo\u{1b}[D\u{1b}[Dl\r",
        ] {
            terminal.types(keys);
            terminal.shows("cut short after 1 token");
            terminal.shows("> ");
        }
        // Typed ahead of the prompt, and the message of before changed.
        terminal.types(&format!("/edit\r!\r/save {}\r/quit\r", file.display()));
        assert_eq!(terminal.ends(), Some(0));
        let expected = ["one\n\n    two", "three\nfour", "five\nsix", "/help", "hello!"];
        assert_eq!(said_by("user", &file), expected);
    }

    #[test]
    fn ctrl_c_clears_the_line_and_quits_at_the_second_time() {
        let folder = Folder::new("pty-quit");
        let mut terminal = person(&folder, &[]);
        for keys in ["half a mess\u{3}", "\u{3}"] {
            terminal.types(keys);
            terminal.shows("> ");
        }
        // A message in between: the next one is a first one again.
        terminal.types("whole\r");
        terminal.shows("cut short");
        // Before the prompt is there, it would be the answer that Ctrl-C ends.
        terminal.shows("> ");
        terminal.types("\u{3}");
        terminal.shows("Ctrl-C once more ends the program");
        terminal.shows("> ");
        terminal.types("\u{3}");
        assert_eq!(terminal.ends(), Some(130));
    }

    #[test]
    fn what_was_sent_is_remembered_for_its_owner_alone_or_not_at_all() {
        let folder = Folder::new("pty-history");
        let file = folder.0.join("kaiwu/chat_history");
        let mut terminal = person(&folder, &["--no-history"]);
        terminal.types("secret\r/quit\r");
        assert_eq!(terminal.ends(), Some(0));
        talk(&["-n", "1"], "piped\n");
        assert!(!file.exists());

        let mut terminal = person(&folder, &[]);
        terminal.types("known\r secret\r/quit\r");
        assert_eq!(terminal.ends(), Some(0));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("known\n") && !text.contains("secret"), "{text}");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            std::fs::metadata(folder.0.join("kaiwu")).unwrap().permissions().mode() & 0o777,
            0o700
        );

        // Two keys back, to the message of before.
        let talk = folder.0.join("talk.json");
        let mut terminal = person(&folder, &[]);
        terminal.types("\u{1b}[A\u{1b}[A\r");
        terminal.shows("cut short");
        terminal.types(&format!("/save {}\r/quit\r", talk.display()));
        assert_eq!(terminal.ends(), Some(0));
        assert_eq!(said_by("user", &talk), ["known"]);
    }

    #[test]
    fn a_terminal_without_a_cursor_still_works() {
        let mut command = tiny(&["-n", "1", "--temperature", "0"]);
        let mut terminal = Terminal::new(command.env("TERM", "dumb"));
        terminal.shows("> ");
        terminal.types("\"\"\"\none\ntwo\"\"\"\n");
        terminal.shows("cut short after 1 token");
        terminal.types(&format!("{}\n", "x".repeat(6000)));
        terminal.shows("nothing was sent");
        terminal.types("/stats\n");
        terminal.shows("1 turn");
        terminal.types("/quit\n");
        assert_eq!(terminal.ends(), Some(0));
    }
}
