//! Classes with any name, and truth in integers: every kind of monitor that reads classes reports what it reports for plain names
//! and for truth in text, and so does the report.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{ArrayRef, AsArray, Int16Array, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field},
    util::display::{ArrayFormatter, FormatOptions},
};
use lucarne::{
    batch::{LABEL, metadata_names, with_columns},
    engine::Existing,
    error::Error,
    pipeline::Pipeline,
    query::Run,
    report::Report,
};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

const MODEL: &str = "tests/golden/onnx/tiny.onnx";
const PLAIN: [&str; 3] = ["spiral", "elliptical", "merger"];
/// As astroNN calls the classes of Galaxy10, and worse.
const STRANGE: [&str; 3] = ["Disk, Face-on, No \"Spiral\"", "[\"Smooth\", round", "galaxie elliptique étirée, 椭圆"];
/// The classes in the order of the column `class_number`.
const ORDER: [usize; 3] = [2, 0, 1];

/// A folder with the model and its objects under plain and under strange names of classes.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let rows = objects();
        for (name, classes) in [("plain", PLAIN), ("strange", STRANGE)] {
            write_objects(&folder.path().join(format!("{name}.parquet")), &rows, classes);
            fs::write(folder.path().join(format!("{name}.onnx")), model_with_classes(classes)).unwrap();
        }
        folder
    });
    folder.path()
}

/// Stretched images with labels.
fn objects() -> RecordBatch {
    let stretch = |domain| {
        format!(
            "{domain}: {{ asinh_stretch: {{ image: {domain}_sky, constants: {{ model: {MODEL}, domain: {domain} }} }} }}"
        )
    };
    let observe =
        |domain, years| format!("{domain}_sky: {{ observe: {{ image: image, survey: lsst, years: {years} }} }}");
    let steps = [observe("y10", 10), observe("y1", 1), stretch("y10"), stretch("y1")].join(", ");
    let yaml = format!("source: {{ simulated: {{ count: 30, size: 8 }} }}\ntransform: {{ {steps} }}");
    let batches: Vec<RecordBatch> = Pipeline::from_yaml(yaml).seed(7).stream().unwrap().map(Result::unwrap).collect();
    concat_batches(batches[0].schema_ref(), &batches).unwrap()
}

/// Writes objects whose labels are `classes`, as text and as integers; two of them have a label that is not a class.
fn write_objects(path: &Path, rows: &RecordBatch, classes: [&str; 3]) {
    let label = rows[LABEL].as_string::<i32>();
    let index = |row: usize| PLAIN.iter().position(|class| *class == label.value(row)).unwrap();
    let (mut names, mut numbers) = (Vec::new(), Vec::new());
    for row in 0..rows.num_rows() {
        let (name, number) = match row {
            3 => (Some("3".to_owned()), Some(3)),
            4 => (Some("-1".to_owned()), Some(-1)),
            5 => (None, None),
            _ => {
                let number = ORDER.iter().position(|class| *class == index(row)).unwrap();
                (Some(classes[index(row)].to_owned()), Some(i16::try_from(number).unwrap()))
            }
        };
        names.push(name);
        numbers.push(number);
    }
    let keep = ["object_id", "origin", "y10", "y1"].map(|name| rows.schema().index_of(name).unwrap());
    let names: ArrayRef = Arc::new(StringArray::from(names));
    let numbers: ArrayRef = Arc::new(Int16Array::from(numbers));
    let rows = with_columns(
        &rows.project(&keep).unwrap(),
        [
            (Field::new(LABEL, DataType::Utf8, true), names),
            (Field::new("class_number", DataType::Int16, true), numbers),
        ],
    )
    .unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

/// The model with other classes in its card. The outermost message of an ONNX file is a list of fields with a length each; its
/// metadata are the fields with number 14.
fn model_with_classes(classes: [&str; 3]) -> Vec<u8> {
    const METADATA: u64 = 14 << 3 | 2;
    fn varint(bytes: &[u8], at: &mut usize) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    fn field(out: &mut Vec<u8>, tag: u64, content: &[u8]) {
        for mut number in [tag, content.len() as u64] {
            while number >= 0x80 {
                out.push(number as u8 | 0x80);
                number >>= 7;
            }
            out.push(number as u8);
        }
        out.extend_from_slice(content);
    }
    let card = lucarne::card::Card::read(Path::new(MODEL)).unwrap();
    let card = lucarne::card::Card { classes: classes.map(str::to_owned).to_vec(), ..card };
    let bytes = fs::read(MODEL).unwrap();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        let tag = varint(&bytes, &mut at);
        let value = varint(&bytes, &mut at);
        if tag & 7 == 2 {
            at += usize::try_from(value).unwrap();
        }
        if tag != METADATA {
            out.extend_from_slice(&bytes[start..at]);
        }
    }
    let mut entry = Vec::new();
    field(&mut entry, 1 << 3 | 2, lucarne::card::KEY.as_bytes());
    field(&mut entry, 2 << 3 | 2, serde_json::to_string(&card).unwrap().as_bytes());
    field(&mut out, METADATA, &entry);
    out
}

