//! The monitors `one_pixel` and `pixel_map` with ONNX Runtime: against an attack written in Python
//! (`tests/golden/one_pixel/make.py`), for any batches and threads, and across a restart.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray, UInt64Array},
    compute::concat_batches,
    datatypes::{DataType, Field, Float32Type, Float64Type, Int32Type, Int64Type, Schema},
};
use lucarne::{
    batch::{ImageLayout, LABEL, OBJECT_ID, ORIGIN, ROW, Stretch, Unit, list_column, list_values},
    error::Code,
    image::stretch::Asinh,
    monitor::{
        one_pixel::{OnePixel, Preset, Range, Screening, Strategy, Target},
        pixel_map::PixelMap,
        pixels::{AddTo, AddedFlux, Arrangement, Electrons, Stretched, Values},
    },
    pipeline::Pipeline,
    query::Run,
    score::onnx::{Device, Onnx, OnnxScorer},
    source::{
        alerts::{Alerts, Packets, Survey},
        fits::Policy,
    },
    stage::{Monitor, Progress, Rejects, RowsOut, RunContext, Scorer, Scorers, Settings, UpstreamSchemas},
};
use serde::Deserialize;

/// The attacks of the Python program.
#[derive(Deserialize)]
struct ReferenceAttacks {
    classes: Vec<String>,
    cases: std::collections::BTreeMap<String, Vec<ReferenceOutcome>>,
}

#[derive(Deserialize)]
struct ReferenceOutcome {
    object: usize,
    target: Option<String>,
    row: Vec<i32>,
    column: Vec<i32>,
    values: Vec<f32>,
    p_after: f64,
    success: bool,
    iterations: i32,
    queries: i64,
    stop_reason: String,
}

fn reference() -> ReferenceAttacks {
    serde_json::from_str(&std::fs::read_to_string("tests/golden/one_pixel/golden.json").unwrap()).unwrap()
}

const STRETCH: Stretch = Stretch { lo: -367.0, hi: 2388.0 };

fn layout(unit: Unit) -> ImageLayout {
    ImageLayout::new(["g", "r", "i"], 8, 8, unit)
        .with_pixel_scale(0.2)
        .with_stretch((unit == Unit::Stretched).then_some(STRETCH))
}

/// The images of `tests/golden/onnx`.
fn images() -> Vec<Vec<f32>> {
    #[derive(Deserialize)]
    struct OnnxImages {
        images: Vec<Vec<f32>>,
    }
    let text = std::fs::read_to_string("tests/golden/onnx/golden.json").unwrap();
    serde_json::from_str::<OnnxImages>(&text).unwrap().images
}

