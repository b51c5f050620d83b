//! Catalogues in Parquet.

use std::{path::Path, sync::Arc};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef, error::ArrowError};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::{Catalogue, Columns, values::RawColumn};
use crate::{
    error::{Diagnostic, Result},
    io::parquet as parquet_file,
};

impl Catalogue {
    pub(super) fn read_parquet(&self) -> Result<Columns, Vec<Diagnostic>> {
        let path = Path::new(&self.path);
        let (file, footer) = parquet_file::open(path).map_err(|error| Self::at_path(error.report()))?;
        let names: Vec<&str> = footer.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let chosen = self.chosen(&names)?;
        let projected = footer.schema().project(&chosen).map_err(|error| self.unreadable(&error))?;
        let mask = ProjectionMask::roots(footer.parquet_schema(), chosen);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer).with_projection(mask);
        let batches = parquet_file::Batches::of(path, builder).map_err(|error| Self::at_path(error.report()))?;
        let batches = batches.map(|rows| rows.map_err(|error| ArrowError::ExternalError(error.into())));
        let table = concat(&Arc::new(projected), batches).map_err(|error| self.unreadable(&error))?;
        let columns = table.schema_ref().fields().iter().zip(table.columns());
        Ok(columns.map(|(field, array)| (field.name().clone(), RawColumn::Typed(array.clone()))).collect())
    }
}

fn concat(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<RecordBatch, ArrowError> {
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    let schema = batches.first().map_or_else(|| schema.clone(), RecordBatch::schema);
    concat_batches(&schema, &batches)
}
