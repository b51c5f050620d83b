//! Path expansion: the files that a list of paths names.
//!
//! A path is a file, a folder, a pattern (`*`, `?`, `[..]`, `**`) or a list of these (`@list.txt`). A name that exists is always
//! taken literally, whatever characters it has. Files keep the order of the paths; those of a folder or a pattern are sorted by
//! name. What differs between the formats is in [`PathRules`].

use std::{
    collections::HashSet,
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::{
    folder::{LeftOut, list},
    home::{self, BadPath},
    pattern::ShellPattern,
    text,
};
use crate::error::{Code, Diagnostic, Error};

/// How paths become files of one format.
#[derive(Debug, Clone, Copy)]
pub struct PathRules {
    /// The format, for messages: `FITS`.
    pub format: &'static str,
    /// Whether a folder contributes a file; decided by its name.
    pub accepts: fn(&Path) -> bool,
    /// What `accepts` takes, for messages: `*.parquet`.
    pub accepted: &'static str,
    /// Whether a folder also contributes the files of its subfolders.
    pub recursive: bool,
    /// The files of a folder that has an index, as a table of a run has. Such a folder is not listed.
    pub indexed: fn(&Path) -> Result<Option<Vec<PathBuf>>, Error>,
    /// Whether `@list.txt` names a text file with one path on each line.
    pub lists: bool,
    /// How patterns match.
    pub patterns: PatternRules,
    /// Whether two paths that lead to one file through links name it twice. Otherwise only their text is compared.
    pub resolve_links: bool,
}

/// How a pattern matches names on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternRules {
    /// As in a shell: `*` skips hidden names, `**` does not follow links, unreadable folders contribute nothing. Names that are not
    /// UTF-8 match as displayed. A matched folder stays one path.
    Shell,
    /// As in the crate `glob`: `*` matches hidden names, `**` follows links, an unreadable folder is an error. Names that are not
    /// UTF-8 never match. A matched folder contributes its files.
    Glob,
}

/// A file that a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFile {
    /// Its path.
    pub(crate) path: PathBuf,
    /// How many of the last components are below the folder, or the fixed part of the pattern, that was named; 1 for a file that
    /// was named itself.
    pub(crate) depth: usize,
}

impl NamedFile {
    fn below(root: &Path, path: PathBuf) -> Self {
        let depth = path.components().count().saturating_sub(root.components().count()).max(1);
        Self { path, depth }
    }

    fn itself(path: PathBuf) -> Self {
        Self { path, depth: 1 }
    }

    /// The path below the folder that was named, with `/` between names.
    #[cfg_attr(not(feature = "fits"), allow(dead_code, reason = "the source `fits` names objects by it"))]
    pub(crate) fn name_below(&self) -> String {
        let names: Vec<_> = self.path.components().map(|name| name.as_os_str().to_string_lossy()).collect();
        names[names.len().saturating_sub(self.depth)..].join("/")
    }
}

/// What paths name.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    /// The files, in order.
    pub(crate) files: Vec<NamedFile>,
    /// What folders left out: for each, how to say it.
    pub(crate) left_out: Vec<String>,
}

/// Why a path names no file, and what to do.
struct NoFiles {
    message: String,
    help: String,
}

impl NoFiles {
    fn new(message: String, help: impl Into<String>) -> Self {
        Self { message, help: help.into() }
    }
}

impl PathRules {
    /// The files that `paths` name, in order.
    ///
    /// # Errors
    /// A diagnostic at `key.index` for every path that names no file, and one at `key` when a file is named twice.
    pub fn expand(&self, key: &str, paths: &[String]) -> Result<Vec<PathBuf>, Vec<Diagnostic>> {
        Ok(self.expand_named(key, paths)?.files.into_iter().map(|file| file.path).collect())
    }