/// Rows of a stream with the image `y1`, and `y1_sky` if given.
fn rows(images: &[Vec<f32>], truth: &[&str], sky: Option<&[f32]>) -> RecordBatch {
    let names: Vec<String> = (0..images.len()).map(|i| format!("galaxy-{i}")).collect();
    let names = Arc::new(StringArray::from(names));
    let mut fields = vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
        Field::new(LABEL, DataType::Utf8, true),
        layout(Unit::Stretched).field("y1"),
    ];
    let truth = truth.iter().map(|name| (!name.is_empty()).then_some(*name)).collect::<StringArray>();
    let numbers: UInt64Array = (0..images.len() as u64).collect();
    let pixels = list_column(images.concat(), 192).unwrap();
    let mut columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(numbers), names.clone(), names, Arc::new(truth), pixels];
    if let Some(sky) = sky {
        fields.push(layout(Unit::Electron).field("y1_sky"));
        columns.push(list_column(sky.to_vec(), 192).unwrap());
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The scored rows and the scorer.
fn scored(rows: RecordBatch) -> (RecordBatch, Scorers) {
    let settings = Onnx { device: Device::Cpu, ..Onnx::new(PathBuf::from("tests/golden/onnx/tiny.onnx"), "y1") };
    let mut scorer = OnnxScorer::new("da_y1", settings);
    scorer.bind(rows.schema_ref()).unwrap();
    scorer.start(&RunContext { seed: 1, threads: 2, batch_rows: 32, ..RunContext::default() }).unwrap();
    let scored = scorer.score(rows, &mut Rejects::default()).unwrap();
    (scored, Scorers::from([("da_y1".to_owned(), Arc::new(scorer) as Arc<dyn Scorer>)]))
}

/// All images, each with the class that the model gives it as its truth.
fn all_images() -> (RecordBatch, Scorers) {
    let reference = reference();
    let truth: Vec<&str> = reference.classes.iter().map(String::as_str).collect();
    scored(rows(&images(), &truth, None))
}

fn started(
    settings: impl Settings<dyn Monitor>,
    label: &str,
    threads: usize,
    input: &Schema,
    scorers: &Scorers,
) -> Box<dyn Monitor> {
    let mut monitor = settings.build(label).unwrap();
    monitor.bind(input, &UpstreamSchemas::new()).unwrap();
    monitor.start(&RunContext { seed: 2112, threads, batch_rows: 32, ..RunContext::default() }, scorers).unwrap();
    monitor
}

/// What a monitor emits until nothing is pending.
fn drained(monitor: &mut dyn Monitor) -> Vec<RowsOut> {
    let mut emitted = Vec::new();
    loop {
        let (out, progress) = monitor.drain(Instant::now() + Duration::from_millis(50)).unwrap();
        emitted.extend(out.rows);
        if progress == Progress::Done {
            return emitted;
        }
    }
}

fn table(emitted: &[RowsOut]) -> RecordBatch {
    concat_batches(emitted[0].rows.schema_ref(), emitted.iter().map(|out| &out.rows)).unwrap()
}

/// How to run a monitor: worker threads and rows per batch.
#[derive(Debug, Clone, Copy)]
struct RunShape {
    threads: usize,
    batch_rows: usize,
}

/// One batch, two threads.
const ONE_BATCH: RunShape = RunShape { threads: 2, batch_rows: 7 };

/// The table of a monitor that observes some rows.
fn run(
    settings: impl Settings<dyn Monitor>,
    label: &str,
    shape: RunShape,
    rows: &RecordBatch,
    scorers: &Scorers,
) -> RecordBatch {
    let mut monitor = started(settings, label, shape.threads, rows.schema_ref(), scorers);
    let mut emitted = Vec::new();
    for start in (0..rows.num_rows()).step_by(shape.batch_rows) {
        let batch = rows.slice(start, shape.batch_rows.min(rows.num_rows() - start));
        emitted.extend(monitor.observe(&batch).unwrap().rows);
    }
    emitted.extend(drained(monitor.as_mut()));
    emitted.extend(monitor.finish().unwrap().rows);
    table(&emitted)
}

fn values(low: f64, high: f64) -> Values {
    Values::Stretched(Stretched { low, high })
}

/// The settings of an attack of the Python program.
fn case(name: &str) -> OnePixel {
    let of = || OnePixel::new("da_y1");
    match name {
        "paper" => OnePixel { popsize: Some(60), maxiter: Some(60), values: values(-6.0, 7.0), ..of() },
        "scipy" => OnePixel {
            preset: Preset::Scipy,
            maxiter: Some(40),
            values: values(-9.0, 9.0),
            target: Target::Untargeted,
            success_below: 0.2,
            ..of()
        },
        "two_pixels" => OnePixel {
            pixels: 2,
            popsize: Some(30),
            maxiter: Some(25),
            strategy: Some(Strategy::Rand2Exp),
            mutation: Some(Range::Between([0.4, 0.8])),
            recombination: Some(0.6),
            values: values(-5.0, 5.0),
            target: Target::Untargeted,
            success_below: 0.2,
            ..of()
        },
        "current_to_best" => OnePixel {
            preset: Preset::Scipy,
            popsize: Some(20),
            maxiter: Some(30),
            strategy: Some(Strategy::CurrentToBest1Bin),
            mutation: Some(Range::Fixed(0.7)),
            recombination: Some(0.9),
            tolerance: Some(1e-4),
            values: values(-12.0, 12.0),
            ..of()
        },
        name => panic!("unknown case `{name}`"),
    }
}

fn list(table: &RecordBatch, column: &str, row: usize) -> Vec<i32> {
    let lists = table.column_by_name(column).unwrap().as_fixed_size_list();
    lists.value(row).as_primitive::<Int32Type>().values().to_vec()
}

fn floats(table: &RecordBatch, column: &str, row: usize) -> Vec<f32> {
    let lists = table.column_by_name(column).unwrap().as_fixed_size_list();
    lists.value(row).as_primitive::<Float32Type>().values().to_vec()
}

fn text<'a>(table: &'a RecordBatch, column: &str, row: usize) -> Option<&'a str> {
    let column = table.column_by_name(column).unwrap().as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

