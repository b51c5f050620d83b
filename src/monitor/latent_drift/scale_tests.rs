//! Latents of any scale, rows that are in the reference too, and windows that are stopped.

use std::{
    fs::File,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Int64Type},
};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::{
    batch::{ORIGIN, list_column, list_type},
    monitor::kit::fixtures::collect,
    random::Stream,
    stage::Stop,
};

const D: usize = 5;

/// Normal latents of a scale, shifted by some standard deviations in every dimension.
fn normal(seed: u64, rows: usize, scale: f64, shift: f64) -> Vec<Vec<f32>> {
    let latent = |i: usize| {
        let mut stream = Stream::new(seed, &i.to_string(), "latent");
        (0..D).map(|_| (scale * (stream.normal() + shift)) as f32).collect()
    };
    (0..rows).map(latent).collect()
}

fn text(prefix: &str, count: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..count).map(|i| format!("{prefix}{i}"))))
}

fn latents(of: &[Vec<f32>]) -> ArrayRef {
    list_column(of.concat(), D).expect("latents")
}

fn stream_schema() -> Schema {
    let fields = [OBJECT_ID, ORIGIN, "detector"].map(|name| Field::new(name, DataType::Utf8, false));
    Schema::new(fields.into_iter().chain([Field::new("m_latent", list_type(D), false)]).collect::<Vec<_>>())
}

/// Rows of a stream with ids `o0`, `o1`, ...
fn stream(of: &[Vec<f32>]) -> RecordBatch {
    named_stream(text("o", of.len()), of)
}

fn named_stream(ids: ArrayRef, of: &[Vec<f32>]) -> RecordBatch {
    let detectors: ArrayRef = Arc::new(StringArray::from_iter_values((0..of.len()).map(|i| ["n", "s"][i % 2])));
    let columns = vec![ids, text("test:", of.len()), detectors, latents(of)];
    RecordBatch::try_new(Arc::new(stream_schema()), columns).expect("rows")
}

/// A reference of latents, and of ids if there are some.
fn reference(ids: Option<ArrayRef>, of: &[Vec<f32>]) -> (tempfile::TempDir, LatentDrift) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reference.parquet");
    let mut columns = vec![("latent", latents(of))];
    columns.extend(ids.map(|ids| (OBJECT_ID, ids)));
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let rows = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, column)| column).collect());
    let mut writer = ArrowWriter::try_new(File::create(&path).expect("created"), schema, None).expect("a writer");
    writer.write(&rows.expect("rows")).expect("written");
    writer.close().expect("closed");
    let settings = LatentDrift { window: Some(60), permutations: 199, classes: false, ..LatentDrift::new("m", path) };
    (folder, settings)
}

fn try_start(settings: LatentDrift, stop: &Stop) -> Result<LatentDriftMonitor> {
    let mut monitor = LatentDriftMonitor::new("drift", settings);
    monitor.bind(&stream_schema(), &UpstreamSchemas::new()).expect("bound");
    let run = RunContext { seed: 5, stop: stop.clone(), ..RunContext::default() };
    monitor.start(&run, &Scorers::new())?;
    Ok(monitor)
}

fn started(settings: LatentDrift) -> LatentDriftMonitor {
    try_start(settings, &Stop::default()).expect("started")
}

fn watch(settings: LatentDrift, rows: &RecordBatch) -> (RecordBatch, Vec<Finding>) {
    let mut monitor = started(settings);
    let outputs = [monitor.observe(rows).expect("observed"), monitor.finish().expect("finished")];
    collect(outputs)
}

fn number(table: &RecordBatch, column: &str) -> f64 {
    table[column].as_primitive::<Float64Type>().value(0)
}

