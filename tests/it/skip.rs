//! A test that cannot run here says so. `make test` prints what was skipped at its end: the file that `LUCARNE_SKIPPED` names
//! collects the reasons of all tests.

use std::{
    fs::OpenOptions,
    io::{self, Write},
};

/// Reports that a test, or a part of it, is skipped.
pub(crate) fn skip(reason: impl AsRef<str>) {
    let line = format!("skipped: {}\n", reason.as_ref());
    // Not `eprintln!`, whose output is hidden for passing tests. One write: tests run side by side.
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("LUCARNE_SKIPPED") {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
