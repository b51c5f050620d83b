//! A run that was killed, stopped or refused, and what becomes of it.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use lucarne::{
    engine::{Existing, RunOptions, Stop, Summary, run},
    error::{Error, Result},
};
use tempfile::tempdir;

use super::{
    child,
    stages::{Recipe, all_rows, files_below, mix},
};

fn start(recipe: &Recipe, run_dir: &Path, existing: Existing) -> Result<Summary> {
    run(recipe.job(Some(run_dir)), &RunOptions { existing }, &Stop::default(), &mut |_| {})
}

#[test]
fn a_run_killed_at_25_random_instants_equals_an_undisturbed_one_bit_for_bit() {
    let recipe = "killed 3000";
    let undisturbed = tempdir().unwrap();
    let began = Instant::now();
    assert!(child::spawn(recipe, undisturbed.path()).wait_with_output().unwrap().status.success());
    let mut whole = began.elapsed();
    let expected = all_rows(undisturbed.path());
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}, an undisturbed run takes {whole:?}");
    let mut dir = tempdir().unwrap();
    let (mut kills, mut finished) = (0, 0);
    for turn in 0.. {
        let mut running = child::spawn(recipe, dir.path());
        sleep(whole.mul_f64((mix(seed, turn) % 1000) as f64 / 1500.0));
        if running.try_wait().unwrap().is_none() && kills < 25 {
            running.kill().unwrap();
            running.wait().unwrap();
            kills += 1;
            continue;
        }
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(all_rows(dir.path()), expected);
        assert!(files_below(&dir.path().join("_staging")).is_empty());
        finished += 1;
        // The first run may have been slowed down by its neighbours.
        whole = whole.mul_f64(0.7);
        if kills == 25 {
            break;
        }
        dir = tempdir().unwrap();
    }
    println!("{kills} kills in {finished} runs");
}

#[test]
fn a_resume_into_a_missing_folder_begins() {
    let dir = tempdir().unwrap();
    let summary = start(&Recipe::default(), &dir.path().join("a/b"), Existing::Resume).unwrap();
    assert_eq!(summary.counts.source, 723);
}

#[test]
fn an_existing_run_is_neither_touched_nor_resumed_unless_asked() {
    let dir = tempdir().unwrap();
    start(&Recipe::default(), dir.path(), Existing::Refuse).unwrap();
    let before = files_below(dir.path());
    let error = start(&Recipe::default(), dir.path(), Existing::Refuse).unwrap_err();
    assert!(error.to_string().contains("already holds a run: resume it, overwrite it"), "{error}");
    assert_eq!(files_below(dir.path()), before);
    let again = start(&Recipe::default(), dir.path(), Existing::Resume).unwrap();
    assert!(again.already_finished);
    assert_eq!((again.counts.source, again.findings.is_empty()), (723, false));
    let smaller = Recipe { splits: vec![30], ..Recipe::default() };
    let over = start(&smaller, dir.path(), Existing::Overwrite).unwrap();
    assert_eq!(over.counts.source, 30);
    assert_eq!(all_rows(dir.path())[0].num_rows() as u64, over.counts.written);
}

#[test]
fn never_overwrites_a_folder_that_is_not_a_run() {
    let dir = tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    for existing in [Existing::Refuse, Existing::Resume, Existing::Overwrite] {
        let error = start(&Recipe::default(), dir.path(), existing).unwrap_err();
        assert!(error.to_string().contains("is not empty and is not a run directory"), "{error}");
    }
    assert_eq!(files_below(dir.path()).len(), 1);
}

#[test]
fn overwriting_leaves_what_is_not_of_the_run() {
    let dir = tempdir().unwrap();
    start(&Recipe::default(), dir.path(), Existing::Refuse).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    start(&Recipe::default(), dir.path(), Existing::Overwrite).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
}

/// A run that was stopped after its first commit.
fn stopped(recipe: &Recipe, run_dir: &Path) {
    let stop = Stop::default();
    let outcome = run(recipe.job(Some(run_dir)), &RunOptions::default(), &stop, &mut |status| {
        if status.commits > 0 {
            stop.request();
        }
    });
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
}

