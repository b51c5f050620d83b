//! Every `tests/queries/*.sql` beside its exact answer: a file dropped in is a test. The first line may say a format,
//! `-- format: csv`. With `LUCARNE_BLESS=1` the answers are written instead of compared.
//!
//! The run that is asked has the table `objects` (two parts, the second still in staging), an empty table `rejects`, and
//! a table `Y1_drift` with a capital.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, RecordBatch, StringArray, UInt32Array,
    },
    datatypes::{DataType, Field, Float32Type, Float64Type, Int32Type, Schema, SchemaRef},
};
use lucarne::{
    batch::{ImageLayout, Unit, list_column, list_type},
    query::{Format, QueryError, Run},
    run::{CommitRecord, TablePart},
    table::{TableWriter, WriteOptions},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn layout() -> ImageLayout {
    ImageLayout::new(["g", "r", "i"], 4, 5, Unit::NanoJansky).with_pixel_scale(0.2)
}

fn objects_schema() -> SchemaRef {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("object_id", DataType::Utf8, false),
        Field::new("label", DataType::Utf8, true),
        Field::new("mag", DataType::Float64, true),
        Field::new("da_class", dictionary, false),
        Field::new("da_probability", list_type(3), false),
        Field::new("da_latent", list_type(20), false),
        Field::new("other_latent", list_type(20), false),
        layout().field("image"),
    ]))
}

/// Rows `from..to`: texts and magnitudes of six, over and over.
fn objects(from: usize, to: usize) -> RecordBatch {
    let rows = from..to;
    let label = [Some("spiral"), Some("elliptical"), Some("merger"), None, Some("spiral"), Some("merger")];
    let class = ["spiral", "elliptical", "spiral", "merger", "spiral", "merger"];
    let mag = [Some(17.5), Some(18.25), None, Some(19.0), Some(20.5), Some(16.0)];
    let probability: [[f32; 3]; 6] =
        [[0.75, 0.125, 0.125], [0.25, 0.5, 0.25], [0.5, 0.0, 0.5], [0.0, 0.25, 0.75], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
    // Latents differ by `row` in 16 of the 20 numbers: their distance is 4 row.
    let latent = |row: usize, other: usize| (0..20).map(move |i| (i + if i < 16 { row * other } else { 0 }) as f32);
    let of = |row: usize| row % 6;
    let list = |values: Vec<f32>, length| list_column(values, length).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("galaxy-{row}")))),
        Arc::new(rows.clone().map(|row| label[of(row)]).collect::<StringArray>()),
        Arc::new(rows.clone().map(|row| mag[of(row)]).collect::<Float64Array>()),
        Arc::new(rows.clone().map(|row| class[of(row)]).collect::<DictionaryArray<Int32Type>>()),
        list(rows.clone().flat_map(|row| probability[of(row)]).collect(), 3),
        list(rows.clone().flat_map(|row| latent(row, 0)).collect(), 20),
        list(rows.clone().flat_map(|row| latent(row, 1)).collect(), 20),
        list(rows.flat_map(|row| (0..60).map(move |i| (row * 100 + i) as f32)).collect(), 60),
    ];
    RecordBatch::try_new(objects_schema(), columns).unwrap()
}

/// Writes a table in parts; the last one stays in staging, if asked.
fn write(run: &Path, table: &str, schema: SchemaRef, parts: &[RecordBatch], leave_last: bool) -> Vec<TablePart> {
    write_with(run, table, schema, parts, leave_last, WriteOptions::default())
}

fn write_with(
    run: &Path,
    table: &str,
    schema: SchemaRef,
    parts: &[RecordBatch],
    leave_last: bool,
    options: WriteOptions,
) -> Vec<TablePart> {
    let (staging, folder) = (run.join("_staging").join(table), run.join(table));
    fs::create_dir_all(&folder).unwrap();
    let mut writer = TableWriter::new(schema, &staging, &folder, options).unwrap();
    let mut all = Vec::new();
    for batch in parts {
        writer.write(batch).unwrap();
        all.extend(writer.prepare().unwrap());
    }
    all.extend(writer.prepare().unwrap());
    let moved = all.len() - usize::from(leave_last);
    for part in &all[..moved] {
        fs::rename(staging.join(&part.file), folder.join(&part.file)).unwrap();
    }
    all
}

