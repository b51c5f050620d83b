//! Every kind of monitor and of score keeps its contract, without being named here: the tables of kinds and their examples are
//! read. (Transforms, sources and sinks have theirs in `src`.)

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float32Array, RecordBatch, StringArray, UInt8Array},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use lucarne::{
    batch::{list_column, metadata_list, with_columns},
    monitor,
    pipeline::Pipeline,
    score,
    stage::{
        Finding, Monitor, MonitorOutput, Progress, Rejects, RowsOut, RunContext, Scorer, Scorers, UpstreamSchemas,
    },
};
use parquet::arrow::ArrowWriter;

use crate::settings::settings;

/// Objects of the stream.
const ROWS: usize = 48;

/// The pipeline that examples of settings are written for (`stage::Settings::examples`), up to its scores.
fn pipeline(count: usize, size: usize, model: &str) -> Pipeline {
    let observe = |years| format!("{{ observe: {{ image: image, survey: lsst, years: {years} }} }}");
    let stretch = |domain| {
        format!("{{ asinh_stretch: {{ image: {domain}_sky, constants: {{ model: {model}, domain: {domain} }} }} }}")
    };
    let score = |image| format!("{{ onnx: {{ model: {model}, image: {image} }} }}");
    let (y10_sky, y1_sky, y10, y1) = (observe(10), observe(1), stretch("y10"), stretch("y1"));
    let (da_y10, da_y1) = (score("y10"), score("y1"));
    Pipeline::from_yaml(format!(
        "source: {{ simulated: {{ count: {count}, size: {size} }} }}
transform: {{ y10_sky: {y10_sky}, y1_sky: {y1_sky}, y10: {y10}, y1: {y1} }}
score: {{ da_y10: {da_y10}, da_y1: {da_y1} }}"
    ))
    .seed(7)
}

fn rows(pipeline: Pipeline) -> RecordBatch {
    let batches: Vec<RecordBatch> = pipeline.stream().unwrap().map(Result::unwrap).collect();
    concat_batches(batches[0].schema_ref(), &batches).unwrap()
}

/// A model of images of 8 x 8 pixels: the examples search for thousands of attacks.
const MODEL: &str = "tests/golden/onnx/tiny.onnx";
/// The reference latents that examples name, of a model with larger images.
const REFERENCE: &str = "models/convnet-da.latents.parquet";
/// The number of objects that examples attack.
const LIMIT: &str = "limit: 150";
/// The upstream monitors that examples name.
const UPSTREAM: [&str; 2] = ["attack", "second_attack"];
const ATTACK: &str = "{ score: da_y10, limit: 5, popsize: 40, maxiter: 20 }";

fn context() -> RunContext {
    RunContext { seed: 7, threads: 2, batch_rows: 32, ..RunContext::default() }
}

/// What the monitors of the standard pipeline receive.
struct Standard {
    rows: RecordBatch,
    scorers: Scorers,
    upstream: UpstreamSchemas,
    /// The rows of the upstream monitors, those of one after those of the other.
    upstream_rows: Vec<(&'static str, RowsOut)>,
    /// Latents of the model, in place of those that examples name.
    reference: tempfile::NamedTempFile,
}

fn standard() -> &'static Standard {
    static STANDARD_RUN: OnceLock<Standard> = OnceLock::new();
    STANDARD_RUN.get_or_init(|| {
        let rows = with_redshifts(&with_class_number(&rows(pipeline(ROWS, 8, MODEL))));
        assert_eq!(rows.num_rows(), ROWS);
        let scorers = [("da_y10", "y10"), ("da_y1", "y1")].map(|(label, image)| {
            let text = format!("{{ model: {MODEL}, image: {image} }}");
            (label.to_owned(), scorer(&score::KINDS[0], label, &text, rows.schema_ref()))
        });
        let reference = reference(&rows);
        let (scorers, upstream) = (scorers.into(), UpstreamSchemas::new());
        let mut standard = Standard { rows, scorers, upstream, upstream_rows: Vec::new(), reference };
        let one_pixel = monitor::KINDS.iter().find(|kind| kind.name == "one_pixel").unwrap();
        let mut attack = Subject { standard: &standard, kind: one_pixel, label: "attack", example: ATTACK }.start();
        let rows = attack.run(&[ROWS]).rows;
        let schema = attack.table.clone();
        standard.upstream = UPSTREAM.map(|label| (label.to_owned(), schema.clone())).into();
        let labelled = |label| rows.iter().map(move |rows| (label, rows.clone()));
        standard.upstream_rows = UPSTREAM.into_iter().flat_map(labelled).collect();
        standard
    })
}

