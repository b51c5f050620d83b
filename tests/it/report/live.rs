//! The live view in Chromium: it updates during the run and shows the complete run at the end.

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
    browser::{BrowserTab, DESKTOP},
    scratch,
};

/// A page that sends requests after the final page does so within this time.
const AFTER_END: Duration = Duration::from_millis(2500);

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

/// Starts the pipeline with `count` galaxies and additional settings; returns the process and the URL of its page.
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
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("serving ").map(str::to_owned)).unwrap();
    // A process that writes to a closed pipe is killed.
    thread::spawn(move || lines.for_each(drop));
    (run, address)
}

fn strip(name: &str) -> String {
    format!("document.querySelector('#live .live-{name}')?.textContent")
}

const KEPT: &str = "Number(document.querySelector('#summary .counts')?.textContent.match(/kept\\s*(\\d+)/)[1])";

#[test]
fn updates_the_page_during_the_run() {
    let Some(tab) = BrowserTab::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut run, address) = serve(folder.path(), 400, "engine: { commit_rows: 50 }\n");
    tab.on(DESKTOP).go(&address);
    tab.wait_for(&format!("({} ?? '').startsWith('running')", strip("state")));
    assert_eq!(tab.evaluate("document.querySelector('h1').textContent"), "<i>night");
    // The first commit adds the sections of the report; later commits replace them.
    tab.wait_for("document.querySelectorAll('section[data-digest]').length > 5");
    tab.wait_for(&format!("{KEPT} >= 50"));
    tab.screenshot(&scratch("live.png"));
    tab.wait_for(&format!("({}) === 'finished'", strip("state")));
    tab.wait_for(&format!("{KEPT} === 400"));
    tab.wait_for("document.querySelector('#figure-right svg') !== null");
    tab.screenshot(&scratch("live-finished.png"));
    assert!(run.wait().unwrap().success());
    thread::sleep(AFTER_END);
    assert_eq!(tab.console(), Vec::<String>::new());
}

#[test]
fn shows_the_end_of_a_run_with_one_commit_to_all_viewers() {
    let (Some(first), Some(second)) = (BrowserTab::open(), BrowserTab::open()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut run, address) = serve(folder.path(), 250, "");
    first.on(DESKTOP).go(&address);
    let note = "document.querySelector('main[data-empty] > .note')?.textContent";
    first.wait_for(&format!("{note} === 'there is no page yet: the run has not committed anything'"));
    second.on(DESKTOP).go(&address);
    first.screenshot(&scratch("live-empty.png"));
    for tab in [&first, &second] {
        tab.wait_for(&format!("({}) === 'finished'", strip("state")));
        tab.wait_for(&format!("{KEPT} === 250"));
        tab.wait_for("document.querySelector('#figure-right svg') !== null");
        assert_eq!(tab.evaluate("document.querySelector('main[data-empty], main > .note')"), Value::Null);
        assert!(tab.evaluate("document.querySelectorAll('header nav a').length").as_u64() > Some(5));
    }
    assert!(run.wait().unwrap().success());
    thread::sleep(AFTER_END);
    for tab in [first, second] {
        assert_eq!(tab.console(), Vec::<String>::new());
    }
}
