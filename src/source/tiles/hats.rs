//! HATS catalogues: a folder with properties, and files of Parquet by healpix pixels (IVOA note on HATS; hats.readthedocs.io).
//!
//! ```text
//! hats.properties (or `properties`)
//! dataset/Norder=1/Dir=0/Npix=44.parquet (or without `dataset`; or a folder `Npix=44` with files)
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The names of the file with the properties, the newest first.
const PROPERTIES: [&str; 2] = ["hats.properties", "properties"];
/// That of a collection: a catalogue with its margins and indices.
const COLLECTION: &str = "collection.properties";
/// The key of a collection with the folder of its catalogue.
const PRIMARY: &str = "hats_primary_table_url";
/// The deepest order of healpix whose pixels have numbers of 64 bits.
const MAX_ORDER: u32 = 29;
/// The types of catalogues whose rows are objects or sources of the sky, each once: not margins, indices or associations.
const TYPES: [&str; 2] = ["object", "source"];

/// A HATS catalogue.
#[derive(Debug)]
pub(super) struct HatsCatalogue {
    /// The file with its properties.
    pub(super) properties: PathBuf,
    /// The files, in the order of healpix pixels (nested).
    pub(super) files: Vec<PathBuf>,
    /// The number of rows.
    pub(super) rows: Option<u64>,
    /// The columns with the positions.
    pub(super) ra: Option<String>,
    pub(super) dec: Option<String>,
}

impl HatsCatalogue {
    /// Reads the properties and lists the files; the error is the reason why the folder is not such a catalogue.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let collection = folder.join(COLLECTION);
        if collection.is_file() {
            let properties = properties(&collection)?;
            let primary = properties.get(PRIMARY).filter(|name| !name.is_empty() && !name.contains("://"));
            let primary =
                primary.ok_or_else(|| format!("`{COLLECTION}` has no `{PRIMARY}` with the folder of its catalogue"))?;
            let primary = folder.join(primary);
            if primary.join(COLLECTION).is_file() {
                return Err(format!("`{PRIMARY}` of `{COLLECTION}` names another collection, expected a catalogue"));
            }
            return Self::open(&primary).map_err(|reason| format!("`{}`: {reason}", primary.display()));
        }
        let path = PROPERTIES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let path = path.ok_or("it is a folder without `hats.properties`, expected a file or a HATS catalogue")?;
        let properties = properties(&path)?;
        let get = |key: &str| properties.get(key).filter(|value| !value.is_empty()).cloned();
        if let Some(kind) = get("dataproduct_type").filter(|kind| !TYPES.contains(&kind.as_str())) {
            return Err(format!("`dataproduct_type` is `{}`, expected `object` or `source`", kind.escape_debug()));
        }
        let rows = get("hats_nrows").map(|rows| {
            rows.parse().map_err(|_| format!("`hats_nrows` is `{}`, expected a whole number", rows.escape_debug()))
        });
        let dataset = folder.join("dataset");
        let files = partitions(if dataset.is_dir() { &dataset } else { folder })?;
        if files.is_empty() {
            return Err("it has no files `Norder=*/Dir=*/Npix=*.parquet`".into());
        }
        let (ra, dec) = (get("hats_col_ra"), get("hats_col_dec"));
        Ok(Self { properties: path, files, rows: rows.transpose()?, ra, dec })
    }
}

/// The lines `key=value` of a file, without comments.
fn properties(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect())
}

/// The files by healpix pixels, in the order of these.
fn partitions(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files: Vec<(HealpixPixel, PathBuf)> = Vec::new();
    for (order, folder) in numbered(folder, "Norder=")? {
        for (_, folder) in numbered(&folder, "Dir=")? {
            for (number, path) in numbered(&folder, "Npix=")? {
                let pixel = HealpixPixel::new(order, number)
                    .ok_or_else(|| format!("`{}` is not a pixel of healpix order {order}", path.display()))?;
                if path.is_dir() {
                    files.extend(parquet_files(&path)?.into_iter().map(|path| (pixel, path)));
                } else {
                    files.push((pixel, path));
                }
            }
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// A pixel, in the order of the nested scheme: by its first position at the deepest order, larger ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct HealpixPixel {
    first: u64,
    order: u32,
}

impl HealpixPixel {
    fn new(order: u64, number: u64) -> Option<Self> {
        let order = u32::try_from(order).ok().filter(|order| *order <= MAX_ORDER)?;
        (number < 12 << (2 * order)).then(|| Self { first: number << (2 * (MAX_ORDER - order)), order })
    }
}

/// The entries of a folder whose names are a prefix and a number, with or without `.parquet`.
fn numbered(folder: &Path, prefix: &str) -> Result<Vec<(u64, PathBuf)>, String> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(prefix).map(|rest| rest.strip_suffix(".parquet").unwrap_or(rest));
        let Some(number) = number else { continue };
        let number = number.parse().map_err(|_| format!("`{}` is not `{prefix}` and a number", path.display()))?;
        found.push((number, path));
    }
    Ok(found)
}

fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let is_parquet = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
    Ok(entries(folder)?.into_iter().filter(is_parquet).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: io::Error| format!("cannot read `{}`: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_of_several_orders_are_in_one_order_of_the_sky() {
        let pixel = |order, number| HealpixPixel::new(order, number).expect("a pixel");
        // Pixel 3 of order 1 has the pixels 12 to 15 of order 2.
        let mut pixels = [pixel(2, 12), pixel(1, 4), pixel(2, 11), pixel(1, 3), pixel(0, 1)];
        pixels.sort();
        assert_eq!(pixels, [pixel(2, 11), pixel(1, 3), pixel(2, 12), pixel(0, 1), pixel(1, 4)]);
        for (order, number) in [(0, 12), (1, 48), (30, 0), (u64::MAX, 0), (29, 12 << 58)] {
            assert_eq!(HealpixPixel::new(order, number), None, "{order} {number}");
        }
        assert_eq!(pixel(29, (12 << 58) - 1).first, (12 << 58) - 1);
    }
}
