//! Small streams and attacks for the tests of monitors, and a check that every monitor continues from its snapshots.

use std::{fmt::Debug, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Float32Type, Int32Type, Schema, SchemaRef},
};

use crate::{
    batch::{LABEL, OBJECT_ID, ORIGIN, list_column, list_type, metadata_list},
    stage::{Finding, Monitor, MonitorOutput, RowsOut},
};

pub(crate) const CLASSES: [&str; 3] = ["spiral", "elliptical", "merger"];

/// The latent of an object, by number, under a score.
pub(crate) type LatentOf = fn(score: &str, object: usize) -> [f32; 2];

/// The columns of a stream with scores of the model `m.onnx`; scores whose names begin with `other` are of `n.onnx`.
pub(crate) fn stream_schema(scores: &[&str]) -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let mut fields = vec![text(OBJECT_ID, false), text(ORIGIN, false), text(LABEL, true)];
    for score in scores {
        let model = if score.starts_with("other") { "n.onnx" } else { "m.onnx" };
        let model = ("model".to_owned(), model.to_owned());
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let classes = ("classes".to_owned(), metadata_list(&CLASSES));
        let class = Field::new(format!("{score}_class"), dictionary, false);
        fields.push(class.with_metadata([classes, model.clone()].into()));
        fields.push(Field::new(format!("{score}_latent"), list_type(2), false).with_metadata([model].into()));
    }
    Arc::new(Schema::new(fields))
}

/// Rows of a stream: all objects are spirals, and every score classifies them correctly.
pub(crate) fn stream_rows(
    scores: &[&str],
    objects: impl IntoIterator<Item = usize>,
    latent_of: LatentOf,
) -> RecordBatch {
    let objects: Vec<usize> = objects.into_iter().collect();
    let text =
        |of: &dyn Fn(&usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(objects.iter().map(of))) };
    let mut arrays: Vec<ArrayRef> =
        vec![text(&|i| format!("o{i}")), text(&|i| format!("test:{i}")), text(&|_| "spiral".to_owned())];
    for score in scores {
        arrays.push(Arc::new(objects.iter().map(|_| "spiral").collect::<DictionaryArray<Int32Type>>()));
        let values = objects.iter().flat_map(|object| latent_of(score, *object)).collect();
        arrays.push(list_column(values, 2).expect("latents"));
    }
    RecordBatch::try_new(stream_schema(scores), arrays).expect("rows")
}

/// The table of an attack on the model `m.onnx`, or on a model without latents.
pub(crate) fn attack_schema(with_latents: bool) -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let latent = Field::new("latent_after", list_type(2), true);
    let mut fields = vec![
        text(OBJECT_ID, false),
        text(ORIGIN, false),
        text("label_true", true),
        text("label_pred", false),
        text("label_target", true),
        Field::new("success", DataType::Boolean, true),
        Field::new("flipped", DataType::Boolean, false),
        text("stop_reason", false),
    ];
    if with_latents {
        fields.push(latent.with_metadata([("model".to_owned(), "m.onnx".to_owned())].into()));
    }
    Arc::new(Schema::new(fields))
}

/// The rows of an attack on the one row `about`: for every target whether it succeeded, and the latent after it. Without
/// targets the object was misclassified and not attacked.
pub(crate) fn attack_rows(about: &RecordBatch, targets: &[(bool, [f32; 2])]) -> RowsOut {
    let n = targets.len().max(1);
    let column = |name: &str| about.column_by_name(name).expect("a column").clone();
    let repeat = |name: &str| arrow::compute::concat(&vec![column(name).as_ref(); n]).expect("repeated");
    let each =
        |of: &dyn Fn(usize) -> Option<&'static str>| -> ArrayRef { Arc::new((0..n).map(of).collect::<StringArray>()) };
    let was_attacked = !targets.is_empty();
    let succeeded = |i: usize| targets.get(i).map(|target| target.0);
    let lists = (0..n).map(|i| targets.get(i).map(|(_, latent)| latent.map(Some)));
    let arrays: Vec<ArrayRef> = vec![
        repeat(OBJECT_ID),
        repeat(ORIGIN),
        repeat(LABEL),
        each(&|_| Some(if was_attacked { "spiral" } else { "merger" })),
        each(&|i| was_attacked.then(|| CLASSES[1 + i % 2])),
        Arc::new((0..n).map(succeeded).collect::<BooleanArray>()),
        Arc::new((0..n).map(|i| Some(succeeded(i) == Some(true))).collect::<BooleanArray>()),
        each(&|i| Some(succeeded(i).map_or("misclassified", |done| if done { "success" } else { "maxiter" }))),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(lists, 2)),
    ];
    let rows = RecordBatch::try_new(attack_schema(true), arrays).expect("rows of an attack");
    RowsOut { rows, about: Some(about.clone()) }
}

