//! The `parquet` source reads back what the `parquet` sink wrote, images included, and reads or rejects the rows of other files.

use std::{fs::File, path::Path, sync::Arc, time::Instant};

use arrow::{
    array::{
        ArrayRef, AsArray, Float32Builder, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, UInt64Array,
    },
    compute::concat_batches,
    datatypes::{DataType, Field, Int64Type, Schema},
};
use lucarne::{
    batch::{ImageLayout, Images, Unit},
    engine::{EngineSettings, RunOptions, Stop, run},
    pipeline::Pipeline,
    query::Run,
    source::parquet::{Axis, ImageColumn, Parquet},
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

fn images_of(bands: &[&str], size: Option<usize>) -> ImageColumn {
    let bands = bands.iter().map(|band| (*band).to_owned()).collect();
    ImageColumn { bands, size, axes: None, unit: Unit::Unknown, pixel_scale_arcsec: None }
}

#[test]
fn rejects_rows_of_a_foreign_file_without_a_usable_image_or_identity() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("foreign.parquet");
    foreign(&path);
    let image = ImageColumn { unit: Unit::NanoJansky, pixel_scale_arcsec: Some(0.2), ..images_of(&["r"], Some(2)) };
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
    let image = |size| images_of(&["g", "r"], size);
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
            "[wrong-column] column `label` is Utf8, expected lists of numbers (at `images.label`)",
            "[wrong-column] column `pixels` does not give the shape of its images: set `size` (at `images.pixels`)",
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

fn write_columns(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let rows = rows.unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[test]
fn identities_keep_every_digit_and_floats_are_refused() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let settings = |name: &str| Parquet {
        paths: vec![path(name).to_str().unwrap().to_owned()],
        object_id: Some("id".into()),
        ..Parquet::default()
    };
    let long = ["400000000000000123", "18446744073709551615"];
    let signed: ArrayRef = Arc::new(Int64Array::from(vec![400_000_000_000_000_123, i64::MIN]));
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![400_000_000_000_000_123, u64::MAX]));
    write_columns(&path("signed.parquet"), vec![("id", signed)]);
    write_columns(&path("unsigned.parquet"), vec![("id", unsigned.clone())]);
    let ids = |name: &str| {
        let (rows, _) = read(bound(settings(name)).as_ref(), 8, 0);
        [0, 1].map(|row| lucarne::batch::object_id(&rows, row).unwrap().to_owned())
    };
    assert_eq!(ids("signed.parquet"), [long[0], "-9223372036854775808"]);
    assert_eq!(ids("unsigned.parquet"), long);

    // To SQL, through a run.
    let document = format!(
        "source: {{ parquet: {{ paths: ['{}'], object_id: id }} }}\nsink: {{ objects: {{ parquet: {{}} }} }}",
        path("unsigned.parquet").display()
    );
    Pipeline::from_yaml(document).run(path("run")).unwrap();
    let query = format!("select count(*) as n from objects where object_id in ('{}', '{}')", long[0], long[1]);
    let found = Run::open(&path("run")).unwrap().query(&query).unwrap().next().unwrap().unwrap();
    assert_eq!(found["n"].as_primitive::<Int64Type>().value(0), 2);

    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(4e17), None]));
    write_columns(&path("floats.parquet"), vec![("id", floats)]);
    let mistakes = settings("floats.parquet").build("source").and_then(|mut source| source.bind()).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(
        mistakes[0].to_string(),
        "[wrong-column] identities are float64 in column `id`: digits may be lost above 2^53 (at `object_id`); \
         help: write them as integers or text; pandas makes floats of integers beside a missing value"
    );

    // A later file of floats, as pandas writes the one with a gap.
    std::fs::remove_file(path("signed.parquet")).unwrap();
    std::fs::rename(path("unsigned.parquet"), path("a.parquet")).unwrap();
    let source = bound(Parquet {
        paths: vec![
            path("a.parquet").to_str().unwrap().to_owned(),
            path("floats.parquet").to_str().unwrap().to_owned(),
        ],
        object_id: Some("id".into()),
        ..Parquet::default()
    });
    let error = source.open(&source.splits().unwrap()[1], 0).err().unwrap().to_string();
    let expected = format!("`{}`: identities are float64 in column `id`", path("floats.parquet").display());
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn labels_are_integers_where_the_file_has_integers() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("labels.parquet");
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![2, 0]));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Int64));
    for kind in [DataType::Int64, dictionary] {
        let label = arrow::compute::cast(&numbers, &kind).unwrap();
        write_columns(&path, vec![("object_id", ids.clone()), ("label", label)]);
        let (rows, _) = read(
            bound(Parquet { paths: vec![path.to_str().unwrap().to_owned()], ..Parquet::default() }).as_ref(),
            8,
            0,
        );
        assert_eq!(rows["label"].as_primitive::<Int64Type>().values()[..], [2, 0], "{kind}");
    }
}

