//! Small stages that have what the engine has to cope with: unreadable rows, rejects, filters, state, findings, slowness.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use lucarne::{
    batch::{self, ImageLayout, Unit, list_column, list_values, row_number, text_column, with_columns},
    engine::{EngineSettings, Job, JobMonitor, JobStage, PipelineMetadata, Step, StepStage},
    error::{Diagnostic, Error, Result},
    run,
    sink::parquet::Parquet,
    stage::{
        ColumnRef, Finding, Monitor, MonitorOutput, Read, Reader, Reject, Rejects, RunContext, Scorer, Settings, Sink,
        Source, Split, Transform, UpstreamSchemas,
    },
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

/// A well-mixed number of two.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// What a test run is made of.
#[derive(Clone)]
pub(super) struct Recipe {
    /// Rows of each split.
    pub(super) splits: Vec<u64>,
    /// Side of the one-band images.
    pub(super) side: usize,
    /// Images go through all steps, to monitors and sinks.
    pub(super) images: bool,
    /// The sink keeps them.
    pub(super) keep_images: bool,
    /// The source waits so long before every batch.
    pub(super) source_delay: Duration,
    /// A live source that has nothing more to give waits for ever instead of ending.
    pub(super) endless: bool,
    /// The monitor takes so long for every row.
    pub(super) monitor_delay: Duration,
    /// The stage that panics when it sees this row of the first split; for `stopped` the monitor breaks off there, or at a later row,
    /// instead.
    pub(super) panic: Option<(&'static str, u64)>,
    /// The seed of the run.
    pub(super) seed: u64,
    pub(super) engine: EngineSettings,
    pub(super) limit: Option<u64>,
    /// The stages count as the caller's own.
    pub(super) custom: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            splits: vec![301, 0, 17, 404, 1],
            side: 4,
            images: false,
            keep_images: false,
            source_delay: Duration::ZERO,
            endless: false,
            monitor_delay: Duration::ZERO,
            panic: None,
            seed: 5,
            engine: EngineSettings { threads: 2, batch_rows: 16, commit_rows: 100, ..EngineSettings::default() },
            limit: None,
            custom: true,
        }
    }
}

pub(super) fn stage<T: ?Sized>(label: &str, custom: bool, stage: Box<T>) -> JobStage<T> {
    JobStage { label: label.into(), kind: label.into(), custom, stage }
}

impl Recipe {
    /// The job of it, bound as the planner would.
    pub(super) fn job(&self, run_dir: Option<&Path>) -> Job {
        let mut source: Box<dyn Source> = Box::new(Numbers(self.clone()));
        let mut schema = source.bind().unwrap().as_ref().clone();
        let stages: Vec<(&str, StepStage, Vec<String>)> = vec![
            ("sum", StepStage::Transform(Box::new(Sum { seed: 0, panic: self.panic })), vec![]),
            ("odd", StepStage::Transform(Box::new(Thin)), if self.images { vec![] } else { vec!["image".into()] }),
            ("model", StepStage::Score(Arc::new(Grade)), vec![]),
        ];
        let mut steps = Vec::new();
        for (label, mut stage, drop_after) in stages {
            let made = match &mut stage {
                StepStage::Transform(transform) => transform.bind(&schema).unwrap(),
                StepStage::Score(scorer) => Arc::get_mut(scorer).unwrap().bind(&schema).unwrap(),
            };
            let fields = schema.fields().iter().map(|field| field.as_ref().clone()).chain(made);
            schema = Schema::new(fields.filter(|field| !drop_after.contains(field.name())).collect::<Vec<_>>());
            steps.push(Step { label: label.into(), kind: label.into(), custom: self.custom, stage, drop_after });
        }
        let mut monitor: Box<dyn Monitor> =
            Box::new(Windows { delay: self.monitor_delay, panic: self.panic, held: Vec::new(), window: 0 });
        let table = monitor.bind(&schema, &UpstreamSchemas::new()).unwrap();
        let images = if self.keep_images { vec!["image".into()] } else { vec![] };
        let mut sink: Box<dyn Sink> = Parquet { images, ..Parquet::default() }.build("objects").unwrap();
        sink.bind(&schema).unwrap();
        let document = json!({ "source": { "numbers": { "splits": self.splits } }, "engine": self.engine });
        Job {
            run_dir: run_dir.map(PathBuf::from),
            source: stage("source", self.custom, source),
            steps,
            monitors: vec![JobMonitor { stage: stage("windows", self.custom, monitor), table }],
            sinks: vec![stage("objects", false, sink)],
            output: Arc::new(schema),
            row_bytes: 0,
            seed: self.seed,
            limit: self.limit,
            engine: self.engine.clone(),
            document,
            undigested: Vec::new(),
            metadata: PipelineMetadata::default(),
        }
    }
}