#[test]
fn attacks_agree_with_the_reference_candidate_by_candidate() {
    let (rows, scorers) = all_images();
    for (name, expected) in reference().cases {
        let table = run(case(&name), &name, RunShape { threads: 2, batch_rows: 3 }, &rows, &scorers);
        assert_eq!(table.num_rows(), expected.len(), "{name}");
        let number =
            |column: &str, row: usize| table.column_by_name(column).unwrap().as_primitive::<Float64Type>().value(row);
        for (row, expected) in expected.iter().enumerate() {
            let attack = format!("{name}, object {}, target {:?}", expected.object, expected.target);
            let id = format!("galaxy-{}", expected.object);
            assert_eq!(text(&table, "object_id", row), Some(id.as_str()), "{attack}");
            assert_eq!(text(&table, "label_target", row), expected.target.as_deref(), "{attack}");
            assert_eq!(text(&table, "stop_reason", row), Some(expected.stop_reason.as_str()), "{attack}");
            let count = |column: &str| table.column_by_name(column).unwrap().as_primitive::<Int32Type>().value(row);
            assert_eq!(count("iterations"), expected.iterations, "{attack}");
            let queries = table.column_by_name("queries").unwrap().as_primitive::<Int64Type>().value(row);
            assert_eq!(queries, expected.queries, "{attack}");
            let flag = |column: &str| table.column_by_name(column).unwrap().as_boolean().value(row);
            assert_eq!((flag("success"), flag("flipped")), (expected.success, expected.success), "{attack}");
            assert_eq!(list(&table, "pixel_row", row), expected.row, "{attack}");
            assert_eq!(list(&table, "pixel_column", row), expected.column, "{attack}");
            for (found, expected) in floats(&table, "pixel_values", row).iter().zip(&expected.values) {
                assert!((found - expected).abs() < 1e-5, "{attack}: {found} {expected}");
            }
            assert!((number("p_after", row) - expected.p_after).abs() < 1e-5, "{attack}");
        }
    }
}

#[test]
fn attacks_do_not_depend_on_threads_and_batches() {
    let (rows, scorers) = all_images();
    let attack = |shape| run(case("current_to_best"), "attack", shape, &rows, &scorers);
    let expected = attack(RunShape { threads: 1, batch_rows: 7 });
    for (threads, batch_rows) in [(1, 1), (2, 2), (4, 7), (3, 4)] {
        let shape = RunShape { threads, batch_rows };
        assert_eq!(attack(shape), expected, "{shape:?}");
    }
}

#[test]
fn attacks_resume_from_a_snapshot() {
    let (rows, scorers) = all_images();
    for limit in [None, Some(4)] {
        let settings = || OnePixel { limit, images: vec!["y1".into()], ..case("two_pixels") };
        let expected = run(settings(), "attack", ONE_BATCH, &rows, &scorers);
        assert_eq!(expected.num_rows(), limit.unwrap_or(7));
        for cut in [0, 3, 7] {
            let mut first = started(settings(), "attack", 2, rows.schema_ref(), &scorers);
            let mut emitted = first.observe(&rows.slice(0, cut)).unwrap().rows;
            if cut == 7 {
                emitted.extend(first.drain(Instant::now() + Duration::from_millis(5)).unwrap().0.rows);
            }
            let snapshot = first.snapshot().unwrap();
            drop(first);
            let mut second = started(settings(), "attack", 2, rows.schema_ref(), &scorers);
            second.restore(&snapshot).unwrap();
            emitted.extend(second.observe(&rows.slice(cut, 7 - cut)).unwrap().rows);
            emitted.extend(drained(second.as_mut()));
            assert_eq!(table(&emitted), expected, "limit {limit:?}, cut at {cut}");
        }
    }
}

#[test]
fn misclassified_and_unlabelled_objects_get_a_row_with_the_reason() {
    let reference = reference();
    let mut truth: Vec<&str> = reference.classes.iter().map(String::as_str).collect();
    truth[1] = if truth[1] == "merger" { "spiral" } else { "merger" };
    truth[2] = "";
    let (rows, scorers) = scored(rows(&images(), &truth, None));
    let settings = OnePixel { popsize: Some(20), maxiter: Some(0), target: Target::LeastLikely, ..case("paper") };
    let table = run(settings.clone(), "attack", ONE_BATCH, &rows, &scorers);
    let reasons: Vec<_> = (0..7).filter_map(|row| text(&table, "stop_reason", row)).collect();
    assert_eq!((reasons[1], reasons[2]), ("misclassified", "unlabelled"));
    assert!((0..7).all(|row| table.column_by_name("success").unwrap().is_null(row) == [1, 2].contains(&row)));
    let settings = OnePixel { only_correct: false, success_above: Some(0.0), ..settings };
    let all = run(settings, "attack", ONE_BATCH, &rows, &scorers);
    let flags =
        |column: &str| -> Vec<bool> { all.column_by_name(column).unwrap().as_boolean().iter().flatten().collect() };
    assert_eq!(flags("success"), [true; 7]);
    assert_eq!(flags("flipped"), [true, false, false, true, true, true, true]);
}

