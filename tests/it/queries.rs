//! Each `tests/queries/*.sql` is a test, with the expected output next to it. The first line may select a format,
//! `-- format: csv`. With `LUCARNE_BLESS=1` the outputs are written instead of compared.
//!
//! The run has a table `objects` (two parts, the second still in staging), an empty table `rejects`, and a table `Y1_drift`, whose
//! name has a capital letter.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, FixedSizeListArray, Float64Array, Int64Array,
        RecordBatch, StringArray, UInt8Array, UInt32Array, UInt64Array,
    },
    datatypes::{DataType, Field, Float32Type, Float64Type, Int32Type, Schema, SchemaRef, UInt32Type},
};
use lucarne::{
    batch::{ImageLayout, Unit, list_column, list_type},
    query::{OutputFormat, QueryError, QueryOptions, Run},
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

/// Rows `from..to`. Columns except ids and lists repeat every six rows.
fn objects(from: usize, to: usize) -> RecordBatch {
    let rows = from..to;
    let label = [Some("spiral"), Some("elliptical"), Some("merger"), None, Some("spiral"), Some("merger")];
    let class = ["spiral", "elliptical", "spiral", "merger", "spiral", "merger"];
    let mag = [Some(17.5), Some(18.25), None, Some(19.0), Some(20.5), Some(16.0)];
    let probability: [[f32; 3]; 6] =
        [[0.75, 0.125, 0.125], [0.25, 0.5, 0.25], [0.5, 0.0, 0.5], [0.0, 0.25, 0.75], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
    // The latents differ by `row` in 16 of 20 numbers, so their distance is 4 row.
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

/// A table to write in parts.
struct TestTable<'a> {
    name: &'a str,
    schema: SchemaRef,
    parts: &'a [RecordBatch],
    /// Whether the last part stays in staging.
    is_last_staged: bool,
    options: WriteOptions,
}

impl<'a> TestTable<'a> {
    fn new(name: &'a str, schema: SchemaRef, parts: &'a [RecordBatch]) -> Self {
        Self { name, schema, parts, is_last_staged: false, options: WriteOptions::default() }
    }

    fn write(self, run: &Path) -> Vec<TablePart> {
        let (staging, folder) = (run.join("_staging").join(self.name), run.join(self.name));
        fs::create_dir_all(&folder).unwrap();
        let mut writer = TableWriter::new(self.schema, &staging, &folder, self.options).unwrap();
        let mut parts = Vec::new();
        for batch in self.parts {
            writer.write(batch).unwrap();
            parts.extend(writer.prepare().unwrap());
        }
        parts.extend(writer.prepare().unwrap());
        let published = parts.len() - usize::from(self.is_last_staged);
        for part in &parts[..published] {
            fs::rename(staging.join(&part.file), folder.join(&part.file)).unwrap();
        }
        parts
    }
}

fn run_directory() -> tempfile::TempDir {
    // A name with characters that are special in URLs and globs.
    let run = tempfile::Builder::new().prefix("a run [1]%20*#").tempdir().unwrap();
    fill(run.path(), "mmd", &[0.25, 0.5]);
    run
}

/// Makes a folder a run directory, with a table `Y1_drift` that has one column with this name and these numbers.
fn fill(run: &Path, statistic: &str, drift: &[f64]) {
    let text = Arc::new(Schema::new(vec![Field::new("reason", DataType::Utf8, false)]));
    let drift_schema = Arc::new(Schema::new(vec![Field::new(statistic, DataType::Float64, false)]));
    let numbers: ArrayRef = Arc::new(Float64Array::from(drift.to_vec()));
    let drift_rows = RecordBatch::try_new(drift_schema.clone(), vec![numbers]).unwrap();
    let objects_parts = [objects(0, 4), objects(4, 6)];
    let tables = serde_json::json!({
        "objects": TestTable { is_last_staged: true, ..TestTable::new("objects", objects_schema(), &objects_parts) }.write(run),
        "rejects": TestTable::new("rejects", text, &[]).write(run),
        "Y1_drift": TestTable::new("Y1_drift", drift_schema, &[drift_rows]).write(run),
    });
    fs::create_dir(run.join("_commits")).unwrap();
    commit(run, serde_json::json!(tables));
    // A part that is not in the commit record, and not a Parquet file.
    fs::write(run.join("objects/part-00000009.parquet"), "left over").unwrap();
}

fn output(run: &Run, sql: &str) -> String {
    let format = match sql.lines().next().and_then(|line| line.strip_prefix("-- format: ")) {
        None => OutputFormat::Table,
        Some("csv") => OutputFormat::Csv,
        Some("json") => OutputFormat::Json,
        Some(other) => panic!("unknown format `{other}`"),
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
fn each_query_has_the_expected_output() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir("tests/queries").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let found = output(&run, &fs::read_to_string(&file).unwrap());
        let expected_file = file.with_extension("txt");
        if std::env::var_os("LUCARNE_BLESS").is_some() {
            fs::write(&expected_file, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected_file).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}:\n--- expected\n{expected}--- found\n{found}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn parquet_output_keeps_units_and_shapes_of_images() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    let sql =
        "select image as cutout, da_class from objects where mag > 17 union all select image, da_class from objects";
    let mut out = Vec::new();
    run.write(sql, OutputFormat::Parquet, &mut out).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), out).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file.path()).unwrap()).unwrap();
    let kept_layout = ImageLayout::of(reader.schema().field_with_name("cutout").unwrap());
    assert_eq!(kept_layout, Some(layout()));
    let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4 + 6);
}