fn run_directory() -> tempfile::TempDir {
    // A name with all that a path in a URL or a glob would take amiss.
    let run = tempfile::Builder::new().prefix("a run [1]%20*#").tempdir().unwrap();
    fill(run.path(), "mmd", &[0.25, 0.5]);
    run
}

/// Makes a folder a run whose table `Y1_drift` has one column, of this name and these numbers.
fn fill(run: &Path, statistic: &str, drift: &[f64]) {
    let text = Arc::new(Schema::new(vec![Field::new("reason", DataType::Utf8, false)]));
    let drift_schema = Arc::new(Schema::new(vec![Field::new(statistic, DataType::Float64, false)]));
    let numbers: ArrayRef = Arc::new(Float64Array::from(drift.to_vec()));
    let drift_rows = RecordBatch::try_new(drift_schema.clone(), vec![numbers]).unwrap();
    let tables = serde_json::json!({
        "objects": write(run, "objects", objects_schema(), &[objects(0, 4), objects(4, 6)], true),
        "rejects": write(run, "rejects", text, &[], false),
        "Y1_drift": write(run, "Y1_drift", drift_schema, &[drift_rows], false),
    });
    fs::create_dir(run.join("_commits")).unwrap();
    commit(run, serde_json::json!(tables));
    // What no record names does not exist.
    fs::write(run.join("objects/part-00000009.parquet"), "left over").unwrap();
}

fn answer(run: &Run, sql: &str) -> String {
    let format = match sql.lines().next().and_then(|line| line.strip_prefix("-- format: ")) {
        None => Format::Table,
        Some("csv") => Format::Csv,
        Some("json") => Format::Json,
        Some(other) => panic!("no format `{other}`"),
    };
    let mut out = Vec::new();
    let result = run.write(sql, format, &mut out);
    let mut text = String::from_utf8(out).unwrap();
    if let Err(error) = result {
        assert!(matches!(error, QueryError::Sql(_)), "{error}");
        text += &format!("error: {error}\n");
    }
    text
}

#[test]
fn every_query_of_the_folder_gets_the_answer_beside_it() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir("tests/queries").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let found = answer(&run, &fs::read_to_string(&file).unwrap());
        let beside = file.with_extension("txt");
        if std::env::var_os("LUCARNE_BLESS").is_some() {
            fs::write(&beside, &found).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}:\n--- expected\n{expected}--- found\n{found}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_parquet_answer_keeps_the_unit_and_the_shape_of_an_image() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    let sql =
        "select image as cutout, da_class from objects where mag > 17 union all select image, da_class from objects";
    let mut out = Vec::new();
    run.write(sql, Format::Parquet, &mut out).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), out).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file.path()).unwrap()).unwrap();
    let layout_kept = ImageLayout::of(reader.schema().field_with_name("cutout").unwrap());
    assert_eq!(layout_kept, Some(layout()));
    let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4 + 6);
}

#[test]
fn a_run_can_be_pulled_batch_by_batch_in_the_order_of_its_rows() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    assert_eq!(run.tables(), ["Y1_drift", "objects", "rejects"]);
    let rows = run.query("select object_id, da_latent from objects").unwrap();
    assert_eq!(*rows.schema().field(1).data_type(), list_type(20));
    let batches: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
    let schema = batches[0].schema();
    let all = arrow::compute::concat_batches(&schema, &batches).unwrap();
    let names: Vec<&str> = arrow::array::AsArray::as_string::<i32>(&all["object_id"]).iter().flatten().collect();
    assert_eq!(names, (0..6).map(|row| format!("galaxy-{row}")).collect::<Vec<_>>());
    let latents = arrow::array::AsArray::as_fixed_size_list(&all["da_latent"]).values().clone();
    assert_eq!(arrow::array::AsArray::as_primitive::<Float32Type>(&latents).value(119), 19.0);
}