#[test]
fn latent_after_is_the_latent_of_the_changed_image() {
    let (rows, scorers) = all_images();
    let table = run(case("current_to_best"), "attack", ONE_BATCH, &rows, &scorers);
    let model = scorers["da_y1"].model().unwrap();
    let (before, length) = list_values(&rows, "da_y1_latent").unwrap();
    for row in 0..table.num_rows() {
        let object: usize = text(&table, "object_id", row).unwrap()["galaxy-".len()..].parse().unwrap();
        let mut image = images()[object].clone();
        let place = (8 * list(&table, "pixel_row", row)[0] + list(&table, "pixel_column", row)[0]) as usize;
        for (band, value) in floats(&table, "pixel_values", row).iter().enumerate() {
            image[band * 64 + place] = *value;
        }
        let outputs = model.evaluate(&image).unwrap();
        assert_eq!(outputs.latents, floats(&table, "latent_after", row));
        let distance: f64 = outputs
            .latents
            .iter()
            .zip(&before[object * length..])
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
            .sum::<f64>()
            .sqrt();
        let found = table.column_by_name("latent_dist_l2").unwrap().as_primitive::<Float64Type>().value(row);
        assert!((found - distance).abs() < 1e-12 * distance.max(1.0));
    }
}

/// The images in a column of a monitor's table; `None` where it is null.
fn kept_images(table: &RecordBatch, image: &str) -> Vec<Option<Vec<f32>>> {
    let column = table.column_by_name(image).unwrap().as_fixed_size_list();
    (0..table.num_rows()).map(|row| column.is_valid(row).then(|| floats(table, image, row))).collect()
}

/// For each row, whether it is the first that flips its object.
fn first_flips(table: &RecordBatch) -> Vec<bool> {
    let flipped = table.column_by_name("flipped").unwrap().as_boolean();
    let id = |row: usize| text(table, "object_id", row);
    let before = |row: usize| (0..row).any(|earlier| id(earlier) == id(row) && flipped.value(earlier));
    (0..table.num_rows()).map(|row| flipped.value(row) && !before(row)).collect()
}

#[test]
fn keeps_images_only_in_the_first_row_that_flips_an_object() {
    let (rows, scorers) = all_images();
    let plain = run(case("paper"), "attack", ONE_BATCH, &rows, &scorers);
    let settings = OnePixel { images: vec!["y1".into()], ..case("paper") };
    let kept = run(settings, "attack", ONE_BATCH, &rows, &scorers);
    let found = kept_images(&kept, "y1");
    let first = first_flips(&kept);
    // Of the two attacks on an object, sometimes the first is the first to flip it, sometimes the second, sometimes neither.
    let pairs: Vec<_> = first.chunks(2).map(|rows| (rows[0], rows[1])).collect();
    assert!([(true, false), (false, true), (false, false)].iter().all(|pair| pairs.contains(pair)), "{pairs:?}");
    for (row, found) in found.iter().enumerate() {
        let object: usize = text(&kept, "object_id", row).unwrap()["galaxy-".len()..].parse().unwrap();
        assert_eq!(*found, first[row].then(|| images()[object].clone()), "row {row}");
    }
    let field = kept.schema().field_with_name("y1").unwrap().clone();
    assert!(field.is_nullable());
    assert_eq!(field.with_nullable(false), layout(Unit::Stretched).field("y1"));
    // All other columns are unchanged.
    let without: Vec<usize> = (0..plain.num_columns()).collect();
    assert_eq!(kept.project(&without).unwrap(), plain);
}

#[test]
fn the_state_bound_includes_kept_images() {
    let (rows, scorers) = all_images();
    let bound = |images: &[&str]| {
        let images = images.iter().map(|image| (*image).to_owned()).collect();
        let settings = OnePixel { images, limit: Some(5), ..OnePixel::new("da_y1") };
        started(settings, "attack", 2, rows.schema_ref(), &scorers).state_bound_bytes()
    };
    // 5 sampled objects and a queue of 16 for each of two threads, two targets, 192 floats.
    assert_eq!(bound(&["y1"]) - bound(&[]), (5 + 32) * 2 * 192 * 4);
}

/// All rows of a query on a run.
fn stored(run: &Path, query: &str) -> RecordBatch {
    let rows: Vec<RecordBatch> = Run::open(run).unwrap().query(query).unwrap().map(Result::unwrap).collect();
    concat_batches(&rows[0].schema(), &rows).unwrap()
}