/// The rows with their labels as integers too, in the order of `truth_classes` in the examples.
fn with_class_number(rows: &RecordBatch) -> RecordBatch {
    let number =
        |label: Option<&str>| ["merger", "spiral", "elliptical"].iter().position(|class| Some(*class) == label);
    let numbers = rows["label"].as_string::<i32>().iter().map(|label| number(label).map(|number| number as u8));
    let column: ArrayRef = Arc::new(numbers.collect::<UInt8Array>());
    with_columns(rows, [(Field::new("class_number", DataType::UInt8, true), column)]).unwrap()
}

/// The rows with redshifts, and with those that three models predict.
fn with_redshifts(rows: &RecordBatch) -> RecordBatch {
    let truth: Vec<f32> = (0..rows.num_rows()).map(|row| (row * 37 % 100) as f32 / 100.0).collect();
    let values = |names: &[&str], error: f32| {
        let numbers = truth.iter().enumerate().flat_map(|(row, z)| vec![z + error * (row % 7) as f32; names.len()]);
        (list_column(numbers.collect(), names.len()).unwrap(), [("names".to_owned(), metadata_list(names))])
    };
    let redshift: ArrayRef = Arc::new(Float32Array::from(truth.clone()));
    let mut columns = vec![(Field::new("redshift", DataType::Float32, true), redshift)];
    for (score, names, error) in
        [("photoz", &["z"][..], 0.05), ("a", &["z", "mass"], 0.02), ("b", &["mass", "z"], -0.1)]
    {
        for suffix in ["value", "error"] {
            let (column, metadata) = values(names, if suffix == "value" { error } else { 0.01 });
            let field = Field::new(format!("{score}_{suffix}"), column.data_type().clone(), false);
            columns.push((field.with_metadata(metadata.into()), column));
        }
    }
    with_columns(rows, columns).unwrap()
}

/// The latents of both depths, as the trainer writes them.
fn reference(rows: &RecordBatch) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::with_suffix(".parquet").unwrap();
    let field = |name: &str| {
        let field = rows.schema_ref().field_with_name(&format!("da_y10_{name}")).unwrap();
        field.clone().with_name(name)
    };
    let domain = Field::new("domain", DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![field("latent"), field("probability"), domain]));
    let mut writer = ArrowWriter::try_new(file.reopen().unwrap(), schema.clone(), None).unwrap();
    for domain in ["y10", "y1"] {
        let column = |name: &str| rows[format!("da_{domain}_{name}").as_str()].clone();
        let domains: ArrayRef = Arc::new(StringArray::from(vec![domain; ROWS]));
        let columns = vec![column("latent"), column("probability"), domains];
        writer.write(&RecordBatch::try_new(schema.clone(), columns).unwrap()).unwrap();
    }
    writer.close().unwrap();
    file
}

fn scorer(kind: &lucarne::stage::Kind<dyn Scorer>, label: &str, example: &str, schema: &Schema) -> Arc<dyn Scorer> {
    let mut scorer = (kind.build)(label, settings(example)).unwrap();
    scorer.bind(schema).unwrap();
    scorer.start(&context()).unwrap();
    Arc::from(scorer)
}