#[test]
fn nothing_that_a_query_does_changes_the_run_or_writes_a_file() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    let target = folder.path().join("stolen.csv");
    let target = target.display();
    let refused = [
        format!("copy objects to '{target}'"),
        format!("copy (select 1) to '{target}' stored as csv"),
        "create table t as select 1".into(),
        "create view v as select 1".into(),
        format!("create external table t stored as csv location '{target}'"),
        "insert into objects select * from objects".into(),
        "insert into rejects values ('x')".into(),
        "delete from objects".into(),
        "update objects set mag = 0".into(),
        "drop table objects".into(),
        "truncate table objects".into(),
        "set datafusion.execution.batch_size = 1".into(),
        "create function f() returns int return 1".into(),
        "explain analyze insert into objects select * from objects".into(),
        "prepare p as select 1".into(),
        "begin".into(),
        "select * from '/etc/passwd'".into(),
    ];
    for sql in refused {
        assert!(matches!(run.query(&sql).map(|_| ()), Err(QueryError::Sql(_))), "{sql}");
    }
    assert!(!folder.path().join("stolen.csv").exists());
    assert_eq!(run.query("select * from objects").unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 6);
}

#[test]
fn a_folder_of_runs_is_asked_as_one() {
    let folder = tempfile::tempdir().unwrap();
    for (name, drift) in [("seed 2", [1.0, 2.0]), ("seed-1", [3.0, 4.0])] {
        let run = folder.path().join(name);
        fs::create_dir(&run).unwrap();
        fill(&run, "mmd", &drift);
    }
    fs::create_dir(folder.path().join("no run")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no run either").unwrap();
    let runs = Run::open(folder.path()).unwrap();
    assert_eq!(
        answer(&runs, "-- format: csv\nselect * from \"Y1_drift\""),
        "mmd,run\n1.0,seed 2\n2.0,seed 2\n3.0,seed-1\n4.0,seed-1\n"
    );
    let by_run = "-- format: csv\nselect run, count(*) as n, max(mag) as faintest from objects where run <> 'seed 2' group by run";
    assert_eq!(answer(&runs, by_run), "run,n,faintest\nseed-1,6,20.5\n");
    assert_eq!(answer(&runs, "-- format: csv\nselect count(*) as n from rejects"), "n\n0\n");
}

/// All rows of an answer.
fn rows(run: &Run, sql: &str) -> RecordBatch {
    let rows = run.query(sql).unwrap();
    let schema = rows.schema();
    let batches: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

/// Makes parts the tables of a run.
fn commit(run: &Path, tables: serde_json::Value) {
    let tables = serde_json::from_value(tables).unwrap();
    CommitRecord { checkpoint: true, tables, ..CommitRecord::default() }.write(run).unwrap();
}

/// A run whose table `objects` has so many rows, in three parts of several row groups.
fn fill_with_many(run: &Path, count: usize) {
    fs::create_dir_all(run.join("_commits")).unwrap();
    let cuts = [0, count / 3, count / 2, count];
    let parts: Vec<RecordBatch> = cuts.windows(2).map(|cut| objects(cut[0], cut[1])).collect();
    let options = WriteOptions { row_group_bytes: 1 << 19, ..WriteOptions::default() };
    let parts = write_with(run, "objects", objects_schema(), &parts, true, options);
    commit(run, serde_json::json!({ "objects": parts }));
}

const CONDITIONS: [&str; 18] = [
    "object_id = 'galaxy-4321'",
    "object_id in ('galaxy-5999', 'galaxy-7', 'galaxy-3000', 'galaxy-8')",
    "object_id like 'galaxy-%99'",
    "object_id = 'galaxy-none'",
    "da_class = 'merger' and object_id > 'galaxy-5990'",
    "da_class <> 'merger'",
    "label = 'merger'",
    "label <> 'merger'",
    "label is null",
    "label is distinct from 'merger'",
    "not (mag > 18)",
    "mag is null or mag > 20",
    "coalesce(mag, 0) = 0 and label = 'merger'",
    "mag > 1e9",
    "l2_distance(da_latent, other_latent) between 3000 and 3100",
    "l2_distance(da_latent, other_latent) > 23000 and mag > 17",
    "array_argmax(da_probability) = 3 and object_id < 'galaxy-2'",
    "image[1] = 4200 or object_id = 'galaxy-1'",
];

#[test]
fn a_filter_takes_the_rows_of_which_it_holds_in_their_order_however_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fill_with_many(folder.path(), 6000);
    let run = Run::open(folder.path()).unwrap();
    let all = rows(&run, "select * from objects");
    for condition in CONDITIONS {
        // Said of every row, a condition is no filter.
        let holds = rows(&run, &format!("select ({condition}) as holds from objects"));
        let expected = arrow::compute::filter_record_batch(&all, holds["holds"].as_boolean()).unwrap();
        assert_eq!(rows(&run, &format!("select * from objects where {condition}")), expected, "{condition}");
        let first = expected.slice(0, expected.num_rows().min(3));
        assert_eq!(rows(&run, &format!("select * from objects where {condition} limit 3")), first, "{condition}");
        let later = expected.slice(expected.num_rows().min(2), expected.num_rows().saturating_sub(2).min(1));
        let found = rows(&run, &format!("select * from objects where {condition} limit 1 offset 2"));
        assert_eq!(found, later, "{condition}");
        let images = rows(&run, &format!("select image from objects where {condition}"));
        assert_eq!(images["image"].to_data(), expected["image"].to_data(), "{condition}");
        let counted = rows(&run, &format!("select count(*)::double as n from objects where {condition}"));
        assert_eq!(counted["n"].as_primitive::<Float64Type>().value(0), expected.num_rows() as f64, "{condition}");
    }
}

#[test]
fn a_filter_of_several_runs_takes_the_same_rows_of_each() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("seed 2", 700), ("seed-1", 6000)] {
        fill_with_many(&folder.path().join(name), count);
    }
    let runs = Run::open(folder.path()).unwrap();
    let all = rows(&runs, "select * from objects");
    assert_eq!(all.num_rows(), 6700);
    let of_runs = [
        "run = 'seed 2'",
        "run <> 'seed 2' and object_id = 'galaxy-42'",
        "run = 'seed 2' or mag > 20",
        "run = 'seed 2' or l2_distance(da_latent, other_latent) > 23900",
        "case when run = 'seed 2' then label = 'merger' else label is null end",
        "run || object_id = 'seed-1galaxy-42'",
        "run = 'no run'",
        "run is null",
    ];
    for condition in CONDITIONS.into_iter().chain(of_runs) {
        let holds = rows(&runs, &format!("select ({condition}) as holds from objects"));
        let expected = arrow::compute::filter_record_batch(&all, holds["holds"].as_boolean()).unwrap();
        assert_eq!(rows(&runs, &format!("select * from objects where {condition}")), expected, "{condition}");
        let first = expected.slice(0, expected.num_rows().min(3));
        assert_eq!(rows(&runs, &format!("select * from objects where {condition} limit 3")), first, "{condition}");
    }
}