#[test]
fn a_run_keeps_images_bit_for_bit_with_their_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, images: &str| {
        let document = format!(
            "{{ seed: 5, source: {{ simulated: {{ count: 12 }} }},
              transform: {{
                y10_sky: {{ observe: {{ image: image, survey: lsst, years: 10 }} }},
                y1_sky: {{ observe: {{ image: image, survey: lsst, years: 1 }} }},
                y10: {{ asinh_stretch: {{ image: y10_sky, constants: {{ model: models/convnet-da.onnx, domain: y10 }} }} }},
                y1: {{ asinh_stretch: {{ image: y1_sky, constants: {{ model: models/convnet-da.onnx, domain: y1 }} }} }} }},
              score: {{
                da: {{ onnx: {{ model: models/convnet-da.onnx, image: y10 }} }},
                noisy: {{ onnx: {{ model: models/convnet-da.onnx, image: y1 }} }} }},
              monitor: {{
                easy: {{ one_pixel: {{ score: da, popsize: 6, maxiter: 0, success_above: 0, images: [y1, y10_sky, y10] }} }},
                hard: {{ one_pixel: {{ score: da, popsize: 6, maxiter: 0, limit: 3, images: [y10] }} }},
                window: {{ church_window: {{ score: da, across: easy, up: noisy, step: 0.1 }} }} }},
              sink: {{ objects: {{ parquet: {{ images: {images} }} }} }} }}"
        );
        let run = folder.path().join(name);
        Pipeline::from_yaml(document).run(&run).unwrap();
        run
    };
    let with_images = run("with_images", "[y10, y1, y10_sky]");
    let easy = stored(&with_images, "select * from easy");
    let objects = stored(&with_images, "select object_id, y10, y1, y10_sky from objects");
    let first = first_flips(&easy);
    assert!(first.iter().filter(|first| **first).count() >= 6, "{first:?}");
    for image in ["y10", "y1", "y10_sky"] {
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        for (row, found) in kept_images(&easy, image).into_iter().enumerate() {
            let id = text(&easy, "object_id", row);
            let object = (0..objects.num_rows()).find(|object| text(&objects, "object_id", *object) == id).unwrap();
            let expected = first[row].then(|| floats(&objects, image, object));
            assert_eq!(found.map(bits), expected.map(bits), "{image}, row {row}");
        }
        let field = |table: &RecordBatch| table.schema().field_with_name(image).unwrap().clone().with_nullable(true);
        assert_eq!(field(&easy), field(&objects));
        assert!(ImageLayout::of(&field(&easy)).is_some());
    }
    // The planner keeps the columns for the monitor even if no sink keeps them.
    let lean = run("lean", "[]");
    for table in ["easy", "hard", "window"] {
        let query = format!("select * from {table}");
        assert_eq!(stored(&lean, &query), stored(&with_images, &query), "{table}");
    }
}

#[test]
fn adds_electrons_to_one_band_before_clip_and_stretch() {
    let sky: Vec<f32> = (0..7 * 192).map(|i| ((i * 7919) % 3001) as f32 - 400.0).collect();
    let mut stretched = vec![0.0; sky.len()];
    let asinh = Asinh::new(STRETCH.lo, STRETCH.hi).unwrap();
    asinh.apply(1.0, &sky, &mut stretched);
    let images: Vec<Vec<f32>> = stretched.chunks(192).map(<[f32]>::to_vec).collect();
    let (rows, scorers) = scored(rows(&images, &["spiral"; 7], Some(&sky)));
    let electrons = Electrons { image: "y1_sky".into(), low: -500.0, high: 4000.0, add_to: AddTo::OneBand };
    let settings = OnePixel {
        values: Values::Electrons(electrons),
        popsize: Some(30),
        maxiter: Some(5),
        only_correct: false,
        ..OnePixel::new("da_y1")
    };
    let table = run(settings, "attack", RunShape { threads: 2, batch_rows: 3 }, &rows, &scorers);
    assert_eq!(table.num_rows(), 14);
    for row in 0..14 {
        let object = row / 2;
        let place = (8 * list(&table, "pixel_row", row)[0] + list(&table, "pixel_column", row)[0]) as usize;
        let electrons = floats(&table, "pixel_electrons", row);
        assert_eq!(electrons.iter().filter(|added| **added != 0.0).count(), 1, "{electrons:?}");
        for (band, value) in floats(&table, "pixel_values", row).iter().enumerate() {
            let index = object * 192 + band * 64 + place;
            let mut expected = [0.0];
            asinh.apply(1.0, &[sky[index] + electrons[band]], &mut expected);
            assert_eq!(*value, expected[0]);
        }
    }
}

/// The first packets of `pipelines/alerts`, `[difference, science, template]` in nJy, scored by the network beside them.
fn alerts(count: usize) -> (RecordBatch, Scorers) {
    let packets = Packets {
        schemas: Some("pipelines/alerts/schemas".into()),
        label: Some("truth".into()),
        size: Some(51),
        nan: Policy::Fill,
        images: [("stamps".to_owned(), BANDS.map(str::to_owned).to_vec())].into(),
        ..Packets::of(Survey::Lsst)
    };
    let paths = (0..count).map(|number| format!("pipelines/alerts/messages/{number:04}.avro")).collect();
    let stream = Pipeline::builder().source(Alerts { paths, packets }).build().stream().unwrap();
    let batches: Vec<RecordBatch> = stream.map(Result::unwrap).collect();
    let rows = concat_batches(batches[0].schema_ref(), &batches).unwrap();
    let mut scorer =
        OnnxScorer::new("rb", Onnx { device: Device::Cpu, ..Onnx::new("pipelines/alerts/real_bogus.onnx", "stamps") });
    scorer.bind(rows.schema_ref()).unwrap();
    scorer.start(&RunContext { seed: 1, threads: 2, batch_rows: 32, ..RunContext::default() }).unwrap();
    let scored = scorer.score(rows, &mut Rejects::default()).unwrap();
    (scored, Scorers::from([("rb".to_owned(), Arc::new(scorer) as Arc<dyn Scorer>)]))
}

