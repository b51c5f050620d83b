//! Splits that are groups of files: of a source that reads many small ones.
//!
//! The id of such a split has the number of the group, a digest of the names of its files, and the first name. Files that are renamed,
//! removed or inserted are noticed on a resume; files may be appended, which changes the id of the last group unless it was full.

use std::{ops::Range, path::PathBuf};

use crate::{
    error::{Error, Result},
    io::digest,
    stage::Split,
};

/// Files in a split: enough to fill batches, few enough that a split is a small unit of work.
pub(super) const FILES_PER_SPLIT: usize = 64;

/// The range of a group among some number of files.
pub(super) fn range(index: usize, files: usize) -> Range<usize> {
    let start = index.saturating_mul(FILES_PER_SPLIT).min(files);
    start..(start + FILES_PER_SPLIT).min(files)
}

/// The id of a group: its number, sixteen digits of the digest of its file names, and the first name.
pub(super) fn id(index: usize, files: &[&PathBuf]) -> String {
    // A NUL ends each name, so that `ab`, `c` and `a`, `bc` differ.
    let names: Vec<u8> = files.iter().flat_map(|file| [file.as_os_str().as_encoded_bytes(), &[0]].concat()).collect();
    let digest = digest::of_bytes(&names);
    format!("{index} {} {}", &digest[..16], files.first().map(|file| file.display().to_string()).unwrap_or_default())
}

/// The number of the group of a split, which must have the id that `id_of` gives for it.
///
/// # Errors
/// [`Error::Data`] if the files are others.
pub(super) fn index(split: &Split, files: usize, id_of: impl Fn(usize) -> String) -> Result<usize> {
    let index: Option<usize> = split.id.split(' ').next().and_then(|index| index.parse().ok());
    let index = index.filter(|index| !range(*index, files).is_empty() && id_of(*index) == split.id);
    index.ok_or_else(|| Error::data(format!("the files of split `{}` are not those that the run began with", split.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_change_between_versions() {
        let files = ["a.fits", "b.fits"].map(PathBuf::from);
        let files: Vec<&PathBuf> = files.iter().collect();
        // printf 'a.fits\0b.fits\0' | sha256sum
        assert_eq!(id(3, &files), "3 8070cb616900df44 a.fits");
        assert_ne!(id(3, &files[..1]), id(3, &files));
    }
}
