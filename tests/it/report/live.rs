//! The live view in Chromium: it fills up while the run goes on, and shows the whole of it in the end.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::{
    browser::{DESKTOP, Window},
    scratch,
};

const RUN: &str = "
source:
  simulated: { count: 400 }
transform:
  sky: { observe: { image: image, survey: lsst, years: 10 } }
  y10: { asinh_stretch: { image: sky, constants: { model: models/convnet-da.onnx, domain: y10 } } }
score:
  da: { onnx: { model: models/convnet-da.onnx, image: y10 } }
monitor:
  right: { accuracy: { truth: label, score: da, window: 50 } }
sink:
  objects: { parquet: {} }
engine: { commit_rows: 50 }
";

#[test]
fn the_page_of_a_run_fills_up_while_it_goes_on() {
    let Some(window) = Window::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("pipeline.yaml");
    fs::write(&pipeline, RUN.replace("models/", &format!("{}/models/", env!("CARGO_MANIFEST_DIR")))).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_lucarne"))
        .arg("run")
        .arg(&pipeline)
        .arg("-o")
        .arg(folder.path().join("<i>night"))
        .args(["--serve", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = said.find_map(|line| line.strip_prefix("serving ").map(str::to_owned)).unwrap();
    window.on(DESKTOP).go(&address);
    let strip = |name: &str| format!("document.querySelector('#live .live-{name}')?.textContent");
    window.wait_for(&format!("({} ?? '').startsWith('running')", strip("state")));
    assert_eq!(window.ask("document.querySelector('h1').textContent"), "<i>night");
    // After a commit the page has the sections of the report, and later ones come in their place.
    window.wait_for("document.querySelectorAll('section[data-digest]').length > 5");
    let kept = "Number(document.querySelector('#summary .counts').textContent.match(/kept\\s*(\\d+)/)[1])";
    window.wait_for(&format!("{kept} >= 50"));
    window.picture(&scratch("live.png"));
    window.wait_for(&format!("({}) === 'finished'", strip("state")));
    window.wait_for(&format!("{kept} === 400"));
    window.wait_for("document.querySelector('#figure-right svg') !== null");
    window.picture(&scratch("live-finished.png"));
    assert!(run.wait().unwrap().success());
    assert_eq!(window.complaints(), Vec::<String>::new());
}