#[test]
fn iterates_batches_in_row_order() {
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
fn queries_without_end_are_refused_or_stopped() {
    let folder = run_directory();
    let mut options = QueryOptions::default();
    options.max_time = Some(Duration::from_millis(300));
    let run = Run::open_with(folder.path(), options).unwrap();
    let error = |sql: &str| {
        let rows = run.query(sql).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        rows.unwrap_err().to_string()
    };
    let recursive = error("with recursive t as (select 1 as n union all select n + 1 from t) select count(*) from t");
    assert!(recursive.contains("not enabled"), "{recursive}");
    assert!(error("select * from generate_series(1, 1000000000000)").contains("unknown table"));
    let crossed = ["objects"; 9].iter().zip('a'..).map(|(table, name)| format!("{table} {name}")).collect::<Vec<_>>();
    let crossed = error(&format!("select count(*) from {}", crossed.join(", ")));
    assert_eq!(crossed, "the query was stopped after 0.3 s, the most that it may take");
    // The next query has its own time.
    assert_eq!(run.query("select 1").unwrap().count(), 1);
}

#[test]
fn rejects_statements_that_write() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    let target = folder.path().join("stolen.csv");
    let target = target.display();
    let statements = [
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
    for sql in statements {
        assert!(matches!(run.query(&sql).map(|_| ()), Err(QueryError::Sql(_))), "{sql}");
    }
    assert!(!folder.path().join("stolen.csv").exists());
    assert_eq!(run.query("select * from objects").unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 6);
}

#[test]
fn queries_a_folder_of_runs_as_one() {
    let folder = tempfile::tempdir().unwrap();
    for (name, drift) in [("seed 2", [1.0, 2.0]), ("seed-1", [3.0, 4.0])] {
        let run = folder.path().join(name);
        fs::create_dir(&run).unwrap();
        fill(&run, "mmd", &drift);
    }
    fs::create_dir(folder.path().join("not a run")).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a run either").unwrap();
    let runs = Run::open(folder.path()).unwrap();
    assert_eq!(
        output(&runs, "-- format: csv\nselect * from \"Y1_drift\""),
        "mmd,run\n1.0,seed 2\n2.0,seed 2\n3.0,seed-1\n4.0,seed-1\n"
    );
    let by_run = "-- format: csv\nselect run, count(*) as n, max(mag) as faintest from objects where run <> 'seed 2' group by run";
    assert_eq!(output(&runs, by_run), "run,n,faintest\nseed-1,6,20.5\n");
    assert_eq!(output(&runs, "-- format: csv\nselect count(*) as n from rejects"), "n\n0\n");
}

/// All rows of a result.
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

/// Makes a folder a run directory whose table `objects` has `count` rows, in three parts with several row groups each.
fn fill_with_many(run: &Path, count: usize) {
    fs::create_dir_all(run.join("_commits")).unwrap();
    let cuts = [0, count / 3, count / 2, count];
    let parts: Vec<RecordBatch> = cuts.windows(2).map(|cut| objects(cut[0], cut[1])).collect();
    let options = WriteOptions { row_group_bytes: 1 << 19, ..WriteOptions::default() };
    let table = TestTable { is_last_staged: true, options, ..TestTable::new("objects", objects_schema(), &parts) };
    let parts = table.write(run);
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
fn filters_select_the_same_rows_with_and_without_pushdown() {
    let folder = tempfile::tempdir().unwrap();
    fill_with_many(folder.path(), 6000);
    let run = Run::open(folder.path()).unwrap();
    let all = rows(&run, "select * from objects");
    for condition in CONDITIONS {
        // A selected expression is not pushed down.
        let holds = rows(&run, &format!("select ({condition}) as holds from objects"));
        let expected = arrow::compute::filter_record_batch(&all, holds["holds"].as_boolean()).unwrap();
        assert_eq!(rows(&run, &format!("select * from objects where {condition}")), expected, "{condition}");
        let first = expected.slice(0, expected.num_rows().min(3));
        assert_eq!(rows(&run, &format!("select * from objects where {condition} limit 3")), first, "{condition}");
        let third = expected.slice(expected.num_rows().min(2), expected.num_rows().saturating_sub(2).min(1));
        let found = rows(&run, &format!("select * from objects where {condition} limit 1 offset 2"));
        assert_eq!(found, third, "{condition}");
        let images = rows(&run, &format!("select image from objects where {condition}"));
        assert_eq!(images["image"].to_data(), expected["image"].to_data(), "{condition}");
        let counted = rows(&run, &format!("select count(*)::double as n from objects where {condition}"));
        assert_eq!(counted["n"].as_primitive::<Float64Type>().value(0), expected.num_rows() as f64, "{condition}");
    }
}

#[test]
fn filters_select_the_same_rows_in_a_folder_of_runs() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("seed 2", 700), ("seed-1", 6000)] {
        fill_with_many(&folder.path().join(name), count);
    }
    let runs = Run::open(folder.path()).unwrap();
    let all = rows(&runs, "select * from objects");
    assert_eq!(all.num_rows(), 6700);
    let run_conditions = [
        "run = 'seed 2'",
        "run <> 'seed 2' and object_id = 'galaxy-42'",
        "run = 'seed 2' or mag > 20",
        "run = 'seed 2' or l2_distance(da_latent, other_latent) > 23900",
        "case when run = 'seed 2' then label = 'merger' else label is null end",
        "run || object_id = 'seed-1galaxy-42'",
        "run = 'unknown'",
        "run is null",
    ];
    for condition in CONDITIONS.into_iter().chain(run_conditions) {
        let holds = rows(&runs, &format!("select ({condition}) as holds from objects"));
        let expected = arrow::compute::filter_record_batch(&all, holds["holds"].as_boolean()).unwrap();
        assert_eq!(rows(&runs, &format!("select * from objects where {condition}")), expected, "{condition}");
        let first = expected.slice(0, expected.num_rows().min(3));
        assert_eq!(rows(&runs, &format!("select * from objects where {condition} limit 3")), first, "{condition}");
    }
}