#[test]
fn images_of_an_earlier_version_are_read() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("old.parquet");
    let layout = ImageLayout::new(["g", "r", "i"], 1, 2, Unit::Electron)
        .with_pixel_scale(0.2)
        .with_electrons_per_njy(vec![30.0, 40.5, 1e-3]);
    let field = layout.field("image");
    let mut metadata = field.metadata().clone();
    // Lists had commas between their items.
    metadata.extend(
        [("bands", "g,r,i"), ("electrons_per_njy", "30,40.5,0.001")].map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let old = field.with_metadata(metadata);
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let schema = Arc::new(Schema::new(vec![Field::new("object_id", DataType::Utf8, false), old]));
    let pixels = lucarne::batch::list_column(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 6).unwrap();
    let rows = RecordBatch::try_new(schema.clone(), vec![ids, pixels]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), schema, None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let source = bound(Parquet { paths: vec![path.to_str().unwrap().to_owned()], ..Parquet::default() });
    let (rows, _) = read(source.as_ref(), 8, 0);
    assert_eq!(Images::of(&rows, "image").unwrap().layout, layout);
    // As it is written from here on.
    assert_eq!(rows.schema().field_with_name("image").unwrap().metadata()["bands"], r#"["g","r","i"]"#);
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

const CHANNELS_LAST: [Axis; 3] = [Axis::Y, Axis::X, Axis::Band];

/// A column of `tests/golden/parquet`, read as images of three bands. The error is the mistake.
fn golden(file: &str, column: &str, image: ImageColumn) -> Result<(Vec<f32>, Vec<Reject>), String> {
    let settings = Parquet {
        paths: vec![format!("tests/golden/parquet/{file}.parquet")],
        object_id: Some("id".into()),
        columns: Some(Vec::new()),
        images: [(column.to_owned(), image)].into(),
        ..Parquet::default()
    };
    let mut source = settings.build("source").map_err(|mistakes| mistakes[0].message.clone())?;
    source.bind().map_err(|mistakes| mistakes[0].message.clone())?;
    let (rows, rejects) = read(source.as_ref(), 16, 0);
    let images = Images::of(&rows, column).unwrap();
    assert_eq!((images.layout.bands.len(), images.layout.height, images.layout.width), (3, 4, 4));
    Ok((images.pixels.to_vec(), rejects))
}

#[test]
fn images_are_read_from_all_lists_and_tensors_that_say_what_they_are() {
    let expected: Vec<f32> = (0..96_u8).map(f32::from).collect();
    let image = |size, axes: Option<&[Axis]>| ImageColumn {
        axes: axes.map(<[Axis]>::to_vec),
        ..images_of(&["g", "r", "i"], size)
    };
    let lists = [
        "flat",
        "flat_large",
        "flat_fixed",
        "flat_bytes",
        "flat_halves",
        "lists_of_bands",
        "nested_doubles",
        "nested_integers",
        "nested_fixed",
    ];
    let channels_last = ["nested_channels_last", "nested_fixed_channels_last"];
    let mut read = Vec::new();
    for file in ["images", "without_schema"] {
        read.extend(lists.map(|column| (file, column, image(Some(4), None))));
        read.extend(channels_last.map(|column| (file, column, image(Some(4), Some(&CHANNELS_LAST)))));
    }
    for column in [
        "tensor",
        "tensor_yxband",
        "tensor_keras",
        "tensor_hwc",
        "tensor_x_before_y",
        "tensor_unknown_names",
        "tensor_permuted",
        "tensor_reversed",
        "tensor_permuted_named",
        "tensor_cycle_named",
        "nested_fixed",
    ] {
        read.extend([None, Some(4)].map(|size| ("images", column, image(size, None))));
    }
    for column in ["tensor_channels_last", "tensor_yxband", "tensor_keras", "nested_fixed_channels_last"] {
        read.extend([None, Some(4)].map(|size| ("images", column, image(size, Some(&CHANNELS_LAST)))));
    }
    for (file, column, image) in read {
        let (pixels, rejects) = golden(file, column, image).unwrap_or_else(|error| panic!("{file} {column}: {error}"));
        assert!(rejects.is_empty() && pixels == expected, "{file} {column}: {pixels:?} {rejects:?}");
    }
}

#[test]
fn a_shape_that_contradicts_the_settings_is_a_mistake_that_names_both() {
    let image = |size| images_of(&["g", "r", "i"], size);
    let with_axes = |axes: &[Axis]| ImageColumn { axes: Some(axes.to_vec()), ..image(Some(4)) };
    let looks_like = "has images of shape [4, 4, 3], which looks like [y, x, band]: set `axes: [y, x, band]`";
    for (column, image, expected) in [
        ("tensor", image(Some(5)), "has images of shape [3, 4, 4], [band, y, x], and `size` is 5"),
        ("tensor_yxband", image(Some(5)), "has images of shape [4, 4, 3], [y, x, band], and `size` is 5"),
        ("tensor", images_of(&["g", "r"], Some(4)), "has images of shape [3, 4, 4], expected 2 bands"),
        (
            "tensor_yxband",
            images_of(&["g", "r"], None),
            "has images of shape [4, 4, 3], [y, x, band], and `bands` names 2",
        ),
        ("tensor_channels_last", image(None), looks_like),
        ("tensor_channels_last", image(Some(4)), looks_like),
        ("nested_fixed_channels_last", image(None), looks_like),
        ("nested_fixed_channels_last", image(Some(4)), looks_like),
        (
            "tensor_yxband",
            with_axes(&[Axis::Band, Axis::Y, Axis::X]),
            "names its dimensions [y, x, band], and `axes` is [band, y, x]",
        ),
        (
            "tensor",
            with_axes(&[Axis::Single, Axis::Band, Axis::Y, Axis::X]),
            "has images of shape [3, 4, 4], 3 axes, and `axes` names 4",
        ),
        (
            "tensor_cycle",
            image(Some(4)),
            "has tensors with the permutation [2, 0, 1], which programs read in two ways: name their dimensions (`dim_names`), or write them without a permutation",
        ),
        ("flat_fixed", image(Some(5)), "has 48 numbers per row, expected 3 x 5 x 5"),
        ("flat", image(None), "does not give the shape of its images: set `size`"),
    ] {
        let error = golden("images", column, image).expect_err(column);
        assert_eq!(error, format!("column `{column}` {expected}"));
    }
    let no_objects = golden("images", "tensor", with_axes(&[Axis::Object, Axis::Y, Axis::X])).expect_err("no objects");
    assert_eq!(no_objects, "`axes` must have `y` and `x` once and `band` at most once; a row is one object");
}

#[test]
fn lists_of_another_shape_are_rejects_with_the_way_to_read_them() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("last.parquet");
    file_with(&path, "nested_channels_last");
    let source = bound(Parquet {
        paths: vec![path.to_str().unwrap().into()],
        object_id: Some("id".into()),
        images: [("image".to_owned(), images_of(&["g", "r", "i"], Some(4)))].into(),
        ..Parquet::default()
    });
    let (rows, rejects) = read(source.as_ref(), 16, 0);
    assert_eq!((rows.num_rows(), rejects.len()), (0, 2));
    let expected = "`image` has [4, 4, 3] pixels, expected [3, 4, 4]; set `axes: [y, x, band]` if they are";
    assert_eq!(rejects[0].reason, expected);
}

/// Writes the images of `tests/golden/parquet` in a column as `image` of a file.
fn file_with(path: &Path, column: &str) {
    let from = File::open("tests/golden/parquet/images.parquet").unwrap();
    let rows = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(from).unwrap().build().unwrap();
    let rows = rows.map(Result::unwrap).next().unwrap();
    let (index, field) = rows.schema_ref().column_with_name(column).map(|(i, f)| (i, f.clone())).unwrap();
    let fields = vec![Field::new("id", DataType::Utf8, true), field.with_name("image")];
    let columns = vec![rows.column(0).clone(), rows.column(index).clone()];
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[test]
fn every_file_is_read_by_its_own_shape() {
    let dir = tempdir().unwrap();
    let settings = || Parquet {
        paths: vec![dir.path().to_str().unwrap().into()],
        object_id: Some("id".into()),
        images: [("image".to_owned(), images_of(&["g", "r", "i"], Some(4)))].into(),
        ..Parquet::default()
    };
    for (name, column) in [("a", "flat"), ("b", "tensor_keras"), ("c", "nested_integers"), ("d", "tensor_permuted")] {
        file_with(&dir.path().join(name).with_extension("parquet"), column);
    }
    let (rows, rejects) = read(bound(settings()).as_ref(), 16, 0);
    let images = Images::of(&rows, "image").unwrap();
    let expected: Vec<f32> = (0..96_u8).map(f32::from).collect();
    assert!(rejects.is_empty() && images.pixels.chunks(96).all(|file| file == expected), "{:?}", images.pixels);
    file_with(&dir.path().join("e.parquet"), "tensor_channels_last");
    let source = bound(settings());
    let last = source.splits().unwrap().pop().unwrap();
    let error = source.open(&last, 0).err().unwrap().to_string();
    assert!(error.contains("e.parquet` is refused: column `image` has images of shape [4, 4, 3], which"), "{error}");
}

#[test]
fn images_that_another_program_wrote_again_keep_their_layout() {
    let dir = tempdir().unwrap();
    run_with_images(dir.path());
    let written = rows_of(dir.path(), "objects");
    let layout = Images::of(&written, "image").unwrap().layout;
    let path = dir.path().join("again.parquet");
    let item = Arc::new(Field::new("element", DataType::Float64, false));
    let schema = written.schema();
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = schema
        .fields()
        .iter()
        .zip(written.columns())
        .map(|(field, column)| match field.name().as_str() {
            "image" => {
                let kind = DataType::FixedSizeList(item.clone(), i32::try_from(layout.pixels()).unwrap());
                let metadata = field.metadata().clone();
                let again = arrow::compute::cast(column, &kind).unwrap();
                (Field::new("image", kind, true).with_metadata(metadata), again)
            }
            _ => (field.as_ref().clone(), column.clone()),
        })
        .unzip();
    let again = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), again.schema(), None).unwrap();
    writer.write(&again).unwrap();
    writer.close().unwrap();
    let source = bound(Parquet { paths: vec![path.to_str().unwrap().into()], ..Parquet::default() });
    let (rows, rejects) = read(source.as_ref(), 1000, 0);
    let images = Images::of(&rows, "image").unwrap();
    assert!(rejects.is_empty());
    assert_eq!((images.layout, images.pixels), (layout, Images::of(&written, "image").unwrap().pixels));
}

#[test]
fn a_column_that_describes_its_images_is_not_declared_as_others() {
    let dir = tempdir().unwrap();
    run_with_images(dir.path());
    let run = Some(dir.path().to_str().unwrap().to_owned());
    let layout = Images::of(&rows_of(dir.path(), "objects"), "image").unwrap().layout;
    let same = ImageColumn {
        unit: layout.unit,
        pixel_scale_arcsec: layout.pixel_scale_arcsec,
        ..images_of(&["r"], Some(layout.height))
    };
    let bind = |image: &ImageColumn| {
        let images = [("image".to_owned(), image.clone())].into();
        Parquet { run: run.clone(), images, ..Parquet::default() }.build("source").unwrap().bind().map(|_| ())
    };
    assert!(bind(&same).is_ok());
    let mistakes = bind(&ImageColumn { bands: vec!["g".into()], ..same }).unwrap_err();
    assert!(mistakes[0].message.starts_with("column `image` describes its images itself"), "{mistakes:?}");
}
