//! Run directories of every format that was ever shipped, and what this version does with them (`src/ARCHITECTURE.md`).
//!
//! `tests/golden/runs/v0` was written by lucarne 0.1.0, before run directories had a format number, `v1` by 0.2.0; `make.py` beside
//! them made them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
    util::display::{ArrayFormatter, FormatOptions},
};
use lucarne::{
    engine::{Existing, compact},
    error::{Error, Result},
    pipeline::Pipeline,
    query::Run,
    report::Report,
    run::{self, RunRecord, RunState},
};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

fn golden(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/runs").join(format)
}

/// A copy of a golden run directory.
fn copy(format: &str, run: &str) -> TempDir {
    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() { copy_folder(&path, &target) } else { _ = fs::copy(&path, target).unwrap() }
        }
    }
    let dir = tempdir().unwrap();
    copy_folder(&golden(format).join(run), dir.path());
    dir
}

fn count(run_dir: &Path, table: &str) -> i64 {
    let run = Run::open(run_dir).unwrap();
    let batch = run.query(&format!("select count(*) as n from {table}")).unwrap().next().unwrap().unwrap();
    batch["n"].as_primitive::<Int64Type>().value(0)
}

/// All rows of a table, in order.
fn rows(run_dir: &Path, table: &str) -> Vec<Vec<String>> {
    let run = Run::open(run_dir).unwrap();
    let batches: Vec<RecordBatch> =
        run.query(&format!("select * from {table}")).unwrap().map(std::result::Result::unwrap).collect();
    let options = FormatOptions::default();
    let texts = |batch: &RecordBatch| {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        (0..batch.num_rows())
            .map(|row| columns.iter().map(|text| text.value(row).to_string()).collect())
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(texts).collect()
}

fn pipeline(format: &str) -> Pipeline {
    Pipeline::from_file(golden(format).join("pipeline.yaml")).unwrap()
}

fn resume(pipeline: Pipeline, run_dir: &Path) -> Result<lucarne::engine::Summary> {
    pipeline.existing(Existing::Resume).run(run_dir)
}

#[test]
fn runs_of_format_0_are_queried_and_reported() {
    for (run, state, objects, attack) in [
        ("finished", RunState::Finished, 60, 11),
        ("killed", RunState::Running, 32, 0),
        ("pending", RunState::Running, 60, 0),
    ] {
        let dir = copy("v0", run);
        let record = RunRecord::read(dir.path()).unwrap().unwrap();
        assert_eq!((record.format, record.lucarne.version.as_str(), record.state), (0, "0.1.0", state), "{run}");
        assert_eq!((count(dir.path(), "objects"), record.rows("objects")), (objects, objects as u64), "{run}");
        assert!(count(dir.path(), "attack") >= attack, "{run}");
        let page = Report::open(dir.path()).unwrap().page().unwrap();
        assert!(page.contains("A small run of every monitor"), "{run}");
    }
}

#[test]
fn runs_of_format_0_are_compacted_and_keep_their_format() {
    for run in ["finished", "killed", "pending"] {
        let dir = copy("v0", run);
        let before = count(dir.path(), "noise");
        let done = compact(dir.path(), 1 << 20).unwrap();
        assert!(done.parts_after < done.parts_before, "{run}: {done:?}");
        assert_eq!(count(dir.path(), "noise"), before, "{run}");
        assert!(run::replay(dir.path()).unwrap().iter().all(|record| record.format == 0), "{run}");
    }
}

#[test]
fn unfinished_runs_of_format_0_are_not_resumed_and_finished_ones_have_nothing_left() {
    let finished = copy("v0", "finished");
    assert!(resume(pipeline("v0"), finished.path()).unwrap().already_finished);
    for (run, maxiter) in [("killed", "30"), ("pending", "3000")] {
        let dir = copy("v0", run);
        let error = resume(pipeline("v0").set("maxiter", maxiter), dir.path()).unwrap_err();
        assert!(matches!(error, Error::Data { .. }), "{error:?}");
        assert!(error.to_string().contains("has format 0, this version of lucarne"), "{error}");
        assert!(error.to_string().contains("resumes formats 1 to 2"), "{error}");
    }
}

#[test]
fn runs_of_format_1_are_queried_reported_compacted_and_resumed() {
    let finished = golden("v1").join("finished");
    let tables = run::tables(&finished).unwrap();
    for (run, maxiter) in [("finished", "30"), ("killed", "30"), ("pending", "300")] {
        let dir = copy("v1", run);
        let record = RunRecord::read(dir.path()).unwrap().unwrap();
        assert_eq!((record.format, record.lucarne.version.as_str()), (1, "0.2.0"), "{run}");
        assert_eq!(count(dir.path(), "objects"), record.rows("objects") as i64, "{run}");
        assert!(Report::open(dir.path()).unwrap().page().unwrap().contains("A small run of every monitor"), "{run}");
        let compacted = copy("v1", run);
        let before = count(compacted.path(), "noise");
        assert!(compact(compacted.path(), 1 << 20).is_ok(), "{run}");
        assert_eq!(count(compacted.path(), "noise"), before, "{run}");
        let summary = resume(pipeline("v1").set("maxiter", maxiter), dir.path()).unwrap();
        assert_eq!((summary.counts.source, summary.already_finished), (60, run == "finished"), "{run}");
        // The attack of the pending run searches longer, so its table and those that read it differ.
        let same =
            tables.keys().filter(|table| run != "pending" || !["attack", "window", "drawn"].contains(&table.as_str()));
        for table in same {
            assert_eq!(rows(dir.path(), table), rows(&finished, table), "{run}: {table}");
        }
        // Parts of this version may have more columns than those before the resume.
        let drift = rows(dir.path(), "drift");
        assert!(compact(dir.path(), 1 << 20).is_ok(), "{run}");
        assert_eq!(rows(dir.path(), "drift"), drift, "{run}");
    }
}

/// Writes another format number into a record.
fn set_format(path: &Path, format: u32) {
    let mut record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    record["format"] = format.into();
    fs::write(path, record.to_string()).unwrap();
}

#[test]
fn a_newer_format_is_refused_by_name_whatever_is_asked() {
    let refused = |error: String| {
        assert!(error.contains("has format 99, this version of lucarne"), "{error}");
        assert!(error.contains("use a newer version"), "{error}");
    };
    let dir = copy("v0", "finished");
    let latest = *run::commits(dir.path()).unwrap().last().unwrap();
    set_format(&run::commit_path(dir.path(), latest), 99);
    refused(Run::open(dir.path()).err().unwrap().report());
    refused(Report::open(dir.path()).err().unwrap().report());
    refused(compact(dir.path(), 1 << 20).unwrap_err().report());
    refused(resume(pipeline("v0"), dir.path()).unwrap_err().report());
    let dir = copy("v0", "finished");
    set_format(&dir.path().join(run::RUN_RECORD), 99);
    refused(Report::open(dir.path()).err().unwrap().report());
    refused(resume(pipeline("v0"), dir.path()).unwrap_err().report());
}
