//! The same rows in the same order, whatever the threads and batches.

use lucarne::engine::{Counts, RunOptions, Stop, Summary, run, stream};
use tempfile::tempdir;

use super::stages::{Recipe, all_rows, files_below};

fn run_recipe(recipe: &Recipe, run_dir: &std::path::Path) -> Summary {
    run(recipe.job(Some(run_dir)), &RunOptions::default(), &Stop::default(), &mut |_| {}).unwrap()
}

#[test]
fn tables_are_equal_bit_for_bit_for_every_number_of_threads_and_rows_of_a_batch() {
    let mut first = None;
    for (threads, batch_rows) in [(1, 1), (1, 16), (2, 16), (4, 16), (2, 64), (4, 1)] {
        let mut recipe = Recipe::default();
        (recipe.engine.threads, recipe.engine.batch_rows) = (threads, batch_rows);
        let dir = tempdir().unwrap();
        let summary = run_recipe(&recipe, dir.path());
        let seen = (all_rows(dir.path()), summary.findings, summary.counts, summary.tables);
        assert_eq!(*first.get_or_insert_with(|| seen.clone()), seen, "{threads} threads, batches of {batch_rows}");
    }
}

#[test]
fn a_batch_has_as_many_rows_as_a_score_wants_unless_the_settings_say() {
    let mut rows = Vec::new();
    for (asked, taken) in [(0, 70), (16, 16)] {
        let mut recipe = Recipe::default();
        recipe.engine.batch_rows = asked;
        let dir = tempdir().unwrap();
        run_recipe(&recipe, dir.path());
        let run: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("run.json")).unwrap()).unwrap();
        assert_eq!(run["engine"]["batch_rows"], taken, "{run}");
        rows.push(all_rows(dir.path()));
    }
    assert_eq!(rows[0], rows[1]);
}

#[test]
fn every_row_of_the_source_is_written_filtered_or_rejected() {
    let dir = tempdir().unwrap();
    let summary = run_recipe(&Recipe::default(), dir.path());
    let Counts { source, written, filtered, rejected } = summary.counts;
    assert_eq!(source, 301 + 17 + 404 + 1);
    assert_eq!(source, written + filtered + rejected);
    assert!(written > 0 && filtered > 0 && rejected > 0);
    let [objects, windows, rejects] = all_rows(dir.path());
    assert_eq!((objects.num_rows() as u64, rejects.num_rows() as u64), (written, rejected));
    assert_eq!(windows.num_rows() as u64, written.div_ceil(50));
    assert_eq!(summary.tables["objects"], written);
}

#[test]
fn a_finished_run_leaves_parts_records_and_nothing_else() {
    let dir = tempdir().unwrap();
    run_recipe(&Recipe::default(), dir.path());
    let files = files_below(dir.path());
    let names: Vec<String> =
        files.iter().map(|file| file.strip_prefix(dir.path()).unwrap().display().to_string()).collect();
    let known = |name: &String| {
        let part = |table: &str| name.starts_with(table) && name.ends_with(".parquet");
        let record = name.starts_with("_commits/") && (name.ends_with(".json") || name.ends_with(".windows.state"));
        part("objects/part-")
            || part("windows/part-")
            || part("rejects/part-")
            || record
            || name == "run.json"
            || name == "_lock"
    };
    assert!(names.iter().all(known), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with(".state")).count(), 1);
    let run: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join("run.json")).unwrap()).unwrap();
    assert_eq!(run["state"], "finished");
    assert_eq!(run["metrics"]["lucarne_stage_rows_total{family=\"source\",stage=\"source\"}"], 723);
    assert_eq!(run["scorers"]["model"]["device"], "mind");
}

#[test]
fn a_limit_takes_the_first_rows_of_the_source() {
    let (all, few) = (tempdir().unwrap(), tempdir().unwrap());
    run_recipe(&Recipe::default(), all.path());
    let limited = Recipe { limit: Some(310), ..Recipe::default() };
    assert_eq!(run_recipe(&limited, few.path()).counts.source, 310);
    let ([all, ..], [few, ..]) = (all_rows(all.path()), all_rows(few.path()));
    assert_eq!(all.slice(0, few.num_rows()), few);
}

#[test]
fn an_empty_source_leaves_tables_that_have_their_schemas() {
    let dir = tempdir().unwrap();
    run_recipe(&Recipe { splits: vec![], ..Recipe::default() }, dir.path());
    let [objects, windows, rejects] = all_rows(dir.path());
    assert_eq!((objects.num_rows(), windows.num_rows(), rejects.num_rows()), (0, 0, 0));
    assert!(objects.schema().field_with_name("model_class").is_ok());
    assert!(windows.schema().field_with_name("window").is_ok());
    assert!(rejects.schema().field_with_name("reason").is_ok());
}

#[test]
fn pulled_batches_are_the_rows_that_a_run_writes() {
    let dir = tempdir().unwrap();
    let summary = run_recipe(&Recipe::default(), dir.path());
    let mut stream = stream(Recipe::default().job(None)).unwrap();
    let mut sums = Vec::new();
    while let Some(batch) = stream.next_batch().unwrap() {
        sums.push(batch.column_by_name("sum").unwrap().clone());
    }
    assert_eq!(stream.counts(), summary.counts);
    assert_eq!(stream.take_rejects().len() as u64, summary.counts.rejected);
    let sums: Vec<_> = sums.iter().map(AsRef::as_ref).collect();
    let [objects, ..] = all_rows(dir.path());
    assert_eq!(&arrow::compute::concat(&sums).unwrap(), objects.column_by_name("sum").unwrap());
}

#[test]
fn a_stream_can_move_to_another_thread_and_be_dropped_half_read() {
    let recipe = Recipe { splits: vec![1_000_000], ..Recipe::default() };
    let mut stream = stream(recipe.job(None)).unwrap();
    let rows = std::thread::spawn(move || stream.next().unwrap().unwrap().num_rows()).join().unwrap();
    assert!(rows > 0 && rows <= 16);
}
