//! The monitor against the statistics themselves, on streams cut in any way.

use std::{collections::HashMap, fs::File, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Float64Type, UInt64Type},
};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::{
    batch::{ORIGIN, list_column, list_type},
    stage::Settings,
    stats::{mmd::mmd2, points::Points},
};

const D: usize = 4;

/// The latent of an object: of one distribution, but for a shift.
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

/// A reference of two domains, `near` and `far` (shifted by 3), of so many rows each.
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

/// Rows of a stream that drifts: the shift of a row grows from `from` on.
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

struct Case {
    _folder: tempfile::TempDir,
    reference: std::path::PathBuf,
}

fn case(rows: usize) -> Case {
    let folder = tempfile::tempdir().expect("a folder");
    let reference = folder.path().join("reference.parquet");
    write_reference(&reference, rows, "0123");
    Case { _folder: folder, reference }
}

impl Case {
    fn settings(&self, window: u64) -> LatentDrift {
        LatentDrift { domain: Some("near".into()), permutations: 199, ..LatentDrift::of("m", &self.reference, window) }
    }
}

fn monitor(settings: LatentDrift) -> Box<dyn Monitor> {
    let mut monitor = settings.build("drift").expect("built");
    monitor.bind(&stream_schema(), &UpstreamSchemas::new()).expect("bound");
    monitor.start(&RunContext { seed: 5, ..RunContext::default() }, &Scorers::new()).expect("started");
    monitor
}

fn table(emitted: Vec<MonitorOutput>) -> (RecordBatch, Vec<Finding>) {
    let (rows, findings): (Vec<_>, Vec<_>) = emitted.into_iter().map(|said| (said.rows, said.findings)).unzip();
    let rows: Vec<RecordBatch> = rows.concat().into_iter().map(|said| said.rows).collect();
    (concat_batches(rows[0].schema_ref(), &rows).expect("one table"), findings.concat())
}

fn watch(settings: LatentDrift, batches: &[RecordBatch]) -> (RecordBatch, Vec<Finding>) {
    let mut monitor = monitor(settings);
    let mut emitted: Vec<MonitorOutput> =
        batches.iter().map(|batch| monitor.observe(batch).expect("observed")).collect();
    emitted.push(monitor.finish().expect("finished"));
    table(emitted)
}

fn numbers(table: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    table[column].as_primitive::<Float64Type>().iter().collect()
}

fn counts(table: &RecordBatch, column: &str) -> Vec<u64> {
    table[column].as_primitive::<UInt64Type>().iter().flatten().collect()
}

/// All ways to cut windows and to judge them.
fn every_way(case: &Case) -> Vec<LatentDrift> {
    let base = case.settings(40);
    vec![
        base.clone(),
        LatentDrift { every: Some(15), ..base.clone() },
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
            method: Method::RandomFeatures,
            features: 38,
            segment: Some("detector".into()),
            segments: 2,
            ..base
        },
    ]
}

