//! What is looked up in a catalogue for an object: the id by its header, or the names of its file.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf, absolute},
};

use super::{
    Catalogue, Fits,
    catalogue::LoadedCatalogue,
    identity::{RowIdentity, without_ending},
    inputs::Inputs,
    is_fits,
};
use crate::error::Diagnostic;

/// An object that is looked up.
#[derive(Debug, Clone)]
pub(super) struct LookedUp {
    pub identity: RowIdentity,
    /// The value of the header key that the catalogue names.
    pub header_key: Option<String>,
    /// The file, if it holds no other object.
    pub path: Option<PathBuf>,
}

/// What is looked up for an object, the likeliest first.
pub(super) type Lookup = Vec<String>;

/// The rules of a run.
#[derive(Debug, Default)]
pub(super) struct LookupRules {
    by_header_key: bool,
    /// Whether files are looked up also where a header gives the id.
    by_file: bool,
    paths: PathKeys,
}

impl LookupRules {
    /// The rules, given the first objects; the mistake is that none of them is found.
    pub(super) fn new(
        settings: &Fits,
        catalogue: (&Catalogue, &LoadedCatalogue),
        inputs: &Inputs,
        first: &[LookedUp],
    ) -> (Self, Option<Diagnostic>) {
        let (named, loaded) = catalogue;
        let by_header_key = named.header_key.is_some();
        let paths = if by_header_key { PathKeys::default() } else { PathKeys::new(loaded, inputs) };
        let mut rules = Self { by_header_key, by_file: false, paths };
        let none_of = |rules: &Self, objects: &[&LookedUp]| {
            let lookups: Vec<Lookup> = objects.iter().map(|object| rules.lookup(loaded, inputs, object)).collect();
            named.no_match(loaded, &lookups)
        };
        let all: Vec<&LookedUp> = first.iter().collect();
        if by_header_key || settings.id.is_some() {
            let mistake = none_of(&rules, &all);
            return (rules, mistake);
        }
        // A key that nobody named, such as the name of a field, need not be that of the catalogue.
        let by_header: Vec<&LookedUp> = first.iter().filter(|object| object.identity.by_header).collect();
        if !by_header.is_empty() && none_of(&rules, &by_header).is_some() {
            rules.by_file = true;
            rules.by_file = none_of(&rules, &by_header).is_none();
        }
        let mistake = none_of(&rules, &all);
        (rules, mistake)
    }

    /// Whether files are looked up although headers give ids.
    pub(super) fn are_by_file(&self) -> bool {
        self.by_file
    }

    /// The row of an object.
    pub(super) fn row(&self, catalogue: &LoadedCatalogue, inputs: &Inputs, object: &LookedUp) -> Option<u32> {
        self.lookup(catalogue, inputs, object).iter().find_map(|name| catalogue.row(name))
    }

    fn lookup(&self, catalogue: &LoadedCatalogue, inputs: &Inputs, object: &LookedUp) -> Lookup {
        let RowIdentity { id, by_file, by_header, .. } = &object.identity;
        if self.by_header_key {
            return object.header_key.iter().cloned().collect();
        }
        if *by_header && !self.by_file {
            return vec![id.clone()];
        }
        let stem = inputs.ids().stem_of(by_file).filter(|stem| stem != by_file);
        let path = object.path.as_ref().and_then(|path| self.paths.key(catalogue, path));
        [Some(by_file.clone()), stem.map(str::to_owned), path].into_iter().flatten().collect()
    }
}

/// Keys of a catalogue that are paths of files, from any folder on: `x.fits`, `images/x.fits`, `images/x`.
#[derive(Debug, Default)]
struct PathKeys {
    /// The most names in a key.
    most_names: usize,
    /// The rows whose keys are the ends of several paths.
    ambiguous: HashSet<u32>,
}

impl PathKeys {
    fn new(catalogue: &LoadedCatalogue, inputs: &Inputs) -> Self {
        let keys = catalogue.keys().filter(|key| key.contains('/') || is_fits(Path::new(key)));
        let most_names = keys.map(|key| key.split('/').count()).max().unwrap_or(0);
        let mut keys = Self { most_names, ambiguous: HashSet::new() };
        if most_names == 0 {
            return keys;
        }
        let mut files: HashMap<u32, usize> = HashMap::new();
        let rows = (0..inputs.len()).filter_map(|index| match inputs.paths(index) {
            [path] => catalogue.row(&keys.key(catalogue, path)?),
            _ => None,
        });
        rows.for_each(|row| *files.entry(row).or_default() += 1);
        keys.ambiguous = files.into_iter().filter(|(_, count)| *count > 1).map(|(row, _)| row).collect();
        if !keys.ambiguous.is_empty() {
            let count = keys.ambiguous.len();
            tracing::warn!(
                "source `fits`: {count} keys of the catalogue are the ends of several paths: they are not looked up as paths"
            );
        }
        keys
    }

    /// The longest end of a path that is a key.
    fn key(&self, catalogue: &LoadedCatalogue, path: &Path) -> Option<String> {
        if self.most_names == 0 {
            return None;
        }
        let path = absolute(path).ok()?;
        let names: Vec<_> = path.components().map(|name| name.as_os_str().to_string_lossy()).collect();
        let is_key = |key: &str| catalogue.row(key).is_some_and(|row| !self.ambiguous.contains(&row));
        (1..=self.most_names.min(names.len())).rev().find_map(|count| {
            let end = names[names.len() - count..].join("/");
            let short = without_ending(&end).to_owned();
            // A name alone, without its ending, may be anything.
            [Some(end), (count > 1).then_some(short)].into_iter().flatten().find(|end| is_key(end))
        })
    }
}