/// What a query does, by the physical plan.
fn physical_plan(run: &Run, sql: &str) -> String {
    let plan = rows(run, &format!("explain {sql}"));
    let kinds = plan["plan_type"].as_string::<i32>().iter();
    let physical = kinds.flatten().position(|kind| kind == "physical_plan").unwrap();
    plan["plan"].as_string::<i32>().value(physical).to_owned()
}

#[test]
fn what_a_filter_says_of_numbers_and_texts_is_asked_before_images_are_read() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    for condition in ["object_id = 'galaxy-3'", "da_class = 'merger'", "mag > 17 and label is not null"] {
        let plan = physical_plan(&run, &format!("select image from objects where {condition}"));
        let scan = plan.lines().find(|line| line.contains("DataSourceExec")).unwrap();
        assert!(scan.contains("predicate="), "{plan}");
        // Nothing is left to be asked of rows that were read.
        assert!(!plan.contains("FilterExec"), "{plan}");
    }
    // A function of lists is asked of rows as they come, of those alone of which the rest holds.
    let condition = "l2_distance(da_latent, other_latent) > 3 and mag > 17";
    let plan = physical_plan(&run, &format!("select image from objects where {condition}"));
    let line = |kind: &str| plan.lines().find(|line| line.contains(kind)).unwrap().to_owned();
    assert!(line("FilterExec").contains("l2_distance") && !line("FilterExec").contains("mag@"), "{plan}");
    assert!(line("DataSourceExec").contains("predicate=mag"), "{plan}");
}