/// The physical plan of a query.
fn physical_plan(run: &Run, sql: &str) -> String {
    let plan = rows(run, &format!("explain {sql}"));
    let kinds = plan["plan_type"].as_string::<i32>().iter();
    let physical = kinds.flatten().position(|kind| kind == "physical_plan").unwrap();
    plan["plan"].as_string::<i32>().value(physical).to_owned()
}

#[test]
fn pushes_filters_on_numbers_and_texts_into_the_scan() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    for condition in ["object_id = 'galaxy-3'", "da_class = 'merger'", "mag > 17 and label is not null"] {
        let plan = physical_plan(&run, &format!("select image from objects where {condition}"));
        let scan = plan.lines().find(|line| line.contains("DataSourceExec")).unwrap();
        assert!(scan.contains("predicate="), "{plan}");
        // No part of the filter is evaluated after the scan.
        assert!(!plan.contains("FilterExec"), "{plan}");
    }
    // A condition on lists is evaluated after the scan, on the rows that pass the other condition.
    let condition = "l2_distance(da_latent, other_latent) > 3 and mag > 17";
    let plan = physical_plan(&run, &format!("select image from objects where {condition}"));
    let line = |kind: &str| plan.lines().find(|line| line.contains(kind)).unwrap().to_owned();
    assert!(line("FilterExec").contains("l2_distance") && !line("FilterExec").contains("mag@"), "{plan}");
    assert!(line("DataSourceExec").contains("predicate=mag"), "{plan}");
}

