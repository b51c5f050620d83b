//! Keeps rows as Parquet parts that any tool reads: zstd, row groups bounded in bytes, units and tensor shapes in the
//! metadata of the fields.
//!
//! Every column is kept but images, which are large (a 3x100x100 image takes 120 kB, a row without images about 2 kB) and
//! are kept when asked for by name. Columns that begin with `_` are internal and never kept.

use std::{path::Path, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::tensor_shape,
    error::{Code, Diagnostic, Error, Result},
    stage::{ColumnRef, RunContext, Settings, Sink, TablePart},
    table::{TableWriter, WriteOptions},
};

/// Keeps the rows in Parquet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parquet {
    /// Which columns to keep; all but images when not set.
    pub columns: Option<Columns>,
    /// Image columns to keep besides: none unless named.
    pub images: Vec<String>,
    /// Level of the zstd compression: higher is smaller and slower.
    #[schemars(range(min = 1, max = 22))]
    pub compression_level: i32,
    /// Size of a row group, MiB: what is held in memory while it is written.
    #[schemars(range(min = 1, max = 1024))]
    pub row_group_mib: usize,
    /// Size at which a part is closed and the next one begun, MiB. A commit closes parts too.
    #[schemars(range(min = 1))]
    pub part_mib: u64,
}

/// A choice of columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Columns {
    /// These and no others.
    Include(Vec<String>),
    /// All but these (and images).
    Exclude(Vec<String>),
}

impl Default for Parquet {
    fn default() -> Self {
        Self { columns: None, images: Vec::new(), compression_level: 1, row_group_mib: 16, part_mib: 256 }
    }
}

impl Settings<dyn Sink> for Parquet {
    const NAME: &'static str = "parquet";

    fn build(self, _label: &str) -> Result<Box<dyn Sink>, Vec<Diagnostic>> {
        Ok(Box::new(ParquetSink { settings: self, schema: Arc::new(Schema::empty()), writer: None }))
    }
}

struct ParquetSink {
    settings: Parquet,
    schema: SchemaRef,
    writer: Option<TableWriter>,
}

impl Sink for ParquetSink {
    fn bind(&mut self, input: &Schema) -> Result<Vec<ColumnRef>, Vec<Diagnostic>> {
        let kept = self.settings.choose(input)?;
        let fields: Vec<Field> = kept.iter().map(|(_, field)| (*field).clone()).collect();
        self.schema = Arc::new(Schema::new(fields));
        Ok(kept.into_iter().map(|(key, field)| ColumnRef::new(key, field.name())).collect())
    }

    fn start(&mut self, _run: &RunContext, staging: &Path, table: &Path) -> Result<()> {
        let options = WriteOptions {
            compression_level: self.settings.compression_level,
            row_group_bytes: self.settings.row_group_mib << 20,
            part_bytes: self.settings.part_mib << 20,
        };
        self.writer = Some(TableWriter::new(self.schema.clone(), staging, table, options)?);
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer()?.write(batch)
    }

    fn prepare(&mut self) -> Result<Vec<TablePart>> {
        self.writer()?.prepare()
    }
}

impl ParquetSink {
    fn writer(&mut self) -> Result<&mut TableWriter> {
        self.writer.as_mut().ok_or_else(|| Error::bug("a parquet sink was written to before it was started"))
    }
}

