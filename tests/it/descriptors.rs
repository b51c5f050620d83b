//! A process that runs out of file descriptors: its run ends and can be resumed, and no good file becomes a reject.

use std::{fs, path::Path, process::Command};

use lucarne::{pipeline::Pipeline, query::Run};
use tempfile::tempdir;

const FILES: usize = 40;

/// Runs the command with few file descriptors. Returns its exit code and what it said.
fn run_with(descriptors: usize, pipeline: &Path, run_dir: &Path) -> (i32, String) {
    let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_lucarne"), "-q", "run"])
        .args([pipeline, "-o".as_ref(), run_dir, "--resume".as_ref()])
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The rows of a table, as text.
fn rows(run_dir: &Path, query: &str) -> String {
    let mut text = Vec::new();
    Run::open(run_dir).unwrap().write(query, lucarne::query::OutputFormat::Csv, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_run_without_descriptors_ends_and_is_resumed_without_rejects() {
    let folder = tempdir().unwrap();
    let simulated = format!(
        "source: {{ simulated: {{ count: {FILES}, size: 8 }} }}
sink: {{ cutouts: {{ fits: {{ images: [image], objects_per_file: 1 }} }} }}"
    );
    Pipeline::from_yaml(simulated).run(folder.path().join("made")).unwrap();
    let pipeline = folder.path().join("pipeline.yaml");
    let files = folder.path().join("made/cutouts");
    let yaml = format!(
        "source: {{ fits: {{ paths: ['{}'] }} }}
sink: {{ objects: {{ parquet: {{ images: [image] }} }} }}
engine: {{ commit_rows: 10, batch_rows: 2, threads: 2 }}",
        files.display()
    );
    fs::write(&pipeline, yaml).unwrap();
    let undisturbed = folder.path().join("undisturbed");
    assert_eq!(run_with(200, &pipeline, &undisturbed), (0, String::new()));
    let query = "select object_id, image from objects order by object_id";
    let expected = rows(&undisturbed, query);
    assert_eq!(expected.lines().count(), FILES + 1);

    let mut failed = 0;
    for descriptors in 4..16 {
        let run_dir = folder.path().join(descriptors.to_string());
        let (code, said) = run_with(descriptors, &pipeline, &run_dir);
        if code != 0 {
            failed += 1;
            // Below five or so the process cannot even be loaded.
            assert!(
                code == 3 && said.contains("Too many open files") || descriptors < 6,
                "{descriptors}: {code} {said}"
            );
            assert_eq!(run_with(200, &pipeline, &run_dir), (0, String::new()), "{descriptors}: {said}");
        }
        assert_eq!(rows(&run_dir, "select count(*) as rejected from rejects"), "rejected\n0\n", "{descriptors}");
        assert!(rows(&run_dir, query) == expected, "{descriptors}: other rows");
    }
    assert!(failed > 0, "the limit was never reached");
}
