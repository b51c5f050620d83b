//! Latents that settings name: those of a score, or those that an upstream attack computed for the objects it attacked.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Field, Float32Type, Schema},
};

use super::score::{latent_column, latent_size, model_of};
use crate::{
    batch::{LatentLayout, column_of, object_id, origin, text_column},
    error::{Code, Diagnostic, Error, Result},
    stage::{ColumnRef, RowsOut, UpstreamSchemas},
};

/// The column of an attack's table with the latents of attacked images.
const LATENT_AFTER: &str = "latent_after";
/// The column of an attack's table with whether the class of an object was flipped.
const FLIPPED: &str = "flipped";

/// The label in a setting that names latents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LatentRef {
    key: &'static str,
    pub(crate) label: String,
    /// Whether the label is that of a monitor; else it is that of a score.
    pub(crate) is_monitor: bool,
    may_be_monitor: bool,
}

/// The space of latents: only latents of one output of one model can be compared. Images may differ: what a step of the pipeline does
/// to them is what a distance between two scores measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LatentSpace {
    /// Numbers of a latent.
    pub(crate) size: usize,
    model: Option<String>,
    /// The output of the model, if known.
    output: Option<String>,
}

impl LatentRef {
    /// A setting that takes a score.
    pub(crate) fn score(key: &'static str, label: &str) -> Self {
        Self { key, label: label.to_owned(), is_monitor: false, may_be_monitor: false }
    }

    /// A setting that takes a score or a monitor.
    pub(crate) fn score_or_monitor(key: &'static str, label: &str) -> Self {
        Self { may_be_monitor: true, ..Self::score(key, label) }
    }

    /// A setting that takes a monitor.
    pub(crate) fn monitor(key: &'static str, label: &str) -> Self {
        Self { is_monitor: true, ..Self::score(key, label) }
    }

    /// Decides whether the label is a monitor, given the labels of all monitors.
    pub(crate) fn resolve_labels(&mut self, monitors: &[String]) {
        self.is_monitor |= self.may_be_monitor && monitors.contains(&self.label);
    }

    /// The column of the stream with the latents, if they are those of a score.
    pub(crate) fn required_column(&self) -> Option<ColumnRef> {
        let column = ColumnRef::new(self.key, latent_column(&self.label));
        (!self.is_monitor).then(|| if self.may_be_monitor { column.may_name_monitor() } else { column })
    }

    /// The upstream monitor, if the label is one.
    pub(crate) fn upstream(&self) -> Option<ColumnRef> {
        self.is_monitor.then(|| ColumnRef::new(self.key, &self.label))
    }

    /// The space of the latents, or a diagnostic if there are no latents.
    pub(crate) fn space(&self, input: &Schema, upstream: &UpstreamSchemas) -> Result<LatentSpace, Diagnostic> {
        let Self { key, label, .. } = self;
        if !self.is_monitor {
            let column = latent_column(label);
            let size = latent_size(input, label).ok_or_else(|| no_latents(key, &column))?;
            let model = model_of(input, &column).map(str::to_owned);
            let layout = input.field_with_name(&column).ok().and_then(LatentLayout::of);
            return Ok(LatentSpace { size, model, output: layout.map(|layout| layout.output) });
        }
        self.check_is_attack(upstream)?;
        let field = upstream.get(label).and_then(|table| table.field_with_name(LATENT_AFTER).ok());
        let (Some(field), Some(DataType::FixedSizeList(_, size))) = (field, field.map(Field::data_type)) else {
            let message =
                format!("the table of `{label}` has no latents: the model that it attacks does not return them");
            return Err(Diagnostic::at(key, Code::WrongColumn, message));
        };
        let model = field.metadata().get("model").cloned();
        Ok(LatentSpace { size: usize::try_from(*size).unwrap_or(0), model, output: None })
    }

    /// A diagnostic unless the monitor is an attack: its table reports which objects it flipped.
    pub(crate) fn check_is_attack(&self, upstream: &UpstreamSchemas) -> Result<(), Diagnostic> {
        let table = upstream.get(&self.label);
        match table.and_then(|table| table.field_with_name(FLIPPED).ok()) {
            Some(field) if *field.data_type() == DataType::Boolean => Ok(()),
            _ => {
                let message =
                    format!("the monitor `{}` is not an attack: its table has no column `{FLIPPED}`", self.label);
                Err(Diagnostic::at(self.key, Code::WrongColumn, message).help("name a `one_pixel` monitor"))
            }
        }
    }

