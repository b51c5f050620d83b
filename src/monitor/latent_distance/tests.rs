//! The monitor against distances computed by hand.

use arrow::{
    array::{Array, AsArray},
    datatypes::{Float64Type, Int64Type},
};

use super::*;
use crate::{
    monitor::kit::{
        fixtures::{
            Input, assert_continues_from_any_snapshot, attack_rows, attack_schema, collect, deliver, stream_rows,
            stream_schema,
        },
        score::Labels,
    },
    stats::jensen_shannon::Pairs,
};

/// d(a, b) = 5 i, d(a, c) = i^2 / 8.
fn latent(score: &str, object: usize) -> [f32; 2] {
    let i = object as f32;
    match score {
        "a" => [1.0, i],
        "b" => [1.0 + 3.0 * i, 5.0 * i],
        _ => [1.0, i + i * i / 8.0],
    }
}

const SCORES: [&str; 3] = ["a", "b", "c"];

fn batch(objects: impl IntoIterator<Item = usize>) -> RecordBatch {
    stream_rows(&SCORES, objects, latent)
}

fn against_c() -> LatentDistance {
    LatentDistance {
        versus: Some(Versus { from: "a".into(), to: "c".into() }),
        permutations: 99,
        ..LatentDistance::new("a", "b")
    }
}

/// Both pairs end at an attack.
fn under_attack() -> LatentDistance {
    LatentDistance {
        versus: Some(Versus { from: "b".into(), to: "second".into() }),
        ..LatentDistance::new("a", "first")
    }
}

fn bind(settings: LatentDistance, tables: &UpstreamSchemas) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
    let mut monitor = settings.build("noise")?;
    monitor.resolve_labels(&["first".into(), "second".into(), "accuracy".into(), "noise".into()]);
    monitor.bind(&stream_schema(&["a", "b", "c", "other"]), tables)?;
    monitor.start(&RunContext { seed: 7, ..RunContext::default() }, &Scorers::new()).expect("started");
    Ok(monitor)
}

fn monitor(settings: LatentDistance) -> Box<dyn Monitor> {
    let tables = ["first", "second"].map(|label| (label.to_owned(), attack_schema(true))).into();
    bind(settings, &tables).expect("bound")
}

fn watch(settings: LatentDistance, batches: &[RecordBatch]) -> (RecordBatch, Vec<Finding>) {
    let mut monitor = monitor(settings);
    let mut outputs: Vec<MonitorOutput> =
        batches.iter().map(|batch| monitor.observe(batch).expect("observed")).collect();
    outputs.push(monitor.finish().expect("finished"));
    collect(outputs)
}

fn numbers(table: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    table[column].as_primitive::<Float64Type>().iter().collect()
}

/// A number of the last row.
fn total(table: &RecordBatch, column: &str) -> Option<f64> {
    *numbers(table, column).last().expect("a row")
}

fn n(table: &RecordBatch) -> (i64, i64) {
    let last = |column: &str| table[column].as_primitive::<Int64Type>().values()[table.num_rows() - 1];
    (last("objects"), last("n"))
}

fn ids(table: &RecordBatch) -> Vec<&str> {
    table[crate::batch::OBJECT_ID].as_string::<i32>().iter().flatten().collect()
}

