//! Every crash and every failing operation of the commit protocol: run, resume, overwrite, and compaction.
//!
//! A run is recorded once, operation by operation (`io::disk`). Then
//!
//! - for every prefix of the record, every state of the disk that a power loss may leave is built (`crash_states`) and resumed;
//! - every single operation is made to fail, once or from then on, and the run is resumed after that.
//!
//! The tables have to be those of the undisturbed run each time.

mod crash_states;
mod faults;
mod operation_log;
mod workload;

use std::{
    io::ErrorKind,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use self::{
    crash_states::{CrashState, crash_states},
    faults::{Fault, Faults},
    operation_log::{LoggedOperation, recorded},
    workload::{FOUR_COMMITS, TEN_COMMITS, Tables, all_tables, compacted, pipeline, strays},
};
use crate::error::Error;

/// A folder for run directories, in memory where the system has such a place: a sync costs nothing there.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// The tables of an undisturbed run.
fn undisturbed(rows: u64) -> Tables {
    let folder = scratch();
    let run_dir = folder.path().join("run");
    pipeline(rows).run(&run_dir).expect("no mistake");
    all_tables(&run_dir).expect("tables")
}

/// Resumes a run in the state that a crash left, and compares its tables. Returns the complaint, if there is one.
fn resumes(state: &CrashState, rows: u64, expected: &Tables, overwrite: bool) -> Result<(), String> {
    let folder = scratch();
    let run_dir = folder.path().join("run");
    state.build(&run_dir);
    let again = if overwrite { pipeline(rows).overwrite() } else { pipeline(rows).resume() };
    again.run(&run_dir).map_err(|error| format!("{}: {}", state.name, error.report()))?;
    let tables = all_tables(&run_dir).map_err(|error| format!("{}: {}", state.name, error.report()))?;
    let left = std::fs::read_dir(&run_dir).expect("a folder").flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| ["_staging", "_dropped"].iter().any(|rest| name == rest)).collect();
    if !left.is_empty() {
        return Err(format!("{}: {left:?} is left", state.name));
    }
    let strays = strays(&run_dir);
    if !strays.is_empty() {
        return Err(format!("{}: no record names {strays:?}", state.name));
    }
    if tables == *expected { Ok(()) } else { Err(format!("{}: other rows", state.name)) }
}

/// Calls `work` with every item, on all cores; returns the complaints.
fn on_all_cores<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(complaint) = work(item) {
                        complaints.lock().expect("no panic").push(complaint);
                    }
                }
            });
        }
    });
    complaints.into_inner().expect("no panic")
}

/// Resumes all states; panics with the first complaints. Without `LUCARNE_ALL_STATES`, of more than `at_most` states only some, evenly
/// spread.
fn all_resume(what: &str, rows: u64, states: &[CrashState], overwrite: bool, at_most: usize) {
    let step = if std::env::var_os("LUCARNE_ALL_STATES").is_some() { 1 } else { states.len().div_ceil(at_most) };
    let (all, states): (usize, Vec<&CrashState>) = (states.len(), states.iter().step_by(step.max(1)).collect());
    let expected = undisturbed(rows);
    let begun = Instant::now();
    let complaints = on_all_cores(&states, |state| resumes(state, rows, &expected, overwrite));
    let first: Vec<&String> = complaints.iter().take(10).collect();
    assert!(complaints.is_empty(), "{what}: {} of {} states: {first:#?}", complaints.len(), states.len());
    println!("{what}: {} of {all} states resumed in {:.0?}", states.len(), begun.elapsed());
}

#[test]
fn every_crash_of_a_run_and_its_compaction_resumes_to_the_same_tables() {
    let folder = scratch();
    let run_dir = folder.path().join("run");
    let log = recorded(folder.path(), || {
        pipeline(TEN_COMMITS).run(&run_dir).expect("no mistake");
        compacted(&run_dir).expect("no mistake");
    });
    all_resume("run and compaction", TEN_COMMITS, &crash_states(&CrashState::default(), &log), false, 12_000);
}

#[test]
fn every_crash_of_a_resume_resumes_again() {
    let folder = scratch();
    let run_dir = folder.path().join("run");
    let log = recorded(folder.path(), || pipeline(FOUR_COMMITS).run(&run_dir).expect("no mistake"));
    let states = crash_states(&CrashState::default(), &log);
    // Spread over the run; what a resume does until its first commit is the same for most of them.
    let mut of_resumes = Vec::new();
    for state in states.iter().step_by(states.len() / 8 + 1) {
        let again = scratch();
        let run_dir = again.path().join("run");
        state.build(&run_dir);
        let log = recorded(again.path(), || pipeline(FOUR_COMMITS).resume().run(&run_dir).expect("resumes"));
        let until = log.iter().position(LoggedOperation::is_commit).map_or(log.len(), |commit| commit + 8);
        of_resumes.extend(crash_states(state, &log[..until.min(log.len())]));
    }
    all_resume("resumes", FOUR_COMMITS, &of_resumes, false, 1000);
}