#[test]
fn of_one_object_the_images_near_it_are_read_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("_commits")).unwrap();
    // One row group; its images are noise, five pages of 1 MiB.
    let smooth = objects(0, 20_000);
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from_bits(0x3f80_0000 | (state >> 41) as u32)
    };
    let mut columns = smooth.columns().to_vec();
    columns[7] = list_column((0..20_000 * 60).map(|_| noise()).collect(), 60).unwrap();
    let noisy = RecordBatch::try_new(objects_schema(), columns).unwrap();
    let parts = write(folder.path(), "objects", objects_schema(), &[noisy], false);
    commit(folder.path(), serde_json::json!({ "objects": parts }));
    let run = Run::open(folder.path()).unwrap();
    let bytes = |sql: &str| {
        let plan = rows(&run, &format!("explain analyze {sql}"));
        let text = plan["plan"].as_string::<i32>().iter().flatten().collect::<String>();
        let (_, rest) = text.split_once("bytes_scanned=").unwrap();
        let mut words = rest[..rest.find(',').unwrap()].split(' ');
        let number: f64 = words.next().unwrap().parse().unwrap();
        number * words.next().map_or(1.0, |unit| if unit == "K" { 1e3 } else { 1e6 })
    };
    let whole = bytes("select image from objects");
    let one = bytes("select image from objects where object_id = 'galaxy-4200'");
    assert!(one < whole / 3.0, "{one} of {whole}");
}

#[test]
fn runs_with_other_columns_are_not_asked_as_one() {
    let folder = tempfile::tempdir().unwrap();
    for (name, statistic) in [("a", "mmd"), ("b", "energy")] {
        let run = folder.path().join(name);
        fs::create_dir(&run).unwrap();
        fill(&run, statistic, &[1.0]);
    }
    let told = Run::open(folder.path()).err().unwrap().to_string();
    assert!(told.contains("the table `Y1_drift` is not the same in all runs"), "{told}");
    assert!(told.contains("a` has `mmd` Float64") && told.contains("b` has `energy` Float64"), "{told}");
    let named = tempfile::tempdir().unwrap();
    let run = named.path().join("a");
    fs::create_dir(&run).unwrap();
    fill(&run, "run", &[1.0]);
    let told = Run::open(named.path()).err().unwrap().to_string();
    assert!(told.contains("has a column `run` already"), "{told}");
}

#[derive(serde::Deserialize)]
struct Drift {
    samples: Vec<Sample>,
    numbers: Vec<Numbers>,
}

#[derive(serde::Deserialize)]
struct Sample {
    dimension: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    variances: Vec<f64>,
    unbiased: f64,
    energy_squared: f64,
}

#[derive(serde::Deserialize)]
struct Numbers {
    a: Vec<f64>,
    b: Vec<f64>,
    energy: f64,
    js_20: f64,
    js_7: f64,
}

