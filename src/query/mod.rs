//! SQL over the tables of a run, or of all runs in a folder, read-only.
//!
//! Every table of a run directory has its name: `objects`, `rejects`, the labels of the monitors. Units, tensor shapes
//! and the other metadata of columns are kept. On top of DataFusion's functions there are
//!
//! - `l2_distance(a, b)`: Euclidean distance of two lists of numbers, in double precision;
//! - `array_argmax(a)`: position of the greatest number of a list, counted from 1 like all positions in SQL, so that
//!   `array_argmax(da_y10_probability)` is 1 for the first class;
//! - `mmd2(a, b)`, an aggregate: MMD^2 of two samples of lists, without bias (it may be negative), with the 19 kernels of
//!   arXiv 2112.14299; `mmd2(a, b, 2000)` with one, of that variance. Null unless both samples have two points;
//! - `energy_distance(a, b)`, an aggregate: of two samples of lists by their Euclidean distances, or of two of numbers;
//! - `js_distance(a, b)`, an aggregate: the Jensen-Shannon distance (natural logarithm) of two samples of numbers, by histograms of
//!   20 equal bins over the range of both; `js_distance(a, b, 50)` with so many.
//!
//! The samples of an aggregate are two columns, `mmd2(da_y10_latent, da_y1_latent)`, or a column in two groups,
//! `mmd2(latent, domain = 'y1')`: the first sample are rows where that is false, the second where it is true. What is null, or has
//! a null in it, is left out of its sample alone: so `case when` makes any two samples. Lists are compared as float32, numbers as
//! float64, and what is not finite makes the answer `NaN`. Samples are held in memory, 2^25 numbers at most; time grows with the
//! square of the points where distances between all are asked for (not with numbers alone).
//!
//! A folder of runs is asked as one: each table has the rows of every run that has it, by the runs' names, and a last column
//! `run` that says whose row it is.
//!
//! Filters on numbers and texts are asked while the parts are read, so that of a few objects few images are decoded; filters on
//! lists are asked of the rows that the others leave.
//!
//! Rows come in the order of the run where the query does not say another. Queries block; inside an asynchronous
//! program they belong on a thread for blocking work.

mod aggregates;
mod functions;
mod parts;
mod show;
mod write;

use std::{collections::BTreeMap, fs, future::poll_fn, path::Path, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::{DataFusionError, TableReference},
    execution::{SendableRecordBatchStream, runtime_env::RuntimeEnvBuilder},
    prelude::{SQLOptions, SessionConfig, SessionContext},
    sql::parser::{DFParser, Statement},
};
use tokio::runtime::{Builder, Runtime};

pub use write::Format;

use self::parts::Parts;
use crate::{
    error::{Error, did_you_mean},
    run,
};

/// The most memory of sorts, joins and groupings, before they go to disk or give up.
const MEMORY_BYTES: usize = 2 << 30;
/// About the bytes that a batch of rows with images may take.
const BATCH_BYTES: usize = 32 << 20;

/// A query that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The query is wrong: the message says how.
    #[error("{0}")]
    Sql(String),
    /// The run cannot be read, or the answer not be written.
    #[error(transparent)]
    Run(#[from] Error),
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Sql(message) => Self::data(message),
            QueryError::Run(error) => error,
        }
    }
}

/// The tables of a run, or of several, open for queries.
pub struct Run {
    context: SessionContext,
    tables: Vec<String>,
    runtime: Runtime,
}

impl Run {
    /// Opens a run directory, or a folder of run directories.
    ///
    /// # Errors
    /// When it is neither, when records or tables cannot be read, and when the runs of a folder have tables of one name and
    /// different columns.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(Error::data(format!("there is no run directory `{}`", folder.display())));
        }
        let tables = if run::is_run(folder) { tables_of_run(folder)? } else { tables_of_runs(folder)? };
        let outside = |error: std::io::Error| Error::environment(format!("cannot start to query: {error}"));
        let runtime = Builder::new_current_thread().build().map_err(outside)?;
        let widest = tables.values().map(Parts::list_bytes).max().unwrap_or(0);
        let context = context(widest).map_err(|error| Error::environment(plain(&error)))?;
        let names = tables.keys().cloned().collect();
        for (name, parts) in tables {
            // Bare, as a reference without a schema: a label is not SQL.
            let reference = TableReference::bare(name);
            context.register_table(reference, Arc::new(parts)).map_err(|error| Error::bug(plain(&error)))?;
        }
        Ok(Self { context, tables: names, runtime })
    }

    /// The names of the tables, sorted.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// Answers one query, batch by batch.
    ///
    /// # Errors
    /// [`QueryError::Sql`] when the query is wrong, more than one, or would change anything.
    pub fn query(&self, sql: &str) -> Result<Rows<'_>, QueryError> {
        let mut statements = statements(sql)?;
        match (statements.pop(), statements.len()) {
            (Some(statement), 0) => self.rows(statement),
            (_, others) => Err(QueryError::Sql(format!("one query was expected, found {}", others + 1))),
        }
    }

    fn rows(&self, statement: Statement) -> Result<Rows<'_>, QueryError> {
        let query = statement.to_string();
        self.check_tables(&statement)?;
        let stream = self.runtime.block_on(async {
            let plan = self.context.state().statement_to_plan(statement).await?;
            let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
            options
                .verify_plan(&plan)
                .map_err(|error| DataFusionError::Plan(format!("a run is only read: {}", error.message())))?;
            self.context.execute_logical_plan(plan).await?.execute_stream().await
        });
        let stream = stream.map_err(|error| wrong(&error, &query))?;
        Ok(Rows { runtime: &self.runtime, stream, query })
    }

    /// A table that is not there is the most common mistake, so it gets the best answer.
    fn check_tables(&self, statement: &Statement) -> Result<(), QueryError> {
        let Ok(references) = self.context.state().resolve_table_references(statement) else { return Ok(()) };
        let bare = references.iter().filter(|reference| reference.schema().is_none()).map(TableReference::table);
        let Some(unknown) = bare.into_iter().find(|name| !self.tables.iter().any(|table| table == name)) else {
            return Ok(());
        };
        let tables = self.tables.iter().map(|table| format!("`{table}`")).collect::<Vec<_>>().join(", ");
        let meant = match self.tables.iter().find(|table| table.eq_ignore_ascii_case(unknown)) {
            Some(table) => format!("; write \"{table}\" in double quotes, other names are read in lower case"),
            None => did_you_mean(unknown, self.tables.iter().map(String::as_str))
                .map_or_else(String::new, |help| format!(" ({help})")),
        };
        Err(QueryError::Sql(format!("no table `{unknown}`{meant}; the tables of this run are {tables}")))
    }
}