/// A kind with one of its examples.
#[derive(Clone, Copy)]
struct Subject<'a> {
    standard: &'a Standard,
    kind: &'static lucarne::stage::Kind<dyn Monitor>,
    label: &'static str,
    example: &'static str,
}

/// A started monitor.
struct Started<'a> {
    subject: Subject<'a>,
    monitor: Box<dyn Monitor>,
    table: SchemaRef,
}

impl<'a> Subject<'a> {
    fn start(self) -> Started<'a> {
        let reference = self.standard.reference.path().to_str().unwrap();
        let example = self.example.replace(REFERENCE, reference).replace(LIMIT, "limit: 5");
        let mut monitor = (self.kind.build)(self.label, settings(&example))
            .unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", self.name()));
        let labels = UPSTREAM.into_iter().chain([self.label]);
        monitor.resolve_labels(&labels.map(str::to_owned).collect::<Vec<_>>());
        let table = monitor.bind(self.standard.rows.schema_ref(), &self.standard.upstream);
        let table = table.unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", self.name()));
        monitor.start(&context(), &self.standard.scorers).unwrap();
        Started { subject: self, monitor, table }
    }

    fn name(&self) -> String {
        format!("{} {}", self.kind.name, self.example)
    }
}

impl Started<'_> {
    /// Everything from the beginning: rows cut into batches that end at `cuts`, upstream rows, drain, finish.
    fn run(&mut self, cuts: &[usize]) -> MonitorOutput {
        let mut output = self.observe(0, cuts);
        output.append(self.end(0));
        output
    }

    fn observe(&mut self, from: usize, cuts: &[usize]) -> MonitorOutput {
        let mut output = MonitorOutput::default();
        let mut begin = from;
        for cut in cuts {
            let batch = self.subject.standard.rows.slice(begin, cut - begin);
            output.append(self.monitor.observe(&batch).unwrap());
            begin = *cut;
        }
        output
    }

    fn observe_upstream(&mut self, rows: std::ops::Range<usize>) -> MonitorOutput {
        let mut output = MonitorOutput::default();
        let upstream = self.monitor.upstream();
        for (label, rows) in &self.subject.standard.upstream_rows[rows] {
            if upstream.iter().any(|reference| reference.column == *label) {
                output.append(self.monitor.observe_upstream(label, rows).unwrap());
            }
        }
        output
    }

    /// What follows the stream, after some upstream rows.
    fn end(&mut self, upstream_rows: usize) -> MonitorOutput {
        let mut output = self.observe_upstream(upstream_rows..self.subject.standard.upstream_rows.len());
        loop {
            let (drained, progress) = self.monitor.drain(Instant::now() + Duration::from_millis(50)).unwrap();
            output.append(drained);
            if progress == Progress::Done {
                break;
            }
        }
        output.append(self.monitor.finish().unwrap());
        output
    }

    /// The table and the findings that an output is.
    fn table_of(&self, output: &MonitorOutput) -> (RecordBatch, Vec<Finding>) {
        let rows = output.rows.iter().map(|rows| &rows.rows);
        (concat_batches(&self.table, rows).unwrap(), output.findings.clone())
    }
}

fn subjects() -> Vec<Subject<'static>> {
    let standard = standard();
    let examples = monitor::KINDS.iter().flat_map(|kind| (kind.examples)().iter().map(move |example| (kind, *example)));
    examples.map(|(kind, example)| Subject { standard, kind, label: "x", example }).collect()
}

/// Where a process ends, between two calls to a monitor.
#[derive(Debug, Clone, Copy)]
struct Cut {
    rows: usize,
    upstream_rows: usize,
    /// Whether it has drained for an instant.
    is_draining: bool,
}

