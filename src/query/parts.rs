//! A table as a DataFusion provider: the Parquet parts of one or several runs, in row order.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, SchemaRef};
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

use super::part_reader::{PartReaders, ReadErrors};
use crate::{
    error::{Error, Result},
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
    errors: ReadErrors,
}

/// The parts of a table in one run.
#[derive(Debug)]
struct RunParts {
    run_dir: PathBuf,
    parts: Vec<TablePart>,
}

impl Parts {
    /// A table with these parts, or `None` if there are none. The schema and its metadata are read from the first part.
    pub(super) fn open(run_dir: &Path, table: &str, parts: Vec<TablePart>) -> Result<Option<Self>> {
        // The files of other sinks (FITS) have no columns to ask for.
        let parts: Vec<TablePart> = parts.into_iter().filter(|part| is_parquet(Path::new(&part.file))).collect();
        let Some(first) = parts.first() else { return Ok(None) };
        let (_, footer) = parquet::open_checked(&locate(run_dir, table, first)?, &first.checksums)?;
        let schema = TableSchema::from(footer.schema().clone());
        let runs = vec![RunParts { run_dir: run_dir.to_owned(), parts }];
        Ok(Some(Self { table: table.to_owned(), runs, schema, errors: ReadErrors::default() }))
    }

    /// Appends the same table of another run, which must have the same columns.
    pub(super) fn and(mut self, other: Self) -> Result<Self> {
        let columns = |parts: &Self| -> Vec<String> {
            let fields = parts.schema.file_schema().fields().iter();
            fields.map(|field| format!("`{}` {}", field.name(), field.data_type())).collect()
        };
        let (ours, theirs) = (columns(&self), columns(&other));
        if let Some(differing) = (0..ours.len().max(theirs.len())).find(|&i| ours.get(i) != theirs.get(i)) {
            let column = |columns: &[String]| columns.get(differing).map_or("no more columns".to_owned(), Clone::clone);
            return Err(Error::data(format!(
                "table `{}` has different columns in different runs: `{}` has {}, `{}` has {}; query the runs one by one",
                self.table,
                self.runs[0].run_dir.display(),
                column(&ours),
                other.runs[0].run_dir.display(),
                column(&theirs),
            )));
        }
        self.runs.extend(other.runs);
        Ok(self)
    }

    /// Adds a last column `run` with the name of the run's folder.
    pub(super) fn naming_runs(self) -> Result<Self> {
        if self.schema.file_schema().field_with_name(RUN).is_ok() {
            let message = format!("table `{}` already has a column `{RUN}`; query the runs one by one", self.table);
            return Err(Error::data(message));
        }
        let column = Arc::new(Field::new(RUN, DataType::Utf8, false));
        let schema = TableSchema::builder(self.schema.file_schema().clone()).with_table_partition_cols(vec![column]);
        Ok(Self { schema: schema.build(), ..self })
    }

    /// Notes why a part could not be read in `errors`.
    pub(super) fn noting(self, errors: ReadErrors) -> Self {
        Self { errors, ..self }
    }

    /// The bytes of the fixed-size lists of a row. These are mainly images.
    pub(super) fn list_bytes(&self) -> usize {
        use arrow::datatypes::DataType::FixedSizeList;
        let bytes = |field: &arrow::datatypes::FieldRef| match field.data_type() {
            FixedSizeList(item, length) => item.data_type().primitive_width().unwrap_or(0) * (*length).max(0) as usize,
            _ => 0,
        };
        self.schema.file_schema().fields().iter().map(bytes).sum()
    }

    /// Locates the parts, at every query: the engine may have moved them from staging in the meantime.
    fn files(&self, readers: &mut PartReaders) -> Result<Vec<PartitionedFile>, DataFusionError> {
        let several = !self.schema.table_partition_cols().is_empty();
        let file = |(run_dir, part): (&PathBuf, &TablePart)| {
            let path = locate(run_dir, &self.table, part).map_err(|error| self.errors.note(error))?;
            let mut file = PartitionedFile::new("", part.bytes);
            file.object_meta.location = readers.add(path, &part.checksums);
            let name = run_dir.file_name().unwrap_or_default().to_string_lossy();
            Ok(if several { file.with_partition_values(vec![ScalarValue::from(name.as_ref())]) } else { file })
        };
        self.runs.iter().flat_map(|run| run.parts.iter().map(move |part| (&run.run_dir, part))).map(file).collect()
    }

    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let options = state.table_options().parquet.clone();
        let mut readers = PartReaders::new(self.errors.clone());
        let files = self.files(&mut readers)?;
        let source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_group(FileGroup::new(files))
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