#[test]
fn a_stopped_run_commits_and_continues_from_there() {
    let (undisturbed, dir) = (tempdir().unwrap(), tempdir().unwrap());
    start(&Recipe::default(), undisturbed.path(), Existing::Refuse).unwrap();
    stopped(&Recipe::default(), dir.path());
    let run: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join("run.json")).unwrap()).unwrap();
    assert_eq!(run["state"], "interrupted");
    let committed = run["counts"]["source"].as_u64().unwrap();
    assert!((100..723).contains(&committed), "{committed}");
    let mut recipe = Recipe::default();
    (recipe.engine.threads, recipe.engine.batch_rows) = (4, 64);
    let summary = start(&recipe, dir.path(), Existing::Resume).unwrap();
    assert_eq!(summary.counts.source, 723);
    assert_eq!(all_rows(dir.path()), all_rows(undisturbed.path()));
}

#[test]
fn a_run_whose_monitor_broke_off_is_interrupted_and_continues_from_its_last_commit() {
    let undisturbed = tempdir().unwrap();
    start(&Recipe::default(), undisturbed.path(), Existing::Refuse).unwrap();
    // Before the first commit, and after it.
    for (row, custom) in [(30, true), (30, false), (290, true), (290, false)] {
        let dir = tempdir().unwrap();
        let broken_off = Recipe { panic: Some(("stopped", row)), custom, ..Recipe::default() };
        let error = start(&broken_off, dir.path(), Existing::Refuse).unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error:?}");
        let record: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("run.json")).unwrap()).unwrap();
        assert_eq!((&record["state"], record["counts"]["source"] == 0), (&"interrupted".into(), row == 30));
        let summary = start(&Recipe { custom, ..Recipe::default() }, dir.path(), Existing::Resume).unwrap();
        assert_eq!(summary.counts.source, 723);
        assert_eq!(all_rows(dir.path()), all_rows(undisturbed.path()));
    }
}

