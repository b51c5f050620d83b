//! A table as a DataFusion provider: the Parquet parts of one or several runs, in row order.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DataFusionError, ScalarValue},
    datasource::{
        TableType,
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::Expr,
    physical_plan::ExecutionPlan,
};

use super::{
    common_columns::{LeftOutColumn, common_columns},
    part_reader::{PartReaders, ReadErrors},
    signed_columns::{has_uint64, signed_schema},
};
use crate::{
    error::Result,
    io::{parquet, paths::is_parquet},
    run::{TablePart, locate},
};

/// The column with the name of the run, when there are several.
pub(super) const RUN: &str = "run";

/// The parts of one table.
#[derive(Debug)]
pub(super) struct Parts {
    table: String,
    runs: Vec<RunParts>,
    schema: TableSchema,
    /// Columns of which the runs have different types.
    left_out: Vec<LeftOutColumn>,
    errors: ReadErrors,
}

/// The parts of a table in one run.
#[derive(Debug)]
struct RunParts {
    run_dir: PathBuf,
    parts: Vec<TablePart>,
}

impl RunParts {
    /// The name of the run's folder.
    fn name(&self) -> String {
        self.run_dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Parts {
    /// A table with these parts, or `None` if there are none. The schema and its metadata are read from the first part.
    pub(super) fn open(run_dir: &Path, table: &str, parts: Vec<TablePart>) -> Result<Option<Self>> {
        // The files of other sinks (FITS) have no columns to ask for.
        let parts: Vec<TablePart> = parts.into_iter().filter(|part| is_parquet(Path::new(&part.file))).collect();
        let Some((first, others)) = parts.split_first() else { return Ok(None) };
        let footer = |part: &TablePart| -> Result<ArrowReaderMetadata> {
            Ok(parquet::open_checked(&locate(run_dir, table, part)?, &part.checksums)?.1)
        };
        let mut footers = vec![footer(first)?];
        let schema = footers[0].schema().clone();
        if has_uint64(&schema) {
            for part in others {
                footers.push(footer(part)?);
            }
        }
        let schema = TableSchema::from(Arc::new(signed_schema(&schema, &footers)));
        let runs = vec![RunParts { run_dir: run_dir.to_owned(), parts }];
        Ok(Some(Self { table: table.to_owned(), runs, schema, left_out: Vec::new(), errors: ReadErrors::default() }))
    }

    /// The table of all runs that have it, with a last column `run` for the name of the run's folder. The error is the reason why
    /// they cannot be queried together.
    pub(super) fn of_runs(parts: Vec<Self>) -> Result<Self, String> {
        let schemas: Vec<(String, SchemaRef)> =
            parts.iter().map(|parts| (parts.runs[0].name(), parts.schema.file_schema().clone())).collect();
        if let Some((run, _)) = schemas.iter().find(|(_, schema)| schema.field_with_name(RUN).is_ok()) {
            return Err(format!("it has a column `{RUN}` in `{run}`, the name of the column that tells runs apart"));
        }
        let (schema, left_out) = common_columns(&schemas);
        let column = Arc::new(Field::new(RUN, DataType::Utf8, false));
        let schema = TableSchema::builder(Arc::new(schema)).with_table_partition_cols(vec![column]).build();
        let table = parts.first().map(|parts| parts.table.clone()).unwrap_or_default();
        let runs = parts.into_iter().flat_map(|parts| parts.runs).collect();
        Ok(Self { table, runs, schema, left_out, errors: ReadErrors::default() })
    }

    /// The columns that queries do not have, because their types differ between runs.
    pub(super) fn left_out(&self) -> &[LeftOutColumn] {
        &self.left_out
    }

    /// Notes why a part could not be read in `errors`.
    pub(super) fn noting(self, errors: ReadErrors) -> Self {
        Self { errors, ..self }
    }

    /// The bytes of the fixed-size lists of a row. These are mainly images.
    pub(super) fn list_bytes(&self) -> usize {
        list_bytes(self.schema.file_schema())
    }

    /// Locates the parts, at every query: the engine may have moved them from staging in the meantime.
    fn files(&self, readers: &mut PartReaders) -> Result<Vec<PartitionedFile>, DataFusionError> {
        let several = !self.schema.table_partition_cols().is_empty();
        let file = |(run, part): (&RunParts, &TablePart)| {
            let path = locate(&run.run_dir, &self.table, part).map_err(|error| self.errors.note(error))?;
            let mut file = PartitionedFile::new("", part.bytes);
            file.object_meta.location = readers.add(path, &part.checksums);
            Ok(if several { file.with_partition_values(vec![ScalarValue::from(run.name())]) } else { file })
        };
        self.runs.iter().flat_map(|run| run.parts.iter().map(move |part| (run, part))).map(file).collect()
    }

    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let mut readers = PartReaders::new(self.errors.clone());
        let files = self.files(&mut readers)?;
        ParquetScan { schema: &self.schema, readers, files }.plan(state, projection, limit)
    }
}

/// The bytes of the fixed-size lists of a row.
fn list_bytes(schema: &Schema) -> usize {
    use arrow::datatypes::DataType::FixedSizeList;
    let bytes = |field: &arrow::datatypes::FieldRef| match field.data_type() {
        FixedSizeList(item, length) => item.data_type().primitive_width().unwrap_or(0) * (*length).max(0) as usize,
        _ => 0,
    };
    schema.fields().iter().map(bytes).sum()
}

/// Parquet files to scan, in the order of their rows.
pub(super) struct ParquetScan<'a> {
    pub(super) schema: &'a TableSchema,
    pub(super) readers: PartReaders,
    pub(super) files: Vec<PartitionedFile>,
}

impl ParquetScan<'_> {
    pub(super) fn plan(
        self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let options = state.table_options().parquet.clone();
        let source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(self.readers));
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_group(FileGroup::new(self.files))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_preserve_order(true)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

impl TableProvider for Parts {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Desugared, because nothing in it is asynchronous.
    fn scan<'a, 'b, 'c, 'd, 'e>(
        &'a self,
        state: &'b dyn Session,
        projection: Option<&'c Vec<usize>>,
        _filters: &'d [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>, DataFusionError>> + Send + 'e>>
    where
        'a: 'e,
        'b: 'e,
        'c: 'e,
        'd: 'e,
        Self: 'e,
    {
        Box::pin(std::future::ready(self.plan(state, projection, limit)))
    }
}
