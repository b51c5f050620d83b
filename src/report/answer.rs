//! The answer to a query, small enough to hold: what a picture is drawn from, and the table beside it.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Fields, Float64Type},
    util::display::{ArrayFormatter, FormatOptions},
};

use super::numbers::short;
use crate::{
    error::{Error, Result},
    query::{QueryError, Run},
};

/// Rows that are written out beside a picture; the query beside them gives all.
const SHOWN: usize = 200;
/// Lists longer than this are told by their length.
const LONGEST_LIST: usize = 8;

/// All rows of one query.
pub(super) struct Answer {
    sql: String,
    rows: RecordBatch,
}

/// An answer as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data {
    /// The query, as one would type it.
    pub(super) sql: String,
    pub(super) columns: Vec<Column>,
    /// The first rows.
    pub(super) rows: Vec<Vec<String>>,
    /// All rows of the answer.
    pub(super) total: usize,
}

/// A column of a [`Data`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) is_number: bool,
}

impl Answer {
    /// Asks. The query must bound its rows itself.
    pub(super) fn of(run: &Run, sql: &str) -> Result<Self> {
        let sql = tidy(sql);
        let ask = || -> Result<RecordBatch, QueryError> {
            let answer = run.query(&sql)?;
            let schema = answer.schema();
            let batches = answer.collect::<Result<Vec<_>, _>>()?;
            Ok(concat_batches(&schema, &batches).map_err(Error::from)?)
        };
        let rows = ask().map_err(|error| match error {
            QueryError::Sql(message) => Error::data(message),
            QueryError::Run(error) => error,
        })?;
        Ok(Self { sql, rows })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.num_rows()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A column as numbers; what is null, or no number, is `None`.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>> {
        let column = cast(self.column(name)?, &DataType::Float64)?;
        Ok(column.as_primitive::<Float64Type>().iter().map(|value| value.filter(|value| value.is_finite())).collect())
    }

    /// A column as texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<Option<String>>> {
        let column = cast(self.column(name)?, &DataType::Utf8)?;
        Ok(column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
    }

    /// A column of truths.
    pub(super) fn flags(&self, name: &str) -> Result<Vec<Option<bool>>> {
        Ok(cast(self.column(name)?, &DataType::Boolean)?.as_boolean().iter().collect())
    }

    /// A column of lists of numbers.
    pub(super) fn lists(&self, name: &str) -> Result<Vec<Option<Vec<f64>>>> {
        let column = self.column(name)?;
        let list = |row: usize| -> Result<Option<Vec<f64>>> {
            if column.is_null(row) {
                return Ok(None);
            }
            let values: ArrayRef = match column.data_type() {
                DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
                DataType::List(_) => column.as_list::<i32>().value(row),
                other => return Err(Error::data(format!("`{name}` is {other}, no list"))),
            };
            let values = cast(&values, &DataType::Float64)?;
            Ok(Some(values.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)).collect()))
        };
        (0..self.len()).map(list).collect()
    }

    /// The field of a column, with its metadata.
    pub(super) fn field(&self, name: &str) -> Result<Field> {
        Ok(self.rows.schema_ref().field_with_name(name)?.clone())
    }

    /// The fields of all columns.
    pub(super) fn fields(&self) -> &Fields {
        self.rows.schema_ref().fields()
    }

    fn column(&self, name: &str) -> Result<&ArrayRef> {
        let missing =
            || Error::data(format!("the table has no column `{name}`: an earlier version may have written it"));
        self.rows.column_by_name(name).ok_or_else(missing)
    }

    /// What of it stands beside a picture.
    pub(super) fn data(&self) -> Result<Data> {
        let schema = self.rows.schema_ref();
        let columns = schema.fields().iter();
        let columns = columns.map(|f| Column { name: f.name().clone(), is_number: f.data_type().is_numeric() });
        let cells = self.rows.columns().iter().map(cells).collect::<Result<Vec<_>>>()?;
        let rows = (0..self.len().min(SHOWN)).map(|row| cells.iter().map(|column| column[row].clone()).collect());
        Ok(Data { sql: self.sql.clone(), columns: columns.collect(), rows: rows.collect(), total: self.len() })
    }
}

/// The first rows of a column, as texts.
fn cells(column: &ArrayRef) -> Result<Vec<String>> {
    let column = column.slice(0, column.len().min(SHOWN));
    match column.data_type() {
        DataType::Float64 | DataType::Float32 => {
            let numbers = cast(&column, &DataType::Float64)?;
            Ok(numbers
                .as_primitive::<Float64Type>()
                .iter()
                .map(|number| number.map_or_else(String::new, short))
                .collect())
        }
        DataType::FixedSizeList(_, length) if usize::try_from(*length).is_ok_and(|n| n > LONGEST_LIST) => Ok((0
            ..column.len())
            .map(|row| if column.is_null(row) { String::new() } else { format!("[{length}]") })
            .collect()),
        _ => {
            let options = FormatOptions::default().with_null("");
            let formatter = ArrayFormatter::try_new(&column, &options)?;
            (0..column.len()).map(|row| Ok(formatter.value(row).try_to_string()?)).collect()
        }
    }
}

/// A query without the indentation of the code that it stands in.
fn tidy(sql: &str) -> String {
    let lines: Vec<&str> = sql.trim().lines().collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().skip(1).filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let tidied =
        lines.iter().enumerate().map(|(i, line)| if i == 0 { *line } else { line.get(common..).unwrap_or("") });
    tidied.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_loses_the_indentation_of_the_code() {
        assert_eq!(tidy("\n        select 1\n        from a\n          where b\n    "), "select 1\nfrom a\n  where b");
        assert_eq!(tidy("select 1"), "select 1");
    }
}
