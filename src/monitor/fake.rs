//! Small streams and attacks for the tests of monitors that look at latents.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Float32Type, Int32Type, Schema, SchemaRef},
};

use crate::{
    batch::{LABEL, OBJECT_ID, ORIGIN, list_column, list_type},
    stage::{Finding, Monitor, MonitorOutput, RowsOut},
};

pub(super) const CLASSES: [&str; 3] = ["spiral", "elliptical", "merger"];

/// A latent of the object of a number, under a score.
pub(super) type Latent = fn(score: &str, object: usize) -> [f32; 2];

/// The columns of a stream with some scores, all of the model `m.onnx`, except those that begin with `other`.
pub(super) fn columns(scores: &[&str]) -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let mut fields = vec![text(OBJECT_ID, false), text(ORIGIN, false), text(LABEL, true)];
    for score in scores {
        let model = if score.starts_with("other") { "n.onnx" } else { "m.onnx" };
        let model = ("model".to_owned(), model.to_owned());
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let classes = ("classes".to_owned(), CLASSES.join(","));
        let class = Field::new(format!("{score}_class"), dictionary, false);
        fields.push(class.with_metadata([classes, model.clone()].into()));
        fields.push(Field::new(format!("{score}_latent"), list_type(2), false).with_metadata([model].into()));
    }
    Arc::new(Schema::new(fields))
}

/// Rows of a stream. All are spirals, and the scores say so.
pub(super) fn rows(scores: &[&str], objects: impl IntoIterator<Item = usize>, latent: Latent) -> RecordBatch {
    let objects: Vec<usize> = objects.into_iter().collect();
    let text =
        |of: &dyn Fn(&usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(objects.iter().map(of))) };
    let mut arrays: Vec<ArrayRef> =
        vec![text(&|i| format!("o{i}")), text(&|i| format!("test:{i}")), text(&|_| "spiral".to_owned())];
    for score in scores {
        arrays.push(Arc::new(objects.iter().map(|_| "spiral").collect::<DictionaryArray<Int32Type>>()));
        let values = objects.iter().flat_map(|object| latent(score, *object)).collect();
        arrays.push(list_column(values, 2).expect("latents"));
    }
    RecordBatch::try_new(columns(scores), arrays).expect("rows")
}

/// The table of an attack on the model `m.onnx`, or on a model without latents.
pub(super) fn attacks(with_latents: bool) -> SchemaRef {
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

/// What an attack says of the one row `about`: for every target whether it succeeded, and the latent after it. Without targets,
/// that the object was misclassified.
pub(super) fn attacked(about: &RecordBatch, targets: &[(bool, [f32; 2])]) -> RowsOut {
    let n = targets.len().max(1);
    let column = |name: &str| about.column_by_name(name).expect("a column").clone();
    let repeat = |name: &str| arrow::compute::concat(&vec![column(name).as_ref(); n]).expect("repeated");
    let each =
        |of: &dyn Fn(usize) -> Option<&'static str>| -> ArrayRef { Arc::new((0..n).map(of).collect::<StringArray>()) };
    let tried = !targets.is_empty();
    let succeeded = |i: usize| targets.get(i).map(|target| target.0);
    let lists = (0..n).map(|i| targets.get(i).map(|(_, latent)| latent.map(Some)));
    let arrays: Vec<ArrayRef> = vec![
        repeat(OBJECT_ID),
        repeat(ORIGIN),
        repeat(LABEL),
        each(&|_| Some(if tried { "spiral" } else { "merger" })),
        each(&|i| tried.then(|| CLASSES[1 + i % 2])),
        Arc::new((0..n).map(succeeded).collect::<BooleanArray>()),
        Arc::new((0..n).map(|i| Some(succeeded(i) == Some(true))).collect::<BooleanArray>()),
        each(&|i| Some(succeeded(i).map_or("misclassified", |done| if done { "success" } else { "maxiter" }))),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(lists, 2)),
    ];
    let rows = RecordBatch::try_new(attacks(true), arrays).expect("rows of an attack");
    RowsOut { rows, about: Some(about.clone()) }
}

/// All rows that were said, and the findings.
pub(super) fn told(emitted: impl IntoIterator<Item = MonitorOutput>) -> (RecordBatch, Vec<Finding>) {
    let mut all = MonitorOutput::default();
    emitted.into_iter().for_each(|emitted| all.append(emitted));
    let rows: Vec<RecordBatch> = all.rows.into_iter().map(|said| said.rows).collect();
    (concat_batches(rows[0].schema_ref(), &rows).expect("one table"), all.findings)
}

/// Lets a monitor hear what others say, in the order of the letters: `a` and `b` each speak of their next object.
pub(super) fn hear(
    monitor: &mut dyn Monitor,
    labels: [&str; 2],
    says: [&[RowsOut]; 2],
    order: &str,
) -> Vec<MonitorOutput> {
    let mut next = [0, 0];
    let mut emitted = Vec::new();
    for letter in order.bytes() {
        let speaker = usize::from(letter - b'a');
        emitted.push(monitor.observe_upstream(labels[speaker], &says[speaker][next[speaker]]).expect("heard"));
        next[speaker] += 1;
    }
    emitted
}
