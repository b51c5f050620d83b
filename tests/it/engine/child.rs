//! A run in a process of its own, which can be killed and measured.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use lucarne::engine::{EngineSettings, Existing, RunOptions, Stop, run};

use super::stages::Recipe;

const RUN_DIR: &str = "LUCARNE_TEST_CHILD_RUN_DIR";
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
        other => panic!("no recipe `{other}`"),
    }
}

/// Starts a child on a recipe; it resumes what its run directory has.
pub(super) fn spawn(name: &str, run_dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engine::child::a_child_runs_the_recipe_it_is_told", "--ignored", "--test-threads=1"])
        .env(RUN_DIR, run_dir)
        .env(RECIPE, name)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "started by other tests"]
fn a_child_runs_the_recipe_it_is_told() {
    let (run_dir, name) = (std::env::var(RUN_DIR).unwrap(), std::env::var(RECIPE).unwrap());
    let options = RunOptions { existing: Existing::Resume };
    run(recipe(&name).job(Some(Path::new(&run_dir))), &options, &Stop::default(), &mut |_| {}).unwrap();
}
