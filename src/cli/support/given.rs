//! Settings that a command line gives: over others, or beside those that a run was begun with.

use crate::Result;
use crate::cli::support::failure::{failed, usage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::Path;

/// Those that are given, by name.
pub(in crate::cli) struct Given(Map<String, Value>);

fn fields(settings: &impl Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(failed(format!("settings without names: {other}"))),
        Err(error) => Err(failed(format!("JSON: {error}"))),
    }
}

/// A value as people write it: an f32 without the digits that f64 has more.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(wide) if f64::from(wide as f32) == wide => (wide as f32).to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

impl Given {
    /// Of arguments that are `None` or false where they are not given.
    pub(in crate::cli) fn new(arguments: &impl Serialize) -> Result<Self> {
        let mut fields = fields(arguments)?;
        fields.retain(|_, value| !matches!(value, Value::Null | Value::Bool(false)));
        Ok(Self(fields))
    }

    /// Whether one of this name is given.
    pub(in crate::cli) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// `settings` with what is given in its place.
    pub(in crate::cli) fn applied<S: Serialize + DeserializeOwned>(
        &self,
        settings: &S,
    ) -> Result<S> {
        let mut fields = fields(settings)?;
        fields.extend(self.0.clone());
        serde_json::from_value(Value::Object(fields))
            .map_err(|error| failed(format!("JSON: {error}")))
    }

    /// Refuses what is not as in the run of a folder, but for what may be changed.
    pub(in crate::cli) fn refuse_other(
        &self,
        run: &impl Serialize,
        free: &[&str],
        folder: &Path,
    ) -> Result<()> {
        let run = fields(run)?;
        let others = self.0.iter().filter(|(name, _)| !free.contains(&name.as_str()));
        for (name, value) in others {
            let Some(known) = run.get(name).filter(|&known| known != value) else { continue };
            let option = name.replace('_', "-");
            return Err(usage(format!(
                "--{option} {} contradicts the run in {}, which was begun with {}; leave it out, or begin anew with another --out",
                words(value),
                folder.display(),
                words(known)
            )));
        }
        Ok(())
    }

    /// Refuses to begin a run where there is one, and to go on with one where there is none.
    pub(in crate::cli) fn begins(folder: &Path, is_there: bool, resumes: bool) -> Result<()> {
        let folder = folder.display();
        match (is_there, resumes) {
            (true, false) => Err(usage(format!(
                "{folder} has a run; go on with --resume, or choose another --out"
            ))),
            (false, true) => Err(usage(format!(
                "{folder} has no run to go on with; name its folder with --out, or begin one without --resume"
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses fewer steps than a run has behind it.
    pub(in crate::cli) fn refuse_fewer(steps: Option<u64>, done: u64, folder: &Path) -> Result<()> {
        match steps.filter(|&steps| steps < done) {
            None => Ok(()),
            Some(steps) => Err(usage(format!(
                "--steps {steps}: the run in {} has taken {done} already",
                folder.display()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{GrokSettings, Operation};
    use serde_json::json;

    #[test]
    fn what_is_given_counts_and_what_contradicts_is_named() {
        let given = Given::new(&json!({
            "operation": "add", "weight_decay": 0.3f32, "seed": null, "steps": 70, "to_the_end": false
        }))
        .unwrap();
        assert!(given.has("operation") && !given.has("seed") && !given.has("to_the_end"));
        let settings: GrokSettings = given.applied(&GrokSettings::default()).unwrap();
        let expected = GrokSettings {
            operation: Operation::Add,
            weight_decay: 0.3,
            steps: 70,
            ..GrokSettings::default()
        };
        assert_eq!(settings, expected);

        let refused = |run: GrokSettings| {
            given
                .refuse_other(&run, &["steps"], Path::new("runs/a"))
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(refused(GrokSettings { steps: 1, seed: 9, ..expected.clone() }), None);
        let message = refused(GrokSettings { weight_decay: 0.7, ..expected }).unwrap();
        assert!(message.starts_with(
            "--weight-decay 0.3 contradicts the run in runs/a, which was begun with 0.7"
        ));
        assert!(Given::refuse_fewer(Some(5), 6, Path::new("a")).is_err());
        assert!(Given::refuse_fewer(Some(6), 6, Path::new("a")).is_ok());
    }
}
