//! Drawings against the embedding of points that are assembled by hand.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{Array, AsArray},
    datatypes::{Float64Type, Int64Type},
};

use super::*;
use crate::{
    batch::{LABEL, OBJECT_ID},
    monitor::kit::{
        fixtures::{
            Input, assert_continues_from_any_snapshot, attack_rows, attack_schema, collect, stream_rows, stream_schema,
        },
        score::Labels,
    },
    random::rank,
    stats::{isomap::Isomap as Embedding, points::Points},
};

const SCORES: [&str; 3] = ["a", "b", "c"];
const SEED: u64 = 7;

/// A spiral under the first score, a shifted one under the second, and latents that are not finite under the third.
fn latent(score: &str, object: usize) -> [f32; 2] {
    let i = object as f32;
    let (x, y) = (i.sqrt() * (i / 9.0).cos(), i.sqrt() * (i / 9.0).sin());
    match score {
        "a" => [x, y],
        "b" => [x + 0.5, y - 0.25],
        _ => [f32::NAN, y],
    }
}

fn batch(objects: impl IntoIterator<Item = usize>) -> RecordBatch {
    stream_rows(&SCORES, objects, latent)
}

/// 20 objects are embedded, and 6 placed.
fn settings() -> Isomap {
    Isomap { n: 20, place: 6, components: 2, truth: Some(LABEL.into()), ..Isomap::new(["a", "b"]) }
}

/// The same with triplets of 4 flipped objects.
fn under_attack() -> Isomap {
    Isomap { attacked: Some("attack".into()), triplets: 4, ..settings() }
}

fn bind(settings: Isomap, tables: &UpstreamSchemas) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
    let mut monitor = settings.build("drawn")?;
    monitor.resolve_labels(&["attack".into(), "drawn".into()]);
    monitor.bind(&stream_schema(&["a", "b", "c", "other"]), tables)?;
    monitor.start(&RunContext { seed: SEED, ..RunContext::default() }, &Scorers::new()).expect("started");
    Ok(monitor)
}

fn tables() -> UpstreamSchemas {
    [
        ("attack".to_owned(), attack_schema(true)),
        ("blind".to_owned(), attack_schema(false)),
        ("accuracy".to_owned(), Schema::empty().into()),
    ]
    .into()
}

fn monitor(settings: Isomap) -> Box<dyn Monitor> {
    bind(settings, &tables()).expect("bound")
}

/// The rows of the attack: every third object withstands it, object 4 is misclassified.
fn attack(object: usize) -> RowsOut {
    let [x, y] = latent("a", object);
    match object {
        4 => attack_rows(&batch([object]), &[]),
        _ => attack_rows(&batch([object]), &[(false, [9.0; 2]), (!object.is_multiple_of(3), [x + 1.0, y + 2.0])]),
    }
}

fn watch(settings: Isomap, batches: &[RecordBatch]) -> RecordBatch {
    let is_under_attack = settings.attacked.is_some();
    let mut monitor = monitor(settings);
    let mut outputs: Vec<MonitorOutput> =
        batches.iter().map(|batch| monitor.observe(batch).expect("observed")).collect();
    if is_under_attack {
        outputs.extend((0..60).map(|i| monitor.observe_upstream("attack", &attack(i)).expect("observed")));
    }
    outputs.push(monitor.finish().expect("finished"));
    collect(outputs).0
}

fn texts<'a>(table: &'a RecordBatch, column: &str) -> Vec<Option<&'a str>> {
    table[column].as_string::<i32>().iter().collect()
}

fn numbers(table: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    table[column].as_primitive::<Float64Type>().iter().collect()
}

fn count(table: &RecordBatch, column: &str) -> Option<i64> {
    table[column].as_primitive::<Int64Type>().iter().next().flatten()
}

/// The objects in the order of their ranks.
fn by_rank() -> Vec<usize> {
    let mut objects: Vec<usize> = (0..60).collect();
    objects.sort_by(|a, b| rank(SEED, &format!("o{a}")).total_cmp(&rank(SEED, &format!("o{b}"))));
    objects
}

fn points(latents: impl Iterator<Item = [f32; 2]>) -> Points {
    Points::new(&latents.flatten().collect::<Vec<f32>>(), 2)
}

