//! A table of a run as DataFusion sees it: Parquet parts in the order of their rows.

use std::{
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::{Session, TableProvider},
    common::DataFusionError,
    datasource::{
        TableType,
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::Expr,
    object_store::path::Path as ObjectPath,
    physical_plan::ExecutionPlan,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    error::{Error, Result},
    table::{Part, locate},
};

/// The parts of one table.
#[derive(Debug)]
pub(super) struct Parts {
    run_dir: PathBuf,
    table: String,
    parts: Vec<Part>,
    schema: SchemaRef,
}

impl Parts {
    /// The table with these parts; its schema is read from the first, with the metadata of its fields.
    pub(super) fn open(run_dir: &Path, table: &str, parts: Vec<Part>) -> Result<Option<Self>> {
        let Some(first) = parts.first() else { return Ok(None) };
        let path = locate(run_dir, table, first);
        let file = fs::File::open(&path).map_err(|error| Error::io("open", &path, &error))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| Error::Data(format!("cannot read `{}`: {error}", path.display())))?;
        let schema = reader.schema().clone();
        Ok(Some(Self { run_dir: run_dir.to_owned(), table: table.to_owned(), parts, schema }))
    }

    /// Bytes that the lists of fixed size take in a row: the images.
    pub(super) fn list_bytes(&self) -> usize {
        use arrow::datatypes::DataType::FixedSizeList;
        let bytes = |field: &arrow::datatypes::FieldRef| match field.data_type() {
            FixedSizeList(item, length) => item.data_type().primitive_width().unwrap_or(0) * (*length).max(0) as usize,
            _ => 0,
        };
        self.schema.fields().iter().map(bytes).sum()
    }

    /// Parts are looked up at every query: the engine may have moved them meanwhile.
    fn files(&self) -> Result<Vec<PartitionedFile>, DataFusionError> {
        let file = |part: &Part| {
            let path = locate(&self.run_dir, &self.table, part);
            let mut file = PartitionedFile::new("", fs::metadata(&path)?.len());
            file.object_meta.location = ObjectPath::from_absolute_path(path.canonicalize()?)?;
            Ok(file)
        };
        self.parts.iter().map(file).collect()
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
        self.schema.clone()
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