/// Cuts after rows of the stream (fewer for a monitor that takes long), after some upstream rows, and while it drains.
fn cuts(took: Duration, upstream_rows: usize) -> Vec<Cut> {
    let number = (Duration::from_secs(2).as_secs_f64() / took.as_secs_f64().max(1e-3)) as usize;
    let step = (ROWS / number.clamp(2, ROWS)).max(1);
    let mut cuts: Vec<Cut> =
        (0..=ROWS).step_by(step).map(|rows| Cut { rows, upstream_rows: 0, is_draining: false }).collect();
    cuts.push(Cut { rows: ROWS, upstream_rows: upstream_rows.div_ceil(2), is_draining: false });
    cuts.push(Cut { rows: ROWS, upstream_rows, is_draining: true });
    cuts
}

/// SQL has no unsigned integers, and differences of them wrap around in DataFusion. Only masks are unsigned: they are bit fields.
fn assert_signed(schema: &Schema, what: &str) {
    for field in schema.fields().iter().filter(|field| !field.name().starts_with('_')) {
        let kind = match field.data_type() {
            DataType::FixedSizeList(item, _) | DataType::List(item) => item.data_type(),
            kind => kind,
        };
        let is_mask = lucarne::batch::ImageLayout::of_masks(field).is_some();
        assert!(is_mask || !kind.is_unsigned_integer(), "{what}: column `{}` is {}", field.name(), field.data_type());
    }
}

#[test]
fn counts_of_objects_and_rejects_are_signed() {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    let yaml = "source: { simulated: { count: 5, size: 16, visits: { count: 2, first_years: 8, last_years: 1 } } }
transform: { shape: { morphology: { image: image } } }
sink: { objects: { parquet: {} } }";
    Pipeline::from_yaml(yaml).run(&run_dir).unwrap();
    for table in ["objects", "rejects"] {
        let files = lucarne::run::part_files(&run_dir, table).unwrap().unwrap();
        let file = std::fs::File::open(&files[0]).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        assert_signed(reader.schema(), table);
        assert_eq!(reader.schema().field_with_name("visit").is_ok(), table == "objects");
    }
}

#[test]
fn the_table_of_a_monitor_does_not_depend_on_batches() {
    for subject in subjects() {
        let mut started = subject.start();
        let output = started.run(&[ROWS]);
        let expected = started.table_of(&output);
        assert!(expected.0.num_rows() > 0, "{} writes nothing", subject.name());
        assert_signed(&expected.0.schema(), &subject.name());
        let singly: Vec<usize> = (1..=ROWS).collect();
        for cuts in [&singly[..], &[5, 6, 29, ROWS]] {
            let mut started = subject.start();
            let output = started.run(cuts);
            assert_eq!(started.table_of(&output), expected, "{}", subject.name());
        }
    }
}

#[test]
fn a_monitor_continues_from_a_snapshot_at_any_row() {
    // What a monitor that forgets its state would write must differ for one example of its kind: the test can tell.
    let mut kinds: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for subject in subjects() {
        let (has_state, forgetful_differs) = kinds.entry(subject.kind.name).or_default();
        let begun = Instant::now();
        let mut started = subject.start();
        let output = started.run(&[ROWS]);
        let expected = started.table_of(&output);
        let fresh = subject.start().monitor.snapshot().unwrap();
        for cut in cuts(begun.elapsed(), subject.standard.upstream_rows.len()) {
            let mut before = subject.start();
            let mut output = if cut.rows > 0 { before.observe(0, &[cut.rows]) } else { MonitorOutput::default() };
            output.append(before.observe_upstream(0..cut.upstream_rows));
            if cut.is_draining {
                output.append(before.monitor.drain(Instant::now()).unwrap().0);
            }
            let snapshot = before.monitor.snapshot().unwrap();
            assert!(
                snapshot.len() <= before.monitor.state_bound_bytes() + 4096,
                "{}: a snapshot of {} bytes at {cut:?}, the state bound is {}",
                subject.name(),
                snapshot.len(),
                before.monitor.state_bound_bytes()
            );
            drop(before);
            *has_state |= snapshot != fresh;
            let rest: &[usize] = if cut.rows < ROWS { &[ROWS] } else { &[] };
            let continued = |monitor: &mut Started<'_>| {
                let mut rows = MonitorOutput { rows: output.rows.clone(), findings: output.findings.clone() };
                rows.append(monitor.observe(cut.rows, rest));
                rows.append(monitor.end(cut.upstream_rows));
                monitor.table_of(&rows)
            };
            let mut after = subject.start();
            after.monitor.restore(&snapshot).unwrap();
            assert_eq!(after.monitor.snapshot().unwrap(), snapshot, "{}: at {cut:?}", subject.name());
            assert_eq!(continued(&mut after), expected, "{}: restored at {cut:?}", subject.name());
            *forgetful_differs = *forgetful_differs || continued(&mut subject.start()) != expected;
        }
    }
    for (kind, (has_state, forgetful_differs)) in kinds {
        assert!(has_state && forgetful_differs, "a monitor `{kind}` that forgets everything passes this test");
    }
}

