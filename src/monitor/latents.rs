//! Latents that a setting names: those of a score, or those of what a monitor above has made of an object.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Field, Float32Type, Schema},
};

use super::columns::{latent_column, latent_size, model_of};
use crate::{
    batch::{column_of, object_id, origin, text_column},
    error::{Code, Diagnostic, Error, Result},
    stage::{ColumnRef, RowsOut, UpstreamSchemas},
};

/// The column of a monitor's table with the latents of what it has made.
const LATENT_AFTER: &str = "latent_after";
/// The column that says whether an object was flipped.
const FLIPPED: &str = "flipped";

/// A setting that names latents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    key: &'static str,
    pub(super) label: String,
    /// Whether the label is that of a monitor; of a score else.
    pub(super) is_monitor: bool,
    /// Whether it may be.
    may_be: bool,
}

/// Where latents lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) size: usize,
    model: Option<String>,
}

impl Named {
    /// A setting that names a score.
    pub(super) fn score(key: &'static str, label: &str) -> Self {
        Self { key, label: label.to_owned(), is_monitor: false, may_be: false }
    }

    /// A setting that names a score or a monitor.
    pub(super) fn either(key: &'static str, label: &str) -> Self {
        Self { may_be: true, ..Self::score(key, label) }
    }

    /// A setting that names a monitor.
    pub(super) fn monitor(key: &'static str, label: &str) -> Self {
        Self { is_monitor: true, ..Self::score(key, label) }
    }

    pub(super) fn resolve_labels(&mut self, monitors: &[String]) {
        self.is_monitor |= self.may_be && monitors.contains(&self.label);
    }

    pub(super) fn need(&self) -> Option<ColumnRef> {
        let need = ColumnRef::new(self.key, latent_column(&self.label));
        (!self.is_monitor).then(|| if self.may_be { need.may_name_monitor() } else { need })
    }

    pub(super) fn upstream(&self) -> Option<ColumnRef> {
        self.is_monitor.then(|| ColumnRef::new(self.key, &self.label))
    }

    /// Where the latents lie; a mistake when there are none.
    pub(super) fn space(&self, input: &Schema, above: &UpstreamSchemas) -> Result<Space, Diagnostic> {
        let Self { key, label, .. } = self;
        if !self.is_monitor {
            let size = latent_size(input, label).ok_or_else(|| {
                let message = format!("the column `{}` holds no latents", latent_column(label));
                Diagnostic::at(key, Code::WrongColumn, message).help("name a score of a model with latents")
            })?;
            return Ok(Space { size, model: model_of(input, &latent_column(label)).map(str::to_owned) });
        }
        self.flips(above)?;
        let field = above.get(label).and_then(|table| table.field_with_name(LATENT_AFTER).ok());
        let (Some(field), Some(DataType::FixedSizeList(_, size))) = (field, field.map(Field::data_type)) else {
            let message = format!("the table of `{label}` has no latents: the model that it asks gives none");
            return Err(Diagnostic::at(key, Code::WrongColumn, message));
        };
        let model = field.metadata().get("model").cloned();
        Ok(Space { size: usize::try_from(*size).unwrap_or(0), model })
    }

    /// A mistake unless the monitor says which objects it has flipped.
    pub(super) fn flips(&self, above: &UpstreamSchemas) -> Result<(), Diagnostic> {
        let table = above.get(&self.label);
        match table.and_then(|table| table.field_with_name(FLIPPED).ok()) {
            Some(field) if *field.data_type() == DataType::Boolean => Ok(()),
            _ => {
                let message = format!("the monitor `{}` flips no objects", self.label);
                Err(Diagnostic::at(self.key, Code::WrongColumn, message).help("name a `one_pixel` monitor"))
            }
        }
    }

    /// A mistake unless both lie in one space.
    pub(super) fn together(&self, space: &Space, other: &Self, with: &Space) -> Result<(), Diagnostic> {
        let (own, label) = (&self.label, &other.label);
        if space.size != with.size {
            let message = format!("latents of `{label}` have {} numbers, those of `{own}` {}", with.size, space.size);
            return Err(Diagnostic::at(other.key, Code::Conflict, message));
        }
        match (&space.model, &with.model) {
            (Some(first), Some(second)) if first != second => {
                let message = format!("`{label}` is of the model `{second}`, `{own}` of `{first}`");
                let help = "latents of two models have nothing in common: name those of one";
                Err(Diagnostic::at(other.key, Code::Conflict, message).help(help))
            }
            _ => Ok(()),
        }
    }
}

/// The monitors that settings name, each once.
pub(super) fn speakers<'a>(named: impl IntoIterator<Item = &'a Named>) -> Vec<ColumnRef> {
    let mut speakers: Vec<ColumnRef> = Vec::new();
    for need in named.into_iter().filter_map(Named::upstream) {
        if !speakers.iter().any(|known| known.column == need.column) {
            speakers.push(need);
        }
    }
    speakers
}

/// What a monitor above says of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) object_id: String,
    pub(super) origin: String,
    pub(super) truth: Option<String>,
    /// The class that it was turned into, if it is one.
    pub(super) target: Option<String>,
    /// The latent of the first row, in the order of the table, that was flipped; empty when the table has none.
    pub(super) latent: Vec<f32>,
    /// Why none was.
    pub(super) unflipped: Option<String>,
}

impl Verdict {
    pub(super) fn of(said: &RowsOut) -> Result<Self> {
        let rows = &said.rows;
        if rows.num_rows() == 0 {
            return Err(Error::bug("a monitor has said nothing about an object"));
        }
        let flipped = column_of(rows, FLIPPED)?.as_boolean();
        let place = (0..rows.num_rows()).find(|row| flipped.is_valid(*row) && flipped.value(*row));
        let row = place.unwrap_or(0);
        Ok(Self {
            object_id: object_id(rows, row)?.to_owned(),
            origin: origin(rows, row)?.to_owned(),
            truth: word(rows, "label_true", row)?,
            target: word(rows, "label_target", row)?,
            latent: if place.is_some() { latent(rows, row) } else { Vec::new() },
            unflipped: if place.is_some() { None } else { Some(reason(rows)?) },
        })
    }
}

/// The word of a row, of a column that may not be there.
fn word(rows: &RecordBatch, column: &str, row: usize) -> Result<Option<String>> {
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

/// Why an object was not flipped: that nobody tried, that its class was wrong before, or that no try was good enough.
fn reason(rows: &RecordBatch) -> Result<String> {
    let tried = rows.column_by_name("success").is_none_or(|success| success.is_valid(0));
    if !tried && let Some(reason) = word(rows, "stop_reason", 0)? {
        return Ok(reason);
    }
    let truth = word(rows, "label_true", 0)?;
    Ok(if truth.is_none() {
        "unlabelled"
    } else if word(rows, "label_pred", 0)? != truth {
        "misclassified"
    } else {
        "not_flipped"
    }
    .to_owned())
}
