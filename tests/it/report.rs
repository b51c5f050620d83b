//! The report of a real run: what it shows, and that what stands in files is shown as text.

use std::fs;

use lucarne::{pipeline::Pipeline, report::Report};

const RUN: &str = r#"
description: "a <script>alert(1)</script> & a long night"
source:
  simulated: { count: 40 }
transform:
  y10_sky: { observe: { image: image, survey: lsst, years: 10 } }
  y10: { asinh_stretch: { image: y10_sky, constants: { model: models/convnet-da.onnx, domain: y10 } } }
score:
  da: { onnx: { model: models/convnet-da.onnx, image: y10 } }
monitor:
  right: { accuracy: { truth: label, score: da, window: 10 } }
  drawn: { isomap: { score: da, n: 30, truth: label } }
sink:
  objects: { parquet: {} }
"#;

fn page(of: &std::path::Path) -> String {
    Report::open(of).unwrap().page().unwrap()
}

#[test]
fn a_report_shows_what_a_run_found_and_says_why_a_section_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Pipeline::from_yaml(RUN).run(&run).unwrap();
    let html = page(&run);
    assert!(html.contains("<span class=\"state finished\">finished</span>"));
    for id in ["summary", "accuracy", "isomap", "rejects"] {
        assert!(html.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    assert!(
        html.contains("figure-right-confusion")
            && html.contains("figure-right-windows")
            && html.contains("figure-drawn")
    );
    assert!(html.contains("The pipeline has no monitor of the kind `latent_drift`"));
    assert!(!html.contains("cannot be shown"), "a section failed");
    // No request to anywhere: the only addresses are names of XML and images in the text.
    let addresses = html.match_indices("http").filter(|(at, _)| !html[*at..].starts_with("http://www.w3.org/2000/svg"));
    assert_eq!(addresses.count(), 0);
    assert!(!html.contains("<script>") && html.contains("&#60;script&#62;alert(1)"), "a description is text");
    let figures = Report::open(&run).unwrap().figures(&folder.path().join("figures")).unwrap();
    assert_eq!(figures.len(), 4);
    for svg in figures {
        let png = fs::read(svg.with_extension("png")).unwrap();
        assert!(png.starts_with(b"\x89PNG") && svg.with_extension("sql").exists(), "{}", svg.display());
    }
}

#[test]
fn the_report_of_a_killed_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Pipeline::from_yaml(RUN).limit(8).run(&run).unwrap();
    let record = run.join("run.json");
    let text = fs::read_to_string(&record).unwrap().replace("\"state\": \"finished\"", "\"state\": \"running\"");
    fs::write(&record, text).unwrap();
    assert!(page(&run).contains("<span class=\"state killed\">killed</span>"));
}

#[test]
fn what_is_no_run_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let error = Report::open(folder.path()).err().unwrap().to_string();
    assert!(error.ends_with("is no run directory: it has no `run.json`"), "{error}");
}
