//! Reports of real runs: their contents, and that names from files are shown as text.

mod browser;
mod curves;
mod flips;
mod live;
mod page;
mod structure;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, RecordBatch, StringArray},
    datatypes::{DataType, Float32Type},
};
use lucarne::{
    pipeline::Pipeline,
    query::Run,
    report::Report,
    run::{RunRecord, RunState},
};
use parquet::arrow::ArrowWriter;

/// A monitor of each kind that has a section. The label `window` is an SQL keyword.
const RUN: &str = r#"
description: "a <script>window.hacked = 1</script> & a long night"
parameters: { objects: "" }
source:
  parquet: { paths: ["${objects}"] }
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
  attack: { one_pixel: { score: da_y10, popsize: 60, maxiter: 20, images: [y10, y1] } }
  moved: { latent_distance: { from: da_y10, to: da_y1, versus: { from: da_y1, to: da_y10 } } }
  window: { church_window: { score: da_y10, across: attack, up: da_y1 } }
  drawn: { isomap: { score: [da_y10, da_y1], n: 30, truth: label, attacked: attack } }
sink:
  objects: { parquet: {} }
"#;

const FIGURES: [&str; 9] =
    ["right", "right-confusion", "right-windows", "drift", "moved", "drawn", "drawn-3d", "window", "rejects"];

/// Prefixes of object ids.
const HOSTILE: &str = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'><b>";
const LONG: &str = "NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_NGC_";
const RIGHT_TO_LEFT: &str = "גלקסיה ספירלית \u{202e}abc";

/// The last has a character that XML forbids.
const NAMES: [&str; 4] = [HOSTILE, LONG, RIGHT_TO_LEFT, "Messier \u{1}"];

/// A file that tests leave behind, to look at.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A run of [`RUN`] over galaxies with unusual ids, one of them with a NaN pixel. It is made once.
fn run_dir() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let galaxies = tempfile::tempdir().unwrap();
        let source = "source: { simulated: { count: 40 } }\nsink: { objects: { parquet: { images: [image] } } }";
        Pipeline::from_yaml(source).run(galaxies.path().join("galaxies")).unwrap();
        let objects = galaxies.path().join("objects.parquet");
        write_renamed(&galaxies.path().join("galaxies"), &objects);
        let run = scratch("run");
        let _ = fs::remove_dir_all(&run);
        Pipeline::from_yaml(RUN).set("objects", objects.display().to_string()).run(&run).unwrap();
        run
    });
    &MADE
}

/// Writes the objects of a run with other ids.
fn write_renamed(run: &Path, path: &Path) {
    let run = Run::open(run).unwrap();
    let rows = run.query("select * from objects").unwrap();
    let schema = rows.schema();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema.clone(), None).unwrap();
    let mut row = 0;
    for batch in rows {
        let batch: RecordBatch = batch.unwrap();
        let names = (0..batch.num_rows()).map(|i| {
            let prefix = NAMES[(row + i) % NAMES.len()];
            format!("{prefix}{}", row + i)
        });
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(names));
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| match field.name().as_str() {
            "object_id" => names.clone(),
            "image" if row == 0 => with_nan(column),
            _ => column.clone(),
        });
        writer.write(&RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()).unwrap();
        row += batch.num_rows();
    }
    writer.close().unwrap();
}

/// Images with a NaN pixel in the sixth row.
fn with_nan(images: &ArrayRef) -> ArrayRef {
    let lists = images.as_fixed_size_list();
    let DataType::FixedSizeList(field, length) = images.data_type() else {
        panic!("expected images, found {}", images.data_type())
    };
    let mut pixels = lists.values().as_primitive::<Float32Type>().values().to_vec();
    pixels[5 * *length as usize + 17] = f32::NAN;
    let pixels = Arc::new(Float32Array::from(pixels));
    Arc::new(FixedSizeListArray::new(field.clone(), *length, pixels, lists.nulls().cloned()))
}

fn page(run: &Path) -> String {
    Report::open(run).unwrap().page().unwrap()
}

#[test]
fn shows_every_section_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_dir();
    let html = page(run);
    assert!(html.contains("<span class=\"state finished\">finished</span>"));
    assert!(!html.contains("cannot be shown"), "a section failed: {html}");
    for name in FIGURES.iter().chain(&["attack", "attack-gallery", "attack-flips", "moved-total", "rejects-examples"]) {
        assert!(html.contains(&format!("<figure id=\"figure-{name}\">")), "missing figure `{name}`");
    }
    // The page loads nothing: its only URLs are an XML namespace and images in `data:` URLs.
    let urls = html.match_indices("http").filter(|(at, _)| {
        ["http://www.w3.org/2000/svg", "http-equiv"].iter().all(|known| !html[*at..].starts_with(known))
    });
    assert_eq!(urls.count(), 0);
    assert!(!html.contains("<script>window") && html.contains("&#60;script&#62;window.hacked"), "names are escaped");
    let figures = Report::open(run).unwrap().figures(&folder.path().join("figures")).unwrap();
    for name in FIGURES {
        let svg = figures.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        let svg = svg.unwrap_or_else(|| panic!("missing figure `{name}`"));
        let png = fs::read(svg.with_extension("png")).unwrap();
        assert!(png.starts_with(b"\x89PNG") && svg.with_extension("sql").exists(), "{}", svg.display());
        structure::check(name, &fs::read_to_string(svg).unwrap());
    }
    structure::check("pipeline", &fs::read_to_string(folder.path().join("figures/pipeline.svg")).unwrap());
    let apng = File::open(folder.path().join("figures/drawn-3d.apng")).unwrap();
    let apng = png::Decoder::new(std::io::BufReader::new(apng)).read_info().unwrap();
    assert_eq!(apng.info().animation_control().unwrap().num_frames, 90);
    let record: serde_json::Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    let graph = record["graph"].as_array().unwrap();
    let reads = |label: &str| &graph.iter().find(|node| node["label"] == label).unwrap()["reads"];
    assert_eq!(reads("y10_sky"), &serde_json::json!(["source"]), "through the hidden steps of `observe`");
    assert_eq!(reads("da_y10"), &serde_json::json!(["y10"]));
    assert!(reads("window").as_array().unwrap().contains(&"attack".into()));
}

#[test]
fn shows_the_status_of_the_run_and_why_a_section_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let without = RUN.lines().filter(|line| !["drift:", "attack", "drawn:"].iter().any(|word| line.contains(word)));
    let without = without
        .collect::<Vec<_>>()
        .join("\n")
        .replace("parquet: { paths: [\"${objects}\"] }", "simulated: { count: 8 }");
    Pipeline::from_yaml(without).run(&run).unwrap();
    assert!(page(&run).contains("The pipeline has no monitor of kind `latent_drift`"));
    let mut record = RunRecord::read(&run).unwrap().unwrap();
    record.state = RunState::Running;
    record.write(&run).unwrap();
    assert!(page(&run).contains("<span class=\"state killed\">killed</span>"));
    let lock = File::open(run.join("_lock")).unwrap();
    lock.try_lock().unwrap();
    assert!(page(&run).contains("<span class=\"state running\">running</span>"));
}

#[test]
fn rejects_folders_that_are_not_run_directories() {
    let folder = tempfile::tempdir().unwrap();
    let error = Report::open(folder.path()).err().unwrap().report();
    assert!(error.contains("run.json"), "{error}");
}
