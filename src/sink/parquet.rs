//! `parquet`: rows as Parquet parts that any tool reads, with zstd, row groups of bounded size, and units and tensor shapes in the
//! metadata of the fields.
//!
//! All columns are kept except images. They are large (a 3x100x100 image takes 120 kB, a row without images about 2 kB), so they
//! are kept only when they are named. Columns that begin with `_` are internal and never kept.

use std::{path::Path, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unknown_column;
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
    /// Which columns to keep; by default all but images.
    pub columns: Option<ColumnChoice>,
    /// Image columns to keep as well.
    pub images: Vec<String>,
    /// Level of the zstd compression; higher levels are smaller and slower.
    #[schemars(range(min = 1, max = 22))]
    pub compression_level: i32,
    /// Size of a row group, MiB, which is held in memory while it is written.
    #[schemars(range(min = 1, max = 1024))]
    pub row_group_mib: usize,
    /// Size at which a part is closed and the next one begins, MiB. A commit also closes parts.
    #[schemars(range(min = 1))]
    pub part_mib: u64,
}

/// A choice of columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ColumnChoice {
    /// Only these.
    Include(Vec<String>),
    /// All but these, and but images.
    Exclude(Vec<String>),
}

impl Default for Parquet {
    fn default() -> Self {
        Self { columns: None, images: Vec::new(), compression_level: 1, row_group_mib: 16, part_mib: 256 }
    }
}

impl Settings<dyn Sink> for Parquet {
    const NAME: &'static str = "parquet";

    fn examples() -> &'static [&'static str] {
        &[
            "images: [y10]\n",
            "columns: { include: [object_id, label, da_y10_class, da_y10_probability] }
compression_level: 9
",
            "columns: { exclude: [da_y10_latent] }
row_group_mib: 32
part_mib: 1024
",
        ]
    }

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
        self.writer.as_mut().ok_or_else(|| Error::bug("the sink `parquet` is written to before it has started"))
    }
}

impl Parquet {
    /// The columns to keep, in the order of the stream, each with the setting that names it.
    fn choose<'a>(&self, input: &'a Schema) -> Result<Vec<(&'static str, &'a Field)>, Vec<Diagnostic>> {
        let (named_key, named): (_, &[String]) = match &self.columns {
            Some(ColumnChoice::Include(names)) => ("columns.include", names),
            Some(ColumnChoice::Exclude(names)) => ("columns.exclude", names),
            None => ("columns", &[]),
        };
        let mut diagnostics: Vec<Diagnostic> =
            named.iter().filter_map(|name| check_exists(named_key, name, input)).collect();
        for name in &self.images {
            match input.field_with_name(name) {
                Ok(field) if !is_image(field) => {
                    let message = format!("column `{name}` is not an image: it is kept without being named here");
                    diagnostics.push(Diagnostic::at("images", Code::WrongColumn, message));
                }
                _ => diagnostics.extend(check_exists("images", name, input)),
            }
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let fields = input.fields().iter().map(AsRef::as_ref).filter(|field: &&Field| !field.name().starts_with('_'));
        let kept: Vec<_> = fields.filter_map(|field| Some((self.key_of(field)?, field))).collect();
        if kept.is_empty() {
            return Err(vec![Diagnostic::at(named_key, Code::Conflict, "the settings keep no column")]);
        }
        Ok(kept)
    }

    /// The setting that names a column, empty when it is kept by default; `None` when the column is not kept.
    fn key_of(&self, field: &Field) -> Option<&'static str> {
        let among = |names: &[String]| names.contains(field.name());
        match &self.columns {
            _ if among(&self.images) => Some("images"),
            Some(ColumnChoice::Include(names)) => among(names).then_some("columns.include"),
            Some(ColumnChoice::Exclude(names)) if among(names) => None,
            _ => (!is_image(field)).then_some(""),
        }
    }
}

/// Whether a field is an image, or a companion with the shape of one.
fn is_image(field: &Field) -> bool {
    tensor_shape(field).is_some()
}

/// The diagnostic for a column that does not exist, or is internal.
fn check_exists(key: &str, name: &str, input: &Schema) -> Option<Diagnostic> {
    let exists = input.field_with_name(name).is_ok() && !name.starts_with('_');
    (!exists).then(|| unknown_column(key, name, input))
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
            wcs: None,
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
        let columns = settings.build("objects").and_then(|mut sink| sink.bind(&input()));
        columns.expect("no mistake").into_iter().map(|column| column.column).collect()
    }

    #[test]
    fn keeps_latents_and_only_named_images() {
        assert_eq!(kept(Parquet::default()), ["object_id", "da_latent"]);
        let images = vec!["y10".to_owned()];
        assert_eq!(kept(Parquet { images, ..Parquet::default() }), ["object_id", "y10", "da_latent"]);
    }

    #[test]
    fn keeps_included_columns_or_those_not_excluded() {
        let columns = Some(ColumnChoice::Include(vec!["object_id".into()]));
        assert_eq!(kept(Parquet { columns, ..Parquet::default() }), ["object_id"]);
        let columns = Some(ColumnChoice::Exclude(vec!["object_id".into()]));
        assert_eq!(kept(Parquet { columns, ..Parquet::default() }), ["da_latent"]);
    }

    #[test]
    fn reports_every_unknown_column_with_the_nearest_name() {
        let columns = Some(ColumnChoice::Include(vec!["objectid".into(), "_row".into()]));
        let sink = Parquet { columns, images: vec!["da_latent".into()], ..Parquet::default() }.build("objects");
        let diagnostics = sink.and_then(|mut sink| sink.bind(&input())).expect_err("mistakes");
        let messages: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "[unknown-column] no column `objectid` (at `columns.include`); help: did you mean `object_id`?",
                "[unknown-column] no column `_row` (at `columns.include`); help: available columns: `object_id`, `image`, `y10`, `da_latent`",
                "[wrong-column] column `da_latent` is not an image: it is kept without being named here (at `images`)",
            ]
        );
    }
}
