//! Read-only SQL over the tables of a run, or of all runs in a folder.
//!
//! The tables of a run have their own names: `objects`, `rejects`, the labels of the monitors. Columns keep their metadata, such
//! as units and tensor shapes. In addition to the functions of DataFusion there are
//!
//! - `l2_distance(a, b)`: the Euclidean distance between two lists of numbers, in double precision;
//! - `array_argmax(a)`: the position of the maximum of a list, from 1 as all positions in SQL, so that
//!   `array_argmax(da_y10_probability)` is 1 for the first class;
//! - the aggregate `mmd2(a, b)`: the unbiased estimate of MMD^2 between two samples of lists (it may be negative), with the 19
//!   kernels of arXiv 2112.14299; `mmd2(a, b, 2000)` uses a single kernel with this variance. Null unless both samples have two
//!   points;
//! - the aggregate `energy_distance(a, b)`: the energy distance between two samples of lists, with Euclidean distances, or between
//!   two samples of numbers;
//! - the aggregate `js_distance(a, b)`: the Jensen-Shannon distance (natural logarithm) between two samples of numbers, from
//!   histograms with 20 equal bins over the range of both; `js_distance(a, b, 50)` uses 50 bins.
//!
//! The samples of an aggregate are two columns, `mmd2(da_y10_latent, da_y1_latent)`, or two groups of one column,
//! `mmd2(latent, domain = 'y1')`: the rows where the condition is false, and the rows where it is true. Nulls, and lists with a
//! null in them, are left out of their own sample only, so `case when` selects any two samples. Lists are compared as float32 and
//! numbers as float64; non-finite values make the result `NaN`. Samples are held in memory, at most 2^25 numbers. The time grows
//! with the square of the number of points, except for samples of numbers.
//!
//! Integers are signed and checked: `+`, `-`, `*` and `sum` of integers are computed in 64 bits, and fail if the result does not fit.
//! Columns of unsigned integers, of earlier runs and of files of users, are read as signed ones, or as decimals where they have numbers
//! above int64; masks alone stay unsigned.
//!
//! A folder of runs is queried as one: each table has the rows of all runs that have it, ordered by the names of the runs, and an
//! additional last column `run` with the name of the run. A column that some runs lack is null in their rows. A column whose types
//! differ, such as latents of two lengths, is left out ([`Run::take_warnings`]); a query that names it is refused.
//!
//! [`QueryOptions::tables`] adds tables of the caller, such as a catalogue.
//!
//! Filters on numbers and texts are evaluated while the files are read, so that only the images of matching rows are decoded.
//! Filters on lists are evaluated on the rows that pass the other filters.
//!
//! Rows are in the order of the run unless the query orders them. Queries block the calling thread; asynchronous programs should
//! run them on a thread for blocking work.

mod aggregates;
mod checked_arithmetic;
mod checked_sum;
mod common_columns;
mod display;
mod limits;
mod list_functions;
mod options;
mod output;
mod part_reader;
mod parts;
mod result_names;
mod signed_columns;
mod user_table;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::{DataFusionError, SchemaError, TableReference},
    execution::{FunctionRegistry, SendableRecordBatchStream, runtime_env::RuntimeEnvBuilder},
    prelude::{SQLOptions, SessionConfig, SessionContext},
    sql::parser::{DFParser, Statement},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout_at,
};

pub use self::{options::QueryOptions, output::OutputFormat};

use self::{
    checked_arithmetic::CheckedArithmetic, common_columns::LeftOutColumn, part_reader::ReadErrors, parts::Parts,
};
use crate::{
    error::{Error, did_you_mean, quoted_list},
    io::disk,
    run,
};

/// The approximate size of a batch of rows with images.
const BATCH_BYTES: usize = 32 << 20;

/// A query that failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The query is wrong, as the message explains.
    #[error("{0}")]
    Sql(String),
    /// The query took longer than [`QueryOptions::max_time`].
    #[error("the query was stopped after {} s, the most that it may take", .0.as_secs_f64())]
    TooLong(Duration),
    /// The run cannot be read, or the result cannot be written.
    #[error(transparent)]
    Run(#[from] Error),
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Sql(message) => Self::data(message),
            QueryError::TooLong(_) => Self::environment(error.to_string()),
            QueryError::Run(error) => error,
        }
    }
}

