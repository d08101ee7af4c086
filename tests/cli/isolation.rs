//! The tests of the program mean the same on every machine: what its user has set and remembered
//! changes nothing.

use crate::common::hostile::{pass_there, run_there};
use crate::common::{path, tiny};

/// Those that would notice, of each kind: adapters, errors, terminals, histories, hubs, templates.
#[test]
fn tests_pass_whatever_the_machine_says() {
    pass_there(&[
        "chat::at_a_terminal::what_was_sent_is_remembered_for_its_owner_alone_or_not_at_all",
        "chat::chat_reads_lines_and_prints_answers",
        "commands::devices_are_listed_with_the_one_taken",
        "commands::the_version_says_what_a_report_needs",
        "commands::without_an_adapter_the_error_says_how_to_get_one",
        "process::links_are_followed_and_permissions_kept",
        "pull::a_model_is_fetched_once_and_found_by_its_name",
        "scoring::a_model_compared_with_itself_is_the_same",
    ]);
}

/// The machine of the test above is as bad as it says: the program, asked there without what the
/// tests do for it, does otherwise.
#[test]
fn the_program_notices_that_machine() {
    let model = tiny("llama-f32");
    let refused = run_there(&["generate", "-m", path(&model), "-n", "1", "a"]);
    assert!(
        refused.code == 1 && refused.err.contains("an adapter that is not here"),
        "{refused:?}"
    );
    let disturbed = run_there(&["--adapter", "0", "generate", "-m", path(&model), "-n", "1", "a"]);
    for word in ["what was tuned is left out", "were found wrong in the other storage"] {
        assert!(disturbed.err.contains(word), "{word}: {disturbed:?}");
    }
}