fn in_reference(table: &RecordBatch) -> Vec<Option<i64>> {
    table["n_in_reference"].as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn a_shift_is_drift_and_no_shift_is_not_at_every_scale() {
    let methods = [TestMethod::Permutation, TestMethod::RandomFeatures];
    for scale in [1e-42, 1e-30, 1e-20, 1e-3, 1.0, 1e3, 1e4, 1e5, 1e15, 1e30] {
        let (_folder, base) = reference(Some(text("r", 80)), &normal(1, 80, scale, 0.0));
        let kernel = if (1e-4..2e3).contains(&scale) { "paper" } else { "median" };
        for method in methods {
            let settings = LatentDrift { method, ..base.clone() };
            let (table, findings) = watch(settings.clone(), &stream(&normal(2, 60, scale, 5.0)));
            // One in 19 of the paper's frequencies sees a scale of 1e3: the others are noise.
            let is_noisy = (scale, method) == (1e3, TestMethod::RandomFeatures);
            let most = if is_noisy { 0.05 } else { 0.005 };
            assert!(number(&table, "p_val") <= most, "{scale} {method:?} {}", number(&table, "p_val"));
            assert!(table["is_drift"].as_boolean().value(0) && findings.len() == 1, "{scale} {method:?}");
            assert_eq!(table["kernel"].as_string::<i32>().value(0), kernel, "{scale}");
            let (table, findings) = watch(settings, &stream(&normal(3, 60, scale, 0.0)));
            assert!(number(&table, "p_val") > 0.05, "{scale} {method:?} {}", number(&table, "p_val"));
            assert!(findings.is_empty(), "{scale} {method:?} {findings:?}");
            // Far away, of another scale, or all equal, the window is drift too.
            for other in [normal(4, 60, 1e37, 0.0), normal(4, 60, scale * 1e3, 0.0), vec![vec![0.0; D]; 60]] {
                let (table, _) = watch(LatentDrift { method, ..base.clone() }, &stream(&other));
                let is_drift = table["is_drift"].as_boolean().value(0);
                assert!(is_drift || is_noisy, "{scale} {method:?} {}", number(&table, "p_val"));
            }
        }
    }
}

#[test]
fn what_was_used_is_in_the_table_and_in_the_run_record() {
    let (_folder, base) = reference(None, &normal(1, 80, 1e6, 0.0));
    let provenance = started(base).provenance();
    let median = provenance["median_squared_distance"].as_f64().expect("a number");
    assert_eq!((&provenance["kernel"], &provenance["reference_rows"]), (&json!("median"), &json!(80)));
    assert_eq!(provenance["variances"], json!([median]));
    assert!((5e12..1.5e13).contains(&median), "{median}");
}

#[test]
fn named_kernels_that_are_blind_are_refused_when_the_run_starts() {
    let (_folder, base) = reference(None, &normal(1, 80, 1e6, 0.0));
    for (kernel, variances) in [
        (KernelChoice::Named(KernelName::Paper), "(variances 1e-6 to 1e6)"),
        (KernelChoice::Variances(vec![2.0]), "(variance 2e0)"),
    ] {
        for method in [TestMethod::Permutation, TestMethod::RandomFeatures] {
            let settings = LatentDrift { kernel: kernel.clone(), method, ..base.clone() };
            let error = try_start(settings, &Stop::default()).err().expect("refused").to_string();
            assert!(error.contains("reference.parquet` has latents whose median squared distance is "), "{error}");
            assert!(error.contains(variances) && error.ends_with("set `kernel: median`"), "{error}");
        }
    }
    let (_folder, equal) = reference(None, &vec![vec![3.0; D]; 40]);
    let error = try_start(equal, &Stop::default()).err().expect("refused").to_string();
    assert!(error.contains("reference.parquet` has only equal latents"), "{error}");
}

#[test]
fn a_test_whose_kernel_values_are_all_equal_has_a_reason_and_is_a_finding() {
    // Unit vectors are at one distance from each other.
    let unit = |i: usize| (0..D).map(|d| f32::from(u8::from(d == i % D))).collect::<Vec<f32>>();
    let (_folder, base) = reference(Some(text("r", 2)), &[unit(0), unit(1)]);
    let (table, findings) = watch(LatentDrift { permutations: 19, ..base }, &stream(&[unit(2), unit(3)]));
    assert_eq!(table["reason"].as_string::<i32>().value(0), "all pairs of rows have the same kernel value");
    for column in ["mmd2", "mmd2_biased", "mmd2_threshold", "p_val", "p_val_adjusted", "is_drift"] {
        assert!(table[column].is_null(0), "{column}");
    }
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.starts_with("1 window of `m` was not tested, at least in part: "), "{findings:?}");
}

#[test]
fn rows_that_are_in_the_reference_are_counted_and_are_a_finding() {
    let of = normal(1, 80, 1.0, 0.0);
    let own = [normal(2, 30, 1.0, 0.0), of[..30].to_vec()].concat();
    let all_own = stream(&normal(2, 60, 1.0, 0.0));
    let integers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..80));
    let as_text = cast(&integers, &DataType::Utf8).expect("text");
    let short: ArrayRef = Arc::new(Int32Array::from_iter_values(0..80));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let dictionary = cast(&as_text, &dictionary).expect("a dictionary");
    // Ids 50 to 79 of the reference are 0 to 29 of the second half.
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((50..110).map(|i| i.to_string())));
    let named = |of: &[Vec<f32>]| named_stream(ids.clone(), of);
    for (reference_ids, rows, expected, how) in [
        (Some(text("o", 80)), stream(&own), 60, "(by `object_id`)"),
        (Some(integers), named(&own), 30, "(by `object_id`)"),
        (Some(short), named(&own), 30, "(by `object_id`)"),
        (Some(as_text), named(&own), 30, "(by `object_id`)"),
        (Some(dictionary), named(&own), 30, "(by `object_id`)"),
        (None, stream(&own), 30, "(by equal latents)"),
        (Some(text("r", 80)), stream(&own), 0, ""),
        (None, all_own, 0, ""),
    ] {
        let (_folder, base) = reference(reference_ids.clone(), &of);
        for method in [TestMethod::Permutation, TestMethod::RandomFeatures] {
            let segment = LatentDrift { segment: Some("detector".into()), segments: 2, method, ..base.clone() };
            let (table, _) = watch(segment, &rows);
            assert_eq!(in_reference(&table).iter().flatten().sum::<i64>(), expected, "{reference_ids:?}");
            let (table, findings) = watch(LatentDrift { method, ..base.clone() }, &rows);
            assert_eq!(in_reference(&table), [Some(expected)], "{reference_ids:?}");
            let message = findings.last().map_or("", |finding| finding.message.as_str());
            if expected == 0 {
                assert!(findings.is_empty(), "{findings:?}");
            } else {
                let begin = format!("{expected} of 60 rows of `m` are in the reference `");
                assert!(message.starts_with(&begin) && message.contains(how), "{message}");
            }
        }
    }
}

