//! Seeds from files: those of the repository, and those of `../shared` where that is.

use std::{fs, path::Path};

/// The content of the files under some folders of the repository whose names end in one of `endings`, in the order of their paths.
pub(super) fn files(folders: &[&str], endings: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in folders {
        collect(&root.join(folder), endings, &mut found);
    }
    found
}

fn collect(path: &Path, endings: &[&str], found: &mut Vec<Vec<u8>>) {
    if path.is_dir() {
        let mut paths: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths.iter().for_each(|path| collect(path, endings, found));
    } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
        // Files that git keeps elsewhere, or that cannot be read, are not seeds.
        found.extend(fs::read(path).ok());
    }
}

/// The content of text files.
pub(super) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
