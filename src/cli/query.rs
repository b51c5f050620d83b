//! `lucarne query`: SQL over the tables of a run, or of all runs in a folder.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, BufWriter, IsTerminal, Read, Write},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use clap::{Args, ValueEnum, builder::PossibleValue};

use super::{
    limited::{WorkLimits, limited},
    path_argument::path,
    terminal,
};
use crate::{
    error::{Error, Result},
    io::text,
    query::{OutputFormat, QueryError, QueryOptions, Run},
};

/// The stack of a query: a sum of a thousand terms is a tree as deep.
const STACK_BYTES: usize = 256 << 20;

/// The query that runs if the command line has none.
const TABLES: &str = "select table_name, column_name, data_type from information_schema.columns \
                      where table_schema = 'public' order by table_name, ordinal_position";

/// Query the tables of a run with SQL, read-only
///
/// Tables are named by the labels of sinks and monitors; rejected rows are in `rejects`. A folder of runs is queried as one run: each table
/// has the rows of all runs, and a last column `run` with the name of the run; a column that some runs lack is null there, one whose types
/// differ is left out. `--table cat=FILE` adds your own catalogue, to join it. Integers are signed, and a result that does not fit 64 bits is an
/// error. Functions on lists of numbers: l2_distance(a, b), array_argmax(a) (counted from 1), and those of DataFusion.
#[derive(Debug, Clone, Args)]
pub(super) struct Query {
    /// The run directory, or a folder of run directories
    #[arg(value_parser = path())]
    pub run: PathBuf,
    /// The SQL, with `;` between several queries; `-` reads it from standard input. If missing, list the tables and their
    /// columns
    pub sql: Option<String>,
    /// Read the SQL from a file
    #[arg(short, long, value_name = "FILE.sql", value_parser = path(), conflicts_with = "sql")]
    pub file: Option<PathBuf>,
    /// Add a table of your own, such as a catalogue to join: Parquet, or CSV with a header line (also gzipped). May be given several
    /// times
    #[arg(long = "table", value_name = "NAME=FILE", value_parser = named_file)]
    pub tables: Vec<(String, PathBuf)>,
    /// Do not compare what is read with its checksums
    #[arg(long)]
    pub no_checksums: bool,
    /// Stop when the command takes more memory. Sorts, joins and groupings get half of it, and then spill to disk
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    pub memory_mib: u64,
    /// Stop after this time. Without it, a query may take any time
    #[arg(long, value_name = "S")]
    pub max_seconds: Option<u64>,
    /// Select the output format
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
            Self::Json => PossibleValue::new("json").help("one JSON object per line"),
            Self::Parquet => PossibleValue::new("parquet").help("a Parquet file, for one query"),
        })
    }
}

