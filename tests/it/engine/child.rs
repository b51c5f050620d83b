//! A run in a process of its own, which can be killed and measured.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use lucarne::engine::{EngineSettings, Existing, RunOptions, Stop, run};

use super::{live_source, stages::Recipe};

const RUN_DIR: &str = "LUCARNE_TEST_CHILD_RUN_DIR";
/// Microseconds that the monitor of a `large` recipe takes for a row; 100 when not set.
const DELAY: &str = "LUCARNE_TEST_MONITOR_MICROSECONDS";
/// The most memory of batches on their way, of a `large` recipe.
pub(super) const LARGE_MIB: usize = 32;
const RECIPE: &str = "LUCARNE_TEST_CHILD_RECIPE";

/// The recipe of a child, by name and number.
pub(super) fn recipe(name: &str) -> Recipe {
    let (kind, number) = name.split_once(' ').unwrap();
    let number: u64 = number.parse().unwrap();
    match kind {
        // Many commits, so that a kill often comes in the middle of one.
        "killed" => Recipe {
            splits: vec![number / 2, 3, number - number / 2 - 3],
            source_delay: Duration::from_micros(300),
            engine: EngineSettings { threads: 2, batch_rows: 16, commit_rows: 60, ..EngineSettings::default() },
            ..Recipe::default()
        },
        // 120 kB an image, and a monitor that is far slower than the source.
        "large" => Recipe {
            splits: vec![number],
            side: 173,
            images: true,
            monitor_delay: Duration::from_micros(std::env::var(DELAY).map_or(100, |delay| delay.parse().unwrap())),
            engine: EngineSettings { threads: 2, commit_rows: 500, memory_mib: LARGE_MIB, ..EngineSettings::default() },
            ..Recipe::default()
        },
        other => panic!("no recipe `{other}`"),
    }
}

/// Starts a child on a recipe; it resumes what its run directory has.
pub(super) fn spawn(name: &str, run_dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engine::child::a_child_process_runs_its_recipe", "--ignored", "--test-threads=1"])
        .env(RUN_DIR, run_dir)
        .env(RECIPE, name)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "started by other tests"]
fn a_child_process_runs_its_recipe() {
    let (run_dir, name) = (std::env::var(RUN_DIR).unwrap(), std::env::var(RECIPE).unwrap());
    let run_dir = Path::new(&run_dir);
    if name.starts_with("live ") {
        return live_source::run_until_all_rows(run_dir);
    }
    let options = RunOptions { existing: Existing::Resume };
    run(recipe(&name).job(Some(run_dir)), &options, &Stop::default(), &mut |_| {}).unwrap();
    write_peak(run_dir);
}

/// The file in which a child reports its peak memory, kB.
pub(super) fn peak_file(run_dir: &Path) -> PathBuf {
    run_dir.with_extension("peak")
}

fn write_peak(run_dir: &Path) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    std::fs::write(peak_file(run_dir), line.split_whitespace().nth(1).unwrap()).unwrap();
}
