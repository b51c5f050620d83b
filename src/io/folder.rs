//! The files of a folder and its subfolders, and what is left out of them.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

/// What a folder left out.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Files that are not accepted, by their ending.
    endings: BTreeMap<String, usize>,
    /// Links to folders that are read already, or that lead nowhere.
    links: usize,
}

impl LeftOut {
    /// What was left out, if anything: `3 files with other endings (`.txt` 2, `.Z` 1) and 1 link to a folder that is read already`.
    pub(super) fn in_words(&self) -> Option<String> {
        const MOST_ENDINGS: usize = 8;
        let files: usize = self.endings.values().sum();
        let mut parts = Vec::new();
        if files > 0 {
            let mut endings: Vec<(&String, &usize)> = self.endings.iter().collect();
            endings.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let rest = endings.len().saturating_sub(MOST_ENDINGS);
            let mut shown: Vec<String> = endings
                .iter()
                .take(MOST_ENDINGS)
                .map(|(ending, count)| match ending.as_str() {
                    "" => format!("none {count}"),
                    ending => format!("`{}` {count}", ending.escape_debug()),
                })
                .collect();
            shown.extend((rest > 0).then(|| format!("{rest} more")));
            let what = if files == 1 { "file with another ending" } else { "files with other endings" };
            parts.push(format!("{files} {what} ({})", shown.join(", ")));
        }
        if self.links > 0 {
            let what = if self.links == 1 { "link to a folder" } else { "links to folders" };
            parts.push(
                format!("{} {what} that are read already", self.links).replace("folder that are", "folder that is"),
            );
        }
        (!parts.is_empty()).then(|| parts.join(" and "))
    }

    fn file(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ending = if name.starts_with("._") {
            "._*".to_owned()
        } else {
            path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default()
        };
        *self.endings.entry(ending).or_default() += 1;
    }
}

/// The files of a folder that `accepts` takes by their names, sorted; `recursive` includes those of its subfolders. Links to
/// folders are followed, each folder once: links can lead in a circle. A folder that is also there without a link is listed
/// without it.
///
/// # Errors
/// When the folder or one of its subfolders cannot be read.
pub(super) fn list(
    folder: &Path,
    accepts: fn(&Path) -> bool,
    recursive: bool,
    left_out: &mut LeftOut,
) -> io::Result<Vec<PathBuf>> {
    let mut walk = Walk { accepts, recursive, seen: HashSet::new(), links: Vec::new(), files: Vec::new(), left_out };
    walk.seen.insert(identity(folder)?);
    walk.folder(folder)?;
    while let Some(link) = walk.next_link() {
        if walk.seen.insert(identity(&link)?) {
            walk.folder(&link).map_err(|error| io::Error::other(format!("`{}`: {error}", link.display())))?;
        } else {
            walk.left_out.links += 1;
        }
    }
    let mut files = walk.files;
    files.sort();
    Ok(files)
}

struct Walk<'a> {
    accepts: fn(&Path) -> bool,
    recursive: bool,
    /// The folders so far.
    seen: HashSet<FolderIdentity>,
    /// Links to folders, to be followed when all folders without a link are known.
    links: Vec<PathBuf>,
    files: Vec<PathBuf>,
    left_out: &'a mut LeftOut,
}

impl Walk<'_> {
    /// The first link by name, whatever the order of the system.
    fn next_link(&mut self) -> Option<PathBuf> {
        self.links.sort_by(|a, b| b.cmp(a));
        self.links.pop()
    }

    fn folder(&mut self, folder: &Path) -> io::Result<()> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if (self.accepts)(&path) {
                self.files.push(path);
            } else if kind.is_dir() {
                folders.extend(self.recursive.then_some(path));
            } else if kind.is_symlink() && fs::metadata(&path).is_ok_and(|target| target.is_dir()) {
                self.links.extend(self.recursive.then_some(path));
            } else {
                self.left_out.file(&path);
            }
        }
        folders.sort();
        for path in folders {
            let named = |error| io::Error::other(format!("`{}`: {error}", path.display()));
            if self.seen.insert(identity(&path).map_err(named)?) {
                self.folder(&path).map_err(named)?;
            } else {
                self.left_out.links += 1;
            }
        }
        Ok(())
    }
}

/// What tells a folder from others, whatever its path: device and inode.
#[cfg(unix)]
type FolderIdentity = (u64, u64);
#[cfg(unix)]
fn identity(folder: &Path) -> io::Result<FolderIdentity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(folder)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
type FolderIdentity = PathBuf;
#[cfg(not(unix))]
fn identity(folder: &Path) -> io::Result<FolderIdentity> {
    folder.canonicalize()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn is_fits(path: &Path) -> bool {
        path.extension().is_some_and(|ending| ending == "fits")
    }

    fn listed(folder: &Path) -> (Vec<String>, Option<String>) {
        let mut left_out = LeftOut::default();
        let files = list(folder, is_fits, true, &mut left_out).expect("listed");
        let names = files.iter().map(|file| file.strip_prefix(folder).expect("below").display().to_string());
        (names.collect(), left_out.in_words())
    }

    #[test]
    fn follows_linked_folders_once_and_prefers_the_folder_itself() {
        let (inside, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let folder = inside.path();
        fs::create_dir(folder.join("tract")).expect("created");
        fs::write(folder.join("tract/a.fits"), "").expect("written");
        fs::write(outside.path().join("b.fits"), "").expect("written");
        // Into a circle, to a sibling, and outside, from where a second link leads back.
        symlink("..", folder.join("tract/up")).expect("linked");
        symlink("tract", folder.join("latest")).expect("linked");
        symlink(outside.path(), folder.join("scratch")).expect("linked");
        symlink(folder, outside.path().join("back")).expect("linked");
        symlink("nowhere", folder.join("dangling")).expect("linked");
        let (files, left_out) = listed(folder);
        assert_eq!(files, ["scratch/b.fits", "tract/a.fits"]);
        let expected = "1 file with another ending (none 1) and 3 links to folders that are read already";
        assert_eq!(left_out.as_deref(), Some(expected));
    }

    #[test]
    fn counts_files_by_ending() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.fits", "b.zst", "c.zst", "README", "._a.tmp"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let expected = "4 files with other endings (`.zst` 2, none 1, `._*` 1)";
        assert_eq!(listed(folder.path()), (vec!["a.fits".to_owned()], Some(expected.to_owned())));
    }
}