    /// The same, with how each file was named, and what folders left out.
    ///
    /// # Errors
    /// As [`Self::expand`].
    pub(crate) fn expand_named(&self, key: &str, paths: &[String]) -> Result<Expansion, Vec<Diagnostic>> {
        let (mut expansion, mut diagnostics) = (Expansion::default(), Vec::new());
        for (index, path) in paths.iter().enumerate() {
            let found = match self.list_name(path) {
                Some(list) => self.files_of_list(list, &mut expansion),
                None => self.files_of(path, &mut expansion),
            };
            match found {
                Ok(()) => {}
                Err(NoFiles { message, help }) => {
                    let at = format!("{key}.{index}");
                    diagnostics.push(Diagnostic::at(&at, Code::MissingFile, message).help(help));
                }
            }
        }
        if let Some(file) = self.first_repeated(&expansion.files) {
            let message = format!("`{}` is named twice", file.display());
            diagnostics.push(Diagnostic::at(key, Code::Conflict, message).help("name every file once"));
        }
        if diagnostics.is_empty() { Ok(expansion) } else { Err(diagnostics) }
    }

    fn files_of(&self, path: &str, to: &mut Expansion) -> Result<(), NoFiles> {
        let literal = Path::new(path);
        match fs::metadata(literal) {
            Ok(metadata) if metadata.is_dir() => return self.files_of_folder(literal, to),
            Err(_) if fs::symlink_metadata(literal).is_err() => {}
            // A dangling link too: the reader reports it.
            _ => {
                to.files.push(NamedFile::itself(literal.to_owned()));
                return Ok(());
            }
        }
        if path.contains(['*', '?', '[']) {
            return self.files_of_pattern(path, to);
        }
        Err(NoFiles::new(format!("`{path}` does not exist"), "a relative path begins at the working folder"))
    }

    fn files_of_folder(&self, folder: &Path, to: &mut Expansion) -> Result<(), NoFiles> {
        let shown = folder.display();
        let mut left_out = LeftOut::default();
        let found = self
            .list_folder(folder, &mut left_out)
            .map_err(|error| NoFiles::new(format!("cannot read folder `{shown}`: {error}"), "check its permissions"))?;
        let left_out = left_out.in_words();
        if found.is_empty() {
            let has = left_out.map(|left_out| format!("; it has {left_out}")).unwrap_or_default();
            let help = format!("a folder contributes {}", self.accepted);
            return Err(NoFiles::new(format!("folder `{shown}` has no {} file{has}", self.format), help));
        }
        to.left_out.extend(left_out.map(|left_out| format!("folder `{shown}`: {left_out}")));
        to.files.extend(found.into_iter().map(|path| NamedFile::below(folder, path)));
        Ok(())
    }

    fn list_folder(&self, folder: &Path, left_out: &mut LeftOut) -> io::Result<Vec<PathBuf>> {
        match (self.indexed)(folder).map_err(|error| io::Error::other(error.report()))? {
            Some(files) => Ok(files),
            None => list(folder, self.accepts, self.recursive, left_out),
        }
    }

    fn files_of_pattern(&self, pattern: &str, to: &mut Expansion) -> Result<(), NoFiles> {
        let named = |root: &Path, files: Vec<PathBuf>| -> Vec<NamedFile> {
            files.into_iter().map(|path| NamedFile::below(root, path)).collect()
        };
        let found = match self.patterns {
            PatternRules::Shell => ShellPattern::parse(pattern).map(|pattern| named(pattern.root(), pattern.files())),
            PatternRules::Glob => self.glob(pattern).map(|files| named(Path::new(""), files)),
        };
        let found = found.map_err(|reason| {
            NoFiles::new(format!("cannot expand `{pattern}`: {reason}"), "`[` begins a set of characters: `[0-9]`")
        })?;
        if found.is_empty() {
            let help = "a pattern is matched from the working folder unless it begins with `/`";
            return Err(NoFiles::new(format!("no file matches `{pattern}`"), help));
        }
        to.files.extend(found);
        Ok(())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let mut files = Vec::new();
        for found in glob::glob(pattern).map_err(|error| error.to_string())? {
            let found = found.map_err(|error| error.to_string())?;
            if found.is_dir() {
                let listed = self.list_folder(&found, &mut LeftOut::default());
                files.extend(listed.map_err(|error| format!("cannot read folder `{}`: {error}", found.display()))?);
            } else {
                files.push(found);
            }
        }
        Ok(files)
    }