#[test]
fn embeds_the_objects_with_the_smallest_ranks_and_places_the_next() {
    let table = watch(settings(), &[batch(0..25), batch(25..60)]);
    let objects = &by_rank()[..26];
    let under = |objects: &[usize]| -> Vec<[f32; 2]> {
        objects.iter().flat_map(|object| ["a", "b"].map(|score| latent(score, *object))).collect()
    };
    let embedding = Embedding::fit(&points(under(&objects[..20]).into_iter()), 5, 2).expect("an embedding");
    let mut expected = embedding.coordinates().to_vec();
    expected.extend(embedding.place(&points(under(&objects[20..]).into_iter())));
    assert_eq!(table.num_rows(), 52);
    for (row, xy) in expected.chunks_exact(2).enumerate() {
        assert_eq!([numbers(&table, "x")[row], numbers(&table, "y")[row]], [Some(xy[0]), Some(xy[1])]);
        assert_eq!(texts(&table, OBJECT_ID)[row], Some(format!("o{}", objects[row / 2]).as_str()));
        assert_eq!(texts(&table, "score")[row], Some(SCORES[row % 2]));
        assert_eq!(texts(&table, "role")[row], Some(if row < 40 { "sample" } else { "placed" }));
    }
    let spirals = vec![Some("spiral"); 52];
    assert_eq!((texts(&table, "label_true"), texts(&table, "class")), (spirals.clone(), spirals));
    assert_eq!((count(&table, "n"), count(&table, "parts")), (Some(40), Some(embedding.components() as i64)));
    assert_eq!((table["z"].null_count(), table["reason"].null_count()), (52, 52));
}

#[test]
fn triplets_are_points_of_the_same_embedding() {
    let table = watch(under_attack(), &[batch(0..60)]);
    let flipped: Vec<usize> = by_rank().into_iter().filter(|i| !i.is_multiple_of(3) && *i != 4).take(4).collect();
    let mut latents: Vec<[f32; 2]> = by_rank()[..20].iter().flat_map(|i| ["a", "b"].map(|s| latent(s, *i))).collect();
    for i in &flipped {
        let [x, y] = latent("a", *i);
        latents.extend([[x, y], [x + 1.0, y + 2.0], latent("b", *i)]);
    }
    let embedding = Embedding::fit(&points(latents.into_iter()), 5, 2).expect("an embedding");
    for (row, xy) in embedding.coordinates().chunks_exact(2).enumerate() {
        assert_eq!([numbers(&table, "x")[row], numbers(&table, "y")[row]], [Some(xy[0]), Some(xy[1])]);
    }
    for (i, row) in flipped.iter().zip((40..).step_by(3)) {
        let of = |column: &str| [0, 1, 2].map(|k| texts(&table, column)[row + k]);
        assert_eq!(of(OBJECT_ID), [Some(format!("o{i}").as_str()); 3]);
        assert_eq!(of("role"), [Some("origin"), Some("one_pixel"), Some("noisy")]);
        assert_eq!(of("score"), [Some("a"), Some("a"), Some("b")]);
        assert_eq!(of("class"), [Some("spiral"), Some("merger"), Some("spiral")]);
    }
    assert_eq!((table.num_rows(), count(&table, "n")), (40 + 12 + 12, Some(52)));
    let alone = watch(Isomap { score: Labels::One("a".into()), truth: None, ..under_attack() }, &[batch(0..60)]);
    let roles: Vec<Option<&str>> = texts(&alone, "role")[20..22].to_vec();
    assert_eq!((alone.num_rows(), roles), (20 + 8 + 6, vec![Some("origin"), Some("one_pixel")]));
    // Without the setting `truth`, triplets have the truth that the attack reports.
    assert_eq!(texts(&alone, "label_true")[19..21], [None, Some("spiral")]);
}

#[test]
fn the_drawing_does_not_depend_on_batches_or_on_when_attacks_arrive() {
    let expected = watch(under_attack(), &[batch(0..60)]);
    let parts: Vec<RecordBatch> = (0..60).step_by(7).map(|i| batch(i..(i + 7).min(60))).collect();
    assert_eq!(watch(under_attack(), &parts), expected);
    let mut monitor = monitor(under_attack());
    let mut outputs = Vec::new();
    for i in 0..60 {
        outputs.push(monitor.observe(&batch([i])).expect("observed"));
        outputs.push(monitor.observe_upstream("attack", &attack(i)).expect("observed"));
    }
    outputs.push(monitor.finish().expect("finished"));
    assert_eq!(collect(outputs).0, expected);
}

#[test]
fn continues_from_a_snapshot_after_any_number_of_rows() {
    // Attacked objects follow at half the pace of the stream, then the rest of them.
    let mut inputs = Vec::new();
    for i in 0..40 {
        inputs.push(Input::Stream(batch([i])));
        inputs.extend((i % 2 == 0).then(|| Input::Upstream("attack", attack(i / 2))));
    }
    inputs.extend((20..40).map(|i| Input::Upstream("attack", attack(i))));
    assert_continues_from_any_snapshot(&|| monitor(under_attack()), &inputs);
}

#[test]
fn refuses_snapshots_of_other_settings() {
    let mut first = monitor(under_attack());
    first.observe(&batch(0..40)).expect("observed");
    let snapshot = first.snapshot().expect("a snapshot");
    let why = |settings: Isomap| monitor(settings).restore(&snapshot).expect_err("refused").to_string();
    assert!(why(Isomap { score: Labels::One("a".into()), ..under_attack() }).contains("the list of scores is"));
    assert!(why(settings()).contains("`attacked` is Some(\"attack\"), expected None"));
    assert!(why(Isomap { place: 0, ..under_attack() }).contains("damaged"), "more objects than are sampled");
}

