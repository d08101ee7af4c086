//! What a user should know about a model's files before relying on its answers.

use crate::format::{Folder, Source};
use serde_json::Value;

/// Sentences about unexpected treatment of a model's files; usually none.
pub fn notices(source: &Source) -> Vec<String> {
    let Source::Folder(folder) = source else { return vec![] };
    let mut all = vec![];
    if says_tied(folder) && folder.opt_tensor("output.weight").is_some() && !folder.output_repeats()
    {
        let notice = "config.json ties the output matrix to the embedding table, but the weights have another one, which is used";
        all.push(notice.into());
    }
    if let [first, others @ ..] = folder.left_out() {
        let others =
            if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        all.push(format!(
            "the tensor {}{others} is for another task than text and is left out",
            first.escape_debug()
        ));
    }
    all
}

/// Whether the configuration says that the embedding table is also the output matrix.
fn says_tied(folder: &Folder) -> bool {
    folder.config().get("tie_word_embeddings").and_then(Value::as_bool) == Some(true)
}