    /// The text file that `@list.txt` names, unless the path exists as it is.
    fn list_name<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix('@').filter(|_| self.lists && fs::symlink_metadata(path).is_err())
    }

    /// The files that the lines of a list name. Lists do not nest.
    fn files_of_list(&self, list: &str, to: &mut Expansion) -> Result<(), NoFiles> {
        let bytes = fs::read(list).map_err(|error| error.to_string());
        let text = bytes.and_then(|bytes| text::decode(bytes).map_err(|error| format!("it {}", error.message)));
        let text = text.map_err(|reason| {
            let help = "`@list.txt` names a text file with one path on each line";
            NoFiles::new(format!("cannot read list `{list}`: {reason}"), help)
        })?;
        let before = to.files.len();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let path = home::expanded(line).map_err(|BadPath { message, help }| {
                NoFiles::new(format!("a line {message}"), help.unwrap_or_default())
            });
            path.and_then(|path| self.files_of(&path, to))
                .map_err(|NoFiles { message, help }| NoFiles { message: format!("list `{list}`: {message}"), help })?;
        }
        if to.files.len() == before {
            return Err(NoFiles::new(format!("list `{list}` names no file"), "one path on each line"));
        }
        Ok(())
    }

    /// The first file that an earlier path names too.
    fn first_repeated<'a>(&self, files: &'a [NamedFile]) -> Option<&'a PathBuf> {
        let identity = |file: &PathBuf| match self.resolve_links {
            true => file.canonicalize().unwrap_or_else(|_| file.clone()),
            // `a/./b` is `a/b`.
            false => file.components().filter(|part| *part != Component::CurDir).collect(),
        };
        let mut seen = HashSet::with_capacity(files.len());
        files.iter().map(|file| &file.path).find(|file| !seen.insert(identity(file)))
    }
}