#[test]
fn reads_only_the_image_pages_near_a_selected_object() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("_commits")).unwrap();
    // One row group. Its images are noise, in five pages of 1 MiB.
    let smooth = objects(0, 20_000);
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from_bits(0x3f80_0000 | (state >> 41) as u32)
    };
    let mut columns = smooth.columns().to_vec();
    columns[7] = list_column((0..20_000 * 60).map(|_| noise()).collect(), 60).unwrap();
    let noisy = RecordBatch::try_new(objects_schema(), columns).unwrap();
    let parts = TestTable::new("objects", objects_schema(), &[noisy]).write(folder.path());
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
    let all = bytes("select image from objects");
    let one = bytes("select image from objects where object_id = 'galaxy-4200'");
    assert!(one < all / 3.0, "{one} of {all}");
}

/// The message for a query that is refused.
fn refusal(run: &Run, sql: &str) -> String {
    let rows = run.query(sql).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match rows {
        Err(QueryError::Sql(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_that_some_runs_of_a_folder_lack_are_null() {
    let folder = tempfile::tempdir().unwrap();
    for (name, statistic) in [("a", "mmd"), ("b", "energy")] {
        let run = folder.path().join(name);
        fs::create_dir(&run).unwrap();
        fill(&run, statistic, &[1.0, 2.0]);
    }
    let runs = Run::open(folder.path()).unwrap();
    let sql = "-- format: csv\nselect * from \"Y1_drift\" where run = 'b' or mmd > 1 order by run";
    assert_eq!(output(&runs, sql), "mmd,energy,run\n2.0,,a\n,1.0,b\n,2.0,b\n");
    assert_eq!(output(&runs, "-- format: csv\nselect count(mmd) as n from \"Y1_drift\""), "n\n2\n");
    assert_eq!(runs.take_warnings(), Vec::<String>::new());
}

/// Makes a folder a run directory with one table.
fn fill_table(run: &Path, table: &str, columns: Vec<(&str, ArrayRef)>) {
    fs::create_dir_all(run.join("_commits")).unwrap();
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let parts = TestTable::new(table, rows.schema(), &[rows]).write(run);
    commit(run, serde_json::json!({ table: parts }));
}

#[test]
fn columns_whose_types_differ_between_runs_are_left_out_and_explained_when_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, length) in [("a", 8), ("b", 10)] {
        let id: ArrayRef = Arc::new(StringArray::from(vec!["galaxy"]));
        let latent: ArrayRef = list_column(vec![0.5; length], length).unwrap();
        fill_table(&folder.path().join(name), "objects", vec![("object_id", id), ("m_latent", latent)]);
    }
    let runs = Run::open(folder.path()).unwrap();
    assert_eq!(
        output(&runs, "-- format: csv\nselect run, object_id from objects"),
        "run,object_id\na,galaxy\nb,galaxy\n"
    );
    assert_eq!(runs.take_warnings(), Vec::<String>::new());
    for sql in [
        "select m_latent from objects",
        "select o.m_latent[1] from objects o",
        "select 1 from objects where m_latent is null",
    ] {
        let message = refusal(&runs, sql);
        let start =
            "column `m_latent` of table `objects` has different types in different runs: `a` has FixedSizeList(8 x ";
        assert!(message.starts_with(start) && message.contains("`b` has FixedSizeList(10 x "), "{message}");
    }
    for sql in ["select * from objects", "select * from information_schema.columns"] {
        let runs = Run::open(folder.path()).unwrap();
        for _ in 0..2 {
            output(&runs, sql);
        }
        let warnings = runs.take_warnings();
        assert!(
            warnings.len() == 1 && warnings[0].contains("table `objects` is without columns"),
            "{sql}: {warnings:?}"
        );
        assert!(warnings[0].contains("`m_latent` (`a` has FixedSizeList(8 x "), "{warnings:?}");
    }
}

#[test]
fn a_column_called_run_is_a_mistake_only_when_its_table_is_used() {
    let named = tempfile::tempdir().unwrap();
    let run = named.path().join("a");
    fs::create_dir(&run).unwrap();
    fill(&run, "run", &[1.0]);
    let runs = Run::open(named.path()).unwrap();
    assert_eq!(output(&runs, "-- format: csv\nselect count(*) as n from objects"), "n\n6\n");
    let message = refusal(&runs, "select * from \"Y1_drift\"");
    assert!(
        message.starts_with("table `Y1_drift` cannot be queried over all runs: it has a column `run` in `a`"),
        "{message}"
    );
}

fn unsigned_run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let small: ArrayRef = Arc::new(UInt8Array::from(vec![3, 5]));
    let places: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<UInt32Type, _, _>(
        [Some([Some(8), Some(1)]), Some([Some(12), Some(u32::MAX)])],
        2,
    ));
    let counts: ArrayRef = Arc::new(UInt64Array::from(vec![400, 1000]));
    let ids: ArrayRef = Arc::new(UInt64Array::from(vec![10_133_099_161_583_616_512, 7]));
    let long: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    let columns = vec![("small", small), ("places", places), ("n", counts), ("id", ids), ("long", long)];
    fill_table(folder.path(), "counts", columns);
    folder
}

