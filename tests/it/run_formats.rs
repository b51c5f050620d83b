//! Run directories of every format that was ever shipped, and what this version does with them (`src/ARCHITECTURE.md`).
//!
//! `tests/golden/runs/v0` was written by lucarne 0.1.0, before run directories had a format number, `v1` and `v2` by 0.2.0 before its
//! release; `make.py` beside them made them.

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
        assert!(error.to_string().contains("resumes format 3"), "{error}");
    }
}

#[test]
fn runs_of_formats_1_and_2_are_queried_reported_and_compacted_and_not_resumed() {
    for (format, number) in [("v1", 1), ("v2", 2)] {
        for (run, maxiter) in [("finished", "30"), ("killed", "30"), ("pending", "300")] {
            let what = format!("{format} {run}");
            let dir = copy(format, run);
            let record = RunRecord::read(dir.path()).unwrap().unwrap();
            assert_eq!((record.format, record.lucarne.version.as_str()), (number, "0.2.0"), "{what}");
            assert_eq!(count(dir.path(), "objects"), record.rows("objects") as i64, "{what}");
            let page = Report::open(dir.path()).unwrap().page().unwrap();
            assert!(page.contains("A small run of every monitor"), "{what}");
            let compacted = copy(format, run);
            let before: Vec<_> = TABLES.iter().map(|table| rows(compacted.path(), table)).collect();
            assert!(compact(compacted.path(), 1 << 20).is_ok(), "{what}");
            let after: Vec<_> = TABLES.iter().map(|table| rows(compacted.path(), table)).collect();
            assert_eq!(after, before, "{what}");
            let resumed = resume(pipeline(format).set("maxiter", maxiter), dir.path());
            if run == "finished" {
                assert!(resumed.unwrap().already_finished, "{what}");
                continue;
            }
            // Its tables have unsigned counts: a part with signed ones would give a column two types.
            let error = resumed.unwrap_err();
            assert!(matches!(error, Error::Data { .. }), "{error:?}");
            assert!(error.to_string().contains(&format!("has format {number}, this version")), "{error}");
            assert!(error.to_string().contains("resumes format 3"), "{error}");
        }
    }
}

const TABLES: [&str; 8] = ["accuracy", "attack", "calibration", "drawn", "drift", "noise", "objects", "window"];

#[test]
fn counts_of_every_format_are_signed_in_queries() {
    for format in ["v0", "v1", "v2"] {
        let run = Run::open(&golden(format).join("finished")).unwrap();
        for table in TABLES {
            let schema = run.query(&format!("select * from {table}")).unwrap().schema();
            for field in schema.fields() {
                let text = field.data_type().to_string();
                assert!(!text.contains("UInt"), "{format}: `{table}` has `{}` {text}", field.name());
            }
        }
        let one = |sql: &str| run.query(sql).unwrap().next().unwrap().unwrap();
        let sql = "select min(queries) - max(queries) as d, min(queries) as least, max(queries) as most from attack";
        let queries = one(sql);
        let number = |column: &str| queries[column].as_primitive::<Int64Type>().value(0);
        assert!(number("d") < 0 && number("d") == number("least") - number("most"), "{format}: {queries:?}");
        // As computed in floats; some pixels are left of the diagonal.
        let sql = "select count(*) filter (where pixel_row[1] < pixel_column[1]) as n, count(*) filter (where \
                   pixel_row[1] - pixel_column[1] <> pixel_row[1]::double - pixel_column[1]::double) as wrong from attack";
        let places = one(sql);
        let number = |column: &str| places[column].as_primitive::<Int64Type>().value(0);
        assert!(number("n") > 0 && number("wrong") == 0, "{format}: {places:?}");
        let sql = "select correct - n as d, n, correct from accuracy where class = 'all'";
        let accuracy = one(sql);
        let number = |column: &str| accuracy[column].as_primitive::<Int64Type>().value(0);
        assert_eq!(number("d"), number("correct") - number("n"), "{format}");
    }
}

/// A folder of runs of all formats: their integers have different widths.
#[test]
fn runs_of_all_formats_are_queried_together() {
    let folder = tempdir().unwrap();
    for format in ["v0", "v1", "v2"] {
        std::os::unix::fs::symlink(golden(format).join("finished"), folder.path().join(format)).unwrap();
    }
    let run = Run::open(folder.path()).unwrap();
    let sql = "select count(distinct run) as n, count(pixel_row[1] - pixel_column[1]) as places from attack";
    let rows = run.query(sql).unwrap().next().unwrap().unwrap();
    assert_eq!(rows["n"].as_primitive::<Int64Type>().value(0), 3);
    assert!(rows["places"].as_primitive::<Int64Type>().value(0) > 3);
    assert_eq!(run.take_warnings(), Vec::<String>::new());
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
