//! What the setting `paths` means: files, folders, patterns and lists, in a fixed order.

use std::{
    collections::HashSet,
    fs,
    path::{Component, Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::error::{Code, Diagnostic};

/// Endings of the files that a folder gives, in small letters.
const ENDINGS: [&str; 7] = [".fits", ".fit", ".fts", ".fz", ".fits.gz", ".fit.gz", ".fts.gz"];

/// All files in the order of `paths`, those of a folder or pattern sorted by name.
pub(super) fn expand(paths: &[String]) -> Result<Vec<PathBuf>, Vec<Diagnostic>> {
    let (mut files, mut mistakes) = (Vec::new(), Vec::new());
    for (index, path) in paths.iter().enumerate() {
        match expand_one(path, true) {
            Ok(found) => files.extend(found),
            Err(mut mistake) => {
                mistake.path = vec!["paths".into(), index.to_string()];
                mistakes.push(*mistake);
            }
        }
    }
    let mut seen = HashSet::with_capacity(files.len());
    for file in &files {
        // `a/./b` is `a/b`.
        let plain: PathBuf = file.components().filter(|part| *part != Component::CurDir).collect();
        if !seen.insert(plain) {
            let message = format!("`{}` is named twice", file.display());
            mistakes.push(Diagnostic::at("paths", Code::Conflict, message).help("every file is read once"));
            break;
        }
    }
    if mistakes.is_empty() { Ok(files) } else { Err(mistakes) }
}

fn missing(message: String, help: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::at("paths", Code::MissingFile, message).help(help))
}

fn expand_one(path: &str, lists: bool) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    let literal = Path::new(path);
    if let Ok(metadata) = fs::metadata(literal) {
        if !metadata.is_dir() {
            return Ok(vec![literal.to_owned()]);
        }
        let mut found = Vec::new();
        folder(literal, &mut found);
        found.sort();
        let help = "a folder gives its files that end in .fits, .fit, .fts, .fz, and these with .gz";
        return if found.is_empty() {
            Err(missing(format!("folder `{path}` has no FITS file"), help))
        } else {
            Ok(found)
        };
    }
    // A link to nothing, or a file in a folder that may not be entered: a row that cannot be read.
    if fs::symlink_metadata(literal).is_ok() {
        return Ok(vec![literal.to_owned()]);
    }
    match path.strip_prefix('@') {
        Some(list) if lists => return read_list(list),
        _ => {}
    }
    if path.contains(['*', '?', '[']) {
        let mut found = Vec::new();
        pattern(path)
            .map_err(|reason| {
                missing(format!("`{path}` is no pattern: {reason}"), "`[` begins a set of letters: `[0-9]`")
            })?
            .walk(&mut found);
        found.sort();
        found.dedup();
        let help = "a pattern is matched from the working folder unless it begins with `/`";
        return if found.is_empty() { Err(missing(format!("no file matches `{path}`"), help)) } else { Ok(found) };
    }
    Err(missing(format!("`{path}` is not there"), "a relative path begins at the working folder"))
}

/// FITS files of a folder and its subfolders. Links to folders are not followed, which could lead in a circle.
fn folder(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            found.push(entry.path());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folder(&entry.path(), found);
        }
    }
}

fn read_list(list: &str) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    let text = fs::read_to_string(list).map_err(|error| {
        missing(
            format!("list `{list}` cannot be read: {error}"),
            "`@list.txt` names a text file with a path on each line",
        )
    })?;
    let mut files = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        files.extend(expand_one(line, false).map_err(|mut mistake| {
            mistake.message = format!("list `{list}`: {}", mistake.message);
            mistake
        })?);
    }
    if files.is_empty() {
        Err(missing(format!("list `{list}` names no file"), "one path on each line"))
    } else {
        Ok(files)
    }
}

/// A pattern, part by part. Names that are not UTF-8 are matched as they are shown (the crate `glob` leaves them out).
struct Pattern {
    root: PathBuf,
    parts: Vec<Part>,
}

enum Part {
    Name(String),
    Match(glob::Pattern),
    AnyFolders,
}

fn pattern(path: &str) -> Result<Pattern, String> {
    let mut root = PathBuf::new();
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        let text = component.as_os_str().to_string_lossy();
        match component {
            Component::Normal(_) if text == "**" => parts.push(Part::AnyFolders),
            Component::Normal(_) if text.contains(['*', '?', '[']) => {
                parts.push(Part::Match(glob::Pattern::new(&text).map_err(|error| error.to_string())?));
            }
            _ if parts.is_empty() => root.push(component),
            _ => parts.push(Part::Name(text.into_owned())),
        }
    }
    Ok(Pattern { root, parts })
}

impl Pattern {
    fn walk(&self, found: &mut Vec<PathBuf>) {
        step(&self.root, &self.parts, found);
    }
}

fn step(at: &Path, parts: &[Part], found: &mut Vec<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else {
        if fs::symlink_metadata(at).is_ok() {
            found.push(at.to_owned());
        }
        return;
    };
    let entries = || {
        let folder = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        fs::read_dir(folder).into_iter().flatten().flatten()
    };
    match part {
        Part::Name(name) => step(&at.join(name), rest, found),
        Part::Match(pattern) => {
            let hidden = pattern.as_str().starts_with('.');
            for entry in entries() {
                let name = entry.file_name();
                let shown = name.to_string_lossy();
                if pattern.matches(&shown) && (hidden || !shown.starts_with('.')) {
                    step(&at.join(&name), rest, found);
                }
            }
        }
        Part::AnyFolders => {
            step(at, rest, found);
            for entry in entries() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    step(&at.join(entry.file_name()), parts, found);
                }
            }
        }
    }
}

/// The number of a split and what tells its files from any others.
pub(super) fn split_id(index: usize, files: &[PathBuf]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.as_os_str().as_encoded_bytes());
        digest.update([0]);
    }
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{index} {digest} {}", files.first().map(|file| file.display().to_string()).unwrap_or_default())
}
