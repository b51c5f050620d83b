//! The live view in Chromium: it fills up while the run goes on, and shows the whole of it in the end.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    browser::{DESKTOP, Window},
    scratch,
};

/// A page that asks for more than it should would do so within this time.
const QUIET: Duration = Duration::from_millis(2500);

const RUN: &str = "
source:
  simulated: { count: COUNT }
transform:
  sky: { observe: { image: image, survey: lsst, years: 10 } }
  y10: { asinh_stretch: { image: sky, constants: { model: models/convnet-da.onnx, domain: y10 } } }
score:
  da: { onnx: { model: models/convnet-da.onnx, image: y10 } }
monitor:
  right: { accuracy: { truth: label, score: da, window: 50 } }
sink:
  objects: { parquet: {} }
";

/// Runs the pipeline with so many galaxies and more settings, and gives the address of its page.
fn serve(folder: &Path, count: u32, more: &str) -> (Child, String) {
    let pipeline = folder.join("pipeline.yaml");
    let models = format!("{}/models/", env!("CARGO_MANIFEST_DIR"));
    let text = RUN.replace("models/", &models).replace("COUNT", &count.to_string());
    fs::write(&pipeline, format!("{text}{more}")).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .arg("run")
        .arg(&pipeline)
        .arg("-o")
        .arg(folder.join("<i>night"))
        .args(["--serve", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = said.find_map(|line| line.strip_prefix("serving ").map(str::to_owned)).unwrap();
    // Whoever writes to a pipe that nobody reads is ended.
    thread::spawn(move || said.for_each(drop));
    (run, address)
}

fn strip(name: &str) -> String {
    format!("document.querySelector('#live .live-{name}')?.textContent")
}

const KEPT: &str = "Number(document.querySelector('#summary .counts')?.textContent.match(/kept\\s*(\\d+)/)[1])";

#[test]
fn the_page_of_a_run_fills_up_while_it_goes_on() {
    let Some(window) = Window::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut run, address) = serve(folder.path(), 400, "engine: { commit_rows: 50 }\n");
    window.on(DESKTOP).go(&address);
    window.wait_for(&format!("({} ?? '').startsWith('running')", strip("state")));
    assert_eq!(window.evaluate("document.querySelector('h1').textContent"), "<i>night");
    // After a commit the page has the sections of the report, and later ones come in their place.
    window.wait_for("document.querySelectorAll('section[data-digest]').length > 5");
    window.wait_for(&format!("{KEPT} >= 50"));
    window.picture(&scratch("live.png"));
    window.wait_for(&format!("({}) === 'finished'", strip("state")));
    window.wait_for(&format!("{KEPT} === 400"));
    window.wait_for("document.querySelector('#figure-right svg') !== null");
    window.picture(&scratch("live-finished.png"));
    assert!(run.wait().unwrap().success());
    thread::sleep(QUIET);
    assert_eq!(window.complaints(), Vec::<String>::new());
}

#[test]
fn all_who_watch_see_the_end_of_a_run_that_commits_once() {
    let (Some(first), Some(second)) = (Window::open(), Window::open()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut run, address) = serve(folder.path(), 250, "");
    first.on(DESKTOP).go(&address);
    let note = "document.querySelector('main[data-empty] > .note')?.textContent";
    first.wait_for(&format!("{note} === 'there is no page yet: the run has not committed anything'"));
    second.on(DESKTOP).go(&address);
    first.picture(&scratch("live-empty.png"));
    for window in [&first, &second] {
        window.wait_for(&format!("({}) === 'finished'", strip("state")));
        window.wait_for(&format!("{KEPT} === 250"));
        window.wait_for("document.querySelector('#figure-right svg') !== null");
        assert_eq!(window.evaluate("document.querySelector('main[data-empty], main > .note')"), Value::Null);
        assert!(window.evaluate("document.querySelectorAll('header nav a').length").as_u64() > Some(5));
    }
    assert!(run.wait().unwrap().success());
    thread::sleep(QUIET);
    for window in [first, second] {
        assert_eq!(window.complaints(), Vec::<String>::new());
    }
}