#[test]
fn unsigned_columns_are_read_as_signed_and_exact_ones() {
    let folder = unsigned_run();
    let run = Run::open(folder.path()).unwrap();
    let schema = run.query("select * from counts").unwrap().schema();
    let kinds: Vec<String> = schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    let list = "FixedSizeList(2 x Int64)";
    assert_eq!(kinds, ["Int32", list, "Int64", "Decimal128(20, 0)", "Int64"]);
    for (expression, expected) in [
        ("min(n) - max(n)", "-600"),
        ("min(small) - max(small)", "-2"),
        ("min(places[1] - places[2])", "-4294967283"),
        ("min(id) - max(id)", "-10133099161583616505"),
        ("max(id)", "10133099161583616512"),
        ("count(*) filter (where id = 10133099161583616512)", "1"),
        ("count(*) filter (where small - n < 0)", "2"),
        ("min(-n)", "-1000"),
        ("sum(n) - sum(n * 2)", "-1400"),
        ("sum(distinct small)", "8"),
    ] {
        assert_eq!(
            output(&run, &format!("-- format: csv\nselect {expression} as x from counts")),
            format!("x\n{expected}\n"),
            "{expression}"
        );
    }
    let sql = "-- format: csv\nselect row_number() over (order by n) - rank() over (order by n desc) as x from counts order by x";
    assert_eq!(output(&run, sql), "x\n-1\n1\n");
    let sql =
        "-- format: csv\nselect n, sum(n) over (order by n rows between 1 preceding and current row) as x from counts";
    assert_eq!(output(&run, sql), "n,x\n400,400\n1000,1400\n");
    assert_eq!(
        output(&run, "-- format: csv\nselect n, sum(n) - 1 as x from counts group by n order by n"),
        "n,x\n400,399\n1000,999\n"
    );
}