/// The tables of one or several runs, open for queries.
pub struct Run {
    context: SessionContext,
    tables: Vec<String>,
    /// The columns that a table does not have because its runs differ.
    left_out: BTreeMap<String, Vec<LeftOutColumn>>,
    /// Tables that cannot be queried together, with the reason.
    unusable: BTreeMap<String, String>,
    warnings: Mutex<Warnings>,
    runtime: Runtime,
    /// Why a part could not be read.
    errors: ReadErrors,
    options: QueryOptions,
}

/// What queries have left out.
#[derive(Debug, Default)]
struct Warnings {
    pending: Vec<String>,
    /// The tables that were named.
    named: BTreeSet<String>,
}

/// The tables of one or several runs.
#[derive(Default)]
struct RunTables {
    parts: BTreeMap<String, Parts>,
    unusable: BTreeMap<String, String>,
}

impl Run {
    /// Opens a run directory, or a folder of run directories.
    ///
    /// # Errors
    /// When the folder is neither, and when records or tables cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_with(folder, QueryOptions::default())
    }

    /// The same, with other limits, without the checks of what is read, or with tables of the caller.
    ///
    /// # Errors
    /// As [`open`](Self::open); when a table of the caller cannot be read or has the name of another.
    pub fn open_with(folder: &Path, options: QueryOptions) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(Error::data(format!("there is no run directory `{}`", folder.display())));
        }
        let read = if run::is_run(folder)? { tables_of_run } else { tables_of_runs };
        let RunTables { parts: tables, unusable } = read(folder, options.checksums)?;
        let failed = |error: std::io::Error| Error::environment("cannot start the query engine").caused_by(error);
        let runtime = Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let widest = tables.values().map(Parts::list_bytes).max().unwrap_or(0);
        let context = context(widest, options.memory_bytes)
            .map_err(|error| Error::environment("cannot start the query engine").caused_by(error))?;
        let mut names: Vec<String> = tables.keys().chain(unusable.keys()).cloned().collect();
        let left_out: BTreeMap<String, Vec<LeftOutColumn>> =
            tables.iter().map(|(name, parts)| (name.clone(), parts.left_out().to_vec())).collect();
        let errors = ReadErrors::default();
        for (name, parts) in tables {
            // A bare reference is not parsed as SQL, so that labels keep their capitals.
            let reference = TableReference::bare(name);
            context
                .register_table(reference, Arc::new(parts.noting(errors.clone())))
                .map_err(|error| Error::bug("cannot register a table for queries").caused_by(error))?;
        }
        for (name, path) in &options.tables {
            user_table::check_name(name, &names, &context)?;
            context
                .register_table(
                    TableReference::bare(name.as_str()),
                    user_table::open(path, options.memory_bytes, &errors)?,
                )
                .map_err(|error| Error::bug("cannot register a table for queries").caused_by(error))?;
        }
        names.extend(options.tables.keys().cloned());
        names.sort();
        let warnings = Mutex::default();
        Ok(Self { context, tables: names, left_out, unusable, warnings, runtime, errors, options })
    }

    /// What the queries since the last call have left out of their results, one line for each table, each table once.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner).pending)
    }

    /// The names of the tables, sorted.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// Runs one query. The rows are computed batch by batch, as they are read.
    ///
    /// Planning a query whose expressions are nested a thousand deep, the most that is allowed, needs a large stack: 32 MiB.
    ///
    /// # Errors
    /// [`QueryError::Sql`] when the text is not exactly one valid query, would change anything, or is longer than 256 KiB.
    pub fn query(&self, sql: &str) -> Result<QueryRows<'_>, QueryError> {
        let mut statements = statements(sql)?;
        match (statements.pop(), statements.len()) {
            (Some(statement), 0) => self.rows(statement),
            (_, others) => Err(QueryError::Sql(format!("expected one query, found {}", others + 1))),
        }
    }

    fn rows(&self, mut statement: Statement) -> Result<QueryRows<'_>, QueryError> {
        limits::check_depth(&statement).map_err(QueryError::Sql)?;
        let deadline = self.options.max_time.and_then(|time| Some((Instant::now().checked_add(time)?, time)));
        let query = statement.to_string();
        let used = self.used_tables(&statement)?;
        self.warn(&statement, &used);
        result_names::name_subqueries(&mut statement);
        let stream = self.runtime.block_on(async {
            let plan = self.context.state().statement_to_plan(statement).await?;
            let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
            options.verify_plan(&plan).map_err(|error| {
                DataFusionError::Plan(format!("only read-only queries are allowed: {}", error.message()))
            })?;
            self.context.execute_logical_plan(plan).await?.execute_stream().await
        });
        let stream = stream.map_err(|error| {
            self.left_out_column(&error, &used).unwrap_or_else(|| query_error(&error, &query, &self.errors))
        })?;
        Ok(QueryRows { runtime: &self.runtime, stream, query, errors: &self.errors, deadline })
    }

    /// The tables that a statement names; those of `information_schema` stand for all.
    ///
    /// Reports an unknown table. This is the most common mistake, and DataFusion's message suggests no name.
    fn used_tables(&self, statement: &Statement) -> Result<Vec<String>, QueryError> {
        let Ok(references) = self.context.state().resolve_table_references(statement) else { return Ok(Vec::new()) };
        if references.iter().any(|reference| reference.schema() == Some("information_schema")) {
            return Ok(self.tables.clone());
        }
        let bare = references.iter().filter(|reference| reference.schema().is_none()).map(TableReference::table);
        let bare: Vec<&str> = bare.collect();
        if let Some((name, reason)) = bare.iter().find_map(|name| self.unusable.get_key_value(*name)) {
            return Err(QueryError::Sql(format!(
                "table `{name}` cannot be queried over all runs: {reason}; query the runs one by one"
            )));
        }
        let Some(unknown) = bare.iter().find(|name| !self.tables.iter().any(|table| table == *name)) else {
            return Ok(bare.into_iter().map(str::to_owned).collect());
        };
        let help = match self.tables.iter().find(|table| table.eq_ignore_ascii_case(unknown)) {
            Some(table) => {
                Some(format!("write \"{table}\" in double quotes, because unquoted names are read in lower case"))
            }
            None => did_you_mean(unknown, self.tables.iter().map(String::as_str)),
        };
        let help = help.map_or_else(String::new, |help| format!("; {help}"));
        let available = match self.tables.as_slice() {
            [] => "there are no tables".to_owned(),
            tables => format!("available tables: {}", quoted_list(tables)),
        };
        Err(QueryError::Sql(format!("unknown table `{unknown}`{help} ({available})")))
    }

    /// Notes which columns a result with all columns, or a list of them, does not have.
    fn warn(&self, statement: &Statement, used: &[String]) {
        if !result_names::has_wildcard(statement) && !self.lists_columns(statement) {
            return;
        }
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, columns) in
            self.left_out.iter().filter(|(table, columns)| used.contains(table) && !columns.is_empty())
        {
            if warnings.named.insert(table.clone()) {
                let columns = columns.iter().map(|LeftOutColumn { name, reason }| format!("`{name}` ({reason})"));
                let columns = columns.collect::<Vec<_>>().join(", ");
                warnings
                    .pending
                    .push(format!("table `{table}` is without columns whose types differ between runs: {columns}"));
            }
        }
    }

    fn lists_columns(&self, statement: &Statement) -> bool {
        let references = self.context.state().resolve_table_references(statement).unwrap_or_default();
        references.iter().any(|reference| reference.schema() == Some("information_schema"))
    }

    /// Explains an unknown column that was left out.
    fn left_out_column(&self, error: &DataFusionError, used: &[String]) -> Option<QueryError> {
        let DataFusionError::SchemaError(error, _) = error.find_root() else { return None };
        let SchemaError::FieldNotFound { field, .. } = error.as_ref() else { return None };
        let mut columns = used
            .iter()
            .flat_map(|table| self.left_out.get(table).into_iter().flatten().map(move |column| (table, column)));
        let (table, LeftOutColumn { name, reason }) = columns.find(|(_, column)| column.name == field.name)?;
        Some(QueryError::Sql(format!(
            "column `{name}` of table `{table}` has different types in different runs: {reason}; query the runs one by one"
        )))
    }
}

