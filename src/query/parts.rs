//! A table as DataFusion sees it: Parquet parts in the order of their rows, of one run or of several.

use std::{
    fs,
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
    object_store::path::Path as ObjectPath,
    physical_plan::ExecutionPlan,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    error::{Error, Result},
    run::{TablePart, locate},
};

/// The column that says the run, where there are several.
pub(super) const RUN: &str = "run";

/// The parts of one table.
#[derive(Debug)]
pub(super) struct Parts {
    table: String,
    runs: Vec<RunParts>,
    schema: TableSchema,
}

/// The parts of a table that one run has.
#[derive(Debug)]
struct RunParts {
    run_dir: PathBuf,
    parts: Vec<TablePart>,
}

impl Parts {
    /// The table with these parts; its schema is read from the first, with the metadata of its fields.
    pub(super) fn open(run_dir: &Path, table: &str, parts: Vec<TablePart>) -> Result<Option<Self>> {
        let Some(first) = parts.first() else { return Ok(None) };
        let path = locate(run_dir, table, first);
        let file = fs::File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| Error::data(format!("cannot read `{}`: {error}", path.display())))?;
        let schema = TableSchema::from(reader.schema().clone());
        let runs = vec![RunParts { run_dir: run_dir.to_owned(), parts }];
        Ok(Some(Self { table: table.to_owned(), runs, schema }))
    }

    /// This table, and below it the same table of another run, which must have the same columns. The column `run`, the
    /// last, says which run a row is of.
    pub(super) fn and(mut self, other: Self) -> Result<Self> {
        let columns = |parts: &Self| -> Vec<String> {
            let fields = parts.schema.file_schema().fields().iter();
            fields.map(|field| format!("`{}` {}", field.name(), field.data_type())).collect()
        };
        let (ours, theirs) = (columns(&self), columns(&other));
        if let Some(differing) = (0..ours.len().max(theirs.len())).find(|&i| ours.get(i) != theirs.get(i)) {
            let told = |columns: &[String]| columns.get(differing).map_or("no more columns".to_owned(), Clone::clone);
            return Err(Error::data(format!(
                "the table `{}` is not the same in all runs: `{}` has {}, `{}` has {}; query them one by one",
                self.table,
                self.runs[0].run_dir.display(),
                told(&ours),
                other.runs[0].run_dir.display(),
                told(&theirs),
            )));
        }
        self.runs.extend(other.runs);
        Ok(self)
    }

    /// Adds the column `run`: the name of the run's folder.
    pub(super) fn naming_runs(self) -> Result<Self> {
        if self.schema.file_schema().field_with_name(RUN).is_ok() {
            let message = format!("the table `{}` has a column `{RUN}` already; query its runs one by one", self.table);
            return Err(Error::data(message));
        }
        let column = Arc::new(Field::new(RUN, DataType::Utf8, false));
        let schema = TableSchema::builder(self.schema.file_schema().clone()).with_table_partition_cols(vec![column]);
        Ok(Self { schema: schema.build(), ..self })
    }

    /// Bytes that the lists of fixed size take in a row: the images.
    pub(super) fn list_bytes(&self) -> usize {
        use arrow::datatypes::DataType::FixedSizeList;
        let bytes = |field: &arrow::datatypes::FieldRef| match field.data_type() {
            FixedSizeList(item, length) => item.data_type().primitive_width().unwrap_or(0) * (*length).max(0) as usize,
            _ => 0,
        };
        self.schema.file_schema().fields().iter().map(bytes).sum()
    }

    /// Parts are looked up at every query: the engine may have moved them meanwhile.
    fn files(&self) -> Result<Vec<PartitionedFile>, DataFusionError> {
        let several = !self.schema.table_partition_cols().is_empty();
        let file = |(run_dir, part): (&PathBuf, &TablePart)| {
            let path = locate(run_dir, &self.table, part);
            let mut file = PartitionedFile::new("", fs::metadata(&path)?.len());
            file.object_meta.location = ObjectPath::from_absolute_path(path.canonicalize()?)?;
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
        let source = ParquetSource::new(self.schema.clone()).with_table_parquet_options(options);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_group(FileGroup::new(self.files()?))
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

    /// Not asynchronous in truth, so written out by hand.
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
