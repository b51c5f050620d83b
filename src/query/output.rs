//! Writes results as text or Parquet.

use std::io::Write;

use arrow::{csv, json, util::pretty::pretty_format_batches_with_schema};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::{QueryError, QueryRows, Run, display, statements};
use crate::error::{Cause, Error};

/// The format of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Aligned columns for readers; images and long lists are replaced by their shapes.
    #[default]
    Table,
    /// Comma-separated values with a header; lists as text.
    Csv,
    /// One JSON object per line.
    Json,
    /// A Parquet file, of one query only.
    Parquet,
}

impl Run {
    /// Runs queries separated by `;` and writes their results. All formats but tables are written while rows are computed.
    ///
    /// # Errors
    /// [`QueryError::Sql`] when a query is wrong; the results of earlier ones are written then. [`QueryError::Run`] when `out`
    /// fails.
    pub fn write(&self, sql: &str, format: OutputFormat, mut out: impl Write + Send) -> Result<(), QueryError> {
        let statements = statements(sql)?;
        if format == OutputFormat::Parquet && statements.len() > 1 {
            let message = format!("Parquet output expects one query, found {}", statements.len());
            return Err(QueryError::Sql(message));
        }
        for (i, statement) in statements.into_iter().enumerate() {
            let rows = self.rows(statement)?;
            if i > 0 && matches!(format, OutputFormat::Table | OutputFormat::Csv) {
                writeln!(out).map_err(failed)?;
            }
            match format {
                OutputFormat::Table => write_table(rows, &mut out)?,
                OutputFormat::Csv => write_csv(rows, &mut out)?,
                OutputFormat::Json => write_json(rows, &mut out)?,
                OutputFormat::Parquet => write_parquet(rows, &mut out)?,
            }
        }
        out.flush().map_err(failed)
    }
}

fn write_table(rows: QueryRows<'_>, out: &mut impl Write) -> Result<(), QueryError> {
    let empty = arrow::array::RecordBatch::new_empty(rows.schema());
    let schema = display::abbreviated(&empty).map_err(failed)?.schema();
    let batches = rows.map(|batch| display::abbreviated(&batch?).map_err(failed));
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    let table = pretty_format_batches_with_schema(schema, &batches).map_err(failed)?;
    writeln!(out, "{table}").map_err(failed)
}

fn write_csv(rows: QueryRows<'_>, out: &mut impl Write) -> Result<(), QueryError> {
    let empty = arrow::array::RecordBatch::new_empty(rows.schema());
    let mut writer = csv::Writer::new(out);
    for batch in std::iter::once(Ok(empty)).chain(rows) {
        let batch = display::flattened(&batch?).map_err(failed)?;
        writer.write(&batch).map_err(failed)?;
    }
    Ok(())
}

fn write_json(rows: QueryRows<'_>, out: &mut impl Write) -> Result<(), QueryError> {
    let builder = json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, json::writer::LineDelimited>(out);
    for batch in rows {
        writer.write(&batch?).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

fn write_parquet(rows: QueryRows<'_>, out: &mut (impl Write + Send)) -> Result<(), QueryError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(failed)?))
        .set_max_row_group_bytes(Some(64 << 20))
        .build();
    let mut writer = ArrowWriter::try_new(out, rows.schema(), Some(properties)).map_err(failed)?;
    for batch in rows {
        writer.write(&batch?).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(())
}

fn failed(error: impl Into<Cause>) -> QueryError {
    QueryError::Run(Error::environment("cannot write the result").caused_by(error))
}