/// Runs every kind of monitor that reads classes or truth, on the objects and the model of that name.
fn run(run: &str, name: &str, classes: [&str; 3], truth: &str) -> PathBuf {
    let folder = folder();
    let (objects, model) = (folder.join(format!("{name}.parquet")), folder.join(format!("{name}.onnx")));
    let (objects, model) = (objects.display(), model.display());
    let target = serde_json::to_string(classes[1]).unwrap();
    let yaml = format!(
        "seed: 7
source: {{ parquet: {{ paths: ['{objects}'], columns: [label, class_number, y10, y1] }} }}
score:
  a: {{ onnx: {{ model: '{model}', image: y10, device: cpu }} }}
  b: {{ onnx: {{ model: '{model}', image: y1, device: cpu }} }}
monitor:
  accuracy: {{ accuracy: {{ {truth}, score: [a, b], window: 10 }} }}
  calibration: {{ calibration: {{ {truth}, score: a, bins: 5 }} }}
  attack: {{ one_pixel: {{ {truth}, score: a, limit: 12, popsize: 12, maxiter: 2 }} }}
  least: {{ one_pixel: {{ {truth}, score: a, limit: 4, only_correct: false, popsize: 12, maxiter: 2, target: least_likely }} }}
  one: {{ one_pixel: {{ {truth}, score: a, limit: 4, only_correct: false, popsize: 12, maxiter: 2, target: {{ class: {target} }} }} }}
  map: {{ pixel_map: {{ {truth}, score: a, limit: 12 }} }}
  window: {{ church_window: {{ score: a, across: b, up: least, extent: 2, step: 0.1 }} }}
  plane: {{ church_window: {{ score: a, across: b, up: b, extent: 2, step: 0.1 }} }}
  drawn: {{ isomap: {{ {truth}, score: [a, b], n: 20, neighbours: 4 }} }}
  triplets: {{ isomap: {{ {truth}, score: [a, b], n: 20, neighbours: 4, attacked: attack }} }}
sink: {{ objects: {{ parquet: {{}} }} }}"
    );
    let run_dir = folder.join(format!("run-{run}"));
    Pipeline::from_yaml(yaml).existing(Existing::Overwrite).run(&run_dir).unwrap();
    run_dir
}

/// The rows of a query as text.
fn rows(run_dir: &Path, query: &str) -> Vec<Vec<String>> {
    let run = Run::open(run_dir).unwrap();
    let batches = run.query(query).unwrap().map(Result::unwrap);
    let options = FormatOptions::default();
    let texts = |batch: RecordBatch| {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        let row = |row: usize| columns.iter().map(|text| text.value(row).to_string()).collect();
        (0..batch.num_rows()).map(row).collect::<Vec<Vec<String>>>()
    };
    batches.flat_map(texts).collect()
}

/// What does not depend on the names of classes; draws of targeted attacks do.
const TABLES: [&str; 8] = [
    "select * from accuracy order by score, scope, \"window\", class = 'all' desc, n, correct, predicted",
    "select * from calibration",
    "select object_id, label_true, label_pred, label_target from attack",
    "select object_id, label_true, label_pred, label_target from least",
    "select object_id, label_true, label_pred, label_target from one",
    "select * from map",
    "select * from plane",
    "select object_id, score, role, label_true, class, x, y from drawn",
];

