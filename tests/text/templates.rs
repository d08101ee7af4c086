//! Chat templates beside Python's jinja2: expressions one by one, whole templates, and what the
//! files of a model say.

use crate::common::data;
use std::fs;
use std::path::Path;

use kaiwu::format::Source;
use kaiwu::text::{ChatTemplate, Message, Tokenizer};
use serde_json::{Map, Value, json};

/// What is deliberately otherwise than in Python, with the reason.
const OTHERWISE: [(&str, &str); 18] = [
    ("range(3) is lower", "ranges are lists here, and print as such"),
    ("range(0)", "ranges are lists here, and print as such"),
    ("range(3) | tojson", "ranges are lists here, and JSON has those"),
    ("d.items()", "views of dicts are lists here, and print as such"),
    ("d.keys()", "views of dicts are lists here, and print as such"),
    ("d.items() | tojson", "views of dicts are lists here, and JSON has those"),
    ("-t", "the engine negates numbers only"),
    ("n[1:]", "the engine takes a slice of none for empty"),
    ("u.title()", "the standard library has no titlecase letters"),
    ("'ǆ'.title()", "the standard library has no titlecase letters"),
    (
        "d.get('z', default=9)",
        "Python refuses the argument by name, for no reason a template could mean",
    ),
    ("l | batch(0) | list", "jinja2 makes one batch of all; a count of none is refused"),
    ("1e300 | int", "integers have 128 bits"),
    ("s | upper(1)", "arguments that a filter does not have are let pass"),
    ("lipsum is defined", "text at random has no place in a prompt"),
    ("self is defined", "the template as an object is of no use in a prompt"),
    (
        "{% macro f(a) %}{{ i }}{% endmacro %}{{ f.name }}{{ f.arguments }}",
        "the engine gives a list, not a tuple",
    ),
    (
        "{% set ns = namespace(found=false) %}{% for m in msgs if not ns.found %}{% set ns.found = true %}{{ m.role }}{% endfor %}",
        "the engine asks the condition of a loop of all items before the first",
    ),
];

fn render(source: &str, variables: &Map<String, Value>) -> Result<String, String> {
    let template = ChatTemplate::new(source, "<s>", "</s>").map_err(|e| e.to_string())?;
    template.render_with(variables).map_err(|e| e.to_string())
}