/// A source that counts. Some rows cannot be read.
struct Numbers(Recipe);

struct Counting {
    recipe: Recipe,
    split: u64,
    at: u64,
    rows: u64,
}

fn layout(side: usize) -> ImageLayout {
    ImageLayout::new(["r"], side, side, Unit::NanoJansky).with_pixel_scale(0.2)
}

pub(super) fn source_schema(side: usize) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(batch::ROW, DataType::UInt64, false),
        Field::new(batch::OBJECT_ID, DataType::Utf8, false),
        Field::new(batch::ORIGIN, DataType::Utf8, false),
        layout(side).field("image"),
    ]))
}

impl Source for Numbers {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(source_schema(self.0.side))
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let split = |(index, rows): (usize, &u64)| Split::new(format!("split {index}"), *rows);
        Ok(self.0.splits.iter().enumerate().map(split).collect())
    }

    fn open(&self, split: &Split, position: u64) -> Result<Box<dyn Reader>> {
        let index = split.id.trim_start_matches("split ").parse().unwrap();
        Ok(Box::new(Counting { recipe: self.0.clone(), split: index, at: position, rows: split.rows.unwrap() }))
    }
}

impl Reader for Counting {
    fn next(&mut self, max_rows: usize, deadline: Instant) -> Result<Read> {
        sleep(self.recipe.source_delay);
        if self.recipe.panic.is_some_and(|(stage, row)| stage == "source" && self.split == 0 && self.at >= row) {
            panic!("the source is dry");
        }
        if self.at == self.rows {
            if !self.recipe.endless {
                return Ok(Read::End);
            }
            sleep(deadline.saturating_duration_since(Instant::now()));
            return Ok(Read::Idle);
        }
        let end = self.rows.min(self.at + max_rows as u64);
        let read = read_rows(self.recipe.side, self.split, self.at..end);
        self.at = end;
        read
    }

    fn offset(&self) -> u64 {
        self.at
    }
}

/// Rows of a split, some of them unreadable.
pub(super) fn read_rows(side: usize, split: u64, rows: Range<u64>) -> Result<Read> {
    let (bad, good): (Vec<u64>, Vec<u64>) = rows.partition(|row| mix(split, *row).is_multiple_of(41));
    let id = |row: u64| format!("{split}-{row}");
    let origin = |row: u64| format!("split {split}, row {row}");
    let reject = |row: u64| Reject {
        row,
        object_id: row.is_multiple_of(2).then(|| id(row)),
        origin: origin(row),
        stage: "source".into(),
        reason: "unreadable".into(),
    };
    let pixels = side * side;
    let pixel = |row: u64, index: usize| (mix(split * 1_000_003 + row, index as u64) >> 40) as f32 / 1000.0;
    let mut values = Vec::with_capacity(good.len() * pixels);
    for row in &good {
        // Large images are for filling memory, and not drawn.
        if pixels < 10_000 {
            values.extend((0..pixels).map(|index| pixel(*row, index)));
        } else {
            values.resize(values.len() + pixels, *row as f32);
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(good.clone())),
        Arc::new(StringArray::from_iter_values(good.iter().map(|row| id(*row)))),
        Arc::new(StringArray::from_iter_values(good.iter().map(|row| origin(*row)))),
        list_column(values, pixels)?,
    ];
    let rows = RecordBatch::try_new(source_schema(side), columns)?;
    Ok(Read::Batch { rows, rejects: bad.into_iter().map(reject).collect() })
}

/// Sums the pixels with a drawn number; takes a different time for every batch; refuses some rows.
struct Sum {
    seed: u64,
    panic: Option<(&'static str, u64)>,
}

impl Transform for Sum {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("image", "image")]
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(vec![Field::new("sum", DataType::Float64, false)])
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = run.seed;
        Ok(())
    }

    fn apply(&mut self, rows: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let ids = text_column(&rows, batch::OBJECT_ID)?;
        let key = |id: &str| id.bytes().fold(self.seed, |key, byte| mix(key, u64::from(byte)));
        let keys: Vec<u64> = ids.iter().map(|id| key(id.unwrap())).collect();
        if self.panic.is_some_and(|(stage, row)| stage == "sum" && ids.iter().any(|id| id == Some(&format!("0-{row}"))))
        {
            panic!("this row is too much");
        }
        sleep(Duration::from_micros(keys.first().map_or(0, |key| key % 1500)));
        let (values, length) = list_values(&rows, "image")?;
        let sums = values.chunks_exact(length).zip(&keys);
        let sums = sums.map(|(image, key)| image.iter().map(|v| f64::from(*v)).sum::<f64>() + (*key >> 12) as f64);
        let column: ArrayRef = Arc::new(Float64Array::from_iter_values(sums));
        let bad: Vec<(usize, String)> = keys
            .iter()
            .enumerate()
            .filter(|(_, key)| key.is_multiple_of(29))
            .map(|(row, key)| (row, format!("the key {key} is a multiple of 29")))
            .collect();
        let rows = with_columns(&rows, [(Field::new("sum", DataType::Float64, false), column)])?;
        rejects.take(rows, "sum", &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(Self { seed: self.seed, panic: self.panic })
    }
}