#[test]
fn counts_of_rows_in_the_reference_are_those_of_overlapping_windows_and_survive_snapshots() {
    let of = normal(1, 40, 1.0, 0.0);
    let (_folder, base) = reference(None, &of);
    let rows = stream(&[of[..9].to_vec(), normal(2, 23, 1.0, 0.0)].concat());
    let sliding = LatentDrift { window: Some(8), every: Some(4), ..base.clone() };
    let sums = LatentDrift { window: Some(8), method: TestMethod::RandomFeatures, features: 38, ..base };
    for (settings, expected) in [(sliding, vec![8, 5, 1, 0, 0, 0, 0]), (sums, vec![8, 1, 0, 0])] {
        for cut in [0, 3, 8, 9, 14] {
            let mut first = started(settings.clone());
            let mut outputs = vec![first.observe(&rows.slice(0, cut)).expect("observed")];
            let snapshot = first.snapshot().expect("a snapshot");
            let mut second = started(settings.clone());
            second.restore(&snapshot).expect("restored");
            outputs.push(second.observe(&rows.slice(cut, 32 - cut)).expect("observed"));
            outputs.push(second.finish().expect("finished"));
            let (table, findings) = collect(outputs);
            assert_eq!(in_reference(&table), expected.iter().map(|n| Some(*n)).collect::<Vec<_>>(), "cut at {cut}");
            let last = &findings.last().expect("a finding").message;
            assert!(last.starts_with("9 of 32 rows of `m` are in the reference"), "{last}");
        }
    }
}

#[test]
fn a_snapshot_with_other_kernels_is_refused() {
    let (_folder, near) = reference(None, &normal(1, 40, 1.0, 0.0));
    let other = LatentDrift { kernel: KernelChoice::Variances(vec![1.0]), ..near.clone() };
    let snapshot = started(near).snapshot().expect("a snapshot");
    let error = started(other).restore(&snapshot).expect_err("refused").to_string();
    assert!(error.contains("the list of variances of the kernels is"), "{error}");
}

#[test]
fn a_large_window_is_left_within_a_second_of_a_stop_and_judged_after_a_resume() {
    let (_folder, base) = reference(None, &normal(1, 100, 1.0, 0.0));
    // On any machine this takes far longer than a stop may.
    let large = LatentDrift { window: Some(4000), permutations: 100_000, ..base };
    let rows = stream(&normal(2, 4000, 1.0, 0.0));
    let stop = Stop::default();
    let mut monitor = try_start(large.clone(), &stop).expect("started");
    monitor.observe(&rows.slice(0, 3000)).expect("observed");
    let snapshot = monitor.snapshot().expect("a snapshot");
    let (rest, request) = (rows.slice(3000, 1000), stop.clone());
    let stopped = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        request.request();
        Instant::now()
    });
    let error = monitor.observe(&rest).expect_err("interrupted");
    let requested = stopped.join().expect("joined");
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    // A second, and what a loaded machine takes besides.
    assert!(requested.elapsed() < Duration::from_secs(5), "{:?}", requested.elapsed());
    // The state of the last commit is that of a run that was not stopped.
    let mut resumed = started(large);
    resumed.restore(&snapshot).expect("restored");
    assert_eq!(resumed.snapshot().expect("a snapshot"), snapshot);
}

#[test]
fn a_stopped_and_resumed_window_has_the_rows_of_one_that_was_not_stopped() {
    let (_folder, base) = reference(None, &normal(1, 100, 1.0, 0.0));
    for method in [TestMethod::Permutation, TestMethod::RandomFeatures] {
        let settings = LatentDrift { window: Some(200), method, features: 38, ..base.clone() };
        let rows = stream(&normal(2, 200, 1.0, 0.2));
        let (expected, _) = watch(settings.clone(), &rows);
        let stop = Stop::default();
        let mut first = try_start(settings.clone(), &stop).expect("started");
        first.observe(&rows.slice(0, 150)).expect("observed");
        let snapshot = first.snapshot().expect("a snapshot");
        stop.request();
        // A moment is left to windows that end soon; it passes here.
        while !first.stop.is_due() {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(matches!(first.observe(&rows.slice(150, 50)), Err(Error::Interrupted)), "{method:?}");
        let mut second = started(settings);
        second.restore(&snapshot).expect("restored");
        let outputs = [second.observe(&rows.slice(150, 50)).expect("observed"), second.finish().expect("finished")];
        assert_eq!(collect(outputs).0, expected, "{method:?}");
    }
}