impl Query {
    /// Runs the query and writes its result to standard output. A wrong query exits 2; a closed pipe is not an error.
    ///
    /// # Errors
    /// If the run cannot be read or the result cannot be written.
    pub(super) fn run(&self) -> Result<ExitCode> {
        if self.format == OutputFormat::Parquet && io::stdout().is_terminal() {
            terminal::note("error: cannot write Parquet to a terminal; add `> FILE.parquet`");
            return Ok(ExitCode::from(2));
        }
        let limits = WorkLimits {
            what: "the query",
            stack_bytes: STACK_BYTES,
            memory_mib: self.memory_mib,
            time: self.max_seconds.map(Duration::from_secs),
        };
        let query = self.clone();
        let result = limited(limits, move || query.write_result(io::stdin(), BufWriter::new(io::stdout())));
        match result? {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(QueryError::Sql(message)) => {
                terminal::note(&format!("error: {message}"));
                Ok(ExitCode::from(2))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write_result(&self, input: impl Read, out: impl Write + Send) -> Result<(), QueryError> {
        let sql = self.text(input)?;
        let closed = AtomicBool::new(false);
        let mut tables = BTreeMap::new();
        for (name, path) in &self.tables {
            if tables.insert(name.clone(), path.clone()).is_some() {
                return Err(QueryError::Sql(format!("`--table` names `{name}` twice")));
            }
        }
        let options = QueryOptions {
            tables,
            checksums: !self.no_checksums,
            memory_bytes: usize::try_from(self.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 19),
            ..QueryOptions::default()
        };
        let run = Run::open_with(&self.run, options)?;
        let result = run.write(&sql, self.format, Pipe { out, closed: &closed });
        run.take_warnings().iter().for_each(|warning| terminal::note(&format!("warning: {warning}")));
        if closed.load(Ordering::Relaxed) { Ok(()) } else { result }
    }

    fn text(&self, mut input: impl Read) -> Result<String, QueryError> {
        match (&self.file, self.sql.as_deref()) {
            (Some(file), _) => Ok(text::read(file)?),
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

/// An argument as it is parsed. A query may begin with a comment, `-- spirals\nselect ...`; the name of an option has no blanks, so
/// that is none.
pub(super) fn argument(text: OsString) -> OsString {
    let name = text
        .to_str()
        .and_then(|text| text.strip_prefix("--"))
        .map_or("", |rest| rest.split('=').next().unwrap_or(rest));
    if !name.contains(char::is_whitespace) {
        return text;
    }
    let mut query = OsString::from(" ");
    query.push(text);
    query
}

/// `NAME=FILE`.
fn named_file(text: &str) -> std::result::Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("expected the name of a table and a file, as in `cat=catalogue.parquet`".to_owned()),
    }
}

/// Records that the reader closed the pipe (`| head`), because the writers of formats may wrap that error in one of another type.
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
    use std::fs;

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
    fn run_and_query(sql: Option<&str>) -> (tempfile::TempDir, Query) {
        let run = tempfile::tempdir().expect("a folder");
        fs::create_dir(run.path().join("_commits")).expect("made");
        let query = Query {
            run: run.path().into(),
            sql: sql.map(Into::into),
            file: None,
            tables: Vec::new(),
            no_checksums: false,
            memory_mib: 1024,
            max_seconds: None,
            format: OutputFormat::Csv,
        };
        (run, query)
    }

    fn result(query: &Query, input: &str) -> String {
        let mut out = Vec::new();
        query.write_result(input.as_bytes(), &mut out).expect("a result");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn reads_sql_from_the_command_line_a_file_or_standard_input() {
        let (run, query) = run_and_query(Some("select 1 as a; select 2 as a"));
        assert_eq!(result(&query, ""), "a\n1\n\na\n2\n");
        assert_eq!(result(&Query { sql: Some("-".into()), ..query }, "select 3 as b"), "b\n3\n");
        let file = run.path().join("a.sql");
        fs::write(&file, "-- of a file\nselect 4 as c;\n").expect("written");
        let query = Query {
            run: run.path().into(),
            sql: None,
            file: Some(file),
            tables: Vec::new(),
            no_checksums: false,
            memory_mib: 1024,
            max_seconds: None,
            format: OutputFormat::Json,
        };
        assert_eq!(result(&query, ""), "{\"c\":4}\n");
    }

    fn parsed(arguments: &[&str]) -> std::result::Result<Query, String> {
        let command = Query::augment_args(clap::Command::new("query"));
        let arguments = ["query"].iter().chain(arguments).map(|text| argument(text.into()));
        let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
        clap::FromArgMatches::from_arg_matches(&matches).map_err(|error: clap::Error| error.to_string())
    }

    #[test]
    fn a_query_may_begin_with_a_comment_and_options_may_stand_anywhere() {
        for sql in ["-- hello\nselect 1", "--hello there\nselect 1", "-- format csv\nselect -1", "-"] {
            for arguments in
                [&["RUN", sql, "--format", "csv"][..], &["--format", "csv", "RUN", sql], &["RUN", "--format=csv", sql]]
            {
                let query = parsed(arguments).expect(sql);
                let found = query.sql.as_deref().map(str::trim_start);
                assert_eq!((found, query.format), (Some(sql), OutputFormat::Csv), "{arguments:?}");
            }
        }
        let (run, query) = run_and_query(Some(" -- hello\nselect -1 as a"));
        assert_eq!(result(&query, ""), "a\n-1\n");
        drop(run);
        for arguments in [
            &["RUN", "--formt", "csv"][..],
            &["RUN", "--formt=csv"],
            &["RUN", "select 1", "--formt"],
            &["--formt", "RUN"],
        ] {
            let message = parsed(arguments).expect_err("a mistake");
            assert!(message.contains("--formt") && message.contains("--format"), "{arguments:?}: {message}");
        }
    }

    #[test]
    fn tables_of_the_user_have_a_name_and_a_file() {
        let query =
            parsed(&["RUN", "--table", "cat=a=b.csv", "select 1", "--table", "z=z.parquet"]).expect("arguments");
        assert_eq!(query.tables, [("cat".to_owned(), "a=b.csv".into()), ("z".to_owned(), "z.parquet".into())]);
        for text in ["cat.csv", "=cat.csv", "cat="] {
            assert!(
                parsed(&["RUN", "--table", text]).expect_err("a mistake").contains("cat=catalogue.parquet"),
                "{text}"
            );
        }
        let (run, query) = run_and_query(Some("select sum(n) as n from cat"));
        let path = run.path().join("cat.csv");
        fs::write(&path, "n\n3\n4\n").expect("room");
        let query = Query { tables: vec![("cat".into(), path.clone())], ..query };
        assert_eq!(result(&query, ""), "n\n7\n");
        let twice = Query { tables: vec![("cat".into(), path.clone()), ("cat".into(), path)], ..query };
        assert!(
            twice.write_result(io::empty(), Vec::new()).expect_err("twice").to_string().contains("names `cat` twice")
        );
    }

    #[test]
    fn lists_the_tables_without_sql() {
        let (_run, query) = run_and_query(None);
        assert_eq!(result(&query, ""), "table_name,column_name,data_type\n");
    }

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        for format in OutputFormat::value_variants() {
            let (_run, query) = run_and_query(Some("select 1"));
            Query { format: *format, ..query }.write_result(io::empty(), Gone).expect("no error");
        }
    }

    #[test]
    fn reports_a_folder_that_is_not_a_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let query = Query {
            run: folder.path().into(),
            sql: None,
            file: None,
            tables: Vec::new(),
            no_checksums: false,
            memory_mib: 1024,
            max_seconds: None,
            format: OutputFormat::Table,
        };
        let error = query.write_result(io::empty(), Vec::new()).expect_err("no run").to_string();
        assert!(error.ends_with("is not a run directory, and contains none: no commit records were found"), "{error}");
    }
}