#[test]
fn results_that_do_not_fit_64_bits_are_errors() {
    let folder = unsigned_run();
    let run = Run::open(folder.path()).unwrap();
    for expression in [
        "long + 1",
        "long * 2",
        "-long - 2",
        "9223372036854775807 + 1",
        "2 * 9223372036854775807",
        "sum(long)",
        "sum(long) over ()",
        "array_length(places) - 9223372036854775807 - 10",
    ] {
        let message = refusal(&run, &format!("select {expression} from counts"));
        assert!(message.contains("does not fit a 64-bit integer"), "{expression}: {message}");
    }
    let exact = "-- format: csv\nselect sum(long::decimal(38, 0)) as x, max(long::double + 1) > 9e18 as y from counts";
    assert_eq!(output(&run, exact), "x,y\n9223372036854775808,true\n");
    let groups = refusal(&run, "select small > 0, sum(long) from counts group by 1");
    assert!(groups.contains("a sum does not fit"), "{groups}");
    for (expression, expected) in
        [("n - 1 - n + 3", "2"), ("n - (n - 3)", "3"), ("2 * n * 3 - n * 6 + -1", "-1"), ("n * 2 / 2 - n", "0")]
    {
        let sql = format!("-- format: csv\nselect distinct {expression} as x from counts");
        assert_eq!(output(&run, &sql), format!("x\n{expected}\n"), "{expression}");
    }
    // Names are those of the query, whatever it is computed with.
    let names = run.query("select n + 1, sum(n * 2), -n from counts group by n").unwrap().schema();
    let names: Vec<&String> = names.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["counts.n + Int64(1)", "sum(counts.n * Int64(2))", "(- counts.n)"]);
}

/// A long chain is one function: nested ones took minutes to plan.
#[test]
fn sums_of_a_thousand_columns_are_planned_in_time() {
    let folder = unsigned_run();
    for (operator, expected) in [("+", "1000"), ("*", "1"), ("*1/", "1"), ("*7%", "0")] {
        let chain = vec!["long"; 998 / (operator.len() + 1) * 2].join(operator);
        let path = folder.path().to_owned();
        // As the command does: the plan is nested as deep.
        let work = move || {
            let run = Run::open(&path).unwrap();
            output(
                &run,
                &format!(
                    "-- format: csv\nselect {chain} + {} as x from counts where long = 1",
                    if operator == "+" { 2 } else { 0 }
                ),
            )
        };
        let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(work).unwrap();
        let start = std::time::Instant::now();
        assert_eq!(thread.join().unwrap(), format!("x\n{expected}\n"));
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }
}

#[test]
fn several_subqueries_need_no_names() {
    let folder = run_directory();
    let run = Run::open(folder.path()).unwrap();
    let sql = "select (select count(*) from objects), (select count(*) from rejects)";
    let expected = "(SELECT count(*) FROM objects),(SELECT count(*) FROM rejects)\n6,0\n";
    assert_eq!(output(&run, &format!("-- format: csv\n{sql}")), expected);
    let difference = "select (select count(*) from objects) - 1, 1 - (select count(*) from rejects) as other";
    assert!(output(&run, &format!("-- format: csv\n{difference}")).ends_with("\n5,1\n"));
    let same = refusal(&run, "select (select count(*) from objects), (select count(*) from objects)");
    assert!(same.to_lowercase().contains("unique expression names") && same.contains("AS"), "{same}");
}

/// A catalogue for the objects of [`run_directory`], with ids of 18 digits.
fn catalogue(folder: &Path) -> PathBuf {
    let path = folder.join("cat.csv");
    let text = "object_id,survey_id,z,RA\ngalaxy-1,587722984435351614,0.25,10.5\ngalaxy-4,587722984435351615,nan,11\n";
    fs::write(&path, text).unwrap();
    path
}