#[test]
fn distances_and_statistics_are_those_computed_by_hand() {
    let (table, findings) = watch(LatentDistance::new("a", "b"), &[batch(0..2), batch(2..5)]);
    assert!(findings.is_empty());
    assert_eq!(numbers(&table, "distance")[..5], [0.0, 5.0, 10.0, 15.0, 20.0].map(Some));
    assert_eq!(ids(&table), ["o0", "o1", "o2", "o3", "o4"]);
    let scopes: Vec<&str> = table["scope"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(scopes, ["object", "object", "object", "object", "object", "total"]);
    assert_eq!((n(&table), total(&table, "median"), total(&table, "mean")), ((5, 5), Some(10.0), Some(10.0)));
    // The variance is 250/4, its square root over sqrt 5 is sqrt 12.5.
    assert!((total(&table, "standard_error").expect("an error") - 12.5f64.sqrt()).abs() < 1e-12);
    let quantiles = table["quantiles"].as_fixed_size_list();
    let values = quantiles.value(5);
    assert_eq!(values.as_primitive::<Float64Type>().values().to_vec(), [1.0, 5.0, 15.0, 19.0]);
    assert!(quantiles.is_null(0) && table["versus_quantiles"].is_null(5));
    assert_eq!((total(&table, "js_distance"), total(&table, "versus_mean")), (None, None));
}

#[test]
fn the_distances_of_a_second_pair_are_compared_within_objects() {
    let (table, _) = watch(against_c(), &[batch(0..40)]);
    assert_eq!(numbers(&table, "versus_distance")[3], Some(1.125));
    assert_eq!((total(&table, "versus_median"), total(&table, "median")), (Some(47.5625), Some(97.5)));
    let pairs: Vec<(f64, f64)> = (0..40).map(|i| (5.0 * f64::from(i), f64::from(i * i) / 8.0)).collect();
    let expected = Pairs::new(&pairs, 20).and_then(|pairs| pairs.distance());
    assert_eq!(total(&table, "js_distance"), expected);
    assert!(expected > Some(0.0));
    let number = |column| total(&table, column).expect("a number");
    assert!((number("js_distance_base2") * 2f64.ln().sqrt() - number("js_distance")).abs() < 1e-15);
    assert!(number("js_null_median") <= number("js_null_p95") && number("js_null_p95") < 0.5);
    let p = number("js_p_value") * 100.0;
    assert!((1.0..=100.0).contains(&p) && (p - p.round()).abs() < 1e-9, "{p} should be k + 1");
}

#[test]
fn the_table_does_not_depend_on_batches() {
    let expected = watch(against_c(), &[batch(0..40)]);
    let parts: Vec<RecordBatch> = (0..40).step_by(7).map(|i| batch(i..(i + 7).min(40))).collect();
    assert_eq!(watch(against_c(), &parts), expected);
}

#[test]
fn continues_from_a_snapshot_after_any_number_of_rows() {
    let rows: Vec<Input> = (0..30).map(|i| Input::Stream(batch([i]))).collect();
    assert_continues_from_any_snapshot(&|| monitor(against_c()), &rows);
    let [first, second] = attacks();
    let mut inputs = Vec::new();
    for (i, rows) in first.iter().enumerate() {
        inputs.push(Input::Upstream("first", rows.clone()));
        inputs.extend(second.get(i).map(|rows| Input::Upstream("second", rows.clone())));
    }
    assert_continues_from_any_snapshot(&|| monitor(under_attack()), &inputs);
}

#[test]
fn refuses_snapshots_of_other_settings() {
    let mut first = monitor(against_c());
    first.observe(&batch(0..5)).expect("observed");
    let snapshot = first.snapshot().expect("a snapshot");
    let why = |settings: LatentDistance| monitor(settings).restore(&snapshot).expect_err("refused").to_string();
    assert!(why(LatentDistance::new("a", "b")).contains("the list of pairs is"));
    let flipped = LatentDistance { flipped_by: Some(Labels::One("first".into())), ..against_c() };
    assert!(why(flipped).contains("the list of upstream monitors is [], expected [\"first\"]"));
}

/// The rows of two attacks. The first attacks 0, 1, 2, 3, 4, 6 and flips 0, 1, 3, 6; the second 1, 2, 3, 5, 6 and flips 1, 2, 6.
fn attacks() -> [Vec<RowsOut>; 2] {
    let moved = |i: usize, by: f32| [1.0, i as f32 + by];
    let first = |i: usize| match i {
        // The first successful target counts.
        0 | 1 | 3 | 6 => {
            attack_rows(&batch([i]), &[(false, moved(i, 9.0)), (i != 3, moved(i, 2.0)), (true, moved(i, 4.0))])
        }
        4 => attack_rows(&batch([i]), &[]),
        _ => attack_rows(&batch([i]), &[(false, moved(i, 9.0))]),
    };
    let second = |i: usize| attack_rows(&batch([i]), &[([1, 2, 6].contains(&i), latent("b", i).map(|x| x + 3.0))]);
    [[0, 1, 2, 3, 4, 6].map(first).to_vec(), [1, 2, 3, 5, 6].map(second).to_vec()]
}

fn attacked_in(order: &str) -> (RecordBatch, Vec<Finding>) {
    let [first, second] = attacks();
    let mut monitor = monitor(under_attack());
    let mut outputs = vec![monitor.observe(&batch(0..7)).expect("observed")];
    outputs.extend(deliver(&mut *monitor, ["first", "second"], [&first, &second], order));
    outputs.push(monitor.finish().expect("finished"));
    collect(outputs)
}

#[test]
fn statistics_under_attack_cover_objects_that_both_attacks_flipped() {
    let (table, _) = attacked_in("aaaaaabbbbb");
    assert_eq!(ids(&table), ["o1", "o2", "o3", "o6"]);
    assert_eq!(numbers(&table, "distance"), [Some(2.0), None, Some(4.0), Some(2.0), None]);
    let diagonal = 18f64.sqrt();
    assert_eq!(numbers(&table, "versus_distance"), [Some(diagonal), Some(diagonal), None, Some(diagonal), None]);
    let flipped: Vec<Option<bool>> = table["flipped"].as_boolean().iter().collect();
    assert_eq!(flipped, [Some(true), Some(false), Some(false), Some(true), None]);
    assert_eq!((n(&table), total(&table, "mean"), total(&table, "versus_mean")), ((4, 2), Some(2.0), Some(diagonal)));
}

#[test]
fn the_table_does_not_depend_on_which_attack_is_ahead() {
    let expected = attacked_in("aaaaaabbbbb");
    for order in ["bbbbbaaaaaa", "abababababa", "baabbaababa"] {
        assert_eq!(attacked_in(order), expected, "{order}");
    }
}

#[test]
fn scores_are_compared_over_the_objects_that_an_attack_flipped() {
    let settings = LatentDistance { flipped_by: Some(Labels::One("first".into())), ..LatentDistance::new("a", "b") };
    let mut monitor = monitor(settings);
    let upstream: Vec<String> = monitor.upstream().into_iter().map(|monitor| monitor.column).collect();
    assert_eq!(upstream, ["first"]);
    let [first, _] = attacks();
    let mut outputs: Vec<MonitorOutput> =
        first.iter().map(|rows| monitor.observe_upstream("first", rows).expect("observed")).collect();
    outputs.push(monitor.finish().expect("finished"));
    let (table, _) = collect(outputs);
    assert_eq!(ids(&table), ["o0", "o1", "o2", "o3", "o4", "o6"]);
    assert_eq!(numbers(&table, "distance")[..6], [0.0, 5.0, 10.0, 15.0, 20.0, 30.0].map(Some));
    // The flipped objects are 0, 1, 3 and 6.
    assert_eq!((n(&table), total(&table, "mean"), total(&table, "median")), ((6, 4), Some(12.5), Some(10.0)));
}

#[test]
fn distances_above_the_thresholds_are_findings() {
    let settings = LatentDistance { maximum_median: Some(97.0), maximum_js_distance: Some(0.01), ..against_c() };
    let (table, findings) = watch(settings, &[batch(0..40)]);
    let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    let number = |column| total(&table, column).expect("a number");
    assert_eq!(messages[0], "the median distance of `a` and `b` is 97.5000 (40 objects), above 97");
    let expected = format!(
        "the Jensen-Shannon distance between the distances of `a` and `b` and those of `a` and `c` is {:.4} (40 objects, 95 % of \
         the null are below {:.4}), above 0.01",
        number("js_distance"),
        number("js_null_p95")
    );
    assert_eq!(messages[1..], [expected.as_str()]);
}

#[test]
fn the_total_of_an_empty_stream_is_null() {
    let (table, findings) = watch(against_c(), &[]);
    assert_eq!((table.num_rows(), n(&table), findings.len()), (1, (0, 0), 0));
    assert!(["median", "mean", "standard_error", "js_distance", "js_p_value"].map(|c| total(&table, c)) == [None; 5]);
    assert!(table["quantiles"].is_null(0));
}

#[test]
fn rejects_pairs_that_cannot_be_compared() {
    let tables: UpstreamSchemas = [
        ("first".to_owned(), attack_schema(true)),
        ("second".to_owned(), attack_schema(false)),
        ("accuracy".to_owned(), Schema::empty().into()),
    ]
    .into();
    let mistakes = |settings: LatentDistance| {
        let bound = bind(settings, &tables).err().expect("a mistake");
        bound.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let to = |label: &str| LatentDistance::new("a", label);
    assert!(mistakes(to("other")).contains("`other` is of the model `n.onnx`, `a` of `m.onnx`"));
    assert!(mistakes(to("none")).contains("the column `none_latent` does not hold latents"));
    assert!(mistakes(to("second")).contains("the table of `second` has no latents"));
    assert!(mistakes(to("accuracy")).contains("the monitor `accuracy` is not an attack"));
    let flipped_by = LatentDistance { flipped_by: Some(Labels::One("accuracy".into())), ..to("b") };
    assert!(mistakes(flipped_by).contains("the monitor `accuracy` is not an attack"));
    let of_other = LatentDistance { from: "other".into(), ..to("first") };
    assert!(mistakes(of_other).contains("`first` is of the model `m.onnx`, `other` of `n.onnx`"));
    assert!(mistakes(LatentDistance { quantiles: vec![0.5, 5.0], ..to("b") }).contains("5 is not a quantile"));
    let no_versus = LatentDistance { maximum_js_distance: Some(0.1), ..to("b") };
    assert!(mistakes(no_versus).contains("`maximum_js_distance` needs `versus`"));
}
