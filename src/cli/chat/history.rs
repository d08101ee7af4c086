//! The file of earlier messages.

use std::fs;
use std::path::PathBuf;

const FILE: &str = "chat_history";

/// The path of the history in the user's state folder, which is created with access for its owner
/// only. `None` if there is no such folder.
pub(super) fn path() -> Option<PathBuf> {
    let variable =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = if cfg!(windows) { variable("LOCALAPPDATA") } else { variable("XDG_STATE_HOME") };
    let state = own.or_else(|| variable("HOME").map(|home| home.join(".local/state")))?;
    let folder = state.join("kaiwu");
    let mut maker = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut maker, 0o700);
    if let Err(error) = maker.recursive(true).create(&folder) {
        log::warn!("cannot create {}, so no messages are remembered: {error}", folder.display());
        return None;
    }
    Some(folder.join(FILE))
}
