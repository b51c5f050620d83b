//! A folder of schemas for messages that only carry the number of theirs.
//!
//! Number 900 is the file `900.avsc` or `900.json`, or, as Rubin publishes its schemas, `lsst.v9_0.alert.avsc` in any folder below, with
//! the records that it names in files beside it (`lsst.v9_0.diaSource.avsc`).

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::WriterSchema;

/// The most files that are looked at.
const MAX_FILES: usize = 10_000;

/// The schemas of a folder, by their file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemaFolder {
    folder: PathBuf,
    files: BTreeMap<String, Vec<PathBuf>>,
}

impl SchemaFolder {
    /// Lists a folder and the folders in it.
    ///
    /// # Errors
    /// When the folder cannot be read, or has no schemas.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        let unreadable = |error: io::Error| format!("cannot read the folder `{}`: {error}", folder.display());
        list(folder, &mut files).map_err(unreadable)?;
        if files.is_empty() {
            return Err(format!("the folder `{}` has no schemas (`.avsc` or `.json`)", folder.display()));
        }
        Ok(Self { folder: folder.to_owned(), files })
    }

    /// The schema of a number.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn schema(&self, id: u32) -> Result<WriterSchema, String> {
        let rubin = format!("lsst.v{}_{}.", id / 100, id % 100);
        let names = [format!("{id}.avsc"), format!("{id}.json"), format!("{rubin}alert.avsc")];
        let found: Vec<&PathBuf> = names.iter().filter_map(|name| self.files.get(name)).flatten().collect();
        if let [one, other, ..] = found.as_slice() {
            return Err(format!(
                "has the schema {id}, and `{}` and `{}` both have that number: leave one",
                one.display(),
                other.display()
            ));
        }
        let Some(path) = found.first().copied() else {
            return Err(format!(
                "has the schema {id}, and `{}` has none of `{}`",
                self.folder.display(),
                names.join("`, `")
            ));
        };
        let read = |path: &PathBuf| {
            fs::read_to_string(path)
                .map_err(|error| format!("has a schema that cannot be read, `{}`: {error}", path.display()))
        };
        let is_part =
            |name: &str, own: &PathBuf| name.starts_with(&rubin) && own != path && own.parent() == path.parent();
        let parts = self.all().filter(|(name, own)| is_part(name, own));
        let named: Vec<String> = parts.map(|(_, own)| read(own)).collect::<Result<_, _>>()?;
        WriterSchema::parse_parts(&read(path)?, &named).map_err(|reason| format!("`{}` {reason}", path.display()))
    }

    /// All its files: a run depends on them.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.values().flatten()
    }

    fn all(&self) -> impl Iterator<Item = (&String, &PathBuf)> {
        self.files.iter().flat_map(|(name, paths)| paths.iter().map(move |path| (name, path)))
    }
}

fn list(folder: &Path, files: &mut BTreeMap<String, Vec<PathBuf>>) -> io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if files.len() >= MAX_FILES {
            break;
        }
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "avsc" || extension == "json")
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            files.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    Ok(())
}
