//! From a conversation to the prompt a model was trained on, by the template in its file.

use std::collections::BTreeMap;

use minijinja::{Environment, Value};

use super::{Tokenizer, template};
use crate::error::{Error, Result};
use crate::format::{Folder, Gguf, Source};
use crate::text::tokenizer::folder_tokens::named_tokens;

/// The name of the template, in messages.
const NAME: &str = "chat_template";

/// Real templates have up to some tens of kilobytes.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// Special tokens of a GGUF file besides bos and eos: their names in templates, and in its keys.
const GGUF_TOKENS: [(&str, &str); 5] = [
    ("pad_token", "padding"),
    ("unk_token", "unknown"),
    ("sep_token", "seperator"),
    ("cls_token", "cls"),
    ("mask_token", "mask"),
];

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
/// Special tokens the template writes are plain text in the result; [`Tokenizer::encode`] reads
/// them, without `add_special`, for the template writes BOS itself where it belongs. A control
/// token spelled out in a message is read as one, too.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Special tokens by the names that templates know them by.
    tokens: BTreeMap<String, String>,
}

impl ChatTemplate {
    /// The template of a model file (`tokenizer.chat_template`), if it has one.
    pub fn from_gguf(gguf: &Gguf, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let Some(source) = gguf.opt_str("tokenizer.chat_template")? else { return Ok(None) };
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
        match Self::new(source, &text(tokenizer.bos()), &text(tokenizer.eos())) {
            Ok(mut template) => {
                for (name, key) in GGUF_TOKENS {
                    // A key that holds no id names no token.
                    let id = gguf.opt_u32(&format!("tokenizer.ggml.{key}_token_id")).ok().flatten();
                    let found = id.and_then(|id| tokenizer.token(id));
                    template.tokens.extend(found.map(|text| (name.to_owned(), text)));
                }
                Ok(Some(template))
            }
            Err(Error::ChatTemplate(message)) => Err(gguf.path_error(message)),
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
        let mut template = Self::new(&source, &text(tokenizer.bos()), &text(tokenizer.eos()))
            .map_err(|error| folder.path_error(error.to_string()))?;
        for (name, text) in named_tokens(folder)? {
            template.tokens.entry(name).or_insert(text);
        }
        Ok(Some(template))
    }

    /// The text of a folder's template: `chat_template.jinja`, or that of `tokenizer_config.json`;
    /// of several there the one called "default".
    pub(super) fn folder_text(folder: &Folder) -> Result<Option<String>> {
        let wrong = |what: &str| folder.path_error(format!("the chat template {what}"));
        Ok(match folder.opt_bytes("chat_template.jinja")? {
            Some(bytes) => Some(String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?),
            None => match folder
                .opt_object("tokenizer_config.json")?
                .and_then(|mut map| map.remove(NAME))
            {
                None | Some(serde_json::Value::Null) => None,
                Some(serde_json::Value::String(source)) => Some(source),
                Some(several) => Some(of_several(&several).map_err(|why| wrong(&why))?),
            },
        })
    }

    /// Compiles a template. `bos_token` and `eos_token` are the texts of these tokens, empty if
    /// there is none.
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self> {
        if source.len() > MAX_TEMPLATE_BYTES {
            let bytes = source.len();
            return Err(Error::ChatTemplate(format!(
                "the {NAME} has {bytes} bytes; at most 1 MiB is read"
            )));
        }
        let environment = template::environment(NAME, source)
            .map_err(|why| Error::ChatTemplate(format!("the {NAME}{why}")))?;
        let tokens = [("bos_token", bos_token), ("eos_token", eos_token)];
        let tokens = tokens.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        Ok(Self { environment, tokens })
    }

    /// The prompt for `messages`. With `add_generation_prompt`, it ends where the assistant's
    /// answer begins.
    ///
    /// # Errors
    /// If the template refuses the conversation (a role it does not know, say), fails, or does too
    /// much work.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let own = [
            ("messages", messages.iter().map(Message::to_value).collect::<Value>()),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
            // Templates test for these; without tools or documents, they are none.
            ("tools", Value::from(())),
            ("documents", Value::from(())),
        ];
        self.rendered(own.map(|(name, value)| (name.to_owned(), value)))
    }

    /// The prompt from all the variables of a template, as `apply_chat_template` names them:
    /// `messages` with tool calls and their results, `tools`, `documents`, `add_generation_prompt`,
    /// and what a model's template adds. Special tokens by their names need not be among them.
    ///
    /// # Errors
    /// When the template fails, or refuses the messages; the message is the template's own.
    pub fn render_with(
        &self,
        variables: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String> {
        self.rendered(variables.iter().map(|(name, value)| (name.clone(), of_json(value))))
    }

    fn rendered(&self, variables: impl IntoIterator<Item = (String, Value)>) -> Result<String> {
        let tokens =
            self.tokens.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str())));
        let context = Value::from_pairs(tokens.chain(variables));
        let template = self.environment.get_template(NAME).map_err(|e| described(&e))?;
        template.render(context).map_err(|e| described(&e))
    }
}

/// The template called "default", or the only one, of several: a list of names and texts, or texts
/// by their names.
fn of_several(several: &serde_json::Value) -> std::result::Result<String, String> {
    let text = |value: Option<&serde_json::Value>| {
        value.and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let named: Vec<(String, String)> = match several {
        serde_json::Value::Array(list) => list
            .iter()
            .filter_map(|item| Some((text(item.get("name"))?, text(item.get("template"))?)))
            .collect(),
        serde_json::Value::Object(map) => map
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), text(Some(value))?)))
            .collect(),
        _ => return Err("of tokenizer_config.json is no text".to_owned()),
    };
    match (named.iter().find(|(name, _)| name == "default"), &named[..]) {
        (Some((_, source)), _) | (None, [(_, source)]) => Ok(source.clone()),
        (None, []) => {
            Err("of tokenizer_config.json is no text, nor texts by their names".to_owned())
        }
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(", ");
            Err(format!(
                "of tokenizer_config.json is one of several ({names}), none of them called \
                 \"default\"; write the one you want to chat_template.jinja"
            ))
        }
    }
}

/// A value of JSON as templates see it.
fn of_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (_, Some(number)) => Value::from(number),
            _ => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(of_json).collect(),
        serde_json::Value::Object(map) => {
            Value::from_pairs(map.iter().map(|(name, value)| (name.clone(), of_json(value))))
        }
    }
}

fn described(error: &minijinja::Error) -> Error {
    Error::ChatTemplate(format!("the {NAME}{}", template::described(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &[Message]) -> Result<String> {
        ChatTemplate::new(source, "<s>", "</s>")?.render(messages, true)
    }

    #[test]
    fn renders_as_pythons_jinja_does() {
        let messages =
            [Message::new("system", " Be brief. "), Message::new("user", "Say \"é\" <b>")];
        let rows = [
            ("{{ bos_token }}{{ messages[1].content }}{{ eos_token }}", "<s>Say \"é\" <b></s>"),
            // The newline after a block and the spaces before one go; the others stay.
            (
                "{% for m in messages %}\n  {% if true %}\n{{ m['role'] }}\n  {% endif %}\n{% endfor %}\n",
                "system\nuser\n",
            ),
            ("a\n", "a"),
            (
                "{{ messages[0].content.strip() }}|{{ messages[0]['content'] | trim }}",
                "Be brief.|Be brief.",
            ),
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
            (
                "\n{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
                "more work",
            ),
            ("{{ 'x' * 4000000000 }}", "chat_template"),
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