fn tables_of_run(run_dir: &Path) -> Result<BTreeMap<String, Parts>, Error> {
    let mut tables = BTreeMap::new();
    for (name, parts) in run::tables(run_dir)? {
        if let Some(parts) = Parts::open(run_dir, &name, parts)? {
            tables.insert(name, parts);
        }
    }
    Ok(tables)
}

/// The tables of all runs that lie in a folder.
fn tables_of_runs(folder: &Path) -> Result<BTreeMap<String, Parts>, Error> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    let mut runs = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(|error| Error::io("read", folder, error)))
        .collect::<Result<Vec<_>, _>>()?;
    runs.retain(|path| run::is_run(path));
    runs.sort();
    if runs.is_empty() {
        let folder = folder.display();
        return Err(Error::data(format!("`{folder}` is no run directory: it has no commit records, nor runs in it")));
    }
    let mut tables: BTreeMap<String, Parts> = BTreeMap::new();
    for run in runs {
        for (name, parts) in tables_of_run(&run)? {
            let all = match tables.remove(&name) {
                Some(above) => above.and(parts)?,
                None => parts,
            };
            tables.insert(name, all);
        }
    }
    tables.into_iter().map(|(name, parts)| Ok((name, parts.naming_runs()?))).collect()
}

fn context(widest_row_bytes: usize) -> Result<SessionContext, DataFusionError> {
    let batch_rows = (BATCH_BYTES / widest_row_bytes.max(1)).clamp(16, 8192);
    let config = SessionConfig::new()
        .with_batch_size(batch_rows)
        // One: rows keep their order, and there is one thread anyway.
        .with_target_partitions(1)
        .with_information_schema(true)
        // The columns of a filter are read first, the others (images) only where it holds.
        .set_bool("datafusion.execution.parquet.pushdown_filters", true)
        .set_bool("datafusion.execution.parquet.reorder_filters", true)
        .set_bool("datafusion.execution.parquet.skip_metadata", false)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc()?;
    let context = SessionContext::new_with_config_rt(config, runtime);
    functions::all().into_iter().for_each(|function| context.register_udf(function));
    aggregates::all().into_iter().for_each(|function| context.register_udaf(function));
    Ok(context)
}

/// The statements of a text, separated by `;`.
fn statements(sql: &str) -> Result<Vec<Statement>, QueryError> {
    let statements = DFParser::parse_sql(sql).map_err(|error| wrong(&error, sql.trim()))?;
    if statements.is_empty() {
        return Err(QueryError::Sql("the query is empty".into()));
    }
    Ok(statements.into())
}

fn wrong(error: &DataFusionError, query: &str) -> QueryError {
    QueryError::Sql(format!("{} (in the query `{query}`)", plain(error)))
}

/// The message of an error, in our manner: of its cause alone, on one line, from lower case and without a stop.
fn plain(error: &DataFusionError) -> String {
    let cause = error.find_root();
    let text = match cause {
        DataFusionError::SQL(error, _) => error.to_string(),
        _ => cause.message().into_owned(),
    };
    let lines = text.trim().trim_end_matches('.').lines().map(|line| lowered(line.trim()));
    lines.collect::<Vec<_>>().join("; ")
}

fn lowered(line: &str) -> String {
    let mut rest = line.chars();
    rest.next().map_or_else(String::new, |first| first.to_lowercase().chain(rest).collect())
}

/// The rows of an answer, as batches.
pub struct Rows<'a> {
    runtime: &'a Runtime,
    stream: SendableRecordBatchStream,
    query: String,
}

impl Rows<'_> {
    /// What the columns are.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<RecordBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.runtime.block_on(poll_fn(|context| self.stream.as_mut().poll_next(context)))?;
        Some(next.map_err(|error| wrong(&error, &self.query)))
    }
}