fn tables_of_run(run_dir: &Path, check: bool) -> Result<RunTables, Error> {
    let mut tables = RunTables::default();
    for (name, mut parts) in run::tables(run_dir)? {
        if !check {
            parts.iter_mut().for_each(|part| part.checksums.clear());
        }
        if let Some(parts) = Parts::open(run_dir, &name, parts)? {
            tables.parts.insert(name, parts);
        }
    }
    Ok(tables)
}

/// The tables of all runs in a folder.
fn tables_of_runs(folder: &Path, check: bool) -> Result<RunTables, Error> {
    let mut runs = Vec::new();
    for name in disk::names(folder)? {
        let path = folder.join(name);
        if disk::is_folder(&path)? && run::is_run(&path)? {
            runs.push(path);
        }
    }
    runs.sort();
    if runs.is_empty() {
        let folder = folder.display();
        return Err(Error::data(format!(
            "`{folder}` is not a run directory, and contains none: no commit records were found"
        )));
    }
    let mut of_runs: BTreeMap<String, Vec<Parts>> = BTreeMap::new();
    for run in runs {
        for (name, parts) in tables_of_run(&run, check)?.parts {
            of_runs.entry(name).or_default().push(parts);
        }
    }
    let mut tables = RunTables::default();
    for (name, parts) in of_runs {
        match Parts::of_runs(parts) {
            Ok(parts) => _ = tables.parts.insert(name, parts),
            Err(reason) => _ = tables.unusable.insert(name, reason),
        }
    }
    Ok(tables)
}

