//! Fewer, larger parts that hold the same rows.

use lucarne::engine::{Existing, RunOptions, Stop, compact, run};
use tempfile::tempdir;

use super::stages::{Recipe, all_rows, files_below};

#[test]
fn a_compacted_run_holds_the_same_rows_in_fewer_parts_and_can_still_be_resumed() {
    let dir = tempdir().unwrap();
    let stop = Stop::default();
    let recipe = Recipe::default();
    let stopped = run(recipe.job(Some(dir.path())), &RunOptions::default(), &stop, &mut |status| {
        if status.commits >= 4 {
            stop.request();
        }
    });
    assert!(stopped.is_err());
    let before = all_rows(dir.path());
    let done = compact(dir.path(), 1 << 20).unwrap();
    assert!(done.parts_before >= 12 && done.parts_after == 3, "{done:?}");
    assert_eq!(all_rows(dir.path()), before);
    let parts =
        files_below(dir.path()).iter().filter(|file| file.extension().is_some_and(|end| end == "parquet")).count();
    assert_eq!(parts, 3, "the old parts are gone");
    assert_eq!(files_below(&dir.path().join("_staging")).len(), 0);
    let again = compact(dir.path(), 1 << 20).unwrap();
    assert_eq!((again.parts_before, again.parts_after), (3, 3));

    let options = RunOptions { existing: Existing::Resume };
    run(recipe.job(Some(dir.path())), &options, &Stop::default(), &mut |_| {}).unwrap();
    let undisturbed = tempdir().unwrap();
    run(recipe.job(Some(undisturbed.path())), &RunOptions::default(), &Stop::default(), &mut |_| {}).unwrap();
    assert_eq!(all_rows(dir.path()), all_rows(undisturbed.path()));
}

#[test]
fn a_long_chain_of_commits_is_replaced_by_a_checkpoint_that_lists_all() {
    let dir = tempdir().unwrap();
    let mut recipe = Recipe { splits: vec![600], ..Recipe::default() };
    (recipe.engine.batch_rows, recipe.engine.commit_rows) = (3, 3);
    let summary = run(recipe.job(Some(dir.path())), &RunOptions::default(), &Stop::default(), &mut |_| {}).unwrap();
    let records = std::fs::read_dir(dir.path().join("_commits")).unwrap().count();
    assert!(records < 120, "{records} of more than 200 records are left");
    assert_eq!(all_rows(dir.path())[0].num_rows() as u64, summary.counts.written);
    let options = RunOptions { existing: Existing::Resume };
    let resumed = run(recipe.job(Some(dir.path())), &options, &Stop::default(), &mut |_| {}).unwrap();
    assert!(resumed.already_finished);
    assert_eq!((resumed.findings, resumed.tables), (summary.findings, summary.tables));
}

#[test]
fn rejects_a_folder_that_is_not_a_run() {
    let dir = tempdir().unwrap();
    assert!(compact(dir.path(), 1 << 20).unwrap_err().to_string().ends_with("is not a run directory"));
}

#[test]
fn a_compaction_that_was_killed_before_it_had_cleared_up_is_cleared_up_by_the_next_start() {
    let dir = tempdir().unwrap();
    run(Recipe::default().job(Some(dir.path())), &RunOptions::default(), &Stop::default(), &mut |_| {}).unwrap();
    let before: Vec<_> =
        files_below(dir.path()).into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect();
    let rows = all_rows(dir.path());
    compact(dir.path(), 1 << 20).unwrap();
    let after = files_below(dir.path());
    for (content, file) in before.iter().filter(|(_, file)| !after.contains(file)) {
        std::fs::write(file, content).unwrap();
    }
    assert!(files_below(dir.path()).len() > after.len());
    assert_eq!(all_rows(dir.path()), rows, "the checkpoint alone counts");
    let options = RunOptions { existing: Existing::Resume };
    assert!(
        run(Recipe::default().job(Some(dir.path())), &options, &Stop::default(), &mut |_| {}).unwrap().already_finished
    );
    assert_eq!(files_below(dir.path()), after);
    assert_eq!(all_rows(dir.path()), rows);
}
