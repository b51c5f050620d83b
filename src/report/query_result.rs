//! The result of one query, in memory: figures are drawn from it, and the page shows its first rows.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Fields, Float64Type},
    util::display::{ArrayFormatter, FormatOptions},
};

use super::format::significant;
use crate::{
    error::{Error, Result},
    query::{QueryError, Run},
};

/// Rows that the page shows next to a figure. The query next to them returns all.
const PREVIEW_ROWS: usize = 200;
/// Fixed-size lists that are longer are shown as their length.
const LONGEST_LIST: usize = 8;

/// All rows of one query.
pub(super) struct QueryResult {
    sql: String,
    rows: RecordBatch,
}

/// The first rows of a result as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResultPreview {
    /// The query, formatted for readers.
    pub(super) sql: String,
    pub(super) columns: Vec<PreviewColumn>,
    /// The first rows.
    pub(super) rows: Vec<Vec<String>>,
    /// The number of rows of the result.
    pub(super) total: usize,
}

/// A column of a [`ResultPreview`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PreviewColumn {
    pub(super) name: String,
    pub(super) is_number: bool,
}

impl QueryResult {
    /// Runs a query. The query must limit its rows itself: the result is held in memory.
    pub(super) fn of(run: &Run, sql: &str) -> Result<Self> {
        let sql = dedent(sql);
        let query = || -> Result<RecordBatch, QueryError> {
            let rows = run.query(&sql)?;
            let schema = rows.schema();
            let batches = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(concat_batches(&schema, &batches).map_err(Error::from)?)
        };
        let rows = query().map_err(Error::from)?;
        Ok(Self { sql, rows })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.num_rows()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A column as numbers. Nulls, non-finite numbers and values that are not numbers become `None`.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>> {
        let column = cast(self.column(name)?, &DataType::Float64)?;
        Ok(column.as_primitive::<Float64Type>().iter().map(|value| value.filter(|value| value.is_finite())).collect())
    }

    /// A column as strings.
    pub(super) fn strings(&self, name: &str) -> Result<Vec<Option<String>>> {
        let column = cast(self.column(name)?, &DataType::Utf8)?;
        Ok(column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
    }

    /// A column as booleans.
    pub(super) fn booleans(&self, name: &str) -> Result<Vec<Option<bool>>> {
        Ok(cast(self.column(name)?, &DataType::Boolean)?.as_boolean().iter().collect())
    }

    /// A column as lists of numbers; nulls inside a list become NaN.
    pub(super) fn lists(&self, name: &str) -> Result<Vec<Option<Vec<f64>>>> {
        let column = self.column(name)?;
        let list = |row: usize| -> Result<Option<Vec<f64>>> {
            if column.is_null(row) {
                return Ok(None);
            }
            let values: ArrayRef = match column.data_type() {
                DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
                DataType::List(_) => column.as_list::<i32>().value(row),
                other => return Err(Error::data(format!("expected lists in column `{name}`, found `{other}`"))),
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
        let missing = || {
            Error::data(format!(
                "the table has no column `{name}`; it was probably written by an older version of lucarne"
            ))
        };
        self.rows.column_by_name(name).ok_or_else(missing)
    }

    /// The part that the page shows.
    pub(super) fn preview(&self) -> Result<ResultPreview> {
        let fields = self.rows.schema_ref().fields().iter();
        let columns =
            fields.map(|field| PreviewColumn { name: field.name().clone(), is_number: field.data_type().is_numeric() });
        let cells = self.rows.columns().iter().map(cells).collect::<Result<Vec<_>>>()?;
        let rows =
            (0..self.len().min(PREVIEW_ROWS)).map(|row| cells.iter().map(|column| column[row].clone()).collect());
        Ok(ResultPreview { sql: self.sql.clone(), columns: columns.collect(), rows: rows.collect(), total: self.len() })
    }
}

/// The first rows of a column as text.
fn cells(column: &ArrayRef) -> Result<Vec<String>> {
    let column = column.slice(0, column.len().min(PREVIEW_ROWS));
    match column.data_type() {
        DataType::Float64 | DataType::Float32 => {
            let numbers = cast(&column, &DataType::Float64)?;
            Ok(numbers
                .as_primitive::<Float64Type>()
                .iter()
                .map(|number| number.map_or_else(String::new, significant))
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

/// A query without the indentation of the Rust code around it.
fn dedent(sql: &str) -> String {
    let lines: Vec<&str> = sql.trim().lines().collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().skip(1).filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let dedented =
        lines.iter().enumerate().map(|(i, line)| if i == 0 { *line } else { line.get(common..).unwrap_or("") });
    dedented.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_the_indentation_of_the_code_from_queries() {
        assert_eq!(
            dedent("\n        select 1\n        from a\n          where b\n    "),
            "select 1\nfrom a\n  where b"
        );
        assert_eq!(dedent("select 1"), "select 1");
    }
}