/// Leaves out every seventh row of a split.
struct Thin;

impl Transform for Thin {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![]
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(vec![])
    }

    fn apply(&mut self, rows: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let keep = (0..rows.num_rows()).map(|row| Ok(row_number(&rows, row)? % 7 != 3));
        rejects.filter(&rows, keep.collect::<Result<_>>()?)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(Self)
    }
}

/// A model of sorts.
struct Grade;

impl Scorer for Grade {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("image", "sum")]
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(vec![Field::new("model_class", DataType::Utf8, false)])
    }

    fn start(&mut self, _run: &RunContext) -> Result<()> {
        Ok(())
    }

    fn score(&self, rows: RecordBatch, _rejects: &mut Rejects) -> Result<RecordBatch> {
        let grade = |row| if row_number(&rows, row).unwrap().is_multiple_of(2) { "even" } else { "odd" };
        let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows.num_rows()).map(grade)));
        with_columns(&rows, [(Field::new("model_class", DataType::Utf8, false), column)])
    }

    fn preferred_batch_rows(&self) -> Option<usize> {
        Some(70)
    }

    fn provenance(&self) -> serde_json::Value {
        json!({ "device": "mind", "model_digest": "0123" })
    }
}

/// Sums windows of 50 rows, whatever the batches are; holds the rows of a window that is not full.
struct Windows {
    delay: Duration,
    panic: Option<(&'static str, u64)>,
    held: Vec<f64>,
    window: u64,
}

const WINDOW: usize = 50;

impl Windows {
    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("window", DataType::UInt64, false),
            Field::new("rows", DataType::UInt64, false),
            Field::new("sum", DataType::Float64, false),
        ]))
    }

    fn emit(&mut self, emitted: &mut MonitorOutput) -> Result<()> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(vec![self.window])),
            Arc::new(UInt64Array::from(vec![self.held.len() as u64])),
            Arc::new(Float64Array::from(vec![self.held.iter().sum::<f64>()])),
        ];
        emitted.rows.push(RecordBatch::try_new(Self::schema(), columns)?.into());
        if self.window.is_multiple_of(3) {
            let message = format!("window {} is a third one", self.window);
            emitted.findings.push(Finding { monitor: "windows".into(), message });
        }
        self.window += 1;
        self.held.clear();
        Ok(())
    }
}

impl Monitor for Windows {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("column", "sum")]
    }

    fn bind(&mut self, _input: &Schema, _above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(Self::schema())
    }

    fn observe(&mut self, rows: &RecordBatch) -> Result<MonitorOutput> {
        let mut emitted = MonitorOutput::default();
        let sums = rows.column_by_name("sum").unwrap().as_any().downcast_ref::<Float64Array>().unwrap();
        for (row, sum) in sums.iter().enumerate() {
            let breaks_off = |(stage, number)| stage == "stopped" && row_number(rows, row).unwrap() >= number;
            if self.panic.is_some_and(breaks_off) {
                return Err(Error::Interrupted);
            }
            if self.panic.is_some_and(|(stage, number)| stage == "windows" && row_number(rows, row).unwrap() == number)
            {
                panic!("no window here");
            }
            sleep(self.delay);
            self.held.push(sum.unwrap());
            if self.held.len() == WINDOW {
                self.emit(&mut emitted)?;
            }
        }
        Ok(emitted)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let mut emitted = MonitorOutput::default();
        if !self.held.is_empty() {
            self.emit(&mut emitted)?;
        }
        Ok(emitted)
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(&(self.window, &self.held)).unwrap())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        (self.window, self.held) = serde_json::from_slice(snapshot).unwrap();
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        WINDOW * 8
    }
}

/// All rows of a table of a run, as its commit records have it.
pub(super) fn rows_of(run_dir: &Path, table: &str) -> RecordBatch {
    let files = run::part_files(run_dir, table).unwrap().unwrap();
    let mut batches = Vec::new();
    let mut schema = None;
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).unwrap()).unwrap();
        schema = Some(reader.schema().clone());
        batches.extend(reader.build().unwrap().map(Result::unwrap));
    }
    concat_batches(&schema.unwrap(), &batches).unwrap()
}

/// The tables of a run.
pub(super) fn all_rows(run_dir: &Path) -> [RecordBatch; 3] {
    ["objects", "windows", "rejects"].map(|table| rows_of(run_dir, table))
}

/// Files below a folder, by their names.
pub(super) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
