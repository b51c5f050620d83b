//! What tells objects apart: a header key, or the name of the file. [`TakenIds`](super::taken_ids::TakenIds) makes ids unique.

use std::collections::{HashMap, HashSet};

use super::{Fits, objects::FileRow, plan::headers_of};
use crate::{
    error::{Code, Diagnostic},
    fits::{self, CardValue, Header},
    io::paths::NamedFile,
};

/// Endings of compressed files, which precede the ending of their format.
const COMPRESSED: [&str; 4] = [".gz", ".fz", ".bz2", ".xz"];

/// The ids that files give to their objects: the path below the folder that was named, without the ending. Where two files would
/// share one (`a.fits` and `a.fits.gz`; `x/a.fits` and `y/a.fits`, both named directly), the later gets its whole path. So ids do not
/// change when files are appended.
#[derive(Debug, Default)]
pub(super) struct FileIds {
    /// How many of the last components make the name of each file.
    depths: Vec<usize>,
    /// The ids of files whose names are taken.
    whole: HashMap<usize, String>,
    /// Names without folders that several files have.
    ambiguous: HashSet<String>,
}

impl FileIds {
    pub(super) fn new(files: &[NamedFile]) -> Self {
        let (mut taken, mut names) = (HashSet::with_capacity(files.len()), HashSet::new());
        let (mut whole, mut ambiguous) = (HashMap::new(), HashSet::new());
        for (index, file) in files.iter().enumerate() {
            let name = file.name_below();
            if !names.insert(stem(&name).to_owned()) {
                ambiguous.insert(stem(&name).to_owned());
            }
            let path = || file.path.display().to_string();
            let of_name = without_ending(&name).to_owned();
            if !taken.insert(of_name) {
                let id = [without_ending(&path()).to_owned(), path()].into_iter().find(|id| taken.insert(id.clone()));
                whole.insert(index, id.unwrap_or_else(path));
            }
        }
        Self { depths: files.iter().map(|file| file.depth).collect(), whole, ambiguous }
    }

    /// How many files have their whole path for an id, because an earlier file has their name.
    pub(super) fn renamed(&self) -> usize {
        self.whole.len()
    }

    /// The id of a file, given its path.
    pub(super) fn of_file(&self, index: usize, path: &std::path::Path) -> String {
        if let Some(id) = self.whole.get(&index) {
            return id.clone();
        }
        let depth = self.depths.get(index).copied().unwrap_or(1);
        without_ending(&NamedFile { path: path.to_owned(), depth }.name_below()).to_owned()
    }

    /// The id of a file without folders, if no other file has the name.
    pub(super) fn stem_of<'a>(&self, id: &'a str) -> Option<&'a str> {
        let stem = id.rsplit('/').next().unwrap_or(id);
        // Of `name[3]`, an object of a file with several, the name counts.
        let names = stem.match_indices('[').map(|(at, _)| &stem[..at]).chain([stem]);
        let is_ambiguous = names.into_iter().any(|name| self.ambiguous.contains(name));
        (!is_ambiguous).then_some(stem)
    }
}

/// The identity and the origin of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowIdentity {
    /// By the header, or else by the file. Others may have it too.
    pub id: String,
    /// The id by the file, which no other row has.
    pub by_file: String,
    /// `file[hdus]`, `file[hdu][entry]` in a cube with four axes, or `file[hdu],file[hdu]` for bands in several files.
    pub origin: String,
    /// Whether a header gives the id.
    pub by_header: bool,
}

/// A row of a file, to be identified.
pub(super) struct UnnamedRow<'a> {
    pub file: &'a fits::FitsFile,
    pub found: &'a FileRow,
    /// The path of the file, as displayed.
    pub name: &'a str,
    /// The id that the file gives.
    pub file_id: &'a str,
}

