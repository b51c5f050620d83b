//! The monitor against the statistics themselves, on streams cut into batches in several ways.

use std::{collections::HashMap, fs::File, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray},
    datatypes::{DataType, Field, Float64Type, Int64Type},
};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::{
    batch::{ImageLayout, LatentLayout, ORIGIN, ScoredImage, Stretch, Unit, list_column, list_type, metadata_list},
    monitor::kit::fixtures::{Input, assert_continues_from_any_snapshot, collect},
    random::Stream,
    stats::{
        mmd::{GaussianKernelSum, mmd2},
        points::Points,
    },
};

const D: usize = 4;

/// The latent of an object: normal, plus a shift.
fn latent(seed: u64, object: usize, shift: f64) -> Vec<f32> {
    let mut stream = Stream::new(seed, &object.to_string(), "latent");
    (0..D).map(|_| (stream.normal() + shift) as f32).collect()
}

fn probability(latent: &[f32]) -> [f32; 2] {
    let p = 1.0 / (1.0 + (-latent[0]).exp());
    [p, 1.0 - p]
}

fn field(name: &str, length: usize, digest: &str) -> Field {
    let metadata = HashMap::from([("model_sha256".to_owned(), digest.to_owned())]);
    Field::new(name, list_type(length), false).with_metadata(metadata)
}

/// Writes a reference with `rows` rows of each of two domains, `near` and `far` (shifted by 3).
fn write_reference(path: &Path, rows: usize, digest: &str) {
    let all: Vec<(usize, &str, Vec<f32>)> = ["near", "far"]
        .iter()
        .flat_map(|domain| {
            let shift = if *domain == "far" { 3.0 } else { 0.0 };
            (0..rows).map(move |i| (i, *domain, latent(99, i, shift)))
        })
        .collect();
    let schema = Arc::new(Schema::new(vec![
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new("domain", DataType::Utf8, false),
        Field::new("visit", DataType::Int64, false),
        field("latent", D, digest),
        Field::new("probability", list_type(2), false),
    ]));
    write_reference_of(path, schema, &all);
}

/// Writes a reference with columns of other metadata.
fn write_reference_of(path: &Path, schema: SchemaRef, all: &[(usize, &str, Vec<f32>)]) {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(all.iter().map(|(i, ..)| format!("r{i}")))),
        Arc::new(StringArray::from_iter_values(all.iter().map(|(_, domain, _)| *domain))),
        Arc::new(Int64Array::from_iter_values(all.iter().map(|(i, ..)| (*i % 3) as i64))),
        list_column(all.iter().flat_map(|(.., latent)| latent.clone()).collect(), D).expect("latents"),
        list_column(all.iter().flat_map(|(.., latent)| probability(latent)).collect(), 2).expect("probabilities"),
    ];
    let mut writer =
        ArrowWriter::try_new(File::create(path).expect("created"), schema.clone(), None).expect("a writer");
    writer.write(&RecordBatch::try_new(schema, columns).expect("rows")).expect("written");
    writer.close().expect("closed");
}

#[test]
fn a_reference_with_floats_for_identities_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.parquet");
    let schema =
        Arc::new(Schema::new(vec![Field::new(OBJECT_ID, DataType::Float64, true), field("latent", D, "0123")]));
    let ids: ArrayRef = Arc::new(Float64Array::from(vec![Some(4e17), None]));
    let latents = list_column([latent(1, 0, 0.0), latent(1, 1, 0.0)].concat(), D).expect("latents");
    let mut writer =
        ArrowWriter::try_new(File::create(&path).expect("created"), schema.clone(), None).expect("a writer");
    writer.write(&RecordBatch::try_new(schema, vec![ids, latents]).expect("rows")).expect("written");
    writer.close().expect("closed");
    let mut monitor = LatentDrift { window: Some(30), ..LatentDrift::new("m", &path) }.build("drift").expect("built");
    let mistakes = monitor.bind(&stream_schema(), &UpstreamSchemas::new()).expect_err("a mistake");
    assert_eq!(mistakes[0].path, ["reference"]);
    assert!(
        mistakes[0].message.ends_with("identities are float64 in column `object_id`: digits may be lost above 2^53")
    );
}

fn stream_schema() -> Schema {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let classes = HashMap::from([("classes".to_owned(), "a,b".to_owned())]);
    Schema::new(vec![
        text(OBJECT_ID),
        text(ORIGIN),
        Field::new("visit", DataType::Int64, false),
        text("detector"),
        field("m_latent", D, "0123"),
        Field::new("m_probability", list_type(2), false).with_metadata(classes),
    ])
}

