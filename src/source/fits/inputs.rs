//! The files of objects: one file for objects, or a file for each band of an object.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    Bands, Fits, Layout,
    bands::{band_of, quoted},
    identity::{FileIds, identity_in, without_ending},
    image_hdus::ImageHdus,
};
use crate::{
    error::{Code, Diagnostic},
    fits,
    io::paths::NamedFile,
};

/// The files that are read, in order: one by one, or as the bands of objects.
pub(super) enum Inputs {
    Files { paths: Vec<PathBuf>, ids: FileIds },
    Groups { groups: Vec<FileGroup>, ids: FileIds },
}

/// The files of an object, one for each band.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileGroup {
    pub id: String,
    /// In the order of the bands.
    pub paths: Vec<PathBuf>,
    /// Why it is not complete.
    pub problem: Option<String>,
}

impl Inputs {
    /// The files that the settings name, grouped where each band has a file. Files that are left out are reported.
    pub(super) fn of(settings: &Fits, files: &[NamedFile]) -> Result<Self, Vec<Diagnostic>> {
        let ids = FileIds::new(files);
        let (Layout::FilePerBand, Some(bands)) = (settings.layout, &settings.bands) else {
            return Ok(Self::Files { paths: files.iter().map(|file| file.path.clone()).collect(), ids });
        };
        let (mut objects, mut left_out) = (Objects::default(), Vec::new());
        for file in files {
            match place(settings, bands, file) {
                Ok(Some((object, band))) => objects.add(object, band, &file.path, bands.len()),
                Ok(None) => left_out.push(file.path.display().to_string()),
                Err(reason) => {
                    tracing::warn!("source `fits`: `{}` {reason}: it is left out", file.path.display());
                    left_out.push(file.path.display().to_string());
                }
            }
        }
        if let Some(first) = left_out.first() {
            let (count, all) = (left_out.len(), files.len());
            tracing::warn!("source `fits`: {count} of {all} files are of no band that is read, the first `{first}`");
        }
        let groups = objects.groups(bands);
        if groups.is_empty() {
            let (count, bands) = (files.len(), quoted(&bands.names()));
            let message = format!("none of {count} files is of one of the bands {bands} by its name");
            let help = "set `pattern: \"{object}_{band}.fits\"`, or `bands` with the names that files have";
            return Err(vec![Diagnostic::at("layout", Code::MissingFile, message).help(help)]);
        }
        Ok(Self::Groups { groups, ids })
    }

    /// How many files or groups there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Files { paths, .. } => paths.len(),
            Self::Groups { groups, .. } => groups.len(),
        }
    }

    /// The paths of one.
    pub(super) fn paths(&self, index: usize) -> &[PathBuf] {
        match self {
            Self::Files { paths, .. } => std::slice::from_ref(&paths[index]),
            Self::Groups { groups, .. } => &groups[index].paths,
        }
    }

    /// The id that one gives to its objects.
    pub(super) fn id(&self, index: usize) -> String {
        match self {
            Self::Files { paths, ids } => ids.of_file(index, &paths[index]),
            Self::Groups { groups, .. } => groups[index].id.clone(),
        }
    }

    /// Why one cannot be read.
    pub(super) fn problem(&self, index: usize) -> Option<&str> {
        match self {
            Self::Files { .. } => None,
            Self::Groups { groups, .. } => groups[index].problem.as_deref(),
        }
    }

    /// The names of the files.
    pub(super) fn ids(&self) -> &FileIds {
        match self {
            Self::Files { ids, .. } | Self::Groups { ids, .. } => ids,
        }
    }
}

/// The files of objects by band, in the order in which the objects appear.
#[derive(Default)]
struct Objects {
    order: Vec<String>,
    files: HashMap<String, Vec<Vec<PathBuf>>>,
}

impl Objects {
    fn add(&mut self, object: String, band: usize, path: &Path, bands: usize) {
        let files = self.files.entry(object.clone()).or_insert_with(|| {
            self.order.push(object);
            vec![Vec::new(); bands]
        });
        files[band].push(path.to_owned());
    }

    fn groups(mut self, bands: &Bands) -> Vec<FileGroup> {
        let names = bands.names();
        let group = |id: String| {
            let files = self.files.remove(&id).unwrap_or_default();
            let paths: Vec<PathBuf> = files.iter().flatten().cloned().collect();
            let of = |wrong: fn(usize) -> bool| {
                let names = names.iter().zip(&files).filter(|(_, files)| wrong(files.len()));
                names.map(|(name, _)| name.clone()).collect::<Vec<_>>()
            };
            let (missing, several) = (of(|count| count == 0), of(|count| count > 1));
            let problem = match (missing.is_empty(), several.is_empty()) {
                (true, true) => None,
                (false, _) => Some(format!("has no file of the band {}", quoted(&missing))),
                (true, false) => Some(format!("has several files of the band {}", quoted(&several))),
            };
            FileGroup { id, paths, problem }
        };
        self.order.into_iter().map(group).collect()
    }
}

