//! Jinja as in Hugging Face's chat templates: Python's sandboxed jinja2, on the engine of
//! minijinja.
//!
//! The source is rewritten first ([`rewrite`]): string literals, numbers, and the operators, items
//! and methods in which Python differs. Filters and tests follow jinja2, and printing, comparing
//! and iterating follow Python.

mod args;
mod checks;
mod data;
mod expressions;
mod filters_text;
mod functions;
mod generator;
mod json;
mod lexer;
mod literals;
mod methods;
mod operators;
mod percent;
mod python;
mod rewrite;
mod statements;
mod text_methods;
mod wrap;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, syntax::SyntaxConfig};

/// Limit on the work of one rendering: about this many instructions, or 64 bytes of text for each.
/// Templates come from untrusted files; real ones need some hundreds for each message.
const FUEL: u64 = 4_000_000;

/// Creates an environment with one template called `name`.
///
/// # Errors
/// A message with the line, if the source is not a valid template.
pub(crate) fn environment(
    name: &'static str,
    source: &str,
) -> Result<Environment<'static>, String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| described(&error))?);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(|out, state, value| {
        let mut text = python::str(value)?;
        if *state.auto_escape() == AutoEscape::Html && !value.is_safe() {
            text = filters_text::escaped(&text);
        }
        out.write_str(&text).map_err(|_| Error::from(ErrorKind::WriteFailure))
    });
    operators::add_to(&mut environment);
    checks::add_to(&mut environment);
    data::add_to(&mut environment);
    filters_text::add_to(&mut environment);
    generator::add_to(&mut environment);
    functions::add_to(&mut environment);

    // Python reads all line ends as LF.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = rewrite::rewritten(&source).map_err(|wrong| {
        let line = 1 + source[..wrong.at.min(source.len())].matches('\n').count();
        format!(", line {line}: {}", wrong.what)
    })?;
    environment.add_template_owned(name, source).map_err(|error| described(&error))?;
    Ok(environment)
}

/// The line of an error and its reason, to follow the name of the template.
pub(crate) fn described(error: &Error) -> String {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel => {
            format!("{line}: it does more work than a template should; stopped")
        }
        kind => match error.detail() {
            Some(detail) => format!("{line}: {detail}"),
            None => format!("{line}: {kind}"),
        },
    }
}
