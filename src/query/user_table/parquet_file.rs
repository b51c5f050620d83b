//! A Parquet file of the user, read as queries need it.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    slice,
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::{Session, TableProvider},
    common::DataFusionError,
    datasource::{TableType, listing::PartitionedFile, table_schema::TableSchema},
    logical_expr::Expr,
    physical_plan::ExecutionPlan,
};

use crate::{
    error::Result,
    io::parquet,
    query::{
        part_reader::{PartReaders, ReadErrors},
        parts::ParquetScan,
        signed_columns::signed_schema,
    },
};

/// The file, with its columns.
#[derive(Debug)]
pub(super) struct ParquetFileTable {
    path: PathBuf,
    bytes: u64,
    schema: TableSchema,
    errors: ReadErrors,
}

impl ParquetFileTable {
    pub(super) fn open(path: &Path, bytes: u64, errors: ReadErrors) -> Result<Self> {
        // It has no checksums of ours.
        let (_, footer) = parquet::open_checked(path, "")?;
        let schema = signed_schema(footer.schema(), slice::from_ref(&footer));
        Ok(Self { path: path.to_owned(), bytes, schema: TableSchema::from(Arc::new(schema)), errors })
    }
}

impl TableProvider for ParquetFileTable {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn scan<'a, 'b, 'c, 'd, 'e>(
        &'a self,
        state: &'b dyn Session,
        projection: Option<&'c Vec<usize>>,
        _filters: &'d [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError>> + Send + 'e>>
    where
        'a: 'e,
        'b: 'e,
        'c: 'e,
        'd: 'e,
        Self: 'e,
    {
        let mut readers = PartReaders::new(self.errors.clone());
        let mut file = PartitionedFile::new("", self.bytes);
        file.object_meta.location = readers.add(self.path.clone(), "");
        let scan = ParquetScan { schema: &self.schema, readers, files: vec![file] };
        Box::pin(std::future::ready(scan.plan(state, projection, limit)))
    }
}
