//! A small pipeline with what a commit has to do with: rejects and filters, two monitors with state, pending objects, both sinks.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, UInt64Array},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use crate::{
    batch::{self, object_id, row_number},
    engine::{EngineSettings, compact},
    error::{Diagnostic, Result},
    io::parquet,
    pipeline::Pipeline,
    run,
    sink::{fits::Fits, parquet::Parquet},
    source::simulated::{BandName, Simulated},
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, Progress, Rejects, RowsOut, Transform, UpstreamSchemas},
};

/// The rows of ten commits of the stream; the last commit has the rest.
pub(super) const TEN_COMMITS: u64 = 20;
/// The rows of four commits.
pub(super) const FOUR_COMMITS: u64 = 8;

/// The pipeline, the same for every number of rows.
pub(super) fn pipeline(rows: u64) -> Pipeline {
    let engine = EngineSettings {
        threads: 1,
        batch_rows: 2,
        commit_rows: 2,
        // The clock must not make commits: the operations would differ from run to run.
        commit_seconds: 1e9,
        ..EngineSettings::default()
    };
    let transform: Box<dyn Transform> = Box::new(Pick);
    let windows: Box<dyn Monitor> = Box::new(Windows::default());
    let slow: Box<dyn Monitor> = Box::new(Slow::default());
    Pipeline::builder()
        .source(Simulated { count: rows, size: 8, bands: vec![BandName::R], ..Simulated::default() })
        .transform("pick", transform)
        .monitor("windows", windows)
        .monitor("slow", slow)
        .sink("objects", Parquet::default())
        .sink("cutouts", Fits { objects_per_file: 3, ..Fits::new(["image"]) })
        .engine(engine)
        .build()
}

/// Compacts a run, if it has begun.
pub(super) fn compacted(run_dir: &Path) -> Result<()> {
    compact(run_dir, 1 << 20).map(drop)
}

/// The rows of all tables of a run, and the content of other files that its records name.
#[derive(Debug, PartialEq)]
pub(super) struct Tables {
    rows: BTreeMap<String, RecordBatch>,
    files: BTreeMap<String, Vec<u8>>,
}

/// The tables of a run, as its commit records have them.
pub(super) fn all_tables(run_dir: &Path) -> Result<Tables> {
    let mut tables = Tables { rows: BTreeMap::new(), files: BTreeMap::new() };
    for (table, parts) in run::tables(run_dir)? {
        let mut batches = Vec::new();
        for part in parts {
            let path = run::locate(run_dir, &table, &part)?;
            if part.file.ends_with(".parquet") {
                let reader = parquet::read(&path, 1024)?;
                batches.push(RecordBatch::new_empty(reader.schema()));
                for rows in reader {
                    batches.push(rows?);
                }
            } else {
                tables.files.insert(format!("{table}/{}", part.file), crate::io::disk::read(&path)?);
            }
        }
        if let Some(first) = batches.first() {
            tables.rows.insert(table, concat_batches(&first.schema(), &batches)?);
        }
    }
    Ok(tables)
}

/// Files in the folders of tables that no record names. Programs that read a folder without the records would read their rows.
pub(super) fn strays(run_dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (table, parts) in run::tables(run_dir).expect("tables") {
        let files = std::fs::read_dir(run_dir.join(table)).into_iter().flatten().flatten().map(|entry| entry.path());
        found.extend(files.filter(|path| !parts.iter().any(|part| path.ends_with(&part.file))));
    }
    found
}

/// Rejects some rows and filters others.
struct Pick;

impl Transform for Pick {
    fn required_columns(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn apply(&mut self, rows: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let numbers: Vec<u64> = (0..rows.num_rows()).map(|row| row_number(&rows, row)).collect::<Result<_>>()?;
        let keep = numbers.iter().map(|number| number % 7 != 3).collect();
        let rows = rejects.filter(&rows, keep)?;
        let bad = |row: usize| Ok((row_number(&rows, row)? % 7 == 5).then(|| (row, "a fifth row".to_owned())));
        let bad: Vec<_> = (0..rows.num_rows()).filter_map(|row| bad(row).transpose()).collect::<Result<_>>()?;
        rejects.take(rows, "pick", &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(Self)
    }

    fn digest(&self) -> Option<String> {
        Some("pick".into())
    }
}

/// Counts the rows of windows of five, and finds something in every second window.
#[derive(Default)]
struct Windows {
    window: u64,
    rows: Vec<u64>,
}

impl Windows {
    fn schema() -> SchemaRef {
        let number = |name: &str| Field::new(name, DataType::UInt64, false);
        Arc::new(Schema::new(vec![number("window"), number("sum")]))
    }

    fn close(&mut self, output: &mut MonitorOutput) -> Result<()> {
        let column = |value: u64| -> ArrayRef { Arc::new(UInt64Array::from(vec![value])) };
        let columns = vec![column(self.window), column(self.rows.drain(..).sum())];
        output.rows.push(RecordBatch::try_new(Self::schema(), columns)?.into());
        if self.window % 2 == 1 {
            let message = format!("window {} is odd", self.window);
            output.findings.push(Finding { monitor: "windows".into(), message });
        }
        self.window += 1;
        Ok(())
    }
}

impl Monitor for Windows {
    fn required_columns(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn bind(&mut self, _input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(Self::schema())
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut output = MonitorOutput::default();
        for row in 0..batch.num_rows() {
            self.rows.push(row_number(batch, row)?);
            if self.rows.len() == 5 {
                self.close(&mut output)?;
            }
        }
        Ok(output)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let mut output = MonitorOutput::default();
        if !self.rows.is_empty() {
            self.close(&mut output)?;
        }
        Ok(output)
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(&(self.window, &self.rows)).expect("JSON"))
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        (self.window, self.rows) = serde_json::from_slice(snapshot).expect("JSON");
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        100
    }

    fn digest(&self) -> Option<String> {
        Some("windows".into())
    }
}

/// Emits every object four objects later, as a monitor with per-object tasks does: the last ones after the end of the stream.
#[derive(Default)]
struct Slow {
    pending: VecDeque<String>,
}

impl Slow {
    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new(batch::OBJECT_ID, DataType::Utf8, false)]))
    }

    fn emit(&mut self, output: &mut MonitorOutput) -> Result<()> {
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(self.pending.pop_front()));
        let rows: RowsOut = RecordBatch::try_new(Self::schema(), vec![column])?.into();
        output.rows.push(rows);
        Ok(())
    }
}

impl Monitor for Slow {
    fn required_columns(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn bind(&mut self, _input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(Self::schema())
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut output = MonitorOutput::default();
        for row in 0..batch.num_rows() {
            self.pending.push_back(object_id(batch, row)?.to_owned());
            if self.pending.len() > 4 {
                self.emit(&mut output)?;
            }
        }
        Ok(output)
    }

    fn drain(&mut self, _until: Instant) -> Result<(MonitorOutput, Progress)> {
        let mut output = MonitorOutput::default();
        if !self.pending.is_empty() {
            self.emit(&mut output)?;
        }
        let progress = if self.pending.is_empty() { Progress::Done } else { Progress::Pending };
        Ok((output, progress))
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        Ok(MonitorOutput::default())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(&self.pending).expect("JSON"))
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        self.pending = serde_json::from_slice(snapshot).expect("JSON");
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        1000
    }

    fn pending_objects(&self) -> Option<usize> {
        Some(self.pending.len())
    }

    fn digest(&self) -> Option<String> {
        Some("slow".into())
    }
}
