//! Errors of the command line itself, exit codes, and hints about options that help.

use crate::Error;
use crate::error::Remedy;

/// Exit code of a command line that cannot be followed.
const USAGE: u8 = 2;
/// Exit code of every other error.
const FAILED: u8 = 1;

/// An error of the command line, which passes through the library as [`Error::Caller`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Failure {
    message: String,
    code: u8,
    hint: Option<String>,
}

/// An error for a command line that cannot be followed.
pub(in crate::cli) fn usage(message: String) -> Error {
    Error::caller(Failure { message, code: USAGE, hint: None })
}

/// An error for any other failure.
pub(in crate::cli) fn failed(message: String) -> Error {
    Error::caller(Failure { message, code: FAILED, hint: None })
}

/// Adds to an error where it occurred, such as the line of a file. Exit code and hint stay the
/// same.
pub(in crate::cli) fn within(place: &str, error: &Error) -> Error {
    let message = format!("{place}: {error}");
    Error::caller(Failure { message, code: exit_code(error), hint: hint(error) })
}

/// Marks an error about settings from a file, which is not an error of the command line.
pub(in crate::cli) fn of_file(error: Error) -> Error {
    if matches!(error, Error::InvalidSetting { .. }) { failed(error.to_string()) } else { error }
}

fn as_failure(error: &Error) -> Option<&Failure> {
    match error {
        Error::Caller(own) => own.downcast_ref(),
        _ => None,
    }
}

/// The exit code for an error.
pub(in crate::cli) fn exit_code(error: &Error) -> u8 {
    if let Some(failure) = as_failure(error) {
        return failure.code;
    }
    match error {
        Error::InvalidSetting { .. }
        | Error::InvalidInput { .. }
        | Error::InvalidToken { .. }
        | Error::ContextFull { .. }
        | Error::NotCached { .. } => USAGE,
        _ => FAILED,
    }
}

/// Whether the error means that the command line cannot be followed.
pub(in crate::cli) fn is_usage(error: &Error) -> bool {
    exit_code(error) == USAGE
}

/// The message that the program shows for an error: what is wrong, and what helps.
pub(in crate::cli) fn shown(error: &Error) -> String {
    match hint(error) {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

/// The options or commands that help with an error.
pub(in crate::cli) fn hint(error: &Error) -> Option<String> {
    if let Some(failure) = as_failure(error) {
        return failure.hint.clone();
    }
    error.remedy().map(|remedy| option(&remedy))
}

/// How to apply `remedy` on the command line.
fn option(remedy: &Remedy) -> String {
    match remedy {
        Remedy::IgnoreField(name) => format!(
            "--ignore-config {name} goes on as if it were not there, and the answers may then be \
             wrong"
        ),
        Remedy::IgnoreTensor(name) => format!(
            "--ignore-tensor {} goes on without it, and the answers may then be wrong",
            name.escape_debug()
        ),
        Remedy::ChoosePooling => {
            "say how to pool with --pooling, if another vector will do".to_owned()
        }
        Remedy::UseTokenIds => "`kaiwu logits --ids` needs none".to_owned(),
        Remedy::UseAsAdapter => "give it with --lora, and its model with -m".to_owned(),
        Remedy::OmitTokenizer { or_rename } => {
            let rename = if *or_rename { "choose one by --name, or " } else { "" };
            format!("{rename}--no-tokenizer writes the model alone; the folder itself runs")
        }
        Remedy::ContinueTexts => "use `kaiwu generate` without --chat".to_owned(),
        Remedy::Fetch(name) => format!("run `kaiwu pull {name}`"),
        Remedy::FetchMissing => "`kaiwu pull` fetches what a model of the hub lacks".to_owned(),
        Remedy::UseForEmbeddings => "`kaiwu embed` makes vectors with it".to_owned(),
        Remedy::ListModels => "`kaiwu list --all` shows what is".to_owned(),
        Remedy::ListAdapters => "see `kaiwu devices`".to_owned(),
        Remedy::UseBuffers => "use --storage buffer".to_owned(),
        Remedy::LongerContext => "or raise --context".to_owned(),
        Remedy::ShorterContext => "a smaller --context or a smaller model may help".to_owned(),
        Remedy::SmallerInference => {
            "try a smaller --context, --cache q8_0, --quantize q4_0, or a smaller model".to_owned()
        }
        Remedy::SmallerTraining { or_adapter } => {
            let adapter = if *or_adapter { "--lora, " } else { "" };
            format!("try {adapter}a smaller --batch or --context, or a smaller model")
        }
        Remedy::SkipLongExamples => "or leave out what is too long with --skip-long".to_owned(),
        Remedy::TuneModel => "give such examples to a model with -m MODEL".to_owned(),
        Remedy::CheckKernels => {
            "`kaiwu doctor` checks the kernels of this machine, --check those of a run".to_owned()
        }
        Remedy::IgnoreQuarantine => {
            "`kaiwu doctor` found that; --storage takes another storage, and --ignore-quarantine \
             is for when wrong results are no harm"
                .to_owned()
        }
        Remedy::ChooseEntryPoint(names) => format!("take --entry {}", names.join(" or --entry ")),
        Remedy::SetNumber(name) => format!("give each one, such as --set {name}=64"),
        Remedy::SetNumbersOf(_) => "set its numbers with --set".to_owned(),
        Remedy::ChooseGrid => "give --grid".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_and_hint_outlive_the_place_that_is_put_before() {
        let full = Error::ContextFull { needed: 9, limit: 8, longest: 16 };
        let placed = within("a.txt, line 3", &full);
        assert_eq!(
            shown(&placed),
            "a.txt, line 3: the text needs 9 tokens, but the context holds 8; shorten the text; or \
             raise --context"
        );
        assert_eq!((exit_code(&placed), is_usage(&placed)), (2, true));
        let whole = Error::ContextFull { needed: 9, limit: 8, longest: 8 };
        assert_eq!(hint(&whole), None, "a model's own context cannot be raised");
        assert_eq!(exit_code(&Error::Device("it is gone".into())), 1);
        assert_eq!(exit_code(&of_file(Error::setting("batch", "is 0"))), 1);
        assert_eq!((exit_code(&usage("so".into())), exit_code(&failed("so".into()))), (2, 1));
    }

    #[test]
    fn what_is_refused_names_its_option() {
        let ignore = Remedy::IgnoreField("rope.x".into());
        let error = Error::unsupported("config.json".as_ref(), "rope.x = 3 changes the result");
        assert!(shown(&error.with_remedy(ignore)).contains("; --ignore-config rope.x goes on"));
    }
}