impl UnnamedRow<'_> {
    /// The identity by a header key, if a header has it; else by the file.
    pub(super) fn identify(&self, key: &str) -> RowIdentity {
        let Self { file, found, name, file_id } = self;
        let hdus = found.hdus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let entry = found.entry.map(|entry| format!("[{entry}]")).unwrap_or_default();
        let origin = match found.is_of_several_files {
            false => format!("{name}[{hdus}]{entry}"),
            true => origin_in_files(file, &found.hdus),
        };
        let by_file = match found.shares_file {
            true => format!("{file_id}[{hdus}]{entry}"),
            false => (*file_id).to_owned(),
        };
        let named = identity_in(naming_headers(file, found), key).and_then(Result::ok).map(|named| named + &entry);
        let by_header = named.is_some();
        RowIdentity { id: named.unwrap_or_else(|| by_file.clone()), by_file, origin, by_header }
    }
}

/// The headers that may name an object. The primary header names the file, so it cannot name one of several objects.
pub(super) fn naming_headers<'a>(
    file: &'a fits::FitsFile,
    found: &FileRow,
) -> impl Iterator<Item = &'a Header> + use<'a> {
    headers_of(file, found).take(if found.shares_file { 1 } else { 2 })
}

/// The identity in the first of some headers that has a key. A float cannot be one, as digits of it may be lost: the error.
pub(super) fn identity_in<'a>(
    mut headers: impl Iterator<Item = &'a Header>,
    key: &str,
) -> Option<Result<String, FloatIdentity>> {
    headers.find_map(|header| match header.get(key) {
        Some(CardValue::Real(value)) => Some(Err(FloatIdentity { key: key.to_owned(), value })),
        _ => header.text(key).map(Ok),
    })
}

/// A float where a header should have an identity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FloatIdentity {
    key: String,
    value: f64,
}

impl FloatIdentity {
    /// The reason why the object cannot be used.
    pub(super) fn reason(&self) -> String {
        let Self { key, value } = self;
        format!("identities are floats: key `{key}` is `{value:e}`, and digits may be lost above 2^53")
    }

    /// The mistake in a setting that names the key.
    pub(super) fn diagnostic(&self, setting: &str, file: &str) -> Diagnostic {
        let message = format!("`{file}`: {}", self.reason());
        let help = "write them as integers or text, or name another key";
        Diagnostic::at(setting, Code::WrongColumn, message).help(help)
    }
}

/// The origin of an object whose bands are in several files: `folder/a_g.fits[0],a_r.fits[0]`.
fn origin_in_files(file: &fits::FitsFile, hdus: &[usize]) -> String {
    let place = |(number, hdu): (usize, &usize)| {
        let (name, index) = file.place_of(*hdu);
        let name = if number == 0 { name } else { name.rsplit('/').next().unwrap_or(name) };
        format!("{name}[{index}]")
    };
    hdus.iter().enumerate().map(place).collect::<Vec<_>>().join(",")
}

/// Two objects that a header key does not tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SharedId {
    id: String,
    origins: [String; 2],
    /// The id that the second one gets.
    second: String,
}

/// The first objects of a run whose ids headers give: which of them share one, for a report. No result depends on it.
#[derive(Debug, Default)]
pub(super) struct FirstObjects {
    count: usize,
    /// The origins of the ids that headers give.
    origins: HashMap<String, String>,
    shared: Option<SharedId>,
}