    /// A diagnostic unless the latents of `other` are in the same space as these.
    pub(crate) fn check_same_space(
        &self,
        space: &LatentSpace,
        other: &Self,
        other_space: &LatentSpace,
    ) -> Result<(), Diagnostic> {
        let (own, label) = (&self.label, &other.label);
        if space.size != other_space.size {
            let message =
                format!("latents of `{label}` have {} numbers, those of `{own}` {}", other_space.size, space.size);
            return Err(Diagnostic::at(other.key, Code::Conflict, message));
        }
        match (&space.model, &other_space.model) {
            (Some(first), Some(second)) if first != second => {
                let message = format!("`{label}` is of the model `{second}`, `{own}` of `{first}`");
                let help = "latents of two models cannot be compared: name scores and attacks of one model";
                return Err(Diagnostic::at(other.key, Code::Conflict, message).help(help));
            }
            _ => {}
        }
        match (&space.output, &other_space.output) {
            (Some(first), Some(second)) if first != second => {
                let message =
                    format!("latents of `{label}` are the output `{second}` of the model, those of `{own}` `{first}`");
                let help = "latents of two outputs cannot be compared: give both scores the same `latent`";
                Err(Diagnostic::at(other.key, Code::Conflict, message).help(help))
            }
            _ => Ok(()),
        }
    }
}

/// A column that does not hold latents.
pub(crate) fn no_latents(key: &str, column: &str) -> Diagnostic {
    let message = format!("the column `{column}` does not hold latents");
    Diagnostic::at(key, Code::WrongColumn, message).help("name a score of a model with latents")
}

/// The upstream monitors that settings name, without duplicates.
pub(crate) fn upstream_monitors<'a>(latents: impl IntoIterator<Item = &'a LatentRef>) -> Vec<ColumnRef> {
    let mut monitors: Vec<ColumnRef> = Vec::new();
    for monitor in latents.into_iter().filter_map(LatentRef::upstream) {
        if !monitors.iter().any(|known| known.column == monitor.column) {
            monitors.push(monitor);
        }
    }
    monitors
}

/// The row of the stream that rows of the upstream monitor `label` describe.
///
/// # Errors
/// [`Error::Bug`] if they do not describe one row: such a monitor is not an attack.
pub(crate) fn described_row<'a>(label: &str, rows: &'a RowsOut) -> Result<&'a RecordBatch> {
    let missing = || Error::bug(format!("rows of the monitor `{label}` do not describe one row of the stream"));
    rows.about.as_ref().ok_or_else(missing)
}

/// What an upstream attack reports of one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttackedObject {
    pub(crate) object_id: String,
    pub(crate) origin: String,
    pub(crate) truth: Option<String>,
    /// The class that it was flipped to, if the attack has a target.
    pub(crate) target: Option<String>,
    /// The latent after the first successful attack, in the order of the table; empty if the table has no latents.
    pub(crate) latent: Vec<f32>,
    /// Why the object was not flipped; `None` if it was.
    pub(crate) unflipped: Option<String>,
}

impl AttackedObject {
    /// Reads the rows that an attack emits for one object: one row per target.
    pub(crate) fn from_rows(rows: &RowsOut) -> Result<Self> {
        let rows = &rows.rows;
        if rows.num_rows() == 0 {
            return Err(Error::bug("an attack emitted no rows for an object"));
        }
        let flipped = column_of(rows, FLIPPED)?.as_boolean();
        let success = (0..rows.num_rows()).find(|row| flipped.is_valid(*row) && flipped.value(*row));
        let row = success.unwrap_or(0);
        Ok(Self {
            object_id: object_id(rows, row)?.to_owned(),
            origin: origin(rows, row)?.to_owned(),
            truth: optional_text(rows, "label_true", row)?,
            target: optional_text(rows, "label_target", row)?,
            latent: if success.is_some() { latent(rows, row) } else { Vec::new() },
            unflipped: if success.is_some() { None } else { Some(unflipped_reason(rows)?) },
        })
    }
}

/// The text of a row; `None` if it is null or the column is missing.
fn optional_text(rows: &RecordBatch, column: &str, row: usize) -> Result<Option<String>> {
    if rows.column_by_name(column).is_none() {
        return Ok(None);
    }
    let column = text_column(rows, column)?;
    Ok(column.is_valid(row).then(|| column.value(row).to_owned()))
}

fn latent(rows: &RecordBatch, row: usize) -> Vec<f32> {
    let lists = rows.column_by_name(LATENT_AFTER).and_then(|column| column.as_fixed_size_list_opt());
    let list = lists.filter(|lists| lists.is_valid(row)).map(|lists| lists.value(row));
    list.and_then(|list| Some(list.as_primitive_opt::<Float32Type>()?.values().to_vec())).unwrap_or_default()
}

