//! The report of a real run: what it shows, and that what stands in files is shown as text.

use std::{
    fs::{self, File},
    path::Path,
};

use lucarne::{pipeline::Pipeline, report::Report};

/// A monitor of every kind that has a section, one with a word of SQL for its label.
const RUN: &str = r#"
description: "a <script>alert(1)</script> & a long night"
source:
  simulated: { count: 40 }
transform:
  y10_sky: { observe: { image: image, survey: lsst, years: 10 } }
  y1_sky: { observe: { image: image, survey: lsst, years: 1 } }
  y10: { asinh_stretch: { image: y10_sky, constants: { model: models/convnet-da.onnx, domain: y10 } } }
  y1: { asinh_stretch: { image: y1_sky, constants: { model: models/convnet-da.onnx, domain: y1 } } }
score:
  da_y10: { onnx: { model: models/convnet-da.onnx, image: y10 } }
  da_y1: { onnx: { model: models/convnet-da.onnx, image: y1 } }
monitor:
  right: { accuracy: { truth: label, score: da_y10, window: 10 } }
  drift: { latent_drift: { score: da_y1, reference: models/convnet-da.latents.parquet, domain: y10, window: 20, permutations: 99 } }
  attack: { one_pixel: { score: da_y10, limit: 12 } }
  moved: { latent_distance: { from: da_y10, to: da_y1, versus: { from: da_y1, to: da_y10 } } }
  window: { church_window: { score: da_y10, across: attack, up: da_y1 } }
  drawn: { isomap: { score: [da_y10, da_y1], n: 30, truth: label, attacked: attack } }
sink:
  objects: { parquet: {} }
"#;

const FIGURES: [&str; 7] = ["right", "right-confusion", "right-windows", "drift", "moved", "drawn", "window"];

fn page(of: &Path) -> String {
    Report::open(of).unwrap().page().unwrap()
}

#[test]
fn a_report_shows_what_a_run_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Pipeline::from_yaml(RUN).run(&run).unwrap();
    let html = page(&run);
    assert!(html.contains("<span class=\"state finished\">finished</span>"));
    assert!(!html.contains("cannot be shown"), "a section failed: {html}");
    for name in FIGURES.iter().chain(&["attack", "attack-flips", "moved-total"]) {
        assert!(html.contains(&format!("<figure id=\"figure-{name}\">")), "no figure `{name}`");
    }
    assert!(html.contains("No row was rejected."));
    // No request to anywhere: the only addresses are names of XML and images in the text.
    let addresses = html.match_indices("http").filter(|(at, _)| !html[*at..].starts_with("http://www.w3.org/2000/svg"));
    assert_eq!(addresses.count(), 0);
    assert!(!html.contains("<script>") && html.contains("&#60;script&#62;alert(1)"), "a description is text");
    let figures = Report::open(&run).unwrap().figures(&folder.path().join("figures")).unwrap();
    assert_eq!(figures.len(), FIGURES.len());
    for svg in figures {
        let png = fs::read(svg.with_extension("png")).unwrap();
        assert!(png.starts_with(b"\x89PNG") && svg.with_extension("sql").exists(), "{}", svg.display());
    }
    let record: serde_json::Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    let graph = record["graph"].as_array().unwrap();
    let reads = |label: &str| &graph.iter().find(|node| node["label"] == label).unwrap()["reads"];
    assert_eq!(reads("y10_sky"), &serde_json::json!(["source"]), "through the steps that `observe` shares");
    assert_eq!(reads("da_y10"), &serde_json::json!(["y10"]));
    assert!(reads("window").as_array().unwrap().contains(&"attack".into()));
}

#[test]
fn a_report_says_how_a_run_stands_and_why_a_section_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let without = RUN.lines().filter(|line| !["drift:", "attack", "drawn:"].iter().any(|word| line.contains(word)));
    Pipeline::from_yaml(without.collect::<Vec<_>>().join("\n")).limit(8).run(&run).unwrap();
    assert!(page(&run).contains("The pipeline has no monitor of the kind `latent_drift`"));
    let record = run.join("run.json");
    let text = fs::read_to_string(&record).unwrap().replace("\"state\": \"finished\"", "\"state\": \"running\"");
    fs::write(&record, text).unwrap();
    assert!(page(&run).contains("<span class=\"state killed\">killed</span>"));
    let lock = File::open(run.join("_lock")).unwrap();
    lock.try_lock().unwrap();
    assert!(page(&run).contains("<span class=\"state running\">running</span>"));
}

#[test]
fn what_is_no_run_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let error = Report::open(folder.path()).err().unwrap().to_string();
    assert!(error.ends_with("is no run directory: it has no `run.json`"), "{error}");
}