/// Whether a name ends in `.parquet`.
pub fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: PathRules = PathRules {
        format: "Parquet",
        accepts: is_parquet,
        accepted: "*.parquet",
        recursive: false,
        indexed: |_| Ok(None),
        lists: false,
        patterns: PatternRules::Glob,
        resolve_links: true,
    };
    const LENIENT: PathRules =
        PathRules { recursive: true, lists: true, patterns: PatternRules::Shell, resolve_links: false, ..STRICT };

    /// A folder with `a.parquet`, `b[1].parquet`, `.c.parquet`, `notes.txt`, `sub/d.parquet`.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["b[1].parquet", "a.parquet", ".c.parquet", "notes.txt", "sub/d.parquet"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    /// The files of paths below a folder, named from that folder.
    fn expanded(rules: PathRules, folder: &Path, paths: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let paths: Vec<String> = paths.iter().map(|path| format!("{}/{path}", folder.display())).collect();
        let short = |text: String| text.replace(&format!("{}/", folder.display()), "");
        match rules.expand("paths", &paths) {
            Ok(files) => Ok(files.iter().map(|file| short(file.display().to_string())).collect()),
            Err(diagnostics) => Err(diagnostics.iter().map(|diagnostic| short(diagnostic.to_string())).collect()),
        }
    }

    #[test]
    fn folders_and_patterns_are_sorted_and_paths_keep_their_order() {
        let folder = folder();
        let files = |rules, paths: &[&str]| expanded(rules, folder.path(), paths).unwrap();
        assert_eq!(files(STRICT, &["sub", "."]), ["sub/d.parquet", "./.c.parquet", "./a.parquet", "./b[1].parquet"]);
        assert_eq!(files(LENIENT, &["."]), ["./.c.parquet", "./a.parquet", "./b[1].parquet", "./sub/d.parquet"]);
        assert_eq!(files(STRICT, &["*.parquet"]), [".c.parquet", "a.parquet", "b[1].parquet"]);
        assert_eq!(files(LENIENT, &["*.parquet"]), ["a.parquet", "b[1].parquet"]);
        assert_eq!(files(LENIENT, &["**/*.parquet"]), ["a.parquet", "b[1].parquet", "sub/d.parquet"]);
        assert_eq!(files(STRICT, &["s*"]), ["sub/d.parquet"]);
        assert_eq!(files(LENIENT, &["s*"]), ["sub"]);
    }

    #[test]
    fn names_begin_below_the_folder_or_the_fixed_part_of_the_pattern() {
        let folder = folder();
        let names = |path: &str| -> Vec<String> {
            let expansion = LENIENT.expand_named("paths", &[format!("{}/{path}", folder.path().display())]).unwrap();
            expansion.files.iter().map(NamedFile::name_below).collect()
        };
        assert_eq!(names("."), [".c.parquet", "a.parquet", "b[1].parquet", "sub/d.parquet"]);
        assert_eq!(names("sub/"), ["d.parquet"]);
        assert_eq!(names("sub/d.parquet"), ["d.parquet"]);
        assert_eq!(names("s*/*.parquet"), ["sub/d.parquet"]);
        assert_eq!(names("sub/*.parquet"), ["d.parquet"]);
        assert_eq!(names("**/d.parquet"), ["sub/d.parquet"]);
        let working = NamedFile::below(Path::new("."), "./tract1/0001.fits".into());
        assert_eq!(working.name_below(), "tract1/0001.fits");
    }

    #[test]
    fn folders_report_what_they_left_out() {
        let folder = folder();
        let path = folder.path().display().to_string();
        let expansion = LENIENT.expand_named("paths", std::slice::from_ref(&path)).unwrap();
        assert_eq!(expansion.left_out, [format!("folder `{path}`: 1 file with another ending (`.txt` 1)")]);
        fs::remove_file(folder.path().join("sub/d.parquet")).unwrap();
        fs::write(folder.path().join("sub/d.zst"), "").unwrap();
        let mistake = &LENIENT.expand("paths", &[format!("{path}/sub")]).unwrap_err()[0];
        assert_eq!(
            mistake.message,
            format!("folder `{path}/sub` has no Parquet file; it has 1 file with another ending (`.zst` 1)")
        );
    }

    #[test]
    fn a_name_that_exists_is_taken_literally() {
        let folder = folder();
        for rules in [STRICT, LENIENT] {
            assert_eq!(expanded(rules, folder.path(), &["b[1].parquet"]).unwrap(), ["b[1].parquet"]);
        }
    }

    #[test]
    fn every_path_without_files_is_reported_at_its_place() {
        let folder = folder();
        fs::create_dir(folder.path().join("empty")).unwrap();
        let mut found =
            expanded(STRICT, folder.path(), &["a.parquet", "empty", "*.pq", "e.parquet", "[a"]).unwrap_err();
        let unreadable = found.pop().unwrap();
        assert!(unreadable.starts_with("[missing-file] cannot expand `[a`: Pattern syntax error"), "{unreadable}");
        assert_eq!(
            found,
            [
                "[missing-file] folder `empty` has no Parquet file (at `paths.1`); help: a folder contributes *.parquet",
                "[missing-file] no file matches `*.pq` (at `paths.2`); help: a pattern is matched from the working folder unless it begins with `/`",
                "[missing-file] `e.parquet` does not exist (at `paths.3`); help: a relative path begins at the working folder",
            ]
        );
    }

    #[test]
    fn a_list_names_one_path_on_each_line() {
        let folder = folder();
        let list = folder.path().join("list.txt");
        fs::write(&list, format!("# two\n\n{0}/a.parquet\n{0}/sub\n", folder.path().display())).unwrap();
        let paths = [format!("@{}", list.display())];
        assert_eq!(LENIENT.expand("paths", &paths).unwrap().len(), 2);
        assert!(STRICT.expand("paths", &paths).unwrap_err()[0].message.ends_with("does not exist"));
        fs::write(&list, "@list.txt\n").unwrap();
        let diagnostic = &LENIENT.expand("paths", &paths).unwrap_err()[0];
        assert_eq!(diagnostic.message, format!("list `{}`: `@list.txt` does not exist", list.display()));
    }

    #[test]
    fn reports_a_file_that_is_named_twice() {
        let folder = folder();
        let twice = expanded(LENIENT, folder.path(), &["a.parquet", "./a.parquet"]).unwrap_err();
        assert_eq!(twice, ["[conflict] `./a.parquet` is named twice (at `paths`); help: name every file once"]);
        assert!(expanded(STRICT, folder.path(), &["a.parquet", "sub/../a.parquet"]).is_err());
        assert!(expanded(LENIENT, folder.path(), &["a.parquet", "sub/../a.parquet"]).is_ok());
    }
}
