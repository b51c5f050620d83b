//! Compressed files, and what a folder contributes.

use std::{fs, path::Path};

use super::{cube, read, source::strings, text};
use lucarne::source::fits::Fits;

#[test]
fn folders_leave_out_other_files_and_follow_linked_folders() {
    let (folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join("9812")).unwrap();
    for name in ["9812/a.fits", "9812/._a.fits", "9812/b.fits.Z"] {
        fs::write(folder.path().join(name), cube(2, 1.0)).unwrap();
    }
    fs::write(scratch.path().join("linked.fits"), cube(2, 1.0)).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(scratch.path(), folder.path().join("9813")).unwrap();
    let output = read(Fits::new([text(folder.path())]));
    assert_eq!(output.rejects, []);
    let expected: &[&str] = if cfg!(unix) { &["9812/a", "9813/linked"] } else { &["9812/a"] };
    assert_eq!(strings(&output.rows, "object_id").into_iter().flatten().collect::<Vec<_>>(), expected);
}

#[test]
fn reads_the_files_of_the_case_of_mixed_endings() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases/fits-paths-skipped");
    if !case.exists() {
        return crate::skip::skip("compressed FITS files: missing `../shared/cases`");
    }
    let output = read(Fits::new([text(&case.join("mixed"))]));
    assert_eq!(output.rejects, []);
    let ids: Vec<String> = strings(&output.rows, "object_id").into_iter().flatten().collect();
    assert_eq!(ids, ["a", "b", "d", "g", "h"]);
}