#[test]
fn every_crash_of_an_overwriting_run_can_be_overwritten_again() {
    let folder = scratch();
    let run_dir = folder.path().join("run");
    pipeline(FOUR_COMMITS).run(&run_dir).expect("no mistake");
    let begin = CrashState::read(&run_dir);
    let log = recorded(folder.path(), || pipeline(FOUR_COMMITS).overwrite().run(&run_dir).expect("no mistake"));
    let first_commit = log.iter().position(LoggedOperation::is_commit).expect("a commit");
    let states = crash_states(&begin, &log[..first_commit]);
    all_resume("overwrite", FOUR_COMMITS, &states, true, 500);
    // A resume either goes on or begins again.
    all_resume("overwrite, resumed", FOUR_COMMITS, &states, false, 500);
}

/// Runs with faults, then resumes without. What the faulty run says has to be of the environment.
fn survives(fault: Fault, at: usize, expected: &Tables) -> Result<(), String> {
    let folder = scratch();
    let run_dir = folder.path().join("run");
    let name = format!("{fault:?} at operation {at}");
    let (outcome, _) =
        Faults::inject(fault, at, || pipeline(FOUR_COMMITS).run(&run_dir).map(drop).and_then(|()| compacted(&run_dir)));
    match outcome {
        Ok(()) | Err(Error::Environment { .. }) => {}
        Err(error) => return Err(format!("{name}: {}", error.report())),
    }
    let again = |error: Error| format!("{name}, then: {}", error.report());
    pipeline(FOUR_COMMITS).resume().run(&run_dir).map_err(again)?;
    compacted(&run_dir).map_err(again)?;
    if all_tables(&run_dir).map_err(again)? == *expected { Ok(()) } else { Err(format!("{name}: other rows")) }
}

#[test]
fn every_single_operation_may_fail() {
    let expected = undisturbed(FOUR_COMMITS);
    for fault in [
        Fault::Once(ErrorKind::Other),
        Fault::FromThenOn(ErrorKind::StorageFull),
        Fault::FromThenOn(ErrorKind::ReadOnlyFilesystem),
    ] {
        let begun = Instant::now();
        let folder = scratch();
        let run_dir = folder.path().join("run");
        let work = || pipeline(FOUR_COMMITS).run(&run_dir).map(drop).and_then(|()| compacted(&run_dir));
        let (outcome, operations) = Faults::inject(fault, usize::MAX, work);
        outcome.expect("no fault");
        assert!(operations > 200, "{fault:?}: {operations} operations");
        let complaints = on_all_cores(&(0..operations).collect::<Vec<_>>(), |at| survives(fault, *at, &expected));
        let first: Vec<&String> = complaints.iter().take(10).collect();
        assert!(complaints.is_empty(), "{fault:?}: {} of {operations}: {first:#?}", complaints.len());
        println!("{fault:?}: {operations} operations failed in {:.0?}", begun.elapsed());
    }
}

/// The complaints about the states that a log of operations may leave.
fn complaints_about(log: &[LoggedOperation]) -> Vec<String> {
    let expected = undisturbed(FOUR_COMMITS);
    let states = crash_states(&CrashState::default(), log);
    let some: Vec<&CrashState> = states.iter().step_by(states.len().div_ceil(400)).collect();
    on_all_cores(&some, |state| resumes(state, FOUR_COMMITS, &expected, false))
}

#[test]
fn a_missing_sync_and_a_swapped_rename_would_be_noticed() {
    let folder = scratch();
    let run_dir = folder.path().join("run");
    let log = recorded(folder.path(), || pipeline(FOUR_COMMITS).run(&run_dir).expect("no mistake"));
    let without = |removed: fn(&LoggedOperation) -> bool| -> Vec<LoggedOperation> {
        log.iter().filter(|operation| !removed(operation)).cloned().collect()
    };
    assert_eq!(complaints_about(&log), [] as [String; 0]);
    let content = without(
        |operation| matches!(operation, LoggedOperation::SyncFile(path) if path.ends_with("part-00000001.parquet")),
    );
    let names = without(
        |operation| matches!(operation, LoggedOperation::SyncFolder(path) if path.ends_with("_staging/objects")),
    );
    let folders =
        without(|operation| matches!(operation, LoggedOperation::SyncFolder(path) if path.ends_with("_staging")));
    for (what, log) in [("the content of parts", content), ("the names of parts", names), ("folders", folders)] {
        assert!(!complaints_about(&log).is_empty(), "nobody noticed that {what} are not durable");
    }
    // The record before what it names is durable.
    let mut swapped = log.clone();
    let record = swapped.iter().position(LoggedOperation::is_commit).expect("a commit");
    let part = |operation: &LoggedOperation| matches!(operation, LoggedOperation::SyncFile(path) if path.starts_with("run/_staging"));
    let first = swapped.iter().position(part).expect("a part");
    // With the operations that make the record.
    swapped[first..=record].rotate_right(4);
    assert!(!complaints_about(&swapped).is_empty(), "nobody noticed a record that comes too early");
}

#[test]
fn interrupted_calls_and_short_writes_do_not_show() {
    let expected = undisturbed(FOUR_COMMITS);
    for fault in [Fault::EveryTime(ErrorKind::Interrupted), Fault::ShortWrites] {
        let folder = scratch();
        let run_dir = folder.path().join("run");
        let (outcome, _) = Faults::inject(fault, 0, || pipeline(FOUR_COMMITS).run(&run_dir));
        outcome.unwrap_or_else(|error| panic!("{fault:?}: {}", error.report()));
        assert!(all_tables(&run_dir).expect("tables") == expected, "{fault:?}");
    }
}
