//! Stages that panic, rows that end a run, disks that are full: the run ends with an error of the right domain, and can be resumed.

use std::{path::Path, process::Command};

use lucarne::{
    engine::{EngineSettings, Existing, OnReject, RunOptions, Stop, Summary, run},
    error::{Error, Result},
};
use tempfile::tempdir;

use super::stages::{Recipe, all_rows, files_below};

fn start(recipe: &Recipe, run_dir: &Path) -> Result<Summary> {
    let options = RunOptions { existing: Existing::Resume };
    run(recipe.job(Some(run_dir)), &options, &Stop::default(), &mut |_| {})
}

fn undisturbed(recipe: &Recipe) -> [arrow::array::RecordBatch; 3] {
    let dir = tempdir().unwrap();
    start(recipe, dir.path()).unwrap();
    all_rows(dir.path())
}

fn run_record(run_dir: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(run_dir.join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_stage_that_panics_is_named_and_the_run_can_be_resumed() {
    let expected = undisturbed(&Recipe::default());
    for (stage, message) in [
        ("sum", "stage `sum` panicked: this row is too much"),
        ("windows", "stage `windows` panicked: no window here"),
        ("source", "stage `source` panicked: the source is dry"),
    ] {
        let dir = tempdir().unwrap();
        let error = start(&Recipe { panic: Some((stage, 212)), ..Recipe::default() }, dir.path()).unwrap_err();
        assert!(matches!(&error, Error::Stage { label, .. } if label == stage));
        assert_eq!(error.to_string(), message);
        let record = run_record(dir.path());
        assert_eq!((record["state"].as_str(), record["error"].as_str()), (Some("failed"), Some(message)));
        assert!(record["counts"]["source"].as_u64().unwrap() >= 100, "what came before is committed");
        assert!(files_below(&dir.path().join("_staging")).is_empty());
        start(&Recipe::default(), dir.path()).unwrap();
        assert_eq!(all_rows(dir.path()), expected, "{stage}");
    }
}

#[test]
fn a_reject_that_is_to_end_the_run_does_so_after_a_commit_of_what_came_before() {
    let dir = tempdir().unwrap();
    let mut recipe = Recipe::default();
    recipe.engine.on_reject = OnReject::Fail;
    let error = start(&recipe, dir.path()).unwrap_err();
    assert!(matches!(error, Error::Data { .. }));
    assert!(error.to_string().contains("rejected a row of `split 0, row "), "{error}");
    let counts = run_record(dir.path())["counts"].clone();
    assert_eq!(counts["rejected"], 0);
    // Quarantined, the first reject stands where the run ended: in the batch that was not committed.
    let first = undisturbed(&Recipe::default())[2].slice(0, 1);
    let origin = lucarne::batch::origin(&first, 0).unwrap().to_owned();
    assert!(error.to_string().contains(&format!("`{origin}`")), "{error}, {origin}");
}

struct Disk<'a>(&'a Path);

impl Disk<'_> {
    fn mount(options: &str, at: &Path) -> bool {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().unwrap();
    }
}

#[test]
fn a_full_disk_ends_the_run_and_a_resume_with_free_space_continues_it() {
    let recipe = Recipe {
        splits: vec![1500],
        side: 32,
        images: true,
        keep_images: true,
        engine: EngineSettings { threads: 2, commit_rows: 150, ..EngineSettings::default() },
        ..Recipe::default()
    };
    let dir = tempdir().unwrap();
    if !Disk::mount("size=3m", dir.path()) {
        crate::skip::skip("a full disk: mounting a small one needs root");
        return;
    }
    let disk = Disk(dir.path());
    let run_dir = dir.path().join("run");
    for _ in 0..2 {
        let error = start(&recipe, &run_dir).unwrap_err();
        assert!(matches!(error, Error::Environment { .. }), "{error:?}");
        assert!(error.report().contains("No space left on device"), "{}", error.report());
        let written = all_rows(&run_dir)[0].num_rows();
        assert!(written > 200, "{written} rows were committed before");
        assert!(files_below(&run_dir.join("_staging")).is_empty());
    }
    assert!(Disk::mount("remount,size=64m", dir.path()));
    start(&recipe, &run_dir).unwrap();
    assert_eq!(all_rows(&run_dir), undisturbed(&recipe));
    drop(disk);
}