/// Rows of a stream with a shift per row.
fn rows(range: std::ops::Range<usize>, shift: impl Fn(usize) -> f64) -> RecordBatch {
    let text =
        |of: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(range.clone().map(of))) };
    let latents: Vec<Vec<f32>> = range.clone().map(|i| latent(8, i, shift(i))).collect();
    let columns: Vec<ArrayRef> = vec![
        text(&|i| format!("o{i}")),
        text(&|i| format!("test:{i}")),
        Arc::new(Int64Array::from_iter_values(range.clone().map(|i| (i / 30) as i64))),
        text(&|i| ["north", "south", "west"][i % 3].to_owned()),
        list_column(latents.concat(), D).expect("latents"),
        list_column(latents.iter().flat_map(|latent| probability(latent)).collect(), 2).expect("probabilities"),
    ];
    RecordBatch::try_new(Arc::new(stream_schema()), columns).expect("rows")
}

fn still(_: usize) -> f64 {
    0.0
}

fn later(i: usize) -> f64 {
    if i < 60 { 0.0 } else { 1.5 }
}

struct ReferenceFile {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

fn reference(rows: usize) -> ReferenceFile {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.parquet");
    write_reference(&path, rows, "0123");
    ReferenceFile { _folder: folder, path }
}

impl ReferenceFile {
    fn settings(&self, window: u64) -> LatentDrift {
        LatentDrift {
            domain: Some("near".into()),
            permutations: 199,
            window: Some(window),
            ..LatentDrift::new("m", &self.path)
        }
    }
}

fn monitor(settings: LatentDrift) -> Box<dyn Monitor> {
    let mut monitor = settings.build("drift").expect("built");
    monitor.bind(&stream_schema(), &UpstreamSchemas::new()).expect("bound");
    monitor.start(&RunContext { seed: 5, ..RunContext::default() }, &Scorers::new()).expect("started");
    monitor
}

fn watch(settings: LatentDrift, batches: &[RecordBatch]) -> (RecordBatch, Vec<Finding>) {
    let mut monitor = monitor(settings);
    let mut outputs: Vec<MonitorOutput> =
        batches.iter().map(|batch| monitor.observe(batch).expect("observed")).collect();
    outputs.push(monitor.finish().expect("finished"));
    collect(outputs)
}

fn numbers(table: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    table[column].as_primitive::<Float64Type>().iter().collect()
}

fn counts(table: &RecordBatch, column: &str) -> Vec<i64> {
    table[column].as_primitive::<Int64Type>().iter().flatten().collect()
}

/// Every way to cut windows and to test them, with windows of about `window` rows.
fn every_way(reference: &ReferenceFile, window: u64) -> Vec<LatentDrift> {
    let base = reference.settings(window);
    vec![
        base.clone(),
        LatentDrift { every: Some(window * 3 / 8), ..base.clone() },
        LatentDrift {
            window: None,
            window_by: Some("visit".into()),
            control: Control::Lord,
            alpha: 0.2,
            permutations: 1999,
            ..base.clone()
        },
        LatentDrift { segment: Some("detector".into()), segments: 2, ..base.clone() },
        LatentDrift { block: Some("visit".into()), kernel: KernelChoice::Named(KernelName::Median), ..base.clone() },
        LatentDrift {
            method: TestMethod::RandomFeatures,
            features: 38,
            segment: Some("detector".into()),
            segments: 2,
            ..base
        },
    ]
}

#[test]
fn windows_have_the_statistics_of_their_rows() {
    let reference = reference(50);
    let (table, findings) = watch(reference.settings(30), &[rows(0..75, still)]);
    assert_eq!((counts(&table, "n"), counts(&table, "first_row")), (vec![30, 30, 15], vec![0, 30, 60]));
    assert!(findings.is_empty(), "{findings:?}");
    let near: Vec<f32> = (0..50).flat_map(|i| latent(99, i, 0.0)).collect();
    let window: Vec<f32> = (30..60).flat_map(|i| latent(8, i, 0.0)).collect();
    let expected =
        mmd2(Points::new(&near, D), &Points::new(&window, D), GaussianKernelSum::paper()).expect("a discrepancy");
    assert_eq!(numbers(&table, "mmd2")[1], Some(expected.unbiased));
    assert_eq!(numbers(&table, "mmd2_biased")[1], Some(expected.biased));
    for column in ["p_val", "js_class_p_val", "js_latent_p_val"] {
        let p_values = numbers(&table, column);
        assert!(
            p_values
                .iter()
                .flatten()
                .all(|p| (0.005..=1.0).contains(p) && (p * 200.0 - (p * 200.0).round()).abs() < 1e-9)
        );
        assert_eq!(p_values.len(), 3);
    }
    assert_eq!(
        numbers(&table, "expected_false_alarms").iter().flatten().sum::<f64>(),
        0.05 + 0.1 + 0.15000000000000002
    );
    assert_eq!(table.schema().field(6).metadata()["domain"], "near");
}

#[test]
fn drift_is_one_finding_until_the_stream_returns() {
    let reference = reference(100);
    let shift = |i: usize| if (60..120).contains(&i) || i >= 150 { 1.5 } else { 0.0 };
    let (table, findings) = watch(reference.settings(30), &[rows(0..180, shift)]);
    let drift: Vec<Option<bool>> = table["is_drift"].as_boolean().iter().collect();
    assert_eq!(drift, [false, false, true, true, false, true].map(Some));
    assert_eq!(findings.len(), 2);
    let message = &findings[0].message;
    let begin = "`m` has drifted from domain `near` of `";
    let end =
        "in window 2 (rows 60 to 89): p = 0.0050 at level 0.0500; expected false alarms so far: 0.15 in 3 windows";
    assert!(message.starts_with(begin) && message.ends_with(end), "{message}");
    let far = LatentDrift { domain: Some("far".into()), ..reference.settings(30) };
    let (table, _) = watch(far, &[rows(0..60, still)]);
    assert_eq!(table["is_drift"].as_boolean().true_count(), 2);
    assert!(numbers(&table, "js_class").iter().all(|distance| distance.is_some_and(|distance| distance > 0.2)));
}

#[test]
fn windows_do_not_depend_on_batches() {
    let reference = reference(60);
    for settings in every_way(&reference, 40) {
        let expected = watch(settings.clone(), &[rows(0..130, later)]);
        for size in [1, 7, 40] {
            let batches: Vec<RecordBatch> =
                (0..130).step_by(size).map(|first| rows(first..(first + size).min(130), later)).collect();
            assert_eq!(watch(settings.clone(), &batches), expected, "batches of {size}, {settings:?}");
        }
        assert!(!expected.1.is_empty(), "{settings:?}");
    }
}

#[test]
fn continues_from_a_snapshot_after_any_number_of_rows() {
    let reference = reference(30);
    let shift = |i: usize| if i < 15 { 0.0 } else { 3.0 };
    let inputs: Vec<Input> = (0..32).map(|i| Input::Stream(rows(i..i + 1, shift))).collect();
    for settings in every_way(&reference, 12) {
        assert_continues_from_any_snapshot(&|| monitor(settings.clone()), &inputs);
    }
}

#[test]
fn refuses_snapshots_of_other_settings() {
    let reference = reference(30);
    let mut first = monitor(reference.settings(12));
    first.observe(&rows(0..20, still)).expect("observed");
    let snapshot = first.snapshot().expect("a snapshot");
    let why = |change: fn(LatentDrift) -> LatentDrift| {
        monitor(change(reference.settings(12))).restore(&snapshot).expect_err("refused").to_string()
    };
    assert!(
        why(|base| LatentDrift { segment: Some("detector".into()), segments: 2, ..base })
            .contains("the list of columns")
    );
    assert!(why(|base| LatentDrift { window: Some(13), ..base }).contains("the rule of windows"));
    assert!(why(|base| LatentDrift { alpha: 0.1, ..base }).contains("`alpha` is 0.05, expected 0.1"));
    let sums = |base| LatentDrift { method: TestMethod::RandomFeatures, classes: false, ..base };
    assert!(why(sums).contains("the list of columns"));
}

#[test]
fn segments_are_tested_separately_with_holms_correction() {
    let reference = reference(100);
    let settings = LatentDrift { segment: Some("detector".into()), segments: 2, ..reference.settings(90) };
    let south = |i: usize| if i % 3 == 1 { 2.0 } else { 0.0 };
    let (table, findings) = watch(settings, &[rows(0..90, south)]);
    let segments: Vec<&str> = table["segment"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(segments, ["north", "south", "west"]);
    assert_eq!(counts(&table, "n"), [30, 30, 30]);
    let (p, adjusted) = (numbers(&table, "p_val"), numbers(&table, "p_val_adjusted"));
    assert_eq!((p[1], adjusted[1], p[2], adjusted[2]), (Some(0.005), Some(0.01), None, None));
    assert_eq!(adjusted[0], p[0]);
    assert_eq!(table["reason"].as_string::<i32>().value(2), "more segments than `segments`");
    assert!(findings[0].message.contains("in segments `south` in window 0"), "{findings:?}");
}

#[test]
fn permutations_stay_within_blocks() {
    let reference = reference(90);
    // Only the reference's rows of visit 0 can be exchanged: the window has no rows of visits 1 and 2.
    let blocked = LatentDrift { block: Some("visit".into()), ..reference.settings(30) };
    let (table, _) = watch(blocked.clone(), &[rows(0..30, still)]);
    assert!(numbers(&table, "p_val")[0].is_some());
    let (table, _) = watch(blocked, &[rows(90..120, still)]);
    assert_eq!(table["reason"].as_string::<i32>().value(0), "no block has rows of both the window and the reference");
    assert!(table["is_drift"].is_null(0));
}

#[test]
fn a_single_row_is_not_tested() {
    let reference = reference(20);
    let (table, _) = watch(reference.settings(30), &[rows(0..31, still)]);
    assert_eq!(table["reason"].as_string::<i32>().value(1), "fewer than 2 rows");
    assert_eq!(numbers(&table, "expected_false_alarms"), [Some(0.05), Some(0.05)]);
}

#[test]
fn a_large_reference_is_sampled() {
    let reference = reference(60);
    let small = LatentDrift { reference_limit: 25, ..reference.settings(30) };
    let (table, _) = watch(small, &[rows(0..30, still)]);
    assert_eq!(counts(&table, "reference_n"), [25]);
}

#[test]
fn rejects_what_cannot_be_compared() {
    let reference = reference(20);
    let mistakes = |settings: LatentDrift| {
        let bound =
            settings.build("drift").and_then(|mut monitor| monitor.bind(&stream_schema(), &UpstreamSchemas::new()));
        bound.expect_err("a mistake").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let base = reference.settings(30);
    let expect = |settings: LatentDrift, message: &str| {
        let found = mistakes(settings);
        assert!(found.contains(message), "{found}");
    };
    expect(LatentDrift { score: "n".into(), ..base.clone() }, "the column `n_latent` does not hold latents");
    expect(
        LatentDrift { domain: Some("neat".into()), ..base.clone() },
        "does not have the domain `neat` (at `domain`); help: its domains are `near`, `far`",
    );
    expect(
        LatentDrift { reference: "nowhere.parquet".into(), ..base.clone() },
        "the reference `nowhere.parquet` cannot be read",
    );
    expect(
        LatentDrift { reference_latent: "latents".into(), ..base.clone() },
        "does not have a column `latents` (at `reference_latent`); help: did you mean `latent`?",
    );
    expect(
        LatentDrift { reference_latent: "domain".into(), ..base.clone() },
        "does not hold latents: its type is Utf8",
    );
    expect(LatentDrift { reference_latent: "probability".into(), ..base.clone() }, "have 2 numbers, those of `m` 4");
    expect(LatentDrift { block: Some("detector".into()), ..base.clone() }, "does not have a column `detector`");
    expect(LatentDrift { window: Some(1), ..base.clone() }, "`window` is 1");
    expect(LatentDrift { window: None, ..base.clone() }, "the length of a window is missing");
    expect(LatentDrift { every: Some(31), ..base.clone() }, "the rows in between would not be tested");
    let by_visit = LatentDrift { window_by: Some("visit".into()), every: Some(3), ..base.clone() };
    expect(by_visit, "windows that `window_by` cuts cannot overlap");
    let segments = LatentDrift { segment: Some("detector".into()), segments: 11, ..base.clone() };
    expect(segments, "199 permutations cannot make one of 11 segments significant at 0.05");
    let few = LatentDrift { control: Control::Lord, permutations: 80, ..base.clone() };
    expect(few, "80 permutations cannot make a window significant at 0.0109");
    let sliding = LatentDrift { method: TestMethod::RandomFeatures, every: Some(3), ..base.clone() };
    expect(sliding, "`every` needs the rows of a window");
    expect(LatentDrift { kernel: KernelChoice::Variances(vec![0.0]), ..base.clone() }, "all must be above 0");
    let other = reference.path.with_file_name("other.parquet");
    write_reference(&other, 5, "4567");
    expect(
        LatentDrift { reference: other, ..base },
        "are of another model (sha256 4567) than those of the score (0123)",
    );
}

/// Latents of images in `unit`, by a model with the digest of the stream's.
fn described(name: &str, image: &ImageLayout, domain: &str) -> Field {
    let (key, value) = LatentLayout::new("latent", [ScoredImage::new(image, domain.to_owned())]).entry();
    let described = field(name, D, "0123");
    let mut metadata = described.metadata().clone();
    metadata.insert(key, value);
    described.with_metadata(metadata)
}

fn y1() -> ImageLayout {
    let images = ImageLayout::new(["g", "r"], 4, 4, Unit::Stretched).with_pixel_scale(0.2);
    images.with_stretch(Stretch { lo: -1.0, hi: 2.0 })
}

fn classes_of(names: [&str; 2]) -> HashMap<String, String> {
    HashMap::from([("classes".to_owned(), metadata_list(&names))])
}

/// The mistakes of a stream of year 1 with references of these latents, one file each, or how the images of the references differ.
fn compared_with(references: &[Field], classes: [&str; 2]) -> Result<Value, String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, latent) in references.iter().enumerate() {
        let schema = Arc::new(Schema::new(vec![
            Field::new(OBJECT_ID, DataType::Utf8, false),
            Field::new("domain", DataType::Utf8, false),
            Field::new("visit", DataType::Int64, false),
            latent.clone(),
            Field::new("probability", list_type(2), false).with_metadata(classes_of(classes)),
        ]));
        let rows: Vec<_> = (0..4).map(|i| (4 * number + i, "near", latent_of(4 * number + i))).collect();
        write_reference_of(&folder.path().join(format!("part-{number}.parquet")), schema, &rows);
    }
    let mut stream: Vec<Field> = stream_schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    stream[4] = described("m_latent", &y1(), "y1");
    let settings = LatentDrift { permutations: 99, window: Some(30), ..LatentDrift::new("m", folder.path()) };
    let mut monitor = settings.build("drift").expect("built");
    monitor
        .bind(&Schema::new(stream), &UpstreamSchemas::new())
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    monitor.start(&RunContext::default(), &Scorers::new()).expect("started");
    Ok(monitor.provenance()["reference_images"].clone())
}

fn latent_of(object: usize) -> Vec<f32> {
    latent(99, object, 0.0)
}

#[test]
fn references_of_other_units_scales_or_constants_are_refused_and_of_other_domains_named() {
    let of = |image: ImageLayout, domain: &str| compared_with(&[described("latent", &image, domain)], ["a", "b"]);
    let refused = |image: ImageLayout, domain: &str, line: &str| {
        let why = of(image, domain).expect_err("refused");
        let begin = "[conflict] the latents of `";
        let end = format!(
            "part-0.parquet` cannot be compared with those of `m`: {line} (at `reference`); help: name a reference of images like those \
             of the score, or score such images"
        );
        assert!(why.starts_with(begin) && why.ends_with(&end), "{why}");
    };
    assert_eq!(of(y1(), "y1"), Ok(json!([])));
    refused(ImageLayout { unit: Unit::Electron, stretch: None, ..y1() }, "y1", "unit `electron`, expected `stretched`");
    refused(y1().with_pixel_scale(0.168), "y1", "pixel scale 0.168 arcsec, expected 0.2 arcsec");
    refused(ImageLayout { bands: vec!["r".into(), "g".into()], ..y1() }, "y1", "bands `r`, `g`, expected `g`, `r`");
    let ten_years = y1().with_stretch(Stretch { lo: -10.0, hi: 20.0 });
    let line = "stretch `y1` (lo -10, hi 20), expected `y1` (lo -1, hi 2)";
    refused(ten_years.clone(), "y1", line);
    let shift = "stretch `y10` (lo -10, hi 20), expected `y1` (lo -1, hi 2)";
    assert_eq!(of(ten_years.clone(), "y10"), Ok(json!([shift])));
    // Every file of a folder is compared, and those that do not say what their images are, are named.
    let [good, shifted, other] =
        [described("latent", &y1(), "y1"), described("latent", &ten_years, "y10"), field("latent", D, "4567")];
    assert_eq!(compared_with(&[good.clone(), shifted.clone(), shifted], ["a", "b"]), Ok(json!([shift])));
    assert_eq!(compared_with(&[field("latent", D, "0123")], ["a", "b"]), Ok(Value::Null));
    let partly = compared_with(&[good.clone(), field("latent", D, "0123")], ["a", "b"]).expect("comparable");
    let line = partly[0].as_str().expect("a line");
    assert!(line.ends_with("part-1.parquet` does not say what images its latents are of"), "{line}");
    let why = compared_with(&[good.clone(), other], ["a", "b"]).expect_err("refused");
    assert!(why.contains("part-1.parquet` are of another model (sha256 4567)"), "{why}");
    let why = compared_with(&[good], ["b", "a"]).expect_err("refused");
    let message = "part-0.parquet` has the classes `b`, `a`, `m` has `a`, `b` (at `reference_probability`)";
    assert!(why.contains(message), "{why}");
}