#[test]
fn a_resume_with_another_pipeline_seed_limit_or_source_is_refused() {
    let dir = tempdir().unwrap();
    let recipe = Recipe::default();
    stopped(&recipe, dir.path());
    let refused = |other: &Recipe, expected: &str| {
        let error = start(other, dir.path(), Existing::Resume).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(&Recipe { seed: 6, ..recipe.clone() }, "cannot resume with seed 6: the run began with seed 5");
    refused(
        &Recipe { limit: Some(9), ..recipe.clone() },
        "cannot resume with a limit of 9 rows: the run began with no limit",
    );
    let other = Recipe { splits: vec![301, 0, 17, 404, 2], ..recipe.clone() };
    refused(&other, "`source.numbers.splits` was [301,0,17,404,1], is [301,0,17,404,2]");
    assert_eq!(start(&recipe, dir.path(), Existing::Resume).unwrap().counts.source, 723);
}

#[test]
fn a_run_with_a_stage_that_has_no_digest_is_not_resumed() {
    let dir = tempdir().unwrap();
    let recipe = Recipe::default();
    stopped(&recipe, dir.path());
    let mut job = recipe.job(Some(dir.path()));
    job.undigested.push("mine".into());
    let options = RunOptions { existing: Existing::Resume };
    let error = run(job, &options, &Stop::default(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("the stage `mine` is built in code and has no digest"), "{error}");
    assert_eq!(start(&recipe, dir.path(), Existing::Resume).unwrap().counts.source, 723);
}

#[test]
fn two_runs_cannot_share_a_directory() {
    let dir = tempdir().unwrap();
    let recipe = Recipe::default();
    let mut second = None;
    let outcome = run(recipe.job(Some(dir.path())), &RunOptions::default(), &Stop::default(), &mut |_| {
        second.get_or_insert_with(|| start(&Recipe::default(), dir.path(), Existing::Resume));
    });
    assert!(outcome.is_ok());
    let error = second.unwrap().unwrap_err();
    assert!(error.to_string().contains("another process is using"), "{error}");
}

#[test]
fn a_source_that_waits_still_commits_on_time_and_can_be_stopped() {
    let dir = tempdir().unwrap();
    let mut recipe = Recipe { splits: vec![40], endless: true, ..Recipe::default() };
    recipe.engine.commit_seconds = 0.2;
    let stop = Stop::default();
    let waiter = {
        let (stop, path) = (stop.clone(), dir.path().to_owned());
        std::thread::spawn(move || {
            let began = Instant::now();
            while !path.join("_commits/0000000001.json").exists() && began.elapsed() < Duration::from_secs(20) {
                sleep(Duration::from_millis(10));
            }
            stop.request();
        })
    };
    let outcome = run(recipe.job(Some(dir.path())), &RunOptions::default(), &stop, &mut |_| {});
    waiter.join().unwrap();
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
    let rejects = all_rows(dir.path())[2].num_rows();
    assert!(all_rows(dir.path())[0].num_rows() > 0 && rejects < 40);
    assert!(dir.path().join("_commits/0000000001.json").exists());
}

#[test]
fn parts_that_a_kill_left_in_staging_are_read_there_and_moved_by_a_resume() {
    let (undisturbed, dir) = (tempdir().unwrap(), tempdir().unwrap());
    start(&Recipe::default(), undisturbed.path(), Existing::Refuse).unwrap();
    stopped(&Recipe::default(), dir.path());
    let committed = all_rows(dir.path());
    let latest = *lucarne::run::commits(dir.path()).unwrap().last().unwrap();
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(lucarne::run::commit_path(dir.path(), latest)).unwrap()).unwrap();
    let mut moved = 0;
    for (table, parts) in record["tables"].as_object().unwrap() {
        let staging = dir.path().join("_staging").join(table);
        std::fs::create_dir_all(&staging).unwrap();
        for part in parts.as_array().unwrap() {
            let file = part["file"].as_str().unwrap();
            std::fs::rename(dir.path().join(table).join(file), staging.join(file)).unwrap();
            moved += 1;
        }
    }
    assert!(moved >= 2);
    // And what a kill in the next commit may leave.
    std::fs::write(dir.path().join("_staging/objects/part-00000099.parquet"), "half a part").unwrap();
    std::fs::write(dir.path().join("_commits/.0000000077.json.new"), "half a record").unwrap();
    std::fs::write(dir.path().join("_commits/0000000077.windows.state"), "a state of no commit").unwrap();
    assert_eq!(all_rows(dir.path()), committed);
    start(&Recipe::default(), dir.path(), Existing::Resume).unwrap();
    assert_eq!(all_rows(dir.path()), all_rows(undisturbed.path()));
    let names = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let left: Vec<String> = files_below(dir.path()).iter().map(names).collect();
    assert!(!left.iter().any(|name| name.contains("77") || name.contains("99")), "{left:?}");
}

#[test]
fn a_state_or_part_that_was_tampered_with_is_noticed() {
    let dir = tempdir().unwrap();
    stopped(&Recipe::default(), dir.path());
    let files = files_below(dir.path());
    let state = files.iter().find(|file| file.extension().is_some_and(|end| end == "state")).unwrap();
    let content = std::fs::read(state).unwrap();
    std::fs::write(state, "[0,[]]").unwrap();
    let error = start(&Recipe::default(), dir.path(), Existing::Resume).unwrap_err();
    assert!(error.to_string().contains("is not the state that the commit record names"), "{error}");
    std::fs::write(state, content).unwrap();
    let latest = lucarne::run::part_files(dir.path(), "objects").unwrap().unwrap().pop().unwrap();
    std::fs::remove_file(&latest).unwrap();
    let error = start(&Recipe::default(), dir.path(), Existing::Resume).unwrap_err();
    assert!(error.to_string().contains(&format!("`{}` is missing", latest.display())), "{error}");
}

#[test]
fn a_run_whose_commit_records_are_gone_is_not_taken_for_a_new_one() {
    let dir = tempdir().unwrap();
    start(&Recipe::default(), dir.path(), Existing::Refuse).unwrap();
    std::fs::remove_dir_all(dir.path().join("_commits")).unwrap();
    let before = files_below(dir.path());
    let error = start(&Recipe::default(), dir.path(), Existing::Resume).unwrap_err();
    assert!(error.to_string().contains("the commit records of"), "{error}");
    assert_eq!(files_below(dir.path()), before);
    assert_eq!(start(&Recipe::default(), dir.path(), Existing::Overwrite).unwrap().counts.source, 723);
}