fn with_table(name: &str, path: PathBuf) -> QueryOptions {
    let mut options = QueryOptions::default();
    options.tables.insert(name.into(), path);
    options
}

#[test]
fn a_run_is_joined_with_a_catalogue_in_csv_or_parquet() {
    let folder = run_directory();
    let files = tempfile::tempdir().unwrap();
    let csv = catalogue(files.path());
    let run = Run::open_with(folder.path(), with_table("cat", csv.clone())).unwrap();
    let sql = "-- format: csv\nselect o.object_id, mag, survey_id, z from objects o join cat using (object_id) order by survey_id";
    let expected =
        "object_id,mag,survey_id,z\ngalaxy-1,18.25,587722984435351614,0.25\ngalaxy-4,20.5,587722984435351615,\n";
    assert_eq!(output(&run, sql), expected);
    assert!(run.tables().contains(&"cat".to_owned()));
    let parquet = files.path().join("cat.parquet");
    run.write("select * from cat", OutputFormat::Parquet, fs::File::create(&parquet).unwrap()).unwrap();
    let run = Run::open_with(folder.path(), with_table("cat", parquet.clone())).unwrap();
    assert_eq!(output(&run, sql), expected);
    // What is not named is not read, wherever it lies.
    for sql in [format!("select * from '{}'", parquet.display()), format!("select * from \"{}\"", csv.display())] {
        assert!(refusal(&run, &sql).starts_with("unknown table"), "{sql}");
    }
    for sql in [
        format!("create external table t stored as parquet location '{}'", parquet.display()),
        format!("copy cat to '{}'", files.path().join("out.csv").display()),
        "insert into cat values ('a', 1, 2, 3)".to_owned(),
        "drop table cat".to_owned(),
    ] {
        let message = refusal(&run, &sql);
        let is_refused =
            ["only read-only queries are allowed", "unknown table `t`"].iter().any(|why| message.contains(why));
        assert!(is_refused, "{sql}: {message}");
    }
    assert!(!files.path().join("out.csv").exists());
}

#[test]
fn unsigned_columns_of_a_catalogue_are_signed() {
    let folder = run_directory();
    let source = unsigned_run();
    let part = fs::read_dir(source.path().join("counts")).unwrap().next().unwrap().unwrap().path();
    let run = Run::open_with(folder.path(), with_table("cat", part)).unwrap();
    let sql = "-- format: csv\nselect min(n) - max(n) as x, min(id) - max(id) as y from cat";
    assert_eq!(output(&run, sql), "x,y\n-600,-10133099161583616505\n");
}

#[test]
fn tables_of_the_caller_need_names_of_sql_and_files_that_are_tables() {
    let folder = run_directory();
    let files = tempfile::tempdir().unwrap();
    let csv = catalogue(files.path());
    let why = |name: &str, path: PathBuf| {
        let run = Run::open_with(folder.path(), with_table(name, path));
        run.err().unwrap_or_else(|| panic!("`{name}` is a name")).report()
    };
    for name in ["", "1a", "a b", "a-b", "Cat", "a,b", "a.b", "objects o", "\"a\"", "where", "a;drop"] {
        let message = why(name, csv.clone());
        assert!(message.contains("is not a name of a table in SQL"), "{name}: {message}");
    }
    for name in ["objects", "y1_drift", "REJECTS"] {
        assert!(why(name, csv.clone()).contains("the run has a table"), "{name}");
    }
    assert!(why("cat", files.path().into()).contains("is a folder, expected a file in Parquet or CSV"));
    assert!(why("cat", files.path().join("none.csv")).contains("none.csv"));
    let fits = files.path().join("a.fits");
    fs::write(&fits, "SIMPLE  =                    T").unwrap();
    assert!(why("cat", fits).contains("is FITS, expected a file in Parquet or CSV"));
    let damaged = files.path().join("a.parquet");
    fs::write(&damaged, "PAR1 and no footer").unwrap();
    assert!(why("cat", damaged).contains("as Parquet"));
    let mut options = with_table("cat", csv);
    options.memory_bytes = 10;
    let large = Run::open_with(folder.path(), options).err().unwrap().report();
    assert!(large.contains("held in memory"), "{large}");
}