const BANDS: [&str; 3] = ["difference", "science", "template"];

fn flux() -> Values {
    Values::Flux(AddedFlux { bands: vec!["science".into(), "difference".into()], low_njy: -500.0, high_njy: 8000.0 })
}

/// A stamp with a flux in one pixel of difference and science.
fn with_flux(image: &[f32], place: usize, flux: f32) -> Vec<f32> {
    let mut image = image.to_vec();
    image[place] += flux;
    image[51 * 51 + place] += flux;
    image
}

/// The probability of the class `real`, as the sigmoid of the model's margin.
fn real(logits: &[f32]) -> f64 {
    1.0 / (1.0 + f64::from(logits[0] - logits[1]).exp())
}

#[test]
fn a_flux_reaches_the_science_stamp_and_its_difference_and_the_template_stays() {
    const COUNT: usize = 6;
    let (rows, scorers) = alerts(COUNT);
    let model = scorers["rb"].model().unwrap();
    let (stamps, length) = list_values(&rows, "stamps").unwrap();
    let settings = OnePixel {
        truth: "rb_class".into(),
        values: flux(),
        popsize: Some(40),
        maxiter: Some(6),
        screening: Some(Screening { stride: 6, keep: 6 }),
        ..OnePixel::new("rb")
    };
    let attacked = run(settings.clone(), "ray", RunShape { threads: 2, batch_rows: 4 }, &rows, &scorers);
    assert_eq!(attacked, run(settings, "ray", RunShape { threads: 1, batch_rows: 7 }, &rows, &scorers));
    assert_eq!(attacked.num_rows(), COUNT);
    let number = |column: &str, row: usize| attacked[column].as_primitive::<Float64Type>().value(row);
    let mut moved = 0;
    for row in 0..COUNT {
        let id = text(&attacked, "object_id", row);
        let object = (0..COUNT).find(|object| text(&rows, "object_id", *object) == id).unwrap();
        let image = &stamps[object * length..(object + 1) * length];
        // Candidates are evaluated incrementally, the best one on the complete image too.
        assert!(model.pixel_evaluator(image).unwrap().is_incremental());
        let place = (51 * list(&attacked, "pixel_row", row)[0] + list(&attacked, "pixel_column", row)[0]) as usize;
        let added = floats(&attacked, "pixel_flux_njy", row);
        assert!(added[0] == added[1] && added[2] == 0.0 && (-500.0..=8000.0).contains(&added[0]), "{added:?}");
        let changed = with_flux(image, place, added[0]);
        let expected = [0, 1, 2].map(|band| changed[band * 51 * 51 + place]);
        assert_eq!(floats(&attacked, "pixel_values", row), expected);
        assert_eq!(expected[2].to_bits(), image[2 * 51 * 51 + place].to_bits());
        let of = |image: &[f32]| real(&model.evaluate(image).unwrap().logits);
        let is_real = text(&attacked, "label_pred", row) == Some("real");
        let of_target = |p: f64| if is_real { 1.0 - p } else { p };
        assert!((number("p_before", row) - of_target(of(image))).abs() < 1e-6);
        assert!((number("p_after", row) - of_target(of(&changed))).abs() < 1e-6);
        let success = attacked["success"].as_boolean().value(row);
        assert_eq!(success, number("p_after", row) > 0.5);
        assert_eq!(attacked["flipped"].as_boolean().value(row), success, "the truth is what the network says");
        moved += usize::from(success);
    }
    assert!(moved > 0);
    let map = PixelMap {
        truth: "rb_class".into(),
        values: flux(),
        levels: Some(vec![-500.0, 3000.0, 8000.0]),
        ..PixelMap::new("rb", 2)
    };
    let map = run(map, "map", ONE_BATCH, &rows, &scorers);
    for row in 0..2 {
        let id = text(&map, "object_id", row);
        let object = (0..COUNT).find(|object| text(&rows, "object_id", *object) == id).unwrap();
        let image = &stamps[object * length..(object + 1) * length];
        let before = real(&model.evaluate(image).unwrap().logits);
        let of_class = |p: f64| if before > 0.5 { p } else { 1.0 - p };
        let drops = floats(&map, "drop", row);
        for place in (0..51 * 51).step_by(17) {
            let drop = [-500.0, 3000.0, 8000.0].map(|flux| {
                of_class(before) - of_class(real(&model.evaluate(&with_flux(image, place, flux)).unwrap().logits))
            });
            let expected = drop.into_iter().fold(f64::NEG_INFINITY, f64::max);
            assert!((f64::from(drops[place]) - expected).abs() < 1e-4, "{id:?} {place}: {} {expected}", drops[place]);
        }
        assert_eq!(map["candidates"].as_primitive::<Int64Type>().value(row), 51 * 51 * 3);
    }
}

