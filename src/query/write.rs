//! Answers as text or Parquet.

use std::io::Write;

use arrow::{csv, error::ArrowError, json, util::pretty::pretty_format_batches_with_schema};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

use super::{QueryError, Rows, Run, show, statements};
use crate::error::Error;

/// How an answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people; images and long lists by their shape.
    #[default]
    Table,
    /// Comma-separated values with a header; lists as text.
    Csv,
    /// One JSON object a line.
    Json,
    /// A Parquet file; of one query only.
    Parquet,
}

impl Run {
    /// Answers queries separated by `;` in turn. All but tables are written as the rows come.
    ///
    /// # Errors
    /// [`QueryError::Sql`] when a query is wrong; those before it are answered then. [`QueryError::Run`] when `out` fails.
    pub fn write(&self, sql: &str, format: Format, mut out: impl Write + Send) -> Result<(), QueryError> {
        let statements = statements(sql)?;
        if format == Format::Parquet && statements.len() > 1 {
            let message = format!("a Parquet file takes the answer of one query, found {}", statements.len());
            return Err(QueryError::Sql(message));
        }
        for (i, statement) in statements.into_iter().enumerate() {
            let rows = self.rows(statement)?;
            if i > 0 && matches!(format, Format::Table | Format::Csv) {
                writeln!(out).map_err(|error| failed(&ArrowError::from(error)))?;
            }
            match format {
                Format::Table => write_table(rows, &mut out)?,
                Format::Csv => write_csv(rows, &mut out)?,
                Format::Json => write_json(rows, &mut out)?,
                Format::Parquet => write_parquet(rows, &mut out)?,
            }
        }
        out.flush().map_err(|error| failed(&ArrowError::from(error)))
    }
}

fn write_table(rows: Rows<'_>, out: &mut impl Write) -> Result<(), QueryError> {
    let empty = arrow::array::RecordBatch::new_empty(rows.schema());
    let schema = show::shortened(&empty).map_err(|error| failed(&error))?.schema();
    let batches = rows.map(|batch| show::shortened(&batch?).map_err(|error| failed(&error)));
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    let table = pretty_format_batches_with_schema(schema, &batches).map_err(|error| failed(&error))?;
    writeln!(out, "{table}").map_err(|error| failed(&ArrowError::from(error)))
}

fn write_csv(rows: Rows<'_>, out: &mut impl Write) -> Result<(), QueryError> {
    let empty = arrow::array::RecordBatch::new_empty(rows.schema());
    let mut writer = csv::Writer::new(out);
    for batch in std::iter::once(Ok(empty)).chain(rows) {
        let batch = show::flat(&batch?).map_err(|error| failed(&error))?;
        writer.write(&batch).map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn write_json(rows: Rows<'_>, out: &mut impl Write) -> Result<(), QueryError> {
    let builder = json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, json::writer::LineDelimited>(out);
    for batch in rows {
        writer.write(&batch?).map_err(|error| failed(&error))?;
    }
    writer.finish().map_err(|error| failed(&error))
}

fn write_parquet(rows: Rows<'_>, out: &mut (impl Write + Send)) -> Result<(), QueryError> {
    let failed = |error: ParquetError| failed(&error.into());
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

fn failed(error: &ArrowError) -> QueryError {
    QueryError::Run(Error::environment(format!("cannot write the answer: {error}")))
}