#[test]
fn every_monitor_reports_classes_with_any_name_as_it_does_plain_ones() {
    let [plain, strange] =
        [("plain", PLAIN), ("strange", STRANGE)].map(|(name, classes)| run(name, name, classes, "truth: label"));
    let renamed = |text: String| match PLAIN.iter().position(|class| *class == text) {
        Some(class) => STRANGE[class].to_owned(),
        None => text,
    };
    for query in TABLES {
        let mut expected: Vec<Vec<String>> =
            rows(&plain, query).into_iter().map(|row| row.into_iter().map(renamed).collect()).collect();
        let mut found = rows(&strange, query);
        expected.sort();
        found.sort();
        assert!(!found.is_empty());
        assert_eq!(found, expected, "{query}");
    }
    let attacked =
        &rows(&strange, "select count(*) from attack where stop_reason not in ('misclassified', 'unlabelled')");
    assert_ne!(attacked[0][0], "0", "some objects are classified correctly");
    let windows = &rows(&strange, "select count(distinct class) from plane where \"window\" is not null")[0][0];
    assert_ne!(windows, "0");

    let classes = |query: &str| {
        let batch = Run::open(&strange).unwrap().query(query).unwrap().next().unwrap().unwrap();
        metadata_names(&batch.schema().field(0).metadata()["classes"])
    };
    for query in [
        "select a_class from objects",
        "select a_probability from objects",
        "select confusion from accuracy",
        "select areas from plane",
        "select \"window\" from plane",
    ] {
        assert_eq!(classes(query), STRANGE, "{query}");
    }
}

#[test]
fn the_report_shows_classes_with_any_name() {
    let run_dir = run("report", "strange", STRANGE, "truth: label");
    let page = Report::open(&run_dir).unwrap().page().unwrap();
    let figures = Report::open(&run_dir).unwrap().figures(&run_dir.join("figures")).unwrap();
    let svg = |name: &str| {
        let path = figures.iter().find(|path| path.file_name().is_some_and(|found| found == name)).unwrap();
        fs::read_to_string(path).unwrap()
    };
    for part in ["Disk, Face-on", "galaxie elliptique étirée, 椭圆"] {
        assert!(page.contains(part), "{part}");
    }
    // Short, and in full.
    assert!(svg("accuracy-confusion.svg").contains("Disk, Fac…"));
    assert!(svg("plane.svg").contains("Disk, Face-on, No "));
}

#[test]
fn truth_in_integers_is_truth_in_text() {
    let text = run("text", "strange", STRANGE, "truth: label");
    let order = ORDER.map(|class| STRANGE[class]);
    let truth = format!("truth: class_number, truth_classes: {}", serde_json::to_string(&order).unwrap());
    let integers = run("integers", "strange", STRANGE, &truth);
    for query in TABLES.into_iter().chain([
        "select * from \"window\"",
        "select * from attack",
        "select * from triplets",
        "select * from least",
    ]) {
        let (mut expected, mut found) = (rows(&text, query), rows(&integers, query));
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{query}");
    }
    let unknown = rows(&integers, "select distinct unknown_truth, unlabelled from accuracy where scope = 'total'");
    assert_eq!(unknown, [["2", "1"]]);
}

#[test]
fn checking_refuses_truth_that_cannot_be_read() {
    let folder = folder();
    let check = |monitor: &str| {
        let (objects, model) = (folder.join("plain.parquet"), folder.join("plain.onnx"));
        let yaml = format!(
            "source: {{ parquet: {{ paths: ['{}'], columns: [label, class_number, y10] }} }}
score: {{ a: {{ onnx: {{ model: '{}', image: y10 }} }} }}
monitor: {{ x: {{ {monitor} }} }}",
            objects.display(),
            model.display()
        );
        match Pipeline::from_yaml(yaml).check() {
            Err(Error::Pipeline(mistakes)) => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            other => panic!("{:?}", other.map(|_| ())),
        }
    };
    for kind in
        ["accuracy: { score: a", "one_pixel: { score: a", "isomap: { score: a", "pixel_map: { score: a, limit: 2"]
    {
        let why = check(&format!("{kind}, truth: y10 }}"));
        assert!(why.contains("`truth` takes a column of text or integers, `y10` is FixedSizeList"), "{kind}: {why}");
        let why = check(&format!("{kind}, truth: class_number, truth_classes: [merger, spiral] }}"));
        assert!(why.contains("`truth_classes` lacks `elliptical`, a class of the model"), "{kind}: {why}");
        let why = check(&format!("{kind}, truth: label, truth_classes: [merger, spiral, elliptical] }}"));
        assert!(why.contains("the order of classes that integers count, `label` is Utf8"), "{kind}: {why}");
    }
    let why = check("isomap: { score: a, truth_classes: [merger, spiral, elliptical] }");
    assert!(why.contains("`truth_classes` has no effect without `truth`"), "{why}");
}
