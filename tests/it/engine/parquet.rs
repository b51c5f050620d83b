//! The `parquet` source reads back what the `parquet` sink wrote, images included, and reads or rejects the rows of other files.

use std::{fs::File, path::Path, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Float32Builder, Int64Array, ListBuilder, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema},
};
use lucarne::{
    batch::{ImageLayout, Images, Unit},
    engine::{EngineSettings, RunOptions, Stop, run},
    source::parquet::{ImageColumn, Parquet},
    stage::{Read, Reject, RunContext, Settings, Source},
};
use parquet::arrow::ArrowWriter;
use tempfile::tempdir;

use super::stages::{Recipe, rows_of};

fn bound(settings: Parquet) -> Box<dyn Source> {
    let mut source = settings.build("source").unwrap();
    source.bind().unwrap();
    source
}

/// All rows and rejects of a source, in batches of at most `batch_rows`, from an offset of its first split on.
fn read(source: &dyn Source, batch_rows: usize, from: u64) -> (RecordBatch, Vec<Reject>) {
    let (mut batches, mut all_rejects) = (Vec::new(), Vec::new());
    for (index, split) in source.splits().unwrap().iter().enumerate() {
        let mut reader = source.open(split, if index == 0 { from } else { 0 }).unwrap();
        while let Read::Batch { rows, rejects } = reader.next(batch_rows, Instant::now()).unwrap() {
            batches.push(rows);
            all_rejects.extend(rejects);
        }
        assert_eq!(Some(reader.offset()), split.rows);
    }
    (concat_batches(&batches[0].schema(), &batches).unwrap(), all_rejects)
}

fn run_with_images(run_dir: &Path) -> Recipe {
    let recipe = Recipe {
        splits: vec![230],
        images: true,
        keep_images: true,
        engine: EngineSettings { threads: 2, batch_rows: 16, commit_rows: 64, ..EngineSettings::default() },
        ..Recipe::default()
    };
    run(recipe.job(Some(run_dir)), &RunOptions::default(), &Stop::default(), &mut |_| {}).unwrap();
    recipe
}

#[test]
fn reads_back_a_table_of_a_run_with_images_and_metadata() {
    let dir = tempdir().unwrap();
    run_with_images(dir.path());
    let written = rows_of(dir.path(), "objects");
    let path = |path: &Path| vec![path.to_str().unwrap().to_owned()];
    let ways = [
        Parquet { run: path(dir.path()).pop(), ..Parquet::default() },
        Parquet { paths: path(&dir.path().join("objects")), ..Parquet::default() },
        Parquet { paths: path(&dir.path().join("objects/*.parquet")), ..Parquet::default() },
    ];
    for settings in ways {
        let source = bound(settings);
        assert!(source.splits().unwrap().len() > 1);
        let (rows, rejects) = read(source.as_ref(), 7, 0);
        assert!(rejects.is_empty());
        for (field, column) in written.schema().fields().iter().zip(written.columns()) {
            assert_eq!(rows.column_by_name(field.name()), Some(column), "{}", field.name());
        }
        assert_eq!(Images::of(&rows, "image").unwrap().layout, Images::of(&written, "image").unwrap().layout);
    }
}

#[test]
fn continues_at_any_offset_with_any_batch_size() {
    let dir = tempdir().unwrap();
    run_with_images(dir.path());
    let source = bound(Parquet { run: Some(dir.path().to_str().unwrap().into()), ..Parquet::default() });
    let (all, _) = read(source.as_ref(), 1000, 0);
    let first = source.splits().unwrap()[0].rows.unwrap();
    for (offset, batch_rows) in [(0, 1), (1, 16), (17, 5), (first - 1, 64), (first, 64)] {
        let (rows, _) = read(source.as_ref(), batch_rows, offset);
        let skipped = usize::try_from(offset).unwrap();
        assert_eq!(rows, all.slice(skipped, all.num_rows() - skipped), "from {offset}");
    }
}