#[test]
fn a_monitor_refuses_a_snapshot_that_is_not_its_own() {
    for subject in subjects() {
        let mut started = subject.start();
        started.observe(0, &[7]);
        let snapshot = started.monitor.snapshot().unwrap();
        let mut restored = subject.start();
        assert!(restored.monitor.restore(b"").is_err(), "{}", subject.name());
        assert!(restored.monitor.restore(&snapshot[..snapshot.len() / 2]).is_err(), "{}", subject.name());
        let newer = String::from_utf8_lossy(&snapshot).replacen("\"format\":1", "\"format\":2", 1);
        assert!(restored.monitor.restore(newer.as_bytes()).is_err(), "{}", subject.name());
        let other = String::from_utf8_lossy(&snapshot).replacen(subject.kind.name, "another_kind", 1);
        assert!(restored.monitor.restore(other.as_bytes()).is_err(), "{}", subject.name());
    }
}

#[test]
fn a_score_does_not_depend_on_batches_and_keeps_every_row() {
    let standard = rows(pipeline(ROWS, 100, "models/convnet-da.onnx"));
    for kind in score::KINDS {
        for example in (kind.examples)() {
            // Columns that the scorer adds must not be there yet.
            let fields = standard.schema_ref().fields().iter().enumerate();
            let kept: Vec<usize> =
                fields.filter(|(_, field)| !field.name().starts_with("da_")).map(|(index, _)| index).collect();
            let rows = standard.project(&kept).unwrap();
            let row: ArrayRef = Arc::new(arrow::array::UInt64Array::from_iter_values(0..ROWS as u64));
            let number = Field::new(lucarne::batch::ROW, DataType::UInt64, false);
            let rows = lucarne::batch::with_columns(&rows, [(number, row)]).unwrap();
            let scorer = scorer(kind, "x", example, rows.schema_ref());
            assert!(scorer.digest().is_some_and(|digest| digest.len() == 64), "{example}: no digest");
            let score = |size: usize| {
                let batches = (0..ROWS).step_by(size).map(|begin| {
                    let mut rejects = Rejects::default();
                    let batch = rows.slice(begin, size.min(ROWS - begin));
                    let scored = scorer.score(batch.clone(), &mut rejects).unwrap();
                    assert_eq!(scored.num_rows() + rejects.rejected.len(), batch.num_rows());
                    scored
                });
                let batches: Vec<RecordBatch> = batches.collect();
                concat_batches(batches[0].schema_ref(), &batches).unwrap()
            };
            let expected = score(ROWS);
            assert_signed(&expected.schema(), example);
            assert!(expected.num_columns() > rows.num_columns());
            for size in [1, 7] {
                assert_eq!(score(size), expected, "{} {example} in batches of {size}", kind.name);
            }
        }
    }
}
