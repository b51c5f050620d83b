//! Entry points for fuzzing: one function per format that Lucarne reads from somebody else.
//!
//! Each takes any bytes and panics only if a promise is broken: readers return errors, never panic, and what they accept keeps the
//! invariants that the function asserts. `fuzz/` runs them under libFuzzer; the tests here run them over their seeds, the
//! regressions, and a fixed number of deterministic mutations. This module is compiled for tests and fuzzers only.

#[cfg(feature = "alerts")]
mod alerts;
#[cfg(feature = "fits")]
mod fits;
#[cfg(feature = "onnx")]
mod models;
#[cfg(test)]
mod mutation;
mod pipelines;
mod records;
mod scratch;
mod seeds;
mod sources;
#[cfg(feature = "sql")]
mod sql;
#[cfg(test)]
mod tests;

use std::{fs, panic, path::Path};

use crate::io::parquet::panics_are_contained;

/// A fuzz target.
pub struct FuzzTarget {
    /// Its name, that of its binary and of its folders.
    pub name: &'static str,
    /// Reads any bytes.
    pub run: fn(&[u8]),
    /// Valid and nearly valid inputs to begin with.
    seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format, inserted by mutations.
    words: &'static [&'static str],
    /// Inputs are at most this long.
    pub max_bytes: usize,
    /// How many mutations `make test` tries.
    #[cfg_attr(not(test), expect(dead_code, reason = "fuzzers run until they are stopped"))]
    mutations: u64,
}

/// All targets.
pub const TARGETS: &[FuzzTarget] = &[
    #[cfg(feature = "alerts")]
    alerts::CONTAINER,
    #[cfg(feature = "alerts")]
    alerts::MESSAGE,
    #[cfg(feature = "fits")]
    fits::HEADER,
    #[cfg(feature = "fits")]
    fits::TILES,
    #[cfg(feature = "fits")]
    sources::FITS,
    #[cfg(feature = "fits")]
    sources::CATALOGUE,
    #[cfg(feature = "fits")]
    sources::SKY_IMAGE,
    sources::PARQUET,
    #[cfg(feature = "onnx")]
    models::ONNX,
    #[cfg(feature = "onnx")]
    models::CARD,
    pipelines::DOCUMENT,
    records::COMMIT,
    records::RUN,
    records::SNAPSHOT,
    #[cfg(feature = "sql")]
    sql::QUERY,
];

impl FuzzTarget {
    /// The target of a name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> &'static Self {
        TARGETS.iter().find(|target| target.name == name).expect("a target of this name")
    }

    /// Prepares a fuzzer: writes the seeds into `corpus/NAME` and the words into `corpus/NAME.dict`, and lets panics pass that the
    /// library contains on purpose (see [`crate::io::parquet`]). libFuzzer's own hook aborts at the others.
    ///
    /// # Panics
    /// When the files cannot be written.
    pub fn begin(name: &str, folder: &str) -> &'static Self {
        let target = Self::named(name);
        let corpus = Path::new(folder).join("corpus");
        fs::create_dir_all(corpus.join(name)).expect("a folder");
        for (number, seed) in target.inputs().into_iter().enumerate() {
            fs::write(corpus.join(name).join(format!("seed-{number:03}")), seed).expect("a seed");
        }
        let words = target.words.iter().map(|word| {
            let escaped: String = word.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("\"{escaped}\"\n")
        });
        fs::write(corpus.join(format!("{name}.dict")), words.collect::<String>()).expect("a dictionary");
        let abort = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !panics_are_contained() {
                abort(info);
            }
        }));
        target
    }

    /// The seeds that are short enough.
    fn inputs(&self) -> Vec<Vec<u8>> {
        (self.seeds)().into_iter().filter(|seed| seed.len() <= self.max_bytes).collect()
    }
}