/// A run whose tables `sample_0` ... and `numbers_0` ... have the points of two samples in `x`, `is_second` of them, and both in turn
/// in parts of so many rows.
fn samples(drift: &Drift, part_rows: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut tables = serde_json::Map::new();
    let mut add = |name: String, x: ArrayRef, first: usize| {
        let rows = x.len();
        // The two samples in turn, as far as they go: second, first, second, first ...
        let second = rows - first;
        let both = first.min(second);
        let mut order: Vec<u32> = (0..both).flat_map(|i| [(first + i) as u32, i as u32]).collect();
        order.extend((both..first).map(|i| i as u32));
        order.extend((first + both..rows).map(|i| i as u32));
        let is_second: ArrayRef = Arc::new(BooleanArray::from_iter(order.iter().map(|i| Some(*i as usize >= first))));
        let x = arrow::compute::take(&x, &UInt32Array::from(order), None).unwrap();
        let fields = [Field::new("x", x.data_type().clone(), false), Field::new("is_second", DataType::Boolean, false)];
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let all = RecordBatch::try_new(schema.clone(), vec![x, is_second]).unwrap();
        let parts: Vec<RecordBatch> =
            (0..rows).step_by(part_rows).map(|from| all.slice(from, part_rows.min(rows - from))).collect();
        tables.insert(name.clone(), serde_json::json!(write(folder.path(), &name, schema, &parts, false)));
    };
    for (i, sample) in drift.samples.iter().enumerate() {
        let x = list_column([sample.x.as_slice(), &sample.y].concat(), sample.dimension).unwrap();
        add(format!("sample_{i}"), x, sample.x.len() / sample.dimension);
    }
    for (i, numbers) in drift.numbers.iter().enumerate() {
        let x: ArrayRef = Arc::new(Float64Array::from([numbers.a.as_slice(), &numbers.b].concat()));
        add(format!("numbers_{i}"), x, numbers.a.len());
    }
    fs::create_dir(folder.path().join("_commits")).unwrap();
    commit(folder.path(), serde_json::json!(tables));
    folder
}

/// The one row of a query, of numbers.
fn numbers(run: &Run, sql: &str) -> Vec<f64> {
    let batches: Vec<RecordBatch> = run.query(sql).unwrap().map(Result::unwrap).filter(|b| b.num_rows() > 0).collect();
    let [row] = batches.as_slice() else { panic!("{} batches", batches.len()) };
    row.columns().iter().map(|column| AsArray::as_primitive::<Float64Type>(column).value(0)).collect()
}

#[test]
fn distances_of_stored_samples_are_those_of_numpy_and_scipy_however_rows_are_cut() {
    let drift: Drift = serde_json::from_str(include_str!("../golden/drift/golden.json")).unwrap();
    assert!(drift.samples.len() >= 4 && drift.numbers.len() >= 3);
    let two_columns = "case when not is_second then x end, case when is_second then x end";
    let ask = |run: &Run| -> Vec<f64> {
        let mut found = Vec::new();
        for (i, sample) in drift.samples.iter().enumerate() {
            for samples in ["x, is_second", two_columns] {
                let of = |variance: &str| {
                    let sql = format!("select mmd2({samples}{variance}), energy_distance({samples}) from sample_{i}");
                    numbers(run, &sql)
                };
                let (discrepancy, energy) = match sample.variances.as_slice() {
                    // One kernel is said as it is; of several, MMD^2 is the sum.
                    variances if variances.len() < 19 => {
                        let each: Vec<_> = variances.iter().map(|variance| of(&format!(", {variance:?}"))).collect();
                        (each.iter().map(|row| row[0]).sum::<f64>(), each[0][1])
                    }
                    _ => {
                        let row = of("");
                        (row[0], row[1])
                    }
                };
                let expected = sample.unbiased;
                assert!((discrepancy - expected).abs() < 1e-11, "{i}: {discrepancy} {expected}");
                let expected = sample.energy_squared;
                assert!((energy.powi(2) - expected).abs() < 1e-12 * expected.max(1.0), "{i}: {energy} {expected}");
                found.extend([discrepancy, energy]);
            }
        }
        for (i, expected) in drift.numbers.iter().enumerate() {
            for samples in ["x, is_second", two_columns] {
                let js = format!("js_distance({samples}), js_distance({samples}, 20), js_distance({samples}, 7)");
                let row = numbers(run, &format!("select {js}, energy_distance({samples}) from numbers_{i}"));
                let expected = [expected.js_20, expected.js_20, expected.js_7, expected.energy];
                for (found, expected) in row.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-13, "{i}: {found} {expected}");
                }
                found.extend(row);
            }
        }
        found
    };
    let answers: Vec<Vec<f64>> = [1000, 5]
        .map(|part_rows| {
            let folder = samples(&drift, part_rows);
            ask(&Run::open(folder.path()).unwrap())
        })
        .to_vec();
    assert_eq!(answers[0], answers[1]);
}