#[derive(serde::Deserialize)]
struct ReferenceDistances {
    samples: Vec<ListSamples>,
    numbers: Vec<NumberSamples>,
}

/// Two samples of lists, and their reference distances.
#[derive(serde::Deserialize)]
struct ListSamples {
    dimension: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    variances: Vec<f64>,
    unbiased: f64,
    energy_squared: f64,
}

/// Two samples of numbers, and their reference distances.
#[derive(serde::Deserialize)]
struct NumberSamples {
    a: Vec<f64>,
    b: Vec<f64>,
    energy: f64,
    js_20: f64,
    js_7: f64,
}

/// A run with tables `sample_0` ... and `numbers_0` ..., in parts of `part_rows` rows. Column `x` has the points of two samples,
/// alternating, and `is_second` tells which.
fn sample_run(reference: &ReferenceDistances, part_rows: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut tables = serde_json::Map::new();
    let mut add = |name: String, x: ArrayRef, first: usize| {
        let rows = x.len();
        // Alternate second, first, second, first ... as long as both samples last.
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
        tables.insert(name.clone(), serde_json::json!(TestTable::new(&name, schema, &parts).write(folder.path())));
    };
    for (i, sample) in reference.samples.iter().enumerate() {
        let x = list_column([sample.x.as_slice(), &sample.y].concat(), sample.dimension).unwrap();
        add(format!("sample_{i}"), x, sample.x.len() / sample.dimension);
    }
    for (i, numbers) in reference.numbers.iter().enumerate() {
        let x: ArrayRef = Arc::new(Float64Array::from([numbers.a.as_slice(), &numbers.b].concat()));
        add(format!("numbers_{i}"), x, numbers.a.len());
    }
    fs::create_dir(folder.path().join("_commits")).unwrap();
    commit(folder.path(), serde_json::json!(tables));
    folder
}

/// The numbers of a result with one row.
fn numbers(run: &Run, sql: &str) -> Vec<f64> {
    let batches: Vec<RecordBatch> = run.query(sql).unwrap().map(Result::unwrap).filter(|b| b.num_rows() > 0).collect();
    let [row] = batches.as_slice() else { panic!("{} batches", batches.len()) };
    row.columns().iter().map(|column| AsArray::as_primitive::<Float64Type>(column).value(0)).collect()
}

#[test]
fn sample_distances_agree_with_numpy_and_scipy_for_any_parts() {
    let reference: ReferenceDistances = serde_json::from_str(include_str!("../golden/drift/golden.json")).unwrap();
    assert!(reference.samples.len() >= 4 && reference.numbers.len() >= 3);
    let two_columns = "case when not is_second then x end, case when is_second then x end";
    let distances = |run: &Run| -> Vec<f64> {
        let mut found = Vec::new();
        for (i, sample) in reference.samples.iter().enumerate() {
            for samples in ["x, is_second", two_columns] {
                let of = |variance: &str| {
                    let sql = format!("select mmd2({samples}{variance}), energy_distance({samples}) from sample_{i}");
                    numbers(run, &sql)
                };
                let (discrepancy, energy) = match sample.variances.as_slice() {
                    // MMD^2 of several kernels is the sum over single kernels.
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
        for (i, expected) in reference.numbers.iter().enumerate() {
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
    let results: Vec<Vec<f64>> = [1000, 5]
        .map(|part_rows| {
            let folder = sample_run(&reference, part_rows);
            distances(&Run::open(folder.path()).unwrap())
        })
        .to_vec();
    assert_eq!(results[0], results[1]);
}
