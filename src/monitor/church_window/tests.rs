//! Windows of a head of three classes in a latent space of two dimensions, against every point asked alone.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Field, Float64Type, Schema, UInt8Type},
};

use super::*;
use crate::{
    monitor::kit::fixtures::{attack_rows, attack_schema, collect, deliver, stream_rows, stream_schema},
    stage::{AffineHead, ModelOutputs, PixelEvaluator, Rejects},
};

/// Classes by the greatest of three planes over latents (u, v); with `curved` by the square of v.
struct Head {
    affine: AffineHead,
    curved: bool,
}

impl Head {
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

impl Scorer for Head {
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

impl Model for Head {
    fn evaluate(&self, _images: &[f32]) -> Result<ModelOutputs> {
        Ok(ModelOutputs::default())
    }

    fn pixel_evaluator<'a>(&'a self, _image: &[f32]) -> Result<Box<dyn PixelEvaluator + 'a>> {
        Err(Error::bug("nobody asks"))
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
    monitor.start(&RunContext::default(), &Head::scorers(curved)).expect("started");
    Ok(monitor)
}

fn coarse(across: &str, up: &str) -> ChurchWindow {
    ChurchWindow { step: 0.1, ..ChurchWindow::of("a", across, up) }
}

fn number(table: &RecordBatch, column: &str, row: usize) -> Option<f64> {
    let column = table[column].as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn window(table: &RecordBatch, row: usize) -> Vec<u8> {
    table["window"].as_fixed_size_list().value(row).as_primitive::<UInt8Type>().values().to_vec()
}

#[test]
fn every_point_of_a_window_has_the_class_that_the_head_gives_it() {
    for curved in [false, true] {
        let mut monitor = bind(coarse("b", "c"), curved).expect("bound");
        let (table, _) = collect([monitor.observe(&stream_rows(&SCORES, 0..3, latent)).expect("observed")]);
        let scorers = Head::scorers(curved);
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
                // On a boundary either class may be drawn.
                let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert!(best - logits[usize::from(*class)] < 1e-5, "{curved} {row} {i}: {class} of {logits:?}");
                areas[usize::from(*class)] += 1.0 / 529.0;
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

#[test]
fn a_boundary_is_where_two_logits_are_equal_or_the_first_point_beyond() {
    let boundary = |curved: bool, column: &str| {
        let mut monitor = bind(coarse("b", "c"), curved).expect("bound");
        let (table, _) = collect([monitor.observe(&stream_rows(&SCORES, 0..1, latent)).expect("observed")]);
        number(&table, column, 0)
    };
    // Along b the latent is (.3 - 1.8 x, .1 + .4 x): class 0 ahead of 1 by 0.125 - 3.5 x.
    let length = 1.8_f64.hypot(0.4);
    let exact = boundary(false, "boundary_across").expect("a boundary");
    assert!((exact - length * 0.125 / 3.5).abs() < 1e-6, "{exact}");
    assert_eq!(boundary(false, "boundary_across_back"), None);
    let first = boundary(true, "boundary_across").expect("a boundary");
    assert!((first - 0.1 * length).abs() < 1e-6, "{first}");
}

#[test]
fn an_object_that_was_not_flipped_has_a_row_with_the_reason_and_the_others_their_window() {
    let mut monitor = bind(coarse("first", "c"), false).expect("bound");
    let row = |object: usize| stream_rows(&SCORES, [object], latent);
    let said = [
        attack_rows(&row(0), &[(false, [9.0, 9.0]), (true, [-1.5, 0.5])]),
        attack_rows(&row(1), &[(false, [9.0, 9.0])]),
        attack_rows(&row(2), &[]),
    ];
    let (table, _) = collect(said.iter().map(|said| monitor.observe_upstream("first", said).expect("heard")));
    let reasons: Vec<Option<&str>> = table["reason"].as_string::<i32>().iter().collect();
    assert_eq!(reasons, [None, Some("not_flipped"), Some("misclassified")]);
    assert_eq!([0, 1, 2].map(|row| table["window"].is_valid(row)), [true, false, false]);
    let mut of_scores = bind(coarse("b", "c"), false).expect("bound");
    let (alone, _) = collect([of_scores.observe(&row(0)).expect("observed")]);
    assert_eq!(window(&table, 0), window(&alone, 0));
    assert_eq!(table["label_true"].as_string::<i32>().value(0), "spiral");
}

#[test]
fn two_attacks_are_brought_together_whatever_their_timing_and_over_a_restart() {
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
fn a_window_that_cannot_be_drawn_is_a_mistake() {
    let refused = |settings: ChurchWindow| {
        let mistakes = bind(settings, false).err().expect("a mistake");
        mistakes.into_iter().map(|mistake| (mistake.code, mistake.path.join("."))).collect::<Vec<_>>()
    };
    assert_eq!(refused(coarse("b", "other")), [(Code::Conflict, "up".to_owned())]);
    assert_eq!(refused(ChurchWindow { step: 0.3, ..coarse("b", "c") }), [(Code::OutOfRange, "step".to_owned())]);
    assert_eq!(refused(ChurchWindow { step: 0.0001, ..coarse("b", "c") }), [(Code::OutOfRange, "step".to_owned())]);
    assert_eq!(refused(coarse("windows", "c")), [(Code::WrongColumn, "across".to_owned())]);
}