#[test]
fn a_window_is_judged_by_the_statistics_of_its_rows() {
    let case = case(50);
    let (table, findings) = watch(case.settings(30), &[rows(0..75, still)]);
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
fn drift_is_found_once_until_the_stream_comes_back() {
    let case = case(100);
    let shift = |i: usize| if (60..120).contains(&i) || i >= 150 { 1.5 } else { 0.0 };
    let (table, findings) = watch(case.settings(30), &[rows(0..180, shift)]);
    let drift: Vec<Option<bool>> = table["is_drift"].as_boolean().iter().collect();
    assert_eq!(drift, [false, false, true, true, false, true].map(Some));
    assert_eq!(findings.len(), 2);
    let message = &findings[0].message;
    let begin = "`m` has drifted from domain `near` of `";
    let end = "in window 2 (rows 60 to 89): p = 0.0050 at level 0.0500; of 3 windows tested so far 0.15 would be called drift \
               without any";
    assert!(message.starts_with(begin) && message.ends_with(end), "{message}");
    let far = LatentDrift { domain: Some("far".into()), ..case.settings(30) };
    let (table, _) = watch(far, &[rows(0..60, still)]);
    assert_eq!(table["is_drift"].as_boolean().true_count(), 2);
    assert!(numbers(&table, "js_class").iter().all(|distance| distance.is_some_and(|distance| distance > 0.2)));
}

#[test]
fn windows_do_not_depend_on_batches() {
    let case = case(60);
    for settings in every_way(&case) {
        let whole = watch(settings.clone(), &[rows(0..130, later)]);
        for size in [1, 7, 40] {
            let batches: Vec<RecordBatch> =
                (0..130).step_by(size).map(|first| rows(first..(first + size).min(130), later)).collect();
            assert_eq!(watch(settings.clone(), &batches), whole, "batches of {size}, {settings:?}");
        }
        assert!(!whole.1.is_empty(), "{settings:?}");
    }
}

#[test]
fn a_restored_monitor_says_what_an_undisturbed_one_says() {
    let case = case(60);
    for settings in every_way(&case) {
        let undisturbed = watch(settings.clone(), &[rows(0..130, later)]);
        for cut in [0, 1, 40, 95] {
            let mut first = monitor(settings.clone());
            let mut emitted = vec![first.observe(&rows(0..cut, later)).expect("observed")];
            let snapshot = first.snapshot().expect("a snapshot");
            assert!(snapshot.len() <= first.state_bound_bytes(), "{} {}", snapshot.len(), first.state_bound_bytes());
            let mut second = monitor(settings.clone());
            second.restore(&snapshot).expect("restored");
            emitted.push(second.observe(&rows(cut..130, later)).expect("observed"));
            emitted.push(second.finish().expect("finished"));
            assert_eq!(table(emitted), undisturbed, "cut at {cut}, {settings:?}");
        }
    }
}

#[test]
fn segments_are_tested_one_by_one_with_holms_correction_and_what_is_beyond_them_is_told() {
    let case = case(100);
    let settings = LatentDrift { segment: Some("detector".into()), segments: 2, ..case.settings(90) };
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
fn within_blocks_a_difference_between_blocks_is_none() {
    let case = case(90);
    // The reference's rows of visit 0 alone have a counterpart: those of visits 1 and 2 stay where they are.
    let blocked = LatentDrift { block: Some("visit".into()), ..case.settings(30) };
    let (table, _) = watch(blocked.clone(), &[rows(0..30, still)]);
    assert!(numbers(&table, "p_val")[0].is_some());
    let (table, _) = watch(blocked, &[rows(90..120, still)]);
    assert_eq!(table["reason"].as_string::<i32>().value(0), "no block has rows of both the window and the reference");
    assert!(table["is_drift"].is_null(0));
}

#[test]
fn a_single_row_is_no_window() {
    let case = case(20);
    let (table, _) = watch(case.settings(30), &[rows(0..31, still)]);
    assert_eq!(table["reason"].as_string::<i32>().value(1), "fewer than 2 rows");
    assert_eq!(numbers(&table, "expected_false_alarms"), [Some(0.05), Some(0.05)]);
}

#[test]
fn the_rows_of_a_large_reference_that_are_used_do_not_depend_on_their_order() {
    let case = case(60);
    let small = LatentDrift { reference_limit: 25, ..case.settings(30) };
    let (table, _) = watch(small, &[rows(0..30, still)]);
    assert_eq!(counts(&table, "reference_n"), [25]);
}

#[test]
fn what_cannot_be_compared_is_a_mistake() {
    let case = case(20);
    let mistakes = |settings: LatentDrift| {
        let bound =
            settings.build("drift").and_then(|mut monitor| monitor.bind(&stream_schema(), &UpstreamSchemas::new()));
        bound.expect_err("a mistake").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let base = case.settings(30);
    let told = |settings: LatentDrift, message: &str| {
        let found = mistakes(settings);
        assert!(found.contains(message), "{found}");
    };
    told(LatentDrift { score: "n".into(), ..base.clone() }, "the column `n_latent` holds no latents");
    told(LatentDrift { domain: Some("neat".into()), ..base.clone() }, "has no domain `neat`; it has `near`, `far`");
    told(
        LatentDrift { reference: "nowhere.parquet".into(), ..base.clone() },
        "the reference `nowhere.parquet` cannot be read",
    );
    told(
        LatentDrift { reference_latent: "latents".into(), ..base.clone() },
        "no column `latents`; did you mean `latent`?",
    );
    told(LatentDrift { reference_latent: "domain".into(), ..base.clone() }, "holds no latents: it is Utf8");
    told(LatentDrift { reference_latent: "probability".into(), ..base.clone() }, "have 2 numbers, those of `m` 4");
    told(LatentDrift { block: Some("detector".into()), ..base.clone() }, "has no column `detector`");
    told(LatentDrift { window: Some(1), ..base.clone() }, "`window` is 1");
    told(LatentDrift { window: None, ..base.clone() }, "nothing says how long a window is");
    told(LatentDrift { every: Some(31), ..base.clone() }, "rows between windows would belong to none");
    let by_visit = LatentDrift { window_by: Some("visit".into()), every: Some(3), ..base.clone() };
    told(by_visit, "windows that a column cuts do not slide");
    let segments = LatentDrift { segment: Some("detector".into()), segments: 11, ..base.clone() };
    told(segments, "199 permutations cannot make one of 11 segments significant at 0.05");
    let few = LatentDrift { control: Control::Lord, permutations: 80, ..base.clone() };
    told(few, "80 permutations cannot make a window significant at 0.0109");
    let sliding = LatentDrift { method: Method::RandomFeatures, every: Some(3), ..base.clone() };
    told(sliding, "`every` needs the rows of a window");
    told(LatentDrift { kernel: KernelChoice::Variances(vec![0.0]), ..base.clone() }, "numbers above 0");
    let other = case.reference.with_file_name("other.parquet");
    write_reference(&other, 5, "4567");
    told(LatentDrift { reference: other, ..base }, "are of another model (sha256 4567) than the score's (0123)");
}