#[test]
fn a_track_leaves_the_same_flux_in_a_line_of_pixels() {
    const COUNT: usize = 4;
    let (rows, scorers) = alerts(COUNT);
    let model = scorers["rb"].model().unwrap();
    let (stamps, length) = list_values(&rows, "stamps").unwrap();
    let settings = OnePixel {
        truth: "rb_class".into(),
        pixels: 5,
        arrangement: Arrangement::Track,
        values: flux(),
        popsize: Some(40),
        maxiter: Some(4),
        screening: Some(Screening { stride: 10, keep: 5 }),
        success_above: Some(0.9),
        ..OnePixel::new("rb")
    };
    let attacked = run(settings.clone(), "track", RunShape { threads: 2, batch_rows: 3 }, &rows, &scorers);
    assert_eq!(attacked, run(settings, "track", RunShape { threads: 1, batch_rows: 7 }, &rows, &scorers));
    for row in 0..COUNT {
        let id = text(&attacked, "object_id", row);
        let object = (0..COUNT).find(|object| text(&rows, "object_id", *object) == id).unwrap();
        let (ys, xs) = (list(&attacked, "pixel_row", row), list(&attacked, "pixel_column", row));
        let added = floats(&attacked, "pixel_flux_njy", row);
        let middle = added[6];
        let mut changed = stamps[object * length..(object + 1) * length].to_vec();
        for (pixel, added) in added.chunks(3).enumerate() {
            assert!(added[0] == added[1] && added[2] == 0.0 && (added[0] == middle || added[0] == 0.0), "{added:?}");
            changed = with_flux(&changed, (51 * ys[pixel] + xs[pixel]) as usize, added[0]);
        }
        assert!(ys.iter().zip(&xs).all(|(y, x)| (y - ys[2]).abs().max((x - xs[2]).abs()) <= 2));
        let after = real(&model.evaluate(&changed).unwrap().logits);
        let after = if text(&attacked, "label_pred", row) == Some("real") { 1.0 - after } else { after };
        let found = attacked["p_after"].as_primitive::<Float64Type>().value(row);
        assert!((found - after).abs() < 1e-6, "{found} {after}");
    }
    let built = OnePixel { arrangement: Arrangement::Track, ..OnePixel::new("rb") }.build("track");
    assert_eq!(built.err().unwrap()[0].message, "a track of one pixel does not have a direction");
}

#[test]
fn a_flux_fits_only_unstretched_images_in_nanojansky_with_these_bands() {
    let mistake = |values: Values, score: &str, rows: &RecordBatch| {
        let built = OnePixel { values, ..OnePixel::new(score) }.build("attack");
        let bound = built.and_then(|mut monitor| monitor.bind(rows.schema_ref(), &UpstreamSchemas::new()));
        let mistakes = bound.expect_err("a mistake");
        (mistakes[0].path.join("."), mistakes[0].message.clone())
    };
    let of = |bands: &[&str]| {
        Values::Flux(AddedFlux {
            bands: bands.iter().map(|band| (*band).to_owned()).collect(),
            low_njy: 0.0,
            high_njy: 9.0,
        })
    };
    let (stretched, _) = all_images();
    let (path, message) = mistake(of(&["g"]), "da_y1", &stretched);
    assert_eq!(path, "values.flux");
    assert_eq!(message, "`values.flux` adds nJy to the scored image, which is in the unit `stretched`, expected `nJy`");
    let (alerts, _) = alerts(1);
    let (path, message) = mistake(of(&["science", "diff"]), "rb", &alerts);
    assert_eq!((path.as_str(), message.as_str()), ("values.flux.bands", "the image does not have the band `diff`"));
    assert_eq!(mistake(of(&[]), "rb", &alerts).1, "`bands` is empty, expected the bands that the flux is added to");
    assert_eq!(mistake(of(&["science", "science"]), "rb", &alerts).1, "`bands` names `science` twice");
}