/// A file that lucarne did not write: a list column without metadata, an integer identity.
fn foreign(path: &Path) {
    let mut lists = ListBuilder::new(Float32Builder::new());
    for values in [Some(vec![1.0, 2.0, 3.0, 4.0]), None, Some(vec![1.0]), Some(vec![1.0, f32::NAN, 3.0, 4.0])] {
        match values {
            Some(values) => lists.append_value(values.into_iter().map(Some)),
            None => lists.append_null(),
        }
    }
    lists.append_value([Some(5.0), None, Some(7.0), Some(8.0)]);
    lists.append_value([5.0, 6.0, 7.0, 8.0].map(Some));
    lists.append_value([5.0, 6.0, 7.0, 8.0].map(Some));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), Some(4), Some(5), None, Some(7)]))),
        ("pixels", Arc::new(lists.finish())),
        ("label", Arc::new(StringArray::from(vec!["spiral"; 7]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[test]
fn rejects_rows_of_a_foreign_file_without_a_usable_image_or_identity() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("foreign.parquet");
    foreign(&path);
    let image =
        ImageColumn { bands: vec!["r".into()], size: Some(2), unit: Unit::NanoJansky, pixel_scale_arcsec: Some(0.2) };
    let source = bound(Parquet {
        paths: vec![path.to_str().unwrap().into()],
        object_id: Some("id".into()),
        images: [("pixels".to_owned(), image)].into(),
        ..Parquet::default()
    });
    let (rows, rejects) = read(source.as_ref(), 3, 0);
    let images = Images::of(&rows, "pixels").unwrap();
    assert_eq!(images.pixels, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    assert_eq!((images.layout.height, images.layout.unit), (2, Unit::NanoJansky));
    assert_eq!(lucarne::batch::object_id(&rows, 1).unwrap(), "7");
    assert_eq!(lucarne::batch::origin(&rows, 1).unwrap(), format!("{}[6]", path.display()));
    let reasons: Vec<(u64, &str)> = rejects.iter().map(|reject| (reject.row, reject.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (1, "`pixels` is missing"),
            (2, "`pixels` has 1 pixels, expected 4"),
            (3, "`pixels` has 1 non-finite pixels"),
            (4, "`pixels` has 1 missing pixels"),
            (5, "no identity: column `id` is null"),
        ]
    );
}

#[test]
fn reports_mistakes_without_reading_rows() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("foreign.parquet");
    foreign(&path);
    let paths = vec![path.to_str().unwrap().to_owned()];
    let mistakes = |settings: Parquet| {
        let diagnostics = settings.build("source").and_then(|mut source| source.bind().map(|_| ())).unwrap_err();
        diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(mistakes(Parquet::default()), ["[conflict] expected either `paths` or `run`"]);
    let image =
        |size| ImageColumn { bands: vec!["g".into(), "r".into()], size, unit: Unit::Unknown, pixel_scale_arcsec: None };
    let settings = Parquet {
        paths: paths.clone(),
        columns: Some(vec!["labl".into()]),
        images: [("pixels".to_owned(), image(None)), ("label".to_owned(), image(Some(2)))].into(),
        ..Parquet::default()
    };
    assert_eq!(
        mistakes(settings),
        [
            "[unknown-column] the file has no column `object_id`; help: available columns: `id`, `pixels`, `label`",
            "[unknown-column] the file has no column `labl` (at `columns`); help: did you mean `label`?",
            "[wrong-column] column `label` is Utf8, expected lists of numbers (at `images`)",
            "[wrong-column] column `pixels` does not give the shape of its images: set `size` (at `images`)",
        ]
    );
    let nowhere = dir.path().join("*.pq").display().to_string();
    let missing = mistakes(Parquet { paths: vec![nowhere.clone()], ..Parquet::default() });
    assert!(
        missing[0].starts_with(&format!("[missing-file] no file matches `{nowhere}` (at `paths.0`)")),
        "{missing:?}"
    );
    let run = dir.path().display().to_string();
    let no_run = mistakes(Parquet { run: Some(run.clone()), ..Parquet::default() });
    let expected = format!("[missing-file] `{run}` is not a run directory with a table `objects` (at `run`)");
    assert!(no_run[0].starts_with(&expected), "{no_run:?}");
}

#[test]
fn a_truncated_or_differing_file_is_an_error_that_names_it() {
    let dir = tempdir().unwrap();
    let (first, second) = (dir.path().join("a.parquet"), dir.path().join("b.parquet"));
    foreign(&first);
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
    let other = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&second).unwrap(), schema, None).unwrap();
    writer.write(&other).unwrap();
    writer.close().unwrap();
    let folder = vec![dir.path().to_str().unwrap().to_owned()];
    let source = bound(Parquet { paths: folder, object_id: Some("id".into()), ..Parquet::default() });
    let splits = source.splits().unwrap();
    let error = source.open(&splits[1], 0).err().unwrap().to_string();
    assert_eq!(error, format!("`{}` has no column `pixels`, unlike the first file", second.display()));
    std::fs::write(&second, &std::fs::read(&first).unwrap()[..300]).unwrap();
    let error = source.splits().unwrap_err().report();
    assert!(error.starts_with(&format!("cannot read `{}` as Parquet: ", second.display())), "{error}");
}

#[test]
fn keeps_the_layout_of_images() {
    let dir = tempdir().unwrap();
    run_with_images(dir.path());
    let mut source =
        Parquet { run: Some(dir.path().to_str().unwrap().into()), ..Parquet::default() }.build("source").unwrap();
    let schema = source.bind().unwrap();
    let layout = ImageLayout::of(schema.field_with_name("image").unwrap()).unwrap();
    assert_eq!(
        (layout.bands, layout.pixel_scale_arcsec, layout.unit),
        (vec!["r".to_owned()], Some(0.2), Unit::NanoJansky)
    );
}

#[test]
fn refuses_to_start_when_an_object_is_read_twice() {
    let dir = tempdir().unwrap();
    run_with_images(dir.path());
    let table = dir.path().join("objects");
    let mut parts: Vec<_> = std::fs::read_dir(&table).unwrap().map(|entry| entry.unwrap().path()).collect();
    parts.sort();
    let paths = |paths: &[&Path]| paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    let start = |settings: Parquet| {
        let context = RunContext { seed: 1, threads: 1, batch_rows: 16, ..RunContext::default() };
        bound(settings).start(&context).map_err(|error| error.to_string())
    };
    start(Parquet { paths: paths(&[&table]), ..Parquet::default() }).unwrap();
    let copy = dir.path().join("copy.parquet");
    std::fs::copy(&parts[1], &copy).unwrap();
    let error = start(Parquet { paths: paths(&[&parts[0], &parts[1], &copy]), ..Parquet::default() }).unwrap_err();
    assert!(error.contains("is read twice, from") && error.contains("copy.parquet[0]`"), "{error}");
    // Without the original the copy repeats nothing.
    start(Parquet { paths: paths(&[&parts[0], &copy]), ..Parquet::default() }).unwrap();
}

#[test]
fn reports_a_file_that_is_named_twice() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("a.parquet");
    foreign(&file);
    let paths = vec![file.to_str().unwrap().to_owned(), format!("{}/./a.parquet", dir.path().display())];
    let mut source = Parquet { paths, object_id: Some("id".into()), ..Parquet::default() }.build("source").unwrap();
    assert!(source.bind().unwrap_err()[0].message.ends_with("is named twice"));
}
