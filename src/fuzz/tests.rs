//! The targets over their seeds, over the regressions, and over deterministic mutations.

use std::{
    fs,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{FuzzTarget, TARGETS, mutation::Mutations};

/// No input of a few kilobytes may take longer, on any machine.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Runs a target on one input. An input that breaks a promise is kept, and named.
fn check(target: &FuzzTarget, bytes: &[u8]) {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    let took = began.elapsed();
    if outcome.is_err() || took > MAX_TIME {
        let kept = std::env::temp_dir().join(format!("lucarne-{}-{:08x}", target.name, crc32fast::hash(bytes)));
        fs::write(&kept, bytes).expect("room");
        let what = if outcome.is_err() { "panics" } else { "is slow" };
        let _ = writeln!(io::stderr(), "{} {what} at `{}` after {took:?}", target.name, kept.display());
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
    assert!(took <= MAX_TIME, "{} took {took:?}", target.name);
}

fn regressions(target: &FuzzTarget) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions").join(target.name);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
    paths.sort();
    paths
}

/// Tries a target, as `make test` does. `LUCARNE_FUZZ_MUTATIONS` tries another number of mutations.
fn try_target(name: &str) {
    let target = FuzzTarget::named(name);
    for path in regressions(target) {
        check(target, &fs::read(&path).expect("a regression"));
    }
    let seeds = target.inputs();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    seeds.iter().for_each(|seed| check(target, seed));
    let given = std::env::var("LUCARNE_FUZZ_MUTATIONS").ok().and_then(|count| count.parse().ok());
    let mut mutations = Mutations::new(name, &seeds, target.words, target.max_bytes);
    for _ in 0..given.unwrap_or(target.mutations) {
        check(target, &mutations.next_input());
    }
}

macro_rules! targets {
    ($($(#[$feature:meta])? $name:ident,)*) => {
        $($(#[$feature])? #[test] fn $name() { try_target(stringify!($name)); })*

        #[test]
        fn every_target_has_a_test_and_a_binary() {
            let tested = [$($(#[$feature])? stringify!($name),)*];
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, tested);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
            for name in names {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no {name}");
                assert!(folder.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} has no binary");
            }
            if !folder.join("../../shared/data/fits_edge").is_dir() {
                let _ = io::stderr().write_all(b"skipped: seeds for fuzzing: missing `../shared/data/fits_edge`\n");
            }
        }
    };
}

targets! {
    #[cfg(feature = "alerts")] alert_container,
    #[cfg(feature = "alerts")] alert_message,
    #[cfg(feature = "fits")] fits_header,
    #[cfg(feature = "fits")] fits_tiles,
    #[cfg(feature = "fits")] fits_source,
    #[cfg(feature = "fits")] catalogue,
    #[cfg(feature = "fits")] sky_image,
    parquet,
    #[cfg(feature = "onnx")] onnx,
    #[cfg(feature = "onnx")] card,
    document,
    commit_record,
    run_record,
    snapshot,
    #[cfg(feature = "sql")] sql,
}