/// Why an object was not flipped: it was not attacked, its class was wrong before the attack, or no attack succeeded.
fn unflipped_reason(rows: &RecordBatch) -> Result<String> {
    let was_attacked = rows.column_by_name("success").is_none_or(|success| success.is_valid(0));
    if !was_attacked && let Some(reason) = optional_text(rows, "stop_reason", 0)? {
        return Ok(reason);
    }
    let truth = optional_text(rows, "label_true", 0)?;
    Ok(if truth.is_none() {
        "unlabelled"
    } else if optional_text(rows, "label_pred", 0)? != truth {
        "misclassified"
    } else {
        "not_flipped"
    }
    .to_owned())
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{attack_rows, attack_schema, stream_rows, stream_schema},
        *,
    };

    fn upstream() -> UpstreamSchemas {
        [
            ("attack".to_owned(), attack_schema(true)),
            ("blind".to_owned(), attack_schema(false)),
            ("accuracy".to_owned(), Schema::empty().into()),
        ]
        .into()
    }

    #[test]
    fn a_label_is_a_monitor_only_if_a_monitor_has_it() {
        let mut to = LatentRef::score_or_monitor("to", "attack");
        let column = to.required_column().expect("a column");
        assert_eq!((column.column.as_str(), column.may_name_monitor, to.upstream()), ("attack_latent", true, None));
        to.resolve_labels(&["attack".to_owned()]);
        assert_eq!((to.required_column(), to.upstream()), (None, Some(ColumnRef::new("to", "attack"))));
        let mut from = LatentRef::score("from", "attack");
        from.resolve_labels(&["attack".to_owned()]);
        assert!(!from.is_monitor);
        let both = [LatentRef::monitor("up", "attack"), to, from];
        assert_eq!(upstream_monitors(&both), [ColumnRef::new("up", "attack")]);
    }

    #[test]
    fn spaces_are_those_of_one_model_and_size() {
        let input = stream_schema(&["a", "other"]);
        let (a, other) = (LatentRef::score("from", "a"), LatentRef::score("to", "other"));
        let attack = LatentRef::monitor("to", "attack");
        let [own, others, attacked] =
            [&a, &other, &attack].map(|latents| latents.space(&input, &upstream()).expect("a space"));
        assert_eq!((own.size, attacked.size), (2, 2));
        assert!(a.check_same_space(&own, &attack, &attacked).is_ok());
        let why = a.check_same_space(&own, &other, &others).expect_err("a diagnostic").message;
        assert_eq!(why, "`other` is of the model `n.onnx`, `a` of `m.onnx`");
        let output = |output: &str| LatentSpace { output: Some(output.to_owned()), ..own.clone() };
        assert!(a.check_same_space(&own, &other, &output("latent")).is_ok());
        let why = a.check_same_space(&output("latent"), &other, &output("features")).expect_err("a diagnostic").message;
        assert_eq!(why, "latents of `other` are the output `features` of the model, those of `a` `latent`");
        let longer = LatentSpace { size: 3, ..own.clone() };
        assert!(a.check_same_space(&own, &attack, &longer).is_err());
        let why = |latents: LatentRef| latents.space(&input, &upstream()).expect_err("a diagnostic").message;
        assert_eq!(why(LatentRef::score("from", "b")), "the column `b_latent` does not hold latents");
        assert!(why(LatentRef::monitor("to", "blind")).contains("the table of `blind` has no latents"));
        assert!(why(LatentRef::monitor("to", "accuracy")).contains("`accuracy` is not an attack"));
    }

    #[test]
    fn the_first_success_is_reported_or_the_reason_why_there_is_none() {
        let row = stream_rows(&["a"], [3], |_, _| [0.0; 2]);
        let object =
            |targets: &[(bool, [f32; 2])]| AttackedObject::from_rows(&attack_rows(&row, targets)).expect("an object");
        let flipped = object(&[(false, [1.0; 2]), (true, [2.0; 2]), (true, [3.0; 2])]);
        assert_eq!((flipped.object_id.as_str(), flipped.origin.as_str()), ("o3", "test:3"));
        assert_eq!((flipped.latent, flipped.unflipped), (vec![2.0; 2], None));
        assert_eq!((flipped.truth.as_deref(), flipped.target.as_deref()), (Some("spiral"), Some("merger")));
        let withstood = object(&[(false, [1.0; 2])]);
        assert_eq!((withstood.latent, withstood.unflipped.as_deref()), (Vec::new(), Some("not_flipped")));
        assert_eq!(object(&[]).unflipped.as_deref(), Some("misclassified"));
        assert_eq!(described_row("attack", &attack_rows(&row, &[])).expect("a row"), &row);
        assert!(described_row("attack", &row.clone().into()).is_err());
    }
}
