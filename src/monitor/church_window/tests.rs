//! Windows of a head of three classes over two latent dimensions, against an evaluation of every point.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Field, Float64Type, Int32Type, Schema},
};

use super::*;
use crate::{
    monitor::kit::fixtures::{attack_rows, attack_schema, collect, deliver, stream_rows, stream_schema},
    stage::{AffineHead, ModelOutputs, PixelEvaluator, Rejects},
};

/// A head whose logits are planes over latents (u, v), or `curved`: with the square of v.
struct TestHead {
    affine: AffineHead,
    curved: bool,
}

impl TestHead {
    fn scorers(curved: bool) -> Scorers {
        let affine = AffineHead { weights: vec![1.0, 0.5, -1.0, 0.25, 0.0, -1.5], bias: vec![0.0, 0.5, -1.0] };
        Scorers::from([("a".to_owned(), Arc::new(Self { affine, curved }) as Arc<dyn Scorer>)])
    }

    fn logits(&self, latent: &[f32]) -> [f64; 3] {
        let (u, v) = (f64::from(latent[0]), f64::from(latent[1]));
        let v = if self.curved { v * v } else { v };
        [u + 0.5 * v, -u + 0.25 * v + 0.5, -1.5 * v - 1.0]
    }
}

impl Scorer for TestHead {
    fn required_columns(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn start(&mut self, _run: &RunContext) -> Result<()> {
        Ok(())
    }

    fn score(&self, batch: RecordBatch, _rejects: &mut Rejects) -> Result<RecordBatch> {
        Ok(batch)
    }

    fn provenance(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn model(&self) -> Option<&dyn Model> {
        Some(self)
    }
}

impl Model for TestHead {
    fn evaluate(&self, _images: &[f32]) -> Result<ModelOutputs> {
        Ok(ModelOutputs::default())
    }

    fn pixel_evaluator<'a>(&'a self, _image: &[f32]) -> Result<Box<dyn PixelEvaluator + 'a>> {
        Err(Error::bug("no test changes pixels"))
    }

    fn head(&self, latents: &[f32]) -> Result<Vec<f32>> {
        Ok(latents.chunks(2).flat_map(|latent| self.logits(latent)).map(|logit| logit as f32).collect())
    }

    fn affine_head(&self) -> Option<&AffineHead> {
        (!self.curved).then_some(&self.affine)
    }
}

fn latent(score: &str, object: usize) -> [f32; 2] {
    let i = object as f32;
    match score {
        "a" => [0.3 + i / 4.0, 0.1 - i / 8.0],
        "b" => [-1.5, 0.5 + i / 16.0],
        _ => [0.5, -2.0 - i / 4.0],
    }
}

const SCORES: [&str; 3] = ["a", "b", "c"];

fn bind(settings: ChurchWindow, curved: bool) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
    let mut monitor = settings.build("windows")?;
    monitor.resolve_labels(&["first".into(), "second".into(), "windows".into()]);
    let tables = ["first", "second"].map(|label| (label.to_owned(), attack_schema(true))).into();
    monitor.bind(&stream_schema(&["a", "b", "c", "other"]), &tables)?;
    monitor.start(&RunContext::default(), &TestHead::scorers(curved)).expect("started");
    Ok(monitor)
}

fn coarse(across: &str, up: &str) -> ChurchWindow {
    ChurchWindow { step: 0.1, ..ChurchWindow::new("a", across, up) }
}

