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
//! A folder of runs is queried as one: each table has the rows of all runs that have it, ordered by the names of the runs, and an
//! additional last column `run` with the name of the run.
//!
//! Filters on numbers and texts are evaluated while the files are read, so that only the images of matching rows are decoded.
//! Filters on lists are evaluated on the rows that pass the other filters.
//!
//! Rows are in the order of the run unless the query orders them. Queries block the calling thread; asynchronous programs should
//! run them on a thread for blocking work.

mod aggregates;
mod display;
mod limits;
mod list_functions;
mod options;
mod output;
mod part_reader;
mod parts;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::{DataFusionError, TableReference},
    execution::{SendableRecordBatchStream, runtime_env::RuntimeEnvBuilder},
    prelude::{SQLOptions, SessionConfig, SessionContext},
    sql::parser::{DFParser, Statement},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout_at,
};

pub use self::{options::QueryOptions, output::OutputFormat};

use self::{part_reader::ReadErrors, parts::Parts};
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
    runtime: Runtime,
    /// Why a part could not be read.
    errors: ReadErrors,
    options: QueryOptions,
}

impl Run {
    /// Opens a run directory, or a folder of run directories.
    ///
    /// # Errors
    /// When the folder is neither, when records or tables cannot be read, and when runs of a folder have tables of the same name
    /// with different columns.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_with(folder, QueryOptions::default())
    }

    /// The same, with other limits, or without the checks of what is read.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(folder: &Path, options: QueryOptions) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(Error::data(format!("there is no run directory `{}`", folder.display())));
        }
        let read = if run::is_run(folder)? { tables_of_run } else { tables_of_runs };
        let tables = read(folder, options.checksums)?;
        let failed = |error: std::io::Error| Error::environment("cannot start the query engine").caused_by(error);
        let runtime = Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let widest = tables.values().map(Parts::list_bytes).max().unwrap_or(0);
        let context = context(widest, options.memory_bytes)
            .map_err(|error| Error::environment("cannot start the query engine").caused_by(error))?;
        let names = tables.keys().cloned().collect();
        let errors = ReadErrors::default();
        for (name, parts) in tables {
            // A bare reference is not parsed as SQL, so that labels keep their capitals.
            let reference = TableReference::bare(name);
            context
                .register_table(reference, Arc::new(parts.noting(errors.clone())))
                .map_err(|error| Error::bug("cannot register a table for queries").caused_by(error))?;
        }
        Ok(Self { context, tables: names, runtime, errors, options })
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

    fn rows(&self, statement: Statement) -> Result<QueryRows<'_>, QueryError> {
        limits::check_depth(&statement).map_err(QueryError::Sql)?;
        let deadline = self.options.max_time.and_then(|time| Some((Instant::now().checked_add(time)?, time)));
        let query = statement.to_string();
        self.check_tables(&statement)?;
        let stream = self.runtime.block_on(async {
            let plan = self.context.state().statement_to_plan(statement).await?;
            let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
            options.verify_plan(&plan).map_err(|error| {
                DataFusionError::Plan(format!("only read-only queries are allowed: {}", error.message()))
            })?;
            self.context.execute_logical_plan(plan).await?.execute_stream().await
        });
        let stream = stream.map_err(|error| query_error(&error, &query, &self.errors))?;
        Ok(QueryRows { runtime: &self.runtime, stream, query, errors: &self.errors, deadline })
    }

    /// Reports an unknown table. This is the most common mistake, and DataFusion's message suggests no name.
    fn check_tables(&self, statement: &Statement) -> Result<(), QueryError> {
        let Ok(references) = self.context.state().resolve_table_references(statement) else { return Ok(()) };
        let bare = references.iter().filter(|reference| reference.schema().is_none()).map(TableReference::table);
        let Some(unknown) = bare.into_iter().find(|name| !self.tables.iter().any(|table| table == name)) else {
            return Ok(());
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
}

fn tables_of_run(run_dir: &Path, check: bool) -> Result<BTreeMap<String, Parts>, Error> {
    let mut tables = BTreeMap::new();
    for (name, mut parts) in run::tables(run_dir)? {
        if !check {
            parts.iter_mut().for_each(|part| part.checksums.clear());
        }
        if let Some(parts) = Parts::open(run_dir, &name, parts)? {
            tables.insert(name, parts);
        }
    }
    Ok(tables)
}

/// The tables of all runs in a folder.
fn tables_of_runs(folder: &Path, check: bool) -> Result<BTreeMap<String, Parts>, Error> {
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
    let mut tables: BTreeMap<String, Parts> = BTreeMap::new();
    for run in runs {
        for (name, parts) in tables_of_run(&run, check)? {
            let all = match tables.remove(&name) {
                Some(above) => above.and(parts)?,
                None => parts,
            };
            tables.insert(name, all);
        }
    }
    tables.into_iter().map(|(name, parts)| Ok((name, parts.naming_runs()?))).collect()
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
    let context = SessionContext::new_with_config_rt(config, runtime);
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