#[test]
fn of_objects_with_one_id_the_first_are_sampled() {
    let settings = Isomap { n: 6, ..Isomap::new(["a"]) };
    let mut monitor = monitor(settings);
    for i in 0..9 {
        let rows = batch([i]);
        let mut columns = rows.columns().to_vec();
        columns[0] = Arc::new(arrow::array::StringArray::from(vec!["same"]));
        let rows = RecordBatch::try_new(rows.schema(), columns).expect("rows");
        monitor.observe(&rows).expect("observed");
    }
    let (table, _) = collect([monitor.finish().expect("finished")]);
    let origins: Vec<String> = (0..6).map(|i| format!("test:{i}")).collect();
    assert_eq!(texts(&table, "origin"), origins.iter().map(|origin| Some(origin.as_str())).collect::<Vec<_>>());
}

#[test]
fn a_third_component_does_not_change_the_first_two() {
    let table = watch(Isomap { components: 3, ..settings() }, &[batch(0..60)]);
    let flat = watch(settings(), &[batch(0..60)]);
    assert_eq!(table["z"].null_count(), 0);
    for column in ["x", "y"] {
        for (found, expected) in numbers(&table, column).iter().zip(numbers(&flat, column)) {
            assert!((found.expect("a number") - expected.expect("a number")).abs() < 1e-9);
        }
    }
}

#[test]
fn points_without_coordinates_have_a_reason() {
    let table = watch(settings(), &[batch(0..2)]);
    assert_eq!(texts(&table, "reason"), vec![Some("too_few_points"); 4]);
    assert_eq!((table["x"].null_count(), count(&table, "n"), count(&table, "parts")), (4, Some(4), None));
    // Latents of `c` are not finite: the others are drawn without them.
    let table = watch(Isomap { score: ["a", "c"].into_iter().collect(), ..settings() }, &[batch(0..60)]);
    let reasons: BTreeSet<(Option<&str>, Option<&str>)> =
        texts(&table, "score").into_iter().zip(texts(&table, "reason")).collect();
    assert_eq!(reasons, [(Some("a"), None), (Some("c"), Some("not_finite"))].into());
    assert_eq!((count(&table, "n"), numbers(&table, "x")[1]), (Some(20), None));
}

#[test]
fn an_empty_stream_has_no_rows() {
    let mut monitor = monitor(settings());
    assert!(monitor.finish().expect("finished").rows.is_empty());
}

#[test]
fn rejects_scores_that_cannot_be_drawn_together() {
    let mistakes = |settings: Isomap| {
        let bound = bind(settings, &tables()).err().expect("a mistake");
        bound.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let of = |scores: &[&str]| Isomap::new(scores.iter().copied().collect::<Labels>());
    let under = |attack: &str| Isomap { attacked: Some(attack.into()), ..of(&["a"]) };
    assert!(mistakes(of(&["a", "other"])).contains("`other` is of the model `n.onnx`, `a` of `m.onnx`"));
    assert!(mistakes(of(&["none"])).contains("the column `none_latent` does not hold latents"));
    assert!(mistakes(of(&["a", "a"])).contains("`score` names `a` twice"));
    assert!(mistakes(under("blind")).contains("the table of `blind` has no latents"));
    assert!(mistakes(under("accuracy")).contains("the monitor `accuracy` is not an attack"));
    let of_other = Isomap { attacked: Some("attack".into()), ..of(&["other"]) };
    assert!(mistakes(of_other).contains("`attack` is of the model `m.onnx`, `other` of `n.onnx`"));
    let few = Isomap { n: 5, ..of(&["a"]) };
    assert!(mistakes(few.clone()).contains("5 points cannot have 5 neighbours each"));
    assert!(bind(Isomap { score: ["a", "b"].into_iter().collect(), ..few }, &tables()).is_ok());
    assert!(
        mistakes(Isomap { n: 2501, ..of(&["a", "b"]) })
            .contains("5002 points are too many: an embedding has at most 5000")
    );
    let truth = Isomap { truth: Some("a_latent".into()), ..of(&["a"]) };
    assert!(mistakes(truth).contains("`truth` takes a column of text or integers"));
}

#[test]
fn settings_have_their_defaults() {
    let read: Isomap = serde_json::from_str(r#"{ "score": ["a", "b"] }"#).expect("settings");
    assert_eq!(read, Isomap::new(["a", "b"]));
    let names = |columns: Vec<ColumnRef>| columns.into_iter().map(|column| column.column).collect::<Vec<_>>();
    let monitor = monitor(under_attack());
    assert_eq!(names(monitor.required_columns()), ["a_latent", "b_latent", "label"]);
    assert_eq!(names(monitor.upstream()), ["attack"]);
}
