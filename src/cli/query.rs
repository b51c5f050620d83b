//! `lucarne query`: SQL over the tables of a run, or of all runs in a folder.

use std::{
    fs,
    io::{self, BufWriter, IsTerminal, Read, Write},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::{ValueEnum, builder::PossibleValue};

use crate::{
    error::{Error, Result},
    query::{OutputFormat, QueryError, Run},
};

/// What is asked when nothing is.
const TABLES: &str = "select table_name, column_name, data_type from information_schema.columns \
                      where table_schema = 'public' order by table_name, ordinal_position";

/// Answer SQL over the tables of a run, read-only.
///
/// Every table of the run has its name: `objects`, `rejects`, the labels of the monitors. A folder of runs is asked as one:
/// each table has the rows of all its runs, and a last column `run` with their names. Functions on lists of numbers:
/// l2_distance(a, b), array_argmax(a) (counted from 1), and DataFusion's own.
#[derive(Debug, clap::Args)]
pub(super) struct Query {
    /// The run directory, or a folder of run directories
    pub run: PathBuf,
    /// The SQL, or `-` to read it from standard input. Several queries are separated by `;`. Without any, the tables and
    /// their columns are listed
    pub sql: Option<String>,
    /// A file with the SQL
    #[arg(short, long, value_name = "FILE.sql", conflicts_with = "sql")]
    pub file: Option<PathBuf>,
    /// How to write the answer
    #[arg(long, value_enum, default_value = "table")]
    pub format: OutputFormat,
}

impl ValueEnum for OutputFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Table, Self::Csv, Self::Json, Self::Parquet]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Table => PossibleValue::new("table").help("aligned columns; images and long lists by their shape"),
            Self::Csv => PossibleValue::new("csv").help("comma-separated, with a header"),
            Self::Json => PossibleValue::new("json").help("one object a line"),
            Self::Parquet => PossibleValue::new("parquet").help("a Parquet file, of one query"),
        })
    }
}

impl Query {
    /// Answers to standard output. A wrong query is said and exits 2; a reader that has seen enough is no error.
    ///
    /// # Errors
    /// When the run cannot be read, or the answer not be written.
    pub(super) fn run(&self) -> Result<ExitCode> {
        if self.format == OutputFormat::Parquet && io::stdout().is_terminal() {
            eprintln!("error: a Parquet file is not for a terminal; add `> FILE.parquet`");
            return Ok(ExitCode::from(2));
        }
        match self.answer(io::stdin(), BufWriter::new(io::stdout())) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(QueryError::Sql(message)) => {
                eprintln!("error: {message}");
                Ok(ExitCode::from(2))
            }
            Err(QueryError::Run(error)) => Err(error),
        }
    }

    fn answer(&self, input: impl Read, out: impl Write + Send) -> Result<(), QueryError> {
        let sql = self.text(input)?;
        let closed = AtomicBool::new(false);
        let answered = Run::open(&self.run)?.write(&sql, self.format, Pipe { out, closed: &closed });
        if closed.load(Ordering::Relaxed) { Ok(()) } else { answered }
    }

    fn text(&self, mut input: impl Read) -> Result<String, QueryError> {
        match (&self.file, self.sql.as_deref()) {
            (Some(file), _) => Ok(fs::read_to_string(file).map_err(|error| Error::io("read", file, error))?),
            (None, Some("-")) => {
                let mut text = String::new();
                let read = input.read_to_string(&mut text);
                read.map_err(|error| Error::environment(format!("cannot read standard input: {error}")))?;
                Ok(text)
            }
            (None, sql) => Ok(sql.unwrap_or(TABLES).to_owned()),
        }
    }
}

/// Remembers that the reader is gone (`| head`): whatever error that becomes on its way, it is none.
struct Pipe<'a, W> {
    out: W,
    closed: &'a AtomicBool,
}

impl<W> Pipe<'_, W> {
    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            self.closed.fetch_or(error.kind() == io::ErrorKind::BrokenPipe, Ordering::Relaxed);
        })
    }
}

impl<W: Write> Write for Pipe<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.watch(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.watch(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A run without tables.
    fn asked(sql: Option<&str>) -> (tempfile::TempDir, Query) {
        let run = tempfile::tempdir().expect("a folder");
        fs::create_dir(run.path().join("_commits")).expect("made");
        let query = Query { run: run.path().into(), sql: sql.map(Into::into), file: None, format: OutputFormat::Csv };
        (run, query)
    }

    fn answered(query: &Query, input: &str) -> String {
        let mut out = Vec::new();
        query.answer(input.as_bytes(), &mut out).expect("an answer");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn sql_comes_from_the_command_from_a_file_or_from_standard_input() {
        let (run, query) = asked(Some("select 1 as a; select 2 as a"));
        assert_eq!(answered(&query, ""), "a\n1\n\na\n2\n");
        assert_eq!(answered(&Query { sql: Some("-".into()), ..query }, "select 3 as b"), "b\n3\n");
        let file = run.path().join("a.sql");
        fs::write(&file, "-- of a file\nselect 4 as c;\n").expect("written");
        let query = Query { run: run.path().into(), sql: None, file: Some(file), format: OutputFormat::Json };
        assert_eq!(answered(&query, ""), "{\"c\":4}\n");
    }

    #[test]
    fn without_sql_the_tables_are_listed() {
        let (_run, query) = asked(None);
        assert_eq!(answered(&query, ""), "table_name,column_name,data_type\n");
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        for format in OutputFormat::value_variants() {
            let (_run, query) = asked(Some("select 1"));
            Query { format: *format, ..query }.answer(io::empty(), Gone).expect("no error");
        }
    }

    #[test]
    fn a_folder_that_is_no_run_is_said_to_be_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let query = Query { run: folder.path().into(), sql: None, file: None, format: OutputFormat::Table };
        let error = query.answer(io::empty(), Vec::new()).expect_err("no run").to_string();
        assert!(error.ends_with("is not a run directory, and contains none: no commit records were found"), "{error}");
    }
}
