//! Shell patterns, matched against names on disk segment by segment.
//!
//! The crate `glob` leaves out names that are not UTF-8, which surveys of the 1990s have; here they match as displayed.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// A pattern such as `data/*/[0-9]*.fits`.
pub(super) struct ShellPattern {
    /// The folder where matching begins; empty for the working folder.
    root: PathBuf,
    segments: Vec<Segment>,
}

/// A part of a pattern between two slashes.
enum Segment {
    /// A name without wildcards.
    Literal(String),
    /// A name with wildcards.
    Wildcard(glob::Pattern),
    /// `**`: any number of folders, none included.
    AnyDepth,
}

impl ShellPattern {
    /// Reads a pattern; the error is the reason why it is not valid.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let mut root = PathBuf::new();
        let mut segments = Vec::new();
        for component in Path::new(pattern).components() {
            let text = component.as_os_str().to_string_lossy();
            match component {
                Component::Normal(_) if text == "**" => segments.push(Segment::AnyDepth),
                Component::Normal(_) if text.contains(['*', '?', '[']) => {
                    let wildcard = glob::Pattern::new(&text).map_err(|error| error.to_string())?;
                    segments.push(Segment::Wildcard(wildcard));
                }
                _ if segments.is_empty() => root.push(component),
                _ => segments.push(Segment::Literal(text.into_owned())),
            }
        }
        Ok(Self { root, segments })
    }

    /// The folder where matching begins; empty for the working folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The paths that match, sorted. Hidden names match only a pattern that begins with a dot.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.root, &self.segments, &mut found);
        found.sort();
        // `**/**` reaches a folder in several ways.
        found.dedup();
        found
    }
}

/// Collects what the segments match below a folder.
fn walk(folder: &Path, segments: &[Segment], found: &mut Vec<PathBuf>) {
    let Some((segment, rest)) = segments.split_first() else {
        if fs::symlink_metadata(folder).is_ok() {
            found.push(folder.to_owned());
        }
        return;
    };
    let entries = || {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::read_dir(folder).into_iter().flatten().flatten()
    };
    match segment {
        Segment::Literal(name) => walk(&folder.join(name), rest, found),
        Segment::Wildcard(pattern) => {
            let hidden = pattern.as_str().starts_with('.');
            for entry in entries() {
                let name = entry.file_name();
                let shown = name.to_string_lossy();
                if pattern.matches(&shown) && (hidden || !shown.starts_with('.')) {
                    walk(&folder.join(&name), rest, found);
                }
            }
        }
        Segment::AnyDepth => {
            walk(folder, rest, found);
            for entry in entries() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    walk(&folder.join(entry.file_name()), segments, found);
                }
            }
        }
    }
}