#[test]
fn maps_the_largest_drop_of_every_pixel_and_counts_flips() {
    let (rows, scorers) = all_images();
    let settings = PixelMap { values: values(-6.0, 7.0), ..PixelMap::new("da_y1", 3) };
    let table = run(settings.clone(), "map", RunShape { threads: 2, batch_rows: 2 }, &rows, &scorers);
    assert_eq!(table, run(settings, "map", RunShape { threads: 1, batch_rows: 7 }, &rows, &scorers));
    assert_eq!(table.num_rows(), 3);
    let model = scorers["da_y1"].model().unwrap();
    let softmax = |logits: &[f32]| -> Vec<f64> {
        let powers: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
        powers.iter().map(|power| power / powers.iter().sum::<f64>()).collect()
    };
    for row in 0..3 {
        let object: usize = text(&table, "object_id", row).unwrap()["galaxy-".len()..].parse().unwrap();
        let image = &images()[object];
        let p = softmax(&model.evaluate(image).unwrap().logits);
        let class = (0..3).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap();
        let (mut flipping, mut drops) = (0, Vec::new());
        for place in 0..64 {
            let (mut drop, mut flips) = (f64::NEG_INFINITY, false);
            for corner in 0..8 {
                let mut image = image.clone();
                for band in 0..3 {
                    image[band * 64 + place] = if corner >> band & 1 == 0 { -6.0 } else { 7.0 };
                }
                let after = softmax(&model.evaluate(&image).unwrap().logits);
                drop = drop.max(p[class] - after[class]);
                flips |= (0..3).any(|other| after[other] > after[class]);
            }
            flipping += i32::from(flips);
            drops.push(drop);
        }
        for (found, expected) in floats(&table, "drop", row).iter().zip(&drops) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
        let found = table.column_by_name("flipping_pixels").unwrap().as_primitive::<Int32Type>().value(row);
        assert_eq!(found, flipping);
        assert_eq!(table.column_by_name("flips").unwrap().as_boolean().value(row), flipping > 0);
        assert_eq!(table.column_by_name("candidates").unwrap().as_primitive::<Int64Type>().value(row), 512);
    }
}

#[test]
fn a_screened_attack_starts_at_the_pixel_with_the_strongest_response() {
    let (rows, scorers) = all_images();
    let settings = OnePixel {
        popsize: Some(8),
        maxiter: Some(0),
        target: Target::Untargeted,
        screening: Some(Screening { stride: 1, keep: 1 }),
        ..case("paper")
    };
    let table = run(settings, "attack", ONE_BATCH, &rows, &scorers);
    let model = scorers["da_y1"].model().unwrap();
    let probability = |logits: &[f32], class: usize| {
        let odds = |other: usize| f64::from(logits[other] - logits[class]).exp();
        1.0 / (0..3).map(odds).sum::<f64>()
    };
    for row in 0..7 {
        let image = &images()[row];
        let before = model.evaluate(image).unwrap().logits;
        let class = (0..3).max_by(|a, b| before[*a].total_cmp(&before[*b])).unwrap();
        let response = |place: usize| {
            let tried = [-6.0, 7.0].map(|value| {
                let mut image = image.clone();
                (0..3).for_each(|band| image[band * 64 + place] = value);
                probability(&model.evaluate(&image).unwrap().logits, class)
            });
            tried[0].min(tried[1])
        };
        let strongest = (0..64).min_by(|a, b| response(*a).total_cmp(&response(*b))).unwrap();
        let place = 8 * list(&table, "pixel_row", row)[0] + list(&table, "pixel_column", row)[0];
        assert_eq!(place as usize, strongest);
        let count = |column: &str| table.column_by_name(column).unwrap().as_primitive::<Int64Type>().value(row);
        assert_eq!((count("screening_queries"), count("queries")), (128, 136));
    }
}

#[test]
fn rejects_impossible_attacks_before_the_run() {
    let (rows, _) = all_images();
    let code = |settings: OnePixel| {
        let built =
            settings.build("attack").and_then(|mut monitor| monitor.bind(rows.schema_ref(), &UpstreamSchemas::new()));
        built.unwrap_err().into_iter().map(|mistake| (mistake.code, mistake.path.join("."))).collect::<Vec<_>>()
    };
    let of = || OnePixel::new("da_y1");
    let cases = [
        (OnePixel { pixels: 65, ..of() }, Code::OutOfRange, "pixels"),
        (OnePixel { values: values(0.9, 1.0), ..of() }, Code::OutOfRange, "values.stretched"),
        (OnePixel { values: values(0.5, 0.5), ..of() }, Code::OutOfRange, "values.stretched"),
        (OnePixel { target: Target::Class("star".into()), ..of() }, Code::OutOfRange, "target.class"),
        (OnePixel { mutation: Some(Range::Between([0.9, 0.2])), ..of() }, Code::OutOfRange, "mutation"),
        (OnePixel { popsize: Some(3), ..of() }, Code::OutOfRange, "popsize"),
        (OnePixel { truth: "y1".into(), ..of() }, Code::WrongColumn, "truth"),
        (OnePixel { images: vec!["y10".into()], ..of() }, Code::UnknownColumn, "images"),
        (OnePixel { images: vec!["da_y1_latent".into()], ..of() }, Code::WrongColumn, "images"),
        (OnePixel { images: vec!["y1".into(), "y1".into()], ..of() }, Code::Conflict, "images"),
    ];
    for (settings, expected, path) in cases {
        assert_eq!(code(settings.clone()), [(expected, path.to_owned())], "{settings:?}");
    }
}