fn number(table: &RecordBatch, column: &str, row: usize) -> Option<f64> {
    let column = table[column].as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn window(table: &RecordBatch, row: usize) -> Vec<i32> {
    table["window"].as_fixed_size_list().value(row).as_primitive::<Int32Type>().values().to_vec()
}

#[test]
fn every_point_of_a_window_has_the_class_of_the_head() {
    for curved in [false, true] {
        let mut monitor = bind(coarse("b", "c"), curved).expect("bound");
        let (table, _) = collect([monitor.observe(&stream_rows(&SCORES, 0..3, latent)).expect("observed")]);
        let scorers = TestHead::scorers(curved);
        let head = scorers["a"].model().expect("a model");
        for row in 0..3 {
            let [z0, z1, z2] = SCORES.map(|score| latent(score, row));
            let mut areas = [0.0; 3];
            for (i, class) in window(&table, row).iter().enumerate() {
                let (y, x) = ((i / 23) as f64 / 10.0 - 1.1, (i % 23) as f64 / 10.0 - 1.1);
                let at = |k: usize| {
                    let [a, b, c] = [z0[k], z1[k], z2[k]].map(f64::from);
                    (a + x * (b - a) + y * (c - a)) as f32
                };
                let logits = head.head(&[at(0), at(1)]).expect("logits");
                // On a boundary, rounding decides between two classes.
                let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert!(best - logits[*class as usize] < 1e-5, "{curved} {row} {i}: {class} of {logits:?}");
                areas[*class as usize] += 1.0 / 529.0;
            }
            let found = table["areas"].as_fixed_size_list().value(row);
            for (found, expected) in found.as_primitive::<Float64Type>().values().iter().zip(areas) {
                assert!((found - expected).abs() < 1e-12);
            }
            let length = |a: [f32; 2], b: [f32; 2]| f64::from(a[0] - b[0]).hypot(f64::from(a[1] - b[1]));
            let lengths = (number(&table, "across_length", row), number(&table, "up_length", row));
            assert!((lengths.0.expect("a length") - length(z0, z1)).abs() < 1e-6);
            assert!((lengths.1.expect("a length") - length(z0, z2)).abs() < 1e-6);
        }
    }
}

/// Latents whose class changes along all four half-axes, at another distance on each.
fn crossing(score: &str, _object: usize) -> [f32; 2] {
    match score {
        "a" => [0.3, 0.1],
        "b" => [1.3, -1.9],
        _ => [0.8, -1.4],
    }
}

#[test]
fn measures_boundaries_along_each_half_axis() {
    let boundaries = |curved: bool| {
        let mut monitor = bind(coarse("b", "c"), curved).expect("bound");
        let (table, _) = collect([monitor.observe(&stream_rows(&SCORES, 0..1, crossing)).expect("observed")]);
        ["boundary_across", "boundary_across_back", "boundary_up", "boundary_up_back"]
            .map(|column| number(&table, column, 0))
    };
    let (across, up) = (1.0_f64.hypot(2.0), 0.5_f64.hypot(1.5));
    // Logits 0 - 1 are 0.125 + 1.5 x + 0.625 y, logits 0 - 2 are 1.5 - 3 x - 2.5 y.
    let affine = [Some(0.5 * across), Some(0.125 / 1.5 * across), Some(0.6 * up), Some(0.2 * up)];
    // With the square of v, logits 0 - 1 are 0.1025 + 1.9 x + x^2 or 0.1025 + 0.925 y + 0.5625 y^2, and class 2 never wins: the
    // first grid points beyond are at x = -0.1 and y = -0.2.
    let curved = [None, Some(0.1 * across), None, Some(0.2 * up)];
    for (found, expected) in [(boundaries(false), affine), (boundaries(true), curved)] {
        for (found, expected) in found.iter().zip(expected) {
            let agree = found.zip(expected).map_or(*found == expected, |(a, b)| (a - b).abs() < 1e-6);
            assert!(agree, "{found:?} {expected:?}");
        }
    }
}

#[test]
fn parallel_axes_have_an_angle_of_0_or_180_degrees() {
    // Of rounded sums of squares the cosine may exceed 1.
    fn parallel(score: &str, object: usize) -> [f32; 2] {
        let (u, v) = (0.1 * (object / 2 + 1) as f32, 0.3);
        let factor = if object.is_multiple_of(2) { 2.0 } else { -2.0 };
        match score {
            "a" => [0.0, 0.0],
            "b" => [u, v],
            _ => [factor * u, factor * v],
        }
    }
    let mut monitor = bind(coarse("b", "c"), false).expect("bound");
    let (table, _) = collect([monitor.observe(&stream_rows(&SCORES, 0..40, parallel)).expect("observed")]);
    for object in 0..40 {
        let angle = number(&table, "angle_deg", object).expect("an angle");
        assert!((angle - 180.0 * (object % 2) as f64).abs() < 1e-5, "object {object}: {angle}");
    }
}

#[test]
fn objects_without_a_flip_get_a_row_with_the_reason() {
    let mut monitor = bind(coarse("first", "c"), false).expect("bound");
    let row = |object: usize| stream_rows(&SCORES, [object], latent);
    let emitted = [
        attack_rows(&row(0), &[(false, [9.0, 9.0]), (true, [-1.5, 0.5])]),
        attack_rows(&row(1), &[(false, [9.0, 9.0])]),
        attack_rows(&row(2), &[]),
    ];
    let (table, _) = collect(emitted.iter().map(|rows| monitor.observe_upstream("first", rows).expect("observed")));
    let reasons: Vec<Option<&str>> = table["reason"].as_string::<i32>().iter().collect();
    assert_eq!(reasons, [None, Some("not_flipped"), Some("misclassified")]);
    assert_eq!([0, 1, 2].map(|row| table["window"].is_valid(row)), [true, false, false]);
    let mut of_scores = bind(coarse("b", "c"), false).expect("bound");
    let (alone, _) = collect([of_scores.observe(&row(0)).expect("observed")]);
    assert_eq!(window(&table, 0), window(&alone, 0));
    assert_eq!(table["label_true"].as_string::<i32>().value(0), "spiral");
}

#[test]
fn latents_of_attacks_take_the_place_of_their_axis() {
    let row = stream_rows(&SCORES, [0], crossing);
    let first = attack_rows(&row, &[(true, crossing("b", 0))]);
    let second = attack_rows(&row, &[(true, crossing("c", 0))]);
    for (attacks, scores) in [(["first", "second"], ["b", "c"]), (["second", "first"], ["c", "b"])] {
        let mut monitor = bind(coarse(attacks[0], attacks[1]), false).expect("bound");
        let emitted = deliver(
            &mut *monitor,
            ["first", "second"],
            [std::slice::from_ref(&first), std::slice::from_ref(&second)],
            "ab",
        );
        let mut of_scores = bind(coarse(scores[0], scores[1]), false).expect("bound");
        let (found, _) = collect(emitted);
        let (expected, _) = collect([of_scores.observe(&row).expect("observed")]);
        // Only an attack knows the true class.
        for column in expected.schema().fields().iter().map(|field| field.name()).filter(|name| *name != "label_true") {
            assert_eq!(&found[column.as_str()], &expected[column.as_str()], "{column}");
        }
    }
}

#[test]
fn joins_two_attacks_in_any_order_and_across_a_restart() {
    let row = |object: usize| stream_rows(&SCORES, [object], latent);
    let first: Vec<RowsOut> = (0..4).map(|i| attack_rows(&row(i), &[(i != 2, [-1.5, i as f32])])).collect();
    let second: Vec<RowsOut> = (0..4).map(|i| attack_rows(&row(i), &[(true, [0.5, -2.0 - i as f32])])).collect();
    let watch = |order: &str| {
        let mut monitor = bind(coarse("first", "second"), false).expect("bound");
        collect(deliver(&mut *monitor, ["first", "second"], [&first, &second], order)).0
    };
    let expected = watch("abababab");
    assert_eq!(expected.num_rows(), 4);
    for order in ["aaaabbbb", "bbbbaaaa", "abbabaab"] {
        assert_eq!(watch(order), expected, "{order}");
    }
    let mut before = bind(coarse("first", "second"), false).expect("bound");
    let mut emitted = deliver(&mut *before, ["first", "second"], [&first, &second], "aab");
    let mut after = bind(coarse("first", "second"), false).expect("bound");
    after.restore(&before.snapshot().expect("a snapshot")).expect("restored");
    emitted.extend(deliver(&mut *after, ["first", "second"], [&first[2..], &second[1..]], "babab"));
    assert_eq!(collect(emitted).0, expected);
}

#[test]
fn rejects_windows_that_cannot_be_drawn() {
    let mistakes = |settings: ChurchWindow| {
        let mistakes = bind(settings, false).err().expect("a mistake");
        mistakes.into_iter().map(|mistake| (mistake.code, mistake.path.join("."))).collect::<Vec<_>>()
    };
    assert_eq!(mistakes(coarse("b", "other")), [(Code::Conflict, "up".to_owned())]);
    assert_eq!(mistakes(ChurchWindow { step: 0.3, ..coarse("b", "c") }), [(Code::OutOfRange, "step".to_owned())]);
    assert_eq!(mistakes(ChurchWindow { step: 0.0001, ..coarse("b", "c") }), [(Code::OutOfRange, "step".to_owned())]);
    assert_eq!(mistakes(coarse("windows", "c")), [(Code::WrongColumn, "across".to_owned())]);
}