/// All rows of a monitor as one table, and its findings.
pub(crate) fn collect(outputs: impl IntoIterator<Item = MonitorOutput>) -> (RecordBatch, Vec<Finding>) {
    let mut all = MonitorOutput::default();
    outputs.into_iter().for_each(|output| all.append(output));
    let rows: Vec<RecordBatch> = all.rows.into_iter().map(|out| out.rows).collect();
    (concat_batches(rows[0].schema_ref(), &rows).expect("one table"), all.findings)
}

/// Passes rows of two upstream monitors to a monitor. Each letter of `order` is a monitor, `a` or `b`, that emits its next
/// object.
pub(crate) fn deliver(
    monitor: &mut dyn Monitor,
    labels: [&str; 2],
    rows: [&[RowsOut]; 2],
    order: &str,
) -> Vec<MonitorOutput> {
    let mut next = [0, 0];
    let mut outputs = Vec::new();
    for letter in order.bytes() {
        let upstream = usize::from(letter - b'a');
        let rows = &rows[upstream][next[upstream]];
        outputs.push(monitor.observe_upstream(labels[upstream], rows).expect("observed"));
        next[upstream] += 1;
    }
    outputs
}

/// One call of a monitor.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// Rows of the stream.
    Stream(RecordBatch),
    /// Rows of the upstream monitor of a label.
    Upstream(&'static str, RowsOut),
}

fn pass(monitor: &mut dyn Monitor, inputs: &[Input]) -> Vec<MonitorOutput> {
    let pass = |input: &Input| match input {
        Input::Stream(batch) => monitor.observe(batch).expect("observed"),
        Input::Upstream(label, rows) => monitor.observe_upstream(label, rows).expect("observed"),
    };
    inputs.iter().map(pass).collect()
}

/// Asserts that a monitor restarted from a snapshot after any number of inputs makes the same table and findings as one that
/// was not restarted, that its state stays within its bound, and that damaged snapshots are refused. The last assertion is
/// about the test itself: a restart without a snapshot must make another table.
pub(crate) fn assert_continues_from_any_snapshot(monitor: &dyn Fn() -> Box<dyn Monitor>, inputs: &[Input]) {
    let finish = |mut outputs: Vec<MonitorOutput>, monitor: &mut dyn Monitor, rest: &[Input]| {
        outputs.extend(pass(monitor, rest));
        outputs.push(monitor.finish().expect("finished"));
        outputs
    };
    let undisturbed = collect(finish(Vec::new(), &mut *monitor(), inputs));
    let mut fails_without_a_snapshot = false;
    for cut in 0..=inputs.len() {
        let mut first = monitor();
        let before = pass(&mut *first, &inputs[..cut]);
        let snapshot = first.snapshot().expect("a snapshot");
        let bound = first.state_bound_bytes();
        assert!(snapshot.len() <= bound, "cut at {cut}: {} bytes, bound {bound}", snapshot.len());
        let mut second = monitor();
        second.restore(&snapshot).expect("restored");
        assert_eq!(collect(finish(before, &mut *second, &inputs[cut..])), undisturbed, "cut at {cut}");
        let mut damaged = monitor();
        assert!(damaged.restore(&snapshot[..snapshot.len() / 2]).is_err() && damaged.restore(b"").is_err());
        let forgotten = finish(pass(&mut *monitor(), &inputs[..cut]), &mut *monitor(), &inputs[cut..]);
        let rows = |outputs: &[MonitorOutput]| outputs.iter().map(|output| output.rows.len()).sum::<usize>();
        fails_without_a_snapshot |= rows(&forgotten) == 0 || collect(forgotten) != undisturbed;
    }
    assert!(fails_without_a_snapshot, "this monitor has no state that the inputs show");
}