/// The object of a file and the number of its band; `None` if it is of none of the bands. The error is the reason why it is not known.
fn place(settings: &Fits, bands: &Bands, file: &NamedFile) -> Result<Option<(String, usize)>, String> {
    let name = file.name_below();
    match (&settings.pattern, &settings.id) {
        (Some(pattern), _) => Ok(Pattern::parse(pattern).and_then(|pattern| pattern.place(&name, bands))),
        (None, None) => by_name(without_ending(&name), bands),
        (None, Some(key)) => {
            let file = fits::FitsFile::open_headers(&file.path, &settings.limits()).map_err(|error| error.reason())?;
            let images = ImageHdus::of(file.hdus(), settings, None)?.images;
            let headers = || images.iter().take(1).chain([&0]).filter_map(|hdu| file.hdus().get(*hdu));
            let object = identity_in(headers().map(|hdu| &hdu.header), key)
                .ok_or_else(|| format!("has no key `{}`, which tells objects apart", key.escape_debug()))?;
            let object = object.map_err(|float| float.reason())?;
            let band = headers().find_map(|hdu| band_of(&hdu.header, false)).ok_or("has no key with its band")?;
            Ok(bands.index_of(&band).map(|band| (object, band)))
        }
    }
}

/// The object and the band in a name without a pattern: the band is a word of the name, and the object is what is left.
fn by_name(name: &str, bands: &Bands) -> Result<Option<(String, usize)>, String> {
    let (folder, stem) = name.rsplit_once('/').map_or(("", name), |(folder, stem)| (&name[..folder.len() + 1], stem));
    let found: Vec<_> = (0..bands.len()).filter_map(|band| Some((band, bands.last_in(band, stem)?))).collect();
    let (band, word) = match found.as_slice() {
        [] => return Ok(None),
        [(band, word)] => (*band, word.clone()),
        _ => return Err("has several bands in its name, expected one: set `pattern`".into()),
    };
    // The separator before the band goes with it, or the one after it at the start of a name.
    let is_separator = |letter: char| !letter.is_alphanumeric();
    let (before, after) = (&stem[..word.start], &stem[word.end..]);
    let object = match before.strip_suffix(is_separator) {
        Some(before) => format!("{before}{after}"),
        None => after.strip_prefix(is_separator).unwrap_or(after).to_owned(),
    };
    Ok(Some((format!("{folder}{object}"), band)))
}

/// A pattern of names: `{object}_{band}.fits`, `{band}/{object}.fits`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern<'a> {
    before: &'a str,
    between: &'a str,
    after: &'a str,
    is_object_first: bool,
}

impl<'a> Pattern<'a> {
    /// A pattern with `{object}` and `{band}`, each once, and something between them.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (object, band) = (text.find("{object}")?, text.find("{band}")?);
        let (first, second) = if object < band {
            (object..object + "{object}".len(), band..band + "{band}".len())
        } else {
            (band..band + "{band}".len(), object..object + "{object}".len())
        };
        let (before, between, after) = (&text[..first.start], text.get(first.end..second.start)?, &text[second.end..]);
        let has_more = [before, between, after].iter().any(|part| part.contains(['{', '}']));
        (!between.is_empty() && !has_more).then_some(Self { before, between, after, is_object_first: object < band })
    }

    /// The object and the band of a file, given its path below the folder that was named.
    fn place(&self, name: &str, bands: &Bands) -> Option<(String, usize)> {
        let parts =
            1 + [self.before, self.between, self.after].iter().map(|part| part.matches('/').count()).sum::<usize>();
        let start = name.rmatch_indices('/').nth(parts - 1).map_or(0, |(at, _)| at + 1);
        let (folder, name) = name.split_at(start);
        let inside = [name, without_compression(name)]
            .into_iter()
            .find_map(|name| name.strip_prefix(self.before)?.strip_suffix(self.after))?;
        inside.match_indices(self.between).find_map(|(at, between)| {
            let (first, second) = (&inside[..at], &inside[at + between.len()..]);
            let (object, band) = if self.is_object_first { (first, second) } else { (second, first) };
            let band = bands.index_named(band)?;
            (!object.is_empty()).then(|| (format!("{folder}{object}"), band))
        })
    }
}

/// A name without the ending of its compression.
fn without_compression(name: &str) -> &str {
    [".gz", ".fz", ".bz2", ".xz"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_name(name: &str) -> Result<Option<(String, usize)>, String> {
        let bands = serde_json::json!({ "g": ["g", "HSC-G"], "r": ["r", "HSC-R"] });
        by_name(name, &serde_json::from_value(bands).expect("bands"))
    }

    #[test]
    fn the_band_is_a_word_of_the_name() {
        let place = |object: &str, band| Ok(Some((object.to_owned(), band)));
        assert_eq!(of_name("obj1_r"), place("obj1", 1));
        assert_eq!(of_name("tract/DESJ0001-0001_g"), place("tract/DESJ0001-0001", 0));
        assert_eq!(of_name("cutout-HSC-G-9813-pdr2"), place("cutout-9813-pdr2", 0));
        assert_eq!(of_name("r.obj1"), place("obj1", 1));
        assert_eq!(of_name("green_z"), Ok(None));
        assert!(of_name("g_r").is_err());
    }

    #[test]
    fn a_pattern_gives_object_and_band() {
        let bands = Bands::from(["g", "r"]);
        let place = |pattern: &str, name: &str| Pattern::parse(pattern).and_then(|pattern| pattern.place(name, &bands));
        let found = |object: &str, band| Some((object.to_owned(), band));
        assert_eq!(place("{object}_{band}.fits", "a_b_r.fits"), found("a_b", 1));
        assert_eq!(place("{object}_{band}.fits", "night/a_g.fits.gz"), found("night/a", 0));
        assert_eq!(place("{band}/{object}.fits", "x/r/obj.fits"), found("x/obj", 1));
        assert_eq!(place("cutout_{object}-{band}_v1.fits", "cutout_7-G_v1.fits"), found("7", 0));
        assert_eq!(place("{object}_{band}.fits", "a_z.fits"), None);
        for wrong in ["{object}{band}.fits", "{object}.fits", "{band}_{object}_{x}.fits"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong}");
        }
    }
}