#[test]
fn expressions_give_what_jinja2_gives() {
    let file: Value =
        serde_json::from_str(&fs::read_to_string(data("templates/rows.json")).unwrap()).unwrap();
    let context = file["context"].as_object().unwrap();
    let rows = file["rows"].as_array().unwrap();
    assert!(rows.len() > 1500, "{} rows", rows.len());
    let (mut wrong, mut otherwise) = (vec![], vec![]);
    for row in rows {
        let (source, whole) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
        let (want, got) = (row[2].as_str(), render(whole, context));
        if got.as_deref().ok() != want {
            match OTHERWISE.iter().find(|(known, _)| *known == source) {
                Some((known, _)) => otherwise.push(*known),
                None => wrong.push(format!("{source:?}: jinja2 {want:?}, here {got:?}")),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows differ:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    for (known, reason) in OTHERWISE {
        assert!(
            otherwise.contains(&known),
            "{known:?} agrees now; it is no longer so that {reason}"
        );
    }
}

/// `scripts/templates.sh` makes the folder: templates of other people, and what jinja2 makes of
/// them.
#[test]
#[ignore = "needs KAIWU_TEMPLATES; scripts/templates.sh runs it"]
fn templates_of_models_give_what_jinja2_gives() {
    let folder = std::env::var("KAIWU_TEMPLATES").expect("run scripts/templates.sh");
    let folder = Path::new(&folder);
    let cases: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    let (mut wrong, mut failures) = (vec![], 0);
    for case in cases {
        let name = case["template"].as_str().unwrap();
        let source = fs::read_to_string(folder.join(name)).unwrap();
        let (want, got) =
            (case["result"].as_str(), render(&source, case["variables"].as_object().unwrap()));
        failures += usize::from(want.is_none());
        if got.as_deref().ok() != want {
            wrong.push(format!("{name}, {}:\njinja2 {want:?}\nhere   {got:?}", case["name"]));
        }
    }
    assert!(
        cases.len() > 100 && failures < cases.len() / 2,
        "{} cases, {failures} failures",
        cases.len()
    );
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} renderings agree, {failures} of them failures in both", cases.len());
}

/// A copy of a tiny checkpoint, whose folder has further files.
fn folder(name: &str, files: &[(&str, Value)]) -> (Source, Tokenizer) {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates").join(name);
    let _ = fs::remove_dir_all(&to);
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(data("tiny/llama-f32")).unwrap() {
        let from = entry.unwrap().path();
        // It would count before what a test gives.
        if from.is_file() && !from.ends_with("chat_template.jinja") {
            fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
        }
    }
    for (name, content) in files {
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        fs::write(to.join(name), text).unwrap();
    }
    let source = Source::open(&to).unwrap();
    let tokenizer = Tokenizer::from_source(&source).unwrap();
    (source, tokenizer)
}

fn rendered(name: &str, files: &[(&str, Value)]) -> Result<String, String> {
    let (source, tokenizer) = folder(name, files);
    let template = ChatTemplate::from_source(&source, &tokenizer).map_err(|e| e.to_string())?;
    template.unwrap().render(&[Message::new("user", "hi")], false).map_err(|e| e.to_string())
}

#[test]
fn special_tokens_go_by_their_names() {
    let template = "{{ pad_token }}|{{ unk_token }}|{{ sep_token }}|{{ image_token }}|{{ my_token }}|{{ cls_token is defined }}";
    let files = [
        ("chat_template.jinja", json!(template)),
        (
            "tokenizer_config.json",
            json!({"pad_token": "<p>", "unk_token": {"content": "<u>"}, "my_token": "<m>", "extra_special_tokens": {"image_token": "<i>"}}),
        ),
        (
            "special_tokens_map.json",
            json!({"pad_token": "<old>", "sep_token": "<sep>", "cls_token": null}),
        ),
    ];
    assert_eq!(rendered("tokens", &files).unwrap(), "<p>|<u>|<sep>|<i>|<m>|False");
}

#[test]
fn begin_and_end_tokens_may_be_named_in_the_older_file_alone() {
    let (_, tokenizer) = folder("ids", &[]);
    let text = |id: u32| tokenizer.token(id).unwrap();
    let files = [
        ("chat_template.jinja", json!("{{ bos_token }} {{ eos_token }}")),
        ("tokenizer_config.json", json!({})),
        (
            "special_tokens_map.json",
            json!({"bos_token": text(5), "eos_token": {"content": text(6)}}),
        ),
    ];
    assert_eq!(rendered("older", &files).unwrap(), format!("{} {}", text(5), text(6)));
}

#[test]
fn templates_may_be_several() {
    let of = |several: Value| {
        rendered("several", &[("tokenizer_config.json", json!({"chat_template": several}))])
    };
    assert_eq!(of(json!({"default": "D", "tool_use": "T"})).unwrap(), "D");
    assert_eq!(
        of(json!([{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]))
            .unwrap(),
        "D"
    );
    assert_eq!(of(json!([{"name": "chat", "template": "C"}])).unwrap(), "C");
    let refused =
        of(json!([{"name": "rag", "template": "R"}, {"name": "tool_use", "template": "T"}]))
            .unwrap_err();
    assert!(
        refused.contains("rag, tool_use") && refused.contains("chat_template.jinja"),
        "{refused}"
    );
    assert!(of(json!(5)).unwrap_err().contains("is no text"));
}

#[test]
fn line_ends_are_pythons() {
    let template = "{% if true %}\r\na\r\n{% endif %}\r\n{{ messages[0].content }}\r\n";
    assert_eq!(rendered("lines", &[("chat_template.jinja", json!(template))]).unwrap(), "a\nhi");
}

#[test]
fn errors_name_the_line_of_the_source() {
    let rows = [
        ("\n\n{{ 'a' ~\n n | nope }}", "line 4"),
        ("{{ 'x\ny' }}\n{{ raise_exception('no') }}", "line 3: no"),
        ("\n{% include 'x' %}", "line 2"),
        ("\n{{ 'a' }} {{ '\\N{BULLET}' }}", "line 2"),
        ("{{ missing.items() }}", "undefined"),
    ];
    for (source, want) in rows {
        let message = render(source, &Map::new()).unwrap_err();
        assert!(message.contains(want), "{source:?}: {message}");
    }
}

/// Templates that ask for more than they should, each of them an error and none a crash.
#[test]
fn greed_is_refused() {
    let loops = "{% for i in range(99999) %}{% for j in range(99999) %}";
    let rows = [
        format!("{{{{ {}1 }}}}", "(".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(100_000)),
        format!("{{{{ {}x }}}}", "not ".repeat(100_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(5000), "]".repeat(5000)),
        format!("{{{{ x{} }}}}", ".items()".repeat(5000)),
        format!("{{{{ x{} }}}}", "[0]".repeat(5000)),
        "{% if x %}".repeat(5000),
        "{{ 'x'.center(9999999999) }}".into(),
        "{{ 'x' | center(9999999999) }}".into(),
        "{{ '%9999999999d' % 1 }}".into(),
        "{{ '%.9999999999f' % 1 }}".into(),
        "{{ '{:9999999999}'.format(1) }}".into(),
        "{{ 'x' | indent(9999999999) }}".into(),
        "{{ [1] | batch(9999999999, 1) | list }}".into(),
        "{{ [1] | slice(9999999999, 1) | list }}".into(),
        "{{ 'a\tb'.expandtabs(9999999999) }}".into(),
        "{{ ('x' * 90000000).replace('x', 'y' * 90000000) }}".into(),
        "{% macro f(x) %}{{ f(x) }}{{ varargs }}{% endmacro %}{{ f(1) }}".into(),
        "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}".into(),
        "{% set ns = namespace(x={}) %}{% for i in range(90000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}".into(),
        "{% set ns = namespace(x=[]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}".into(),
        "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% for y in [ns.x] %}{% set ns.x = loop %}{% endfor %}{% endfor %}".into(),
        format!("{{% set x = 1 %}}{}", "{% set x = [x].index %}".repeat(30_000)),
        format!("{{% set x = 1 %}}{}", "{% set x = cycler(x) %}".repeat(30_000)),
        format!("{{% set x = 1 %}}{}", "{% set x = namespace(x=x) %}".repeat(30_000)),
        format!("{{{{ x{} }}}}", " | upper".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " - 1".repeat(200_000)),
        format!("{{{{ x{} }}}}", " or x".repeat(200_000)),
        format!("{{{{ 's'{} }}}}", " % 1".repeat(5000)),
        format!("{{{{ x{} }}}}", ".a".repeat(200_000)),
        format!("{loops}{{% set x = [1] * 1000 + [2] %}}{{% endfor %}}{{% endfor %}}"),
        format!("{loops}{{{{ x | tojson }}}}{{% endfor %}}{{% endfor %}}"),
    ];
    for source in rows {
        let shown: String = source.chars().take(80).collect();
        assert!(render(&source, &Map::new()).is_err(), "{shown}");
    }
    let sum = vec!["1"; 1500].join(" + ");
    assert_eq!(render(&format!("{{{{ {sum} }}}}"), &Map::new()).unwrap(), "1500");
}

/// Pieces of templates in any order: whatever comes of it, it is a result or an error.
#[test]
fn no_template_panics() {
    const PIECES: [&str; 64] = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-",
        "+",
        " ",
        "\n",
        "\r\n",
        "if ",
        "else",
        "endif",
        "for x in ",
        "endfor",
        "set a = ",
        "macro f(a, b=1)",
        "endmacro",
        "generation",
        "endgeneration",
        "raw",
        "endraw",
        "x",
        "l",
        "d",
        "s",
        "é🙂",
        "'a%s'",
        "\"\\u00e9\"",
        "'\\",
        "1",
        "2.5",
        "0x",
        "1e9",
        "-1",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        ".",
        "|",
        "~",
        "%",
        "*",
        "**",
        "//",
        "==",
        "<",
        " in ",
        " is ",
        " not ",
        ".items()",
        ".split(",
        " | tojson",
        " | sort",
        "varargs",
        "kwargs=",
        "[::-1]",
        " if ",
    ];
    let variables =
        json!({"l": [3, "a", null], "d": {"a": 1, "items": [2]}, "s": " aé\u{1f642}b "});
    let (mut state, mut good, mut bad) = (1u64, 0, 0);
    let mut next = |most: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    for round in 0..20_000 {
        let inside: String = (0..next(9)).map(|_| PIECES[next(PIECES.len())]).collect();
        let source = if round % 3 == 0 { inside } else { format!("{{{{ l{inside} }}}}") };
        match render(&source, variables.as_object().unwrap()) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
    }
    assert!(good > 500 && bad > 500, "{good} rendered, {bad} refused");
}