impl Parquet {
    /// The columns to keep, in the order in which they were made, each with the setting that asks for it.
    fn choose<'a>(&self, input: &'a Schema) -> Result<Vec<(&'static str, &'a Field)>, Vec<Diagnostic>> {
        let (named_key, named): (_, &[String]) = match &self.columns {
            Some(Columns::Include(names)) => ("columns.include", names),
            Some(Columns::Exclude(names)) => ("columns.exclude", names),
            None => ("columns", &[]),
        };
        let mut mistakes: Vec<Diagnostic> = named.iter().filter_map(|name| unknown(named_key, name, input)).collect();
        for name in &self.images {
            match input.field_with_name(name) {
                Ok(field) if !is_image(field) => {
                    let message = format!("column `{name}` is no image: it is kept without being named here");
                    mistakes.push(Diagnostic::at("images", Code::WrongColumn, message));
                }
                _ => mistakes.extend(unknown("images", name, input)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let fields = input.fields().iter().map(AsRef::as_ref).filter(|field: &&Field| !field.name().starts_with('_'));
        let kept: Vec<_> = fields.filter_map(|field| Some((self.key_of(field)?, field))).collect();
        if kept.is_empty() {
            return Err(vec![Diagnostic::at(named_key, Code::Conflict, "no column is left to keep")]);
        }
        Ok(kept)
    }

    /// The setting that keeps a column, if it is kept.
    fn key_of(&self, field: &Field) -> Option<&'static str> {
        let among = |names: &[String]| names.contains(field.name());
        match &self.columns {
            _ if among(&self.images) => Some("images"),
            Some(Columns::Include(names)) => among(names).then_some("columns.include"),
            Some(Columns::Exclude(names)) if among(names) => None,
            _ => (!is_image(field)).then_some(""),
        }
    }
}

/// Images, and the companions that have their shape.
fn is_image(field: &Field) -> bool {
    tensor_shape(field).is_some()
}

fn unknown(key: &str, name: &str, input: &Schema) -> Option<Diagnostic> {
    if input.field_with_name(name).is_ok() && !name.starts_with('_') {
        return None;
    }
    let mistake = Diagnostic::at(key, Code::UnknownColumn, format!("no column `{name}`"));
    let known = input.fields().iter().map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
    Some(mistake.suggest(name, known, "columns"))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use crate::batch::{ImageLayout, Unit, list_type};

    fn input() -> Schema {
        let layout = ImageLayout {
            bands: vec!["g".into()],
            height: 4,
            width: 4,
            unit: Unit::NanoJansky,
            pixel_scale_arcsec: Some(0.2),
            stretch: None,
            electrons_per_njy: None,
        };
        Schema::new(vec![
            Field::new("_row", DataType::UInt64, false),
            Field::new("object_id", DataType::Utf8, false),
            layout.field("image"),
            layout.field("y10"),
            Field::new("da_latent", list_type(8), false),
        ])
    }

    fn kept(settings: Parquet) -> Vec<String> {
        let needs = settings.build("objects").and_then(|mut sink| sink.bind(&input()));
        needs.expect("no mistake").into_iter().map(|need| need.column).collect()
    }

    #[test]
    fn latents_are_kept_and_images_are_not_unless_named() {
        assert_eq!(kept(Parquet::default()), ["object_id", "da_latent"]);
        let images = vec!["y10".to_owned()];
        assert_eq!(kept(Parquet { images, ..Parquet::default() }), ["object_id", "y10", "da_latent"]);
    }

    #[test]
    fn columns_are_those_included_or_those_not_excluded() {
        let columns = Some(Columns::Include(vec!["object_id".into()]));
        assert_eq!(kept(Parquet { columns, ..Parquet::default() }), ["object_id"]);
        let columns = Some(Columns::Exclude(vec!["object_id".into()]));
        assert_eq!(kept(Parquet { columns, ..Parquet::default() }), ["da_latent"]);
    }

    #[test]
    fn misspelt_columns_are_all_mistakes_with_the_nearest_name() {
        let columns = Some(Columns::Include(vec!["objectid".into(), "_row".into()]));
        let sink = Parquet { columns, images: vec!["da_latent".into()], ..Parquet::default() }.build("objects");
        let mistakes = sink.and_then(|mut sink| sink.bind(&input())).expect_err("mistakes");
        let messages: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "[unknown-column] no column `objectid` (at `columns.include`); help: did you mean `object_id`?",
                "[unknown-column] no column `_row` (at `columns.include`)",
                "[wrong-column] column `da_latent` is no image: it is kept without being named here (at `images`)",
            ]
        );
    }
}
