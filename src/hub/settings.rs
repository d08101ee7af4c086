//! The hub's settings from the environment: its address, its cache, and the access token.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Address of the hub if `HF_ENDPOINT` is not set.
const ENDPOINT: &str = "https://huggingface.co";

/// Timeout in seconds if `HF_HUB_DOWNLOAD_TIMEOUT` is not set.
const PATIENCE: u64 = 30;

/// Settings of the hub. They are read like those of `huggingface_hub`, so that both share a cache.
#[derive(Debug)]
pub(super) struct Settings {
    /// The folder that has a folder for each model.
    pub(super) cache: PathBuf,
    /// Address of the hub, without a slash at its end.
    pub(super) endpoint: String,
    pub(super) token: Option<String>,
    /// Whether fetching is forbidden.
    pub(super) offline: bool,
    /// Longest time to wait for a response.
    pub(super) patience: Duration,
}

impl Settings {
    pub(super) fn from_env() -> Self {
        Self::read(&|name| std::env::var_os(name), std::env::home_dir())
    }

    /// Reads the settings from the variables that `lookup` knows. An empty variable counts as not
    /// set.
    fn read(lookup: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let path = |name: &str| variable(name).map(|value| expanded(value, &text, home.as_deref()));
        let yes =
            |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str());

        let caches = || {
            let own = || home.clone().unwrap_or_default().join(".cache");
            variable("XDG_CACHE_HOME")
                .map_or_else(own, |value| expanded(value, &text, home.as_deref()))
        };
        let folder = path("HF_HOME").unwrap_or_else(|| caches().join("huggingface"));
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));

        // Files with secrets often end with a newline, or are wrapped over several lines.
        let clean = |token: String| token.replace(['\r', '\n'], "").trim().to_owned();
        let variables = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().filter_map(&text);
        let file = || {
            let path = path("HF_TOKEN_PATH").unwrap_or_else(|| folder.join("token"));
            let allowed = !text("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(yes);
            std::fs::read_to_string(path).ok().filter(|_| allowed)
        };
        let token = variables.map(clean).find(|token| !token.is_empty());
        let token = token.or_else(|| file().map(clean).filter(|token| !token.is_empty()));

        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let seconds = text("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|text| text.parse().ok());
        Self {
            cache: cache.unwrap_or_else(|| folder.join("hub")),
            endpoint: endpoint.trim().trim_end_matches('/').to_owned(),
            token,
            offline: text("HF_HUB_OFFLINE")
                .or_else(|| text("TRANSFORMERS_OFFLINE"))
                .is_some_and(yes),
            patience: Duration::from_secs(
                seconds.filter(|&seconds| seconds > 0).unwrap_or(PATIENCE),
            ),
        }
    }
}

/// Expands a leading `~`, `$NAME` and `${NAME}` in a path. Shells do so, but not the files from
/// which containers and services read their environment.
fn expanded(
    path: OsString,
    variable: &dyn Fn(&str) -> Option<String>,
    home: Option<&Path>,
) -> PathBuf {
    let path = PathBuf::from(path);
    let path = match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    };
    let Some(text) = path.to_str().filter(|text| text.contains('$')) else { return path };
    let mut pieces = text.split('$');
    let mut whole = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let letters = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            end.unwrap_or(text.len())
        };
        let (name, rest) = match piece.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(parts) => parts,
            None => piece.split_at(letters(piece)),
        };
        match variable(name) {
            Some(value) => whole.extend([&value, rest]),
            None => whole.extend(["$", piece]),
        }
    }
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Settings::read(&lookup, Some("/home/a".into()))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str);
        let rows: [Row; 11] = [
            (&[], "/home/a/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/h/hub"),
            (&[("HF_HOME", "~/h")], "/home/a/h/hub"),
            (&[("HF_HOME", "~")], "/home/a/hub"),
            (&[("HF_HOME", "$DATA/h"), ("DATA", "/d")], "/d/h/hub"),
            (&[("HF_HOME", "${DATA}h/$NONE"), ("DATA", "/d")], "/dh/$NONE/hub"),
            (&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "~/c")], "/home/a/c"),
            (&[("HF_HUB_CACHE", "/c"), ("HUGGINGFACE_HUB_CACHE", "/d")], "/c"),
            (&[("HF_HUB_CACHE", "~b/c")], "~b/c"),
            (&[("HF_HUB_CACHE", ""), ("HF_HOME", "")], "/home/a/.cache/huggingface/hub"),
        ];
        for (variables, cache) in rows {
            assert_eq!(settings(variables).cache, Path::new(cache), "{variables:?}");
        }
    }

    #[test]
    fn the_token_is_clean_and_may_be_a_file() {
        let folder = std::env::temp_dir().join(format!("kaiwu-{}-token", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("token"), "of_file\n").unwrap();
        std::fs::write(folder.join("other"), " of_other ").unwrap();
        let (home, other) = (folder.to_str().unwrap(), folder.join("other"));
        let token = |more: &[(&str, &str)]| settings(&[&[("HF_HOME", home)], more].concat()).token;
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);
        let rows: [Row; 6] = [
            (&[], Some("of_file")),
            (&[("HF_TOKEN", " hf_a\r\n")], Some("hf_a")),
            (&[("HF_TOKEN", "\n")], Some("of_file")),
            (&[("HUGGING_FACE_HUB_TOKEN", "hf_b")], Some("hf_b")),
            (&[("HF_TOKEN_PATH", other.to_str().unwrap())], Some("of_other")),
            (&[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")], None),
        ];
        for (variables, expected) in rows {
            assert_eq!(token(variables).as_deref(), expected, "{variables:?}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_endpoint_has_no_slash_at_its_end() {
        assert_eq!(settings(&[]).endpoint, ENDPOINT);
        assert_eq!(settings(&[("HF_ENDPOINT", "http://a:1/b/")]).endpoint, "http://a:1/b");
        assert_eq!(
            settings(&[("HF_HUB_DOWNLOAD_TIMEOUT", "0")]).patience,
            Duration::from_secs(PATIENCE)
        );
    }
}
