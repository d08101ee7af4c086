//! From a conversation to the prompt a model was trained on, by the template in its file.

use minijinja::value::Kwargs;
use minijinja::{Environment, ErrorKind, Value, context, syntax::SyntaxConfig};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::{Tokenizer, clock};
use crate::error::{Error, Result};
use crate::format::{Folder, Gguf, Source};

/// The name of the template, in messages.
const NAME: &str = "chat_template";

/// The work one rendering may do: about this many instructions, or 64 bytes of text for each. Templates come
/// from strangers' files; real ones need some hundred a message.
const FUEL: u64 = 4_000_000;

/// Real templates have up to some tens of kilobytes.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks: "system", "user", "assistant".
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message by `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    fn to_value(&self) -> Value {
        Value::from_pairs([("role", self.role.as_str()), ("content", self.content.as_str())])
    }
}

/// A Jinja chat template, with the environment Hugging Face's `apply_chat_template` gives it.
///
/// Special tokens the template writes are plain text in the result; [`Tokenizer::encode`] reads them, without
/// `add_special`, for the template writes BOS itself where it belongs. A control token spelled out in a
/// message is read as one, too.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// The template of a model file (`tokenizer.chat_template`), if it has one.
    pub fn from_gguf(gguf: &Gguf, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let Some(source) = gguf.opt_str("tokenizer.chat_template")? else { return Ok(None) };
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
        match Self::new(source, &text(tokenizer.bos()), &text(tokenizer.eos())) {
            Ok(template) => Ok(Some(template)),
            Err(Error::Text(message)) => Err(gguf.path_error(message)),
            Err(other) => Err(other),
        }
    }

    /// The template of a model's file or folder, if it has one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn from_source(source: &Source, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        match source {
            Source::Gguf(gguf) => Self::from_gguf(gguf, tokenizer),
            Source::Folder(folder) => Self::from_folder(folder, tokenizer),
        }
    }

    /// The template of a Hugging Face folder, if it has one.
    fn from_folder(folder: &Folder, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let source = Self::folder_text(folder)?;
        let Some(source) = source else { return Ok(None) };
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
        Self::new(&source, &text(tokenizer.bos()), &text(tokenizer.eos()))
            .map(Some)
            .map_err(|error| folder.path_error(error.to_string()))
    }

    /// The text of a folder's template: `chat_template.jinja`, or the one called "default" in `tokenizer_config.json`.
    pub(super) fn folder_text(folder: &Folder) -> Result<Option<String>> {
        let wrong = |what: &str| folder.path_error(format!("the chat template {what}"));
        Ok(match folder.opt_bytes("chat_template.jinja")? {
            Some(bytes) => Some(String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?),
            None => match folder.opt_object("tokenizer_config.json")?.and_then(|mut map| map.remove(NAME)) {
                None | Some(serde_json::Value::Null) => None,
                Some(serde_json::Value::String(source)) => Some(source),
                Some(list) => {
                    let text = |item: &serde_json::Value, key| item.get(key)?.as_str().map(str::to_owned);
                    let default = list.as_array().and_then(|list| {
                        list.iter().find(|item| text(item, "name").as_deref() == Some("default"))
                    });
                    let source = default.and_then(|item| text(item, "template"));
                    Some(source.ok_or_else(|| wrong("of tokenizer_config.json is no text"))?)
                }
            },
        })
    }

    /// Compiles a template. `bos_token` and `eos_token` are the texts of these tokens, empty if there is none.
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self> {
        if source.len() > MAX_TEMPLATE_BYTES {
            let bytes = source.len();
            return Err(Error::Text(format!("the {NAME} has {bytes} bytes; at most 1 MiB is read")));
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| described(&e))?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", clock::strftime_now);
        environment.add_filter("tojson", to_json);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|e| described(&e))?;
        Ok(Self { environment, bos_token: bos_token.to_owned(), eos_token: eos_token.to_owned() })
    }

    /// The prompt for `messages`. With `add_generation_prompt`, it ends where the assistant's answer begins.
    ///
    /// # Errors
    /// If the template refuses the conversation (a role it does not know, say), fails, or does too much work.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let context = context! {
            messages => messages.iter().map(Message::to_value).collect::<Value>(),
            add_generation_prompt,
            bos_token => self.bos_token.as_str(),
            eos_token => self.eos_token.as_str(),
            // Templates test for these; without tools or documents, they are none.
            tools => Value::from(()),
            documents => Value::from(()),
        };
        let template = self.environment.get_template(NAME).map_err(|e| described(&e))?;
        template.render(context).map_err(|e| described(&e))
    }
}

/// Templates refuse conversations with this; the message is meant for people.
fn raise_exception(message: String) -> std::result::Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

fn described(error: &minijinja::Error) -> Error {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    Error::Text(match error.kind() {
        ErrorKind::OutOfFuel => {
            format!("the {NAME}{line}: it does more work than a template should; stopped")
        }
        kind => match error.detail() {
            Some(detail) => format!("the {NAME}{line}: {detail}"),
            None => format!("the {NAME}{line}: {kind}"),
        },
    })
}

/// The `tojson` of chat templates, which is Python's `json.dumps` without escapes for HTML or beyond ASCII.
fn to_json(value: &Value, options: Kwargs) -> std::result::Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    // What is beyond ASCII stays as it is; other options of Python's are refused as unknown.
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(minijinja::Error::new(
            ErrorKind::InvalidOperation,
            "tojson: ensure_ascii is not supported",
        ));
    }
    options.assert_all_used()?;
    let mut json = Vec::new();
    let written = match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut json, Spaced)),
        Some(width) => {
            let indent = " ".repeat(width.min(16));
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut json, formatter))
        }
    };
    let failed = |why: String| minijinja::Error::new(ErrorKind::InvalidOperation, format!("tojson: {why}"));
    written.map_err(|e| failed(e.to_string()))?;
    String::from_utf8(json).map(Value::from_safe_string).map_err(|e| failed(e.to_string()))
}

/// Python puts a space behind each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        w.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &[Message]) -> Result<String> {
        ChatTemplate::new(source, "<s>", "</s>")?.render(messages, true)
    }

    #[test]
    fn renders_as_pythons_jinja_does() {
        let messages = [Message::new("system", " Be brief. "), Message::new("user", "Say \"é\" <b>")];
        let rows = [
            ("{{ bos_token }}{{ messages[1].content }}{{ eos_token }}", "<s>Say \"é\" <b></s>"),
            // The newline after a block and the spaces before one go; the others stay.
            (
                "{% for m in messages %}\n  {% if true %}\n{{ m['role'] }}\n  {% endif %}\n{% endfor %}\n",
                "system\nuser\n",
            ),
            ("a\n", "a"),
            ("{{ messages[0].content.strip() }}|{{ messages[0]['content'] | trim }}", "Be brief.|Be brief."),
            ("{{ messages[0].content.split('.')[0].upper() }}", " BE BRIEF"),
            (
                "{{ messages | tojson }}",
                "[{\"role\": \"system\", \"content\": \" Be brief. \"}, {\"role\": \"user\", \"content\": \"Say \\\"é\\\" <b>\"}]",
            ),
            ("{{ [1, {'b': none}] | tojson(indent=2) }}", "[\n  1,\n  {\n    \"b\": null\n  }\n]"),
            ("{% if add_generation_prompt and not tools %}go{% endif %}", "go"),
            (
                "{% set ns = namespace(n=0) %}{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
                "1",
            ),
            ("{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f(messages | length) }}", "[2]"),
            ("{{ messages[-1].role }}{{ messages[0].missing is defined }}", "userFalse"),
            ("{{ messages[1:] | length }}", "1"),
        ];
        for (source, want) in rows {
            assert_eq!(render(source, &messages).unwrap(), want, "{source}");
        }
    }

    #[test]
    fn the_date_is_four_digits_of_year() {
        let year = render("{{ strftime_now('%Y') }}", &[]).unwrap();
        assert!(year.len() == 4 && year.as_str() > "2023", "{year}");
    }

    #[test]
    fn errors_name_the_line_and_the_reason() {
        let rows = [
            ("\n\n{% if %}", "line 3"),
            ("\n{{ raise_exception('roles must alternate') }}", "line 2: roles must alternate"),
            ("{{ messages.nothing() }}", "line 1"),
            ("\n{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}", "more work"),
            ("{{ 'x' * 4000000000 }}", "chat_template"),
            ("{{ 1 | tojson(sort_keys=true) }}", "sort_keys"),
            ("{{ 'é' | tojson(ensure_ascii=true) }}", "ensure_ascii"),
            ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "chat_template"),
        ];
        for (source, want) in rows {
            let message = render(source, &[]).expect_err(source).to_string();
            assert!(message.contains(want), "{source}: {message}");
        }
        assert!(render(&format!("{{{{ {}1 }}}}", "(".repeat(100_000)), &[]).is_err());
        assert!(ChatTemplate::new(&" ".repeat(MAX_TEMPLATE_BYTES + 1), "", "").is_err());
    }
}