impl FirstObjects {
    pub(super) fn add(&mut self, identity: &RowIdentity) {
        self.count += 1;
        let RowIdentity { id, origin, by_file, by_header } = identity;
        if *by_header
            && let Some(other) = self.origins.insert(id.clone(), origin.clone())
            && self.shared.is_none()
        {
            let second = format!("{id}@{by_file}");
            self.shared = Some(SharedId { id: id.clone(), origins: [other, origin.clone()], second });
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Whether two of them share an id.
    pub(super) fn share_an_id(&self) -> bool {
        self.shared.is_some()
    }

    /// What to report of their ids.
    pub(super) fn report(&self, settings: &Fits) -> Option<String> {
        let key = header_key(settings);
        if let Some(SharedId { id, origins: [one, other], second }) = &self.shared {
            let (id, second) = (id.escape_debug(), second.escape_debug());
            return Some(format!(
                "key `{key}` is `{id}` for `{one}` and for `{other}`: the first object keeps the id, others have the name of \
                 their file in it (`{second}`); set `id` to a header key that tells objects apart"
            ));
        }
        if settings.id.is_none() || self.count == 0 || !self.origins.is_empty() {
            return None;
        }
        let objects = if self.count == 1 { "the first object has" } else { "the first objects have" };
        Some(format!("{objects} no key `{key}`: their files identify them"))
    }
}

/// The header key that may identify objects where the settings name none.
const DEFAULT_KEY: &str = "OBJECT";

/// The header key that is asked for the id: that of the settings, or `OBJECT`.
pub(super) fn header_key(settings: &Fits) -> String {
    settings.id.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned())
}

/// A path without the ending of its last name, which may be two: `.fits.gz`.
pub(super) fn without_ending(path: &str) -> &str {
    let short = COMPRESSED.iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(path);
    let start = short.rfind('/').map_or(0, |slash| slash + 1);
    match short[start..].rfind('.') {
        Some(dot) if dot > 0 => &short[..start + dot],
        _ if short.len() == start => path,
        _ => short,
    }
}

/// The name of a file without folders and ending.
fn stem(path: &str) -> &str {
    let path = without_ending(path);
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn ids(files: &[(&str, usize)]) -> Vec<String> {
        let files: Vec<NamedFile> =
            files.iter().map(|(path, depth)| NamedFile { path: path.into(), depth: *depth }).collect();
        let ids = FileIds::new(&files);
        files.iter().enumerate().map(|(index, file)| ids.of_file(index, &file.path)).collect()
    }

    #[test]
    fn ids_are_paths_below_the_folder_that_was_named() {
        assert_eq!(ids(&[("d/tract1/0001.fits", 2), ("d/tract2/0001.fits.gz", 2)]), ["tract1/0001", "tract2/0001"]);
        assert_eq!(ids(&[("d/a.b.fits", 1), ("d/c.fits.fz", 1), ("d/.fits", 1)]), ["a.b", "c", ".fits"]);
    }

    #[test]
    fn a_file_whose_name_is_taken_has_its_whole_path() {
        let expected = ["0001", "y/0001", "y/0001.fits.gz"];
        assert_eq!(ids(&[("x/0001.fits", 1), ("y/0001.fits", 1), ("y/0001.fits.gz", 1)]), expected);
        // The first keeps its id when others are appended.
        assert_eq!(ids(&[("x/0001.fits", 1)]), expected[..1]);
    }

    fn first(ids: &[(&str, bool)]) -> FirstObjects {
        let mut first = FirstObjects::default();
        for (number, (id, by_header)) in ids.iter().enumerate() {
            let (origin, by_file) = (format!("{number}.fits[0]"), format!("tract/{number}"));
            first.add(&RowIdentity { id: (*id).to_owned(), by_file, origin, by_header: *by_header });
        }
        first
    }

    #[test]
    fn reports_the_first_objects_that_share_an_id() {
        let mut settings = Fits::new(["x"]);
        let shared = first(&[("COSMOS", true), ("a", false), ("COSMOS", true)]);
        let expected = "key `OBJECT` is `COSMOS` for `0.fits[0]` and for `2.fits[0]`: the first object keeps the id, others have the \
                        name of their file in it (`COSMOS@tract/2`); set `id` to a header key that tells objects apart";
        assert_eq!(shared.report(&settings).as_deref(), Some(expected));
        assert_eq!(first(&[("a", true), ("b", true)]).report(&settings), None);
        assert_eq!(first(&[("a", false), ("a", false)]).report(&settings), None);
        settings.id = Some("FIELD".into());
        let expected = "the first object has no key `FIELD`: their files identify them";
        assert_eq!(first(&[("a", false)]).report(&settings).as_deref(), Some(expected));
    }

    #[test]
    fn a_name_without_folders_identifies_a_file_if_no_other_has_it() {
        let files = [("d/1/a.fits", 2), ("d/2/a.fits", 2), ("d/2/b.fits", 2)];
        let files: Vec<NamedFile> =
            files.iter().map(|(path, depth)| NamedFile { path: path.into(), depth: *depth }).collect();
        let ids = FileIds::new(&files);
        assert_eq!((ids.stem_of("2/a"), ids.stem_of("2/b")), (None, Some("b")));
        assert_eq!((ids.stem_of("2/a[3]"), ids.stem_of("2/b[3][1]")), (None, Some("b[3][1]")));
        assert_eq!(ids.of_file(2, Path::new("d/2/b.fits")), "2/b");
    }
}
