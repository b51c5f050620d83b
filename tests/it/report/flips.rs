//! The sections of attacks, pixel maps and calibration.

use std::fs;

use lucarne::{pipeline::Pipeline, report::Report};

use super::page;

/// Attacks with and without kept images, a pixel map and a calibration.
const FLIPS: &str = r#"
seed: 2112
source:
  simulated: { count: 40 }
transform:
  y10_sky: { observe: { image: image, survey: lsst, years: 10 } }
  y1_sky: { observe: { image: image, survey: lsst, years: 1 } }
  y10: { asinh_stretch: { image: y10_sky, constants: { model: models/convnet-da.onnx, domain: y10 } } }
  y1: { asinh_stretch: { image: y1_sky, constants: { model: models/convnet-da.onnx, domain: y1 } } }
score:
  deep: { onnx: { model: models/convnet-regular.onnx, image: y10 } }
  noisy: { onnx: { model: models/convnet-regular.onnx, image: y1 } }
monitor:
  kept: { one_pixel: { score: deep, limit: 12, popsize: 60, maxiter: 10, images: [y10, y1] } }
  rays:
    one_pixel:
      { score: deep, limit: 12, popsize: 60, maxiter: 10, values: { electrons: { image: y10_sky, high: 20000, add_to: all_bands } }, images: [y10_sky] }
  bare: { one_pixel: { score: deep, limit: 12, popsize: 60, maxiter: 10 } }
  sure: { calibration: { truth: label, score: [deep, noisy], window: 20 } }
  map: { pixel_map: { score: deep, limit: 1, levels: [1.0], only_correct: false } }
sink:
  objects: { parquet: {} }
"#;

#[test]
fn shows_flipped_objects_before_and_after_if_their_images_were_kept() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    Pipeline::from_yaml(FLIPS).run(&run).unwrap();
    let html = page(&run);
    assert!(!html.contains("cannot be shown"), "a section failed: {html}");
    for name in
        ["kept-gallery", "rays-gallery", "sure", "sure-errors", "sure-abstention", "sure-windows", "map", "map-maps"]
    {
        assert!(html.contains(&format!("<figure id=\"figure-{name}\">")), "missing figure `{name}`");
    }
    assert!(html.contains("before: y10<") && html.contains("before: y10_sky<"));
    assert!(html.contains("y1: "), "the prediction for the other image");
    assert!(!html.contains("figure-bare-gallery"));
    assert!(html.contains("`images: [y10]` to the settings of `bare`"), "how to keep images");
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "ids are unique");
    let figures = folder.path().join("figures");
    Report::open(&run).unwrap().figures(&figures).unwrap();
    for name in ["kept-gallery", "rays-gallery"] {
        let svg = fs::read_to_string(figures.join(format!("{name}.svg"))).unwrap();
        assert!(svg.len() < 1_200_000 && svg.contains("fill=\"rgb("), "{name}: {} bytes", svg.len());
        assert!(fs::read(figures.join(format!("{name}.png"))).unwrap().len() > 20_000, "{name}");
    }
}

#[test]
fn finds_images_that_only_a_sink_kept() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let is_needed = |line: &&str| !["  kept:", "  sure:", "  map:"].iter().any(|label| line.starts_with(label));
    let pipeline = FLIPS.lines().filter(is_needed).collect::<Vec<_>>().join("\n");
    Pipeline::from_yaml(pipeline.replace("parquet: {}", "parquet: { images: [y10] }")).run(&run).unwrap();
    let html = page(&run);
    assert!(html.contains("<figure id=\"figure-bare-gallery\">"));
    assert!(html.contains("before: y10<") && html.contains("before: y10_sky<"), "images in its own table come first");
    assert!(!html.contains("to the settings of `bare`"));
}