fn context(widest_row_bytes: usize, memory_bytes: usize) -> Result<SessionContext, DataFusionError> {
    let batch_rows = (BATCH_BYTES / widest_row_bytes.max(1)).clamp(16, 8192);
    let config = SessionConfig::new()
        .with_batch_size(batch_rows)
        // A single partition keeps the order of the rows; there is only one thread.
        .with_target_partitions(1)
        .with_information_schema(true)
        // They may have no end.
        .set_bool("datafusion.execution.enable_recursive_ctes", false)
        // Read the columns of a filter first, and the others (images) only for matching rows.
        .set_bool("datafusion.execution.parquet.pushdown_filters", true)
        .set_bool("datafusion.execution.parquet.reorder_filters", true)
        .set_bool("datafusion.execution.parquet.skip_metadata", false)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory_bytes, 1.0).build_arc()?;
    let mut context = SessionContext::new_with_config_rt(config, runtime);
    context.register_function_rewrite(Arc::new(CheckedArithmetic))?;
    context.register_udaf(checked_sum::sum());
    list_functions::all().into_iter().for_each(|function| context.register_udf(function));
    aggregates::all().into_iter().for_each(|function| context.register_udaf(function));
    Ok(context)
}

/// The statements of a text, separated by `;`.
fn statements(sql: &str) -> Result<Vec<Statement>, QueryError> {
    limits::check_length(sql).map_err(QueryError::Sql)?;
    let statements = DFParser::parse_sql(sql).map_err(|error| sql_error(&error, sql.trim()))?;
    if statements.is_empty() {
        return Err(QueryError::Sql("the query is empty".into()));
    }
    Ok(statements.into())
}

/// What was wrong: a part that could not be read, or else the query.
fn query_error(error: &DataFusionError, query: &str, errors: &ReadErrors) -> QueryError {
    errors.take().map_or_else(|| sql_error(error, query), QueryError::Run)
}

fn sql_error(error: &DataFusionError, query: &str) -> QueryError {
    QueryError::Sql(format!("{} (in the query `{query}`)", message_of(error)))
}

/// The message of the root cause, in the style of our own messages: one line, lowercase, no final stop.
fn message_of(error: &DataFusionError) -> String {
    let cause = error.find_root();
    let text = match cause {
        DataFusionError::SQL(error, _) => error.to_string(),
        _ => cause.message().into_owned(),
    };
    let lines = text.trim().lines().map(|line| lowercase_first(line.trim().trim_end_matches('.')));
    lines.collect::<Vec<_>>().join("; ")
}

fn lowercase_first(line: &str) -> String {
    let mut rest = line.chars();
    rest.next().map_or_else(String::new, |first| first.to_lowercase().chain(rest).collect())
}

/// The rows of a result, as an iterator of batches.
pub struct QueryRows<'a> {
    runtime: &'a Runtime,
    stream: SendableRecordBatchStream,
    query: String,
    errors: &'a ReadErrors,
    /// When the query has to end, and how long it may take in all.
    deadline: Option<(Instant, Duration)>,
}

impl QueryRows<'_> {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

impl Iterator for QueryRows<'_> {
    type Item = Result<RecordBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = poll_fn(|context| self.stream.as_mut().poll_next(context));
        let next = match self.deadline {
            None => self.runtime.block_on(next),
            Some((deadline, time)) => match self.runtime.block_on(async { timeout_at(deadline.into(), next).await }) {
                Ok(next) if Instant::now() < deadline => next,
                _ => return Some(Err(QueryError::TooLong(time))),
            },
        }?;
        Some(next.map_err(|error| query_error(&error, &self.query, self.errors)))
    }
}
