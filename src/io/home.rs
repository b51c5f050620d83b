//! Paths as settings write them: `~/` is the home folder.
//!
//! A shell expands `~` before a program sees it, but not in a document, in quotes, or after the `=` of an option.

use std::path::Path;
#[cfg(feature = "cli")]
use std::path::PathBuf;

/// Why a text cannot be a path: what follows its name in a message, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPath {
    /// `is empty`.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// The path that a text names. `~` and `~/...` are in the home folder, also after the `@` of a list of files.
///
/// # Errors
/// When the text is empty, has a NUL character, or begins with `~user`.
pub(crate) fn expanded(text: &str) -> Result<String, BadPath> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    expanded_in(text, home.as_deref())
}

fn expanded_in(text: &str, home: Option<&Path>) -> Result<String, BadPath> {
    let refuse = |message: String, help: Option<&str>| Err(BadPath { message, help: help.map(str::to_owned) });
    if text.is_empty() {
        return refuse("is empty".into(), None);
    }
    if text.contains('\0') {
        return refuse("has a NUL character, which no path can have".into(), None);
    }
    let (mark, path) = text.strip_prefix('@').map_or(("", text), |path| ("@", path));
    let Some(below) = path.strip_prefix('~') else { return Ok(text.to_owned()) };
    if !below.is_empty() && !below.starts_with('/') {
        let found = format!("is `{text}`, and the home folders of other users are not looked up");
        let help = format!("write the whole path, or `{mark}./{path}` for a name that begins with `~`");
        return refuse(found, Some(&help));
    }
    match home.and_then(Path::to_str) {
        Some(home) => Ok(format!("{mark}{}{below}", home.trim_end_matches('/'))),
        None => refuse(
            format!("is `{text}`, and the home folder is not known"),
            Some("set `HOME`, or write the whole path"),
        ),
    }
}

/// The same for a path of the command line, which may have any bytes.
///
/// # Errors
/// As [`expanded`].
#[cfg(feature = "cli")]
pub(crate) fn expanded_path(path: PathBuf) -> Result<PathBuf, BadPath> {
    match path.to_str() {
        Some(text) if text.starts_with('~') => expanded(text).map(PathBuf::from),
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_folder_is_expanded_at_the_beginning_alone() {
        let of = |text: &str| expanded_in(text, Some(Path::new("/home/u/")));
        for (text, path) in [
            ("~", "/home/u"),
            ("~/", "/home/u/"),
            ("~/a b/*.fits", "/home/u/a b/*.fits"),
            ("@~/list.txt", "@/home/u/list.txt"),
            ("./~/a", "./~/a"),
            ("a/~/b", "a/~/b"),
            ("a~", "a~"),
        ] {
            assert_eq!(of(text), Ok(path.to_owned()));
        }
    }

    #[test]
    fn what_no_path_can_be_is_refused() {
        let message = |text: &str, home| expanded_in(text, home).map_err(|bad| bad.message);
        let home = Some(Path::new("/home/u"));
        assert_eq!(message("", home), Err("is empty".into()));
        assert_eq!(message("a\0b", home), Err("has a NUL character, which no path can have".into()));
        let other = "is `~v/a`, and the home folders of other users are not looked up";
        assert_eq!(message("~v/a", home), Err(other.into()));
        assert_eq!(message("~/a", None), Err("is `~/a`, and the home folder is not known".into()));
        assert_eq!(message("a/b", None), Ok("a/b".into()));
    }
}
