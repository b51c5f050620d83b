//! What tells objects apart: a header key, or the name of the file.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use super::{Catalogue, Fits, objects::FileRow, plan::headers_of};
use crate::{
    error::{Code, Diagnostic},
    fits::{self, CardValue, Header},
    io::{digest, paths::NamedFile},
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
    pub id: String,
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
    pub(super) fn identify(&self, key: Option<&str>) -> RowIdentity {
        let Self { file, found, name, file_id } = self;
        let hdus = found.hdus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let entry = found.entry.map(|entry| format!("[{entry}]")).unwrap_or_default();
        let origin = match found.is_of_several_files {
            false => format!("{name}[{hdus}]{entry}"),
            true => origin_in_files(file, &found.hdus),
        };
        let named = key.and_then(|key| identity_in(naming_headers(file, found), key)).and_then(Result::ok);
        let by_header = named.is_some();
        let id = named.map(|named| named + &entry).unwrap_or_else(|| match found.shares_file {
            true => format!("{file_id}[{hdus}]{entry}"),
            false => (*file_id).to_owned(),
        });
        RowIdentity { id, origin, by_header }
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
pub(super) struct SharedId {
    pub id: String,
    pub origins: [String; 2],
}

/// One of the first objects of a run.
#[derive(Debug)]
pub(super) struct FirstObject {
    /// Its id by its file.
    pub by_file: String,
    /// Its identity by the header key, if a header has it.
    pub by_key: RowIdentity,
    /// The value of the header key that is looked up in the catalogue.
    pub header_key: Option<String>,
}

/// The first objects of a run, whose ids decide whether a header key is an identity.
#[derive(Debug, Default)]
pub(super) struct FirstObjects {
    objects: Vec<FirstObject>,
    /// The origins of the ids that headers give.
    origins: HashMap<String, String>,
    pub shared: Option<SharedId>,
}

/// What is looked up in a catalogue for an object, the likeliest first.
pub(super) type Lookup = Vec<String>;

impl FirstObjects {
    pub(super) fn add(&mut self, object: FirstObject) {
        let RowIdentity { id, origin, by_header } = &object.by_key;
        if *by_header
            && let Some(other) = self.origins.insert(id.clone(), origin.clone())
            && self.shared.is_none()
        {
            self.shared = Some(SharedId { id: id.clone(), origins: [other, origin.clone()] });
        }
        self.objects.push(object);
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// What is looked up for each.
    pub(super) fn lookups(&self, catalogue: &Catalogue, files: &FileIds, id_key: &Option<String>) -> Vec<Lookup> {
        let lookup = |object: &FirstObject| match (&catalogue.header_key, id_key) {
            (Some(_), _) => object.header_key.iter().cloned().collect(),
            (None, Some(_)) if object.by_key.by_header => vec![object.by_key.id.clone()],
            (None, _) => {
                let stem = files.stem_of(&object.by_file).filter(|stem| *stem != object.by_file);
                [Some(object.by_file.as_str()), stem].into_iter().flatten().map(str::to_owned).collect()
            }
        };
        self.objects.iter().map(lookup).collect()
    }
}

/// The header key that may identify objects where the settings name none.
const DEFAULT_KEY: &str = "OBJECT";

/// The header key that is asked for the id: that of the settings, or `OBJECT`.
pub(super) fn header_key(settings: &Fits) -> String {
    settings.id.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned())
}

/// The header key that identifies the objects of a run, given the first ones, and what to report about it.
pub(super) fn identifying_key(settings: &Fits, first: &FirstObjects) -> (Option<String>, Option<String>) {
    let key = header_key(settings);
    match (&first.shared, &settings.id) {
        (Some(SharedId { id, origins: [one, other] }), chosen) => {
            let id = id.escape_debug();
            let found = format!("key `{key}` is `{id}` for `{one}` and for `{other}`");
            match chosen {
                None => (None, Some(format!("{found}: objects are identified by their files instead, not by `{key}`"))),
                Some(_) => (Some(key), Some(format!("{found}: objects with one id share their noise and their part"))),
            }
        }
        (None, Some(_)) if first.len() > 0 && first.objects.iter().all(|object| !object.by_key.by_header) => {
            let objects = if first.len() == 1 { "the first object has" } else { "the first objects have" };
            (Some(key.clone()), Some(format!("{objects} no key `{key}`: their files identify them")))
        }
        _ => (Some(key), None),
    }
}

/// The most ids that are remembered.
const MOST_SEEN: usize = 1 << 22;

/// Digests of the ids that headers have given in this process, to report when one comes again. Results do not depend on it.
#[derive(Debug)]
pub(super) struct SeenIds(Mutex<Option<HashSet<u64>>>);

impl SeenIds {
    /// `watch` is false where repetitions are known.
    pub(super) fn new(watch: bool) -> Self {
        Self(Mutex::new(watch.then(HashSet::new)))
    }

    /// Adds the id of a row; whether it is the first one that repeats.
    pub(super) fn repeats(&self, row: &RowIdentity) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ids) = seen.as_mut().filter(|ids| row.by_header && ids.len() < MOST_SEEN) else { return false };
        let repeats = !ids.insert(digest::number_of(&[row.id.as_bytes()]));
        if repeats {
            *seen = None;
        }
        repeats
    }
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
            let origin = format!("{number}.fits[0]");
            let by_key = RowIdentity { id: (*id).to_owned(), origin, by_header: *by_header };
            first.add(FirstObject { by_file: format!("tract/{number}"), by_key, header_key: None });
        }
        first
    }

    #[test]
    fn a_key_that_first_objects_share_is_not_their_identity_unless_it_was_chosen() {
        let mut settings = Fits::new(["x"]);
        let shared = first(&[("COSMOS", true), ("a", false), ("COSMOS", true)]);
        let (key, report) = identifying_key(&settings, &shared);
        assert_eq!(key, None);
        let expected = "key `OBJECT` is `COSMOS` for `0.fits[0]` and for `2.fits[0]`: \
                        objects are identified by their files instead, not by `OBJECT`";
        assert_eq!(report.as_deref(), Some(expected));
        assert_eq!(identifying_key(&settings, &first(&[("a", true), ("b", true)])), (Some("OBJECT".into()), None));
        assert_eq!(identifying_key(&settings, &first(&[("a", false), ("a", false)])), (Some("OBJECT".into()), None));
        settings.id = Some("FIELD".into());
        let (key, report) = identifying_key(&settings, &shared);
        assert_eq!(key.as_deref(), Some("FIELD"));
        assert!(report.is_some_and(|report| report.ends_with("objects with one id share their noise and their part")));
        let report = identifying_key(&settings, &first(&[("a", false)])).1;
        assert_eq!(report.as_deref(), Some("the first object has no key `FIELD`: their files identify them"));
    }

    #[test]
    fn ids_are_looked_up_and_names_of_files_also_without_their_folders() {
        let (files, mut catalogue) = (FileIds::default(), Catalogue::new("x.csv", "id", [("z", "z")]));
        let objects = first(&[("NGC 1", true), ("", false)]);
        let key = Some("OBJECT".to_owned());
        assert_eq!(objects.lookups(&catalogue, &files, &key), [vec!["NGC 1"], vec!["tract/1", "1"]]);
        assert_eq!(objects.lookups(&catalogue, &files, &None), [["tract/0", "0"], ["tract/1", "1"]]);
        catalogue.header_key = Some("TARGET".into());
        assert_eq!(objects.lookups(&catalogue, &files, &key), [Lookup::new(), Lookup::new()]);
    }

    #[test]
    fn an_id_that_comes_again_is_reported_once() {
        let row = |id: &str, by_header| RowIdentity { id: id.into(), origin: String::new(), by_header };
        let seen = SeenIds::new(true);
        let repeats = [("a", true), ("b", true), ("b", false), ("b", true), ("a", true)];
        assert_eq!(
            repeats.map(|(id, by_header)| seen.repeats(&row(id, by_header))),
            [false, false, false, true, false]
        );
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
