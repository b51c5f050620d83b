//! The catalogue of the source `tiles`: rows that are read in pieces, and HATS catalogues.

use std::{
    fs::{self, File},
    ops::Range,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{Float64Type, Int64Type},
};
use lucarne::{
    error::{Diagnostic, Error},
    fits::{CardValue, Writer},
    source::tiles::{EdgeRule, PositionCatalogue, Tiles},
    stage::{Read, Reader, Settings, Source, Split},
};
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::properties::{EnabledStatistics, WriterProperties},
};
use tempfile::{TempDir, tempdir};

use crate::{
    fits::{read, read_in_batches},
    tiles::in_order,
};

const STEP: f64 = 0.2 / 3600.0;

/// A folder with a tile of 30 rows and 40 columns, whose pixel at row 15, column 20 is at 150, 2 degrees.
fn survey() -> TempDir {
    survey_of(30)
}

/// The same with a tile of other rows. Half of them are below the position.
fn survey_of(tile_rows: usize) -> TempDir {
    let folder = tempdir().unwrap();
    let real = |key: &str, value: f64| (key.to_owned(), CardValue::Real(value));
    let text = |key: &str, value: &str| (key.to_owned(), CardValue::Text(value.to_owned()));
    let keys = [
        text("CTYPE1", "RA---TAN"),
        text("CTYPE2", "DEC--TAN"),
        real("CRVAL1", 150.0),
        real("CRVAL2", 2.0),
        real("CRPIX1", 21.0),
        real("CRPIX2", (tile_rows / 2 + 1) as f64),
        real("CD1_1", -STEP),
        real("CD2_2", STEP),
    ];
    let pixels: Vec<f32> = (0..tile_rows * 40).map(|pixel| pixel as f32).collect();
    let mut file = Writer::new();
    file.image(&[tile_rows, 40], &pixels, &keys);
    fs::write(folder.path().join("tile.fits"), file.into_bytes()).unwrap();
    folder
}

fn settings(folder: &Path, catalogue: PositionCatalogue) -> Tiles {
    let mut settings = Tiles::new(catalogue, [("r", vec![folder.join("tile.fits").display().to_string()])], 3);
    settings.edge = EdgeRule::Pad;
    settings
}

fn catalogue(path: &Path) -> PositionCatalogue {
    let mut catalogue = PositionCatalogue::new(&path.display().to_string(), "id", "ra", "dec");
    catalogue.columns = [("label", "morph"), ("flags", "flags")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    catalogue
}

fn ra(number: u64) -> f64 {
    150.0 + (number % 41) as f64 * STEP - 20.0 * STEP
}

fn dec(number: u64) -> f64 {
    2.0 + (number % 31) as f64 * STEP - 15.0 * STEP
}

/// Rows of a table: every 97th one has no identity, every 89th one no position.
fn rows(numbers: impl Iterator<Item = u64> + Clone) -> RecordBatch {
    let ids = numbers.clone().map(|number| (number % 97 != 3).then(|| format!("o{number}")));
    let degrees = |degrees: fn(u64) -> f64| -> ArrayRef {
        let degrees = numbers.clone().map(move |number| (number % 89 != 5).then(|| degrees(number)));
        Arc::new(degrees.collect::<Float64Array>())
    };
    let morphologies = numbers.clone().map(|number| if number % 2 == 0 { "spiral" } else { "smooth" });
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(ids.collect::<StringArray>())),
        ("ra", degrees(ra)),
        ("dec", degrees(dec)),
        ("morph", Arc::new(StringArray::from_iter_values(morphologies))),
        ("flags", Arc::new(Int64Array::from_iter_values(numbers.map(|number| number as i64 % 7)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn write_parquet(path: &Path, rows: &RecordBatch, group: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// The same rows as CSV.
fn write_csv(path: &Path, rows: &RecordBatch) {
    let (ids, morphologies) = (rows["id"].as_string::<i32>(), rows["morph"].as_string::<i32>());
    let number = |name: &str, row: usize| {
        let column = rows[name].as_primitive::<Float64Type>();
        column.iter().nth(row).flatten().map_or_else(String::new, |value| value.to_string())
    };
    let flags = rows["flags"].as_primitive::<Int64Type>();
    let mut text = "id,ra,dec,morph,flags\n".to_owned();
    for (row, id) in ids.iter().enumerate() {
        let (ra, dec) = (number("ra", row), number("dec", row));
        text += &format!("{},{ra},{dec},{},{}\n", id.unwrap_or_default(), morphologies.value(row), flags.value(row));
    }
    fs::write(path, text).unwrap();
}

/// The same rows as a binary table of FITS.
fn write_fits(path: &Path, rows: &RecordBatch) {
    let mut file = Writer::new();
    file.image(&[], &[], &[]);
    let mut bytes = file.into_bytes();
    let mut card = |text: String| bytes.extend(format!("{text:<80}").into_bytes());
    card("XTENSION= 'BINTABLE'".into());
    let columns = [("id", "8A"), ("ra", "D"), ("dec", "D"), ("morph", "6A"), ("flags", "K")];
    let numbers = [("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 38), ("NAXIS2", rows.num_rows()), ("PCOUNT", 0)];
    for (key, value) in numbers.into_iter().chain([("GCOUNT", 1), ("TFIELDS", columns.len())]) {
        card(format!("{key:<8}= {value:>20}"));
    }
    for (number, (name, form)) in (1..).zip(columns) {
        card(format!("TTYPE{number}  = '{name:<8}'"));
        card(format!("TFORM{number}  = '{form:<8}'"));
    }
    card("END".into());
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    let (ids, morphologies) = (rows["id"].as_string::<i32>(), rows["morph"].as_string::<i32>());
    let degrees = ["ra", "dec"].map(|name| rows[name].as_primitive::<Float64Type>().clone());
    let flags = rows["flags"].as_primitive::<Int64Type>();
    for row in 0..rows.num_rows() {
        let id = ids.iter().nth(row).flatten().unwrap_or_default();
        bytes.extend(format!("{id:<8}").into_bytes());
        for column in &degrees {
            let value = if column.is_valid(row) { column.value(row) } else { f64::NAN };
            bytes.extend(value.to_be_bytes());
        }
        bytes.extend(format!("{:<6}", morphologies.value(row)).into_bytes());
        bytes.extend(flags.value(row).to_be_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    fs::write(path, bytes).unwrap();
}

fn bound(settings: Tiles) -> Box<dyn Source> {
    let mut source = settings.build("source").unwrap();
    source.bind().unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    source
}

fn splits(source: &dyn Source) -> Vec<(String, Option<u64>)> {
    source.splits().unwrap().into_iter().map(|split| (split.id, split.rows)).collect()
}

fn in_words(mistakes: Result<impl Sized, Vec<Diagnostic>>) -> String {
    let mistakes = mistakes.err().expect("a mistake");
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn catalogues_that_are_read_in_pieces_give_the_rows_of_the_same_csv() {
    let folder = survey();
    let all = rows(0..9000);
    let [csv, parquet, fits] = ["csv", "parquet", "fits"].map(|name| folder.path().join(format!("positions.{name}")));
    write_csv(&csv, &all);
    // Pieces of 4096 rows begin and end within groups.
    write_parquet(&parquet, &all, 1500);
    write_fits(&fits, &all);
    let expected_splits = splits(bound(settings(folder.path(), catalogue(&csv))).as_ref());
    assert_eq!(expected_splits.len(), 3);
    let expected = read(settings(folder.path(), catalogue(&csv)));
    assert!(expected.rows.num_rows() > 8000);
    let rejects = |output: &crate::fits::SourceOutput| {
        let name =
            |origin: &str| origin.rsplit('/').next().unwrap().replace(".parquet", ".csv").replace(".fits", ".csv");
        let rejects = output.rejects.iter();
        rejects.map(|one| (one.row, one.object_id.clone(), name(&one.origin), one.reason.clone())).collect::<Vec<_>>()
    };
    assert!(rejects(&expected).iter().any(|(_, _, origin, _)| origin == "positions.csv[8927]"));
    for path in [&parquet, &fits] {
        let source = bound(settings(folder.path(), catalogue(path)));
        assert_eq!(splits(source.as_ref()), expected_splits, "{}", path.display());
        let found = read(settings(folder.path(), catalogue(path)));
        assert_eq!(found.rows, expected.rows, "{}", path.display());
        assert_eq!(rejects(&found), rejects(&expected), "{}", path.display());
    }
}

#[test]
fn a_split_of_a_parquet_catalogue_is_read_from_any_offset() {
    let folder = survey();
    let path = folder.path().join("positions.parquet");
    write_parquet(&path, &rows(0..5000), 900);
    let source = bound(settings(folder.path(), catalogue(&path)));
    let split = &source.splits().unwrap()[1];
    let drained = |offset: u64| -> Vec<String> {
        let mut reader = source.open(split, offset).unwrap();
        let mut ids = Vec::new();
        while let Read::Batch { rows, .. } = reader.next(50, Instant::now()).unwrap() {
            ids.extend(rows["object_id"].as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        ids
    };
    let all = drained(0);
    let mut numbers: Vec<u64> = all.iter().map(|id| id[1..].parse().unwrap()).collect();
    // From low rows of the tile to high ones, and those of one row as in the catalogue.
    assert!(numbers.is_sorted_by_key(|number| (number % 31, *number)), "{numbers:?}");
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() == all.len() && numbers.len() > 800);
    let later = drained(500);
    assert!(later.len() > 250 && later[..] == all[all.len() - later.len()..]);
}

#[test]
fn a_parquet_catalogue_that_was_replaced_is_refused() {
    let folder = survey();
    let path = folder.path().join("positions.parquet");
    write_parquet(&path, &rows(0..100), 100);
    let source = bound(settings(folder.path(), catalogue(&path)));
    let split = source.splits().unwrap().remove(0);
    write_parquet(&path, &rows(1..101), 100);
    let error = source.open(&split, 0).err().expect("an error").report();
    assert!(error.contains("are not those of the catalogue that the run began with"), "{error}");
    write_parquet(&path, &rows(0..99), 100);
    let error = source.open(&split, 0).err().expect("an error").report();
    assert!(error.contains("fewer rows than when the run began"), "{error}");
    let other = Split::new("7 0123456789abcdef x", 4);
    assert!(source.open(&other, 0).is_err());
}

#[test]
fn a_catalogue_without_rows_is_a_mistake() {
    let folder = survey();
    let (parquet, csv) = (folder.path().join("positions.parquet"), folder.path().join("positions.csv"));
    write_parquet(&parquet, &rows(0..0), 100);
    fs::write(&csv, "id,ra,dec,morph,flags\n").unwrap();
    for path in [&parquet, &csv] {
        let found = in_words(read_in_batches(settings(folder.path(), catalogue(path)), 32));
        assert!(found.contains("has no rows"), "{found}");
    }
}

#[test]
fn further_columns_that_changed_are_refused() {
    let folder = survey();
    let path = folder.path().join("positions.parquet");
    let written = rows(0..100);
    write_parquet(&path, &written, 100);
    let source = bound(settings(folder.path(), catalogue(&path)));
    let split = source.splits().unwrap().remove(0);
    let mut columns = written.columns().to_vec();
    columns[4] = Arc::new(Int64Array::from_iter_values(0..100));
    write_parquet(&path, &RecordBatch::try_new(written.schema(), columns).unwrap(), 100);
    let error = source.open(&split, 0).err().expect("an error").report();
    assert!(error.contains("are not those of the catalogue that the run began with"), "{error}");
}

/// Rows of a damaged tile are rejects; those of one that is written while it is read may be good.
#[test]
fn a_tile_that_is_cut_off_while_it_is_read_ends_the_run() {
    // The objects lie in two strips, of which the second is read after the cut.
    let folder = survey_of(64);
    let path = folder.path().join("positions.parquet");
    write_parquet(&path, &rows(0..60), 100);
    let source = bound(settings(folder.path(), catalogue(&path)));
    let split = source.splits().unwrap().remove(0);
    let tile = folder.path().join("tile.fits");
    let cut = || File::options().write(true).open(&tile).unwrap().set_len(2880 + 200).unwrap();
    let failure = |mut reader: Box<dyn Reader>| loop {
        match reader.next(4, Instant::now()) {
            Ok(Read::Batch { rejects, .. }) => assert!(!rejects.iter().any(|reject| reject.reason.contains("file"))),
            Ok(_) => panic!("the end"),
            Err(error) => break error,
        }
    };
    let mut reader = source.open(&split, 0).unwrap();
    reader.next(4, Instant::now()).unwrap();
    cut();
    for error in [failure(reader), failure(source.open(&split, 0).unwrap())] {
        let is_environment = matches!(error, Error::Environment { .. });
        assert!(is_environment && error.report().contains("tile.fits` has changed since the run began"), "{error}");
    }
}

#[test]
fn ids_that_come_twice_far_from_each_other_are_mistakes() {
    let folder = survey();
    let path = folder.path().join("positions.parquet");
    let all = rows((0..6000).chain(10..11));
    write_parquet(&path, &all, 1000);
    let table = folder.path().join("positions.fits");
    write_fits(&table, &all);
    for path in [&path, &table] {
        let found = in_words(read_in_batches(settings(folder.path(), catalogue(path)), 32));
        assert!(found.contains("has `o10` twice in column `id`"), "{found}");
    }
}

/// A HATS catalogue: pixel 4 of order 1 in two files of a folder, and pixels 16 (of order 2, behind the others) and 3.
fn hats(folder: &Path, properties: &str) -> std::path::PathBuf {
    let root = folder.join("catalogue");
    let dataset = root.join("dataset");
    let file = |name: &str, numbers: Range<u64>| write_parquet(&dataset.join(name), &rows(numbers), 40);
    file("Norder=2/Dir=0/Npix=80.parquet", 300..400);
    file("Norder=1/Dir=0/Npix=4/part1.parquet", 200..300);
    file("Norder=1/Dir=0/Npix=4/part0.parquet", 100..200);
    file("Norder=1/Dir=0/Npix=3.parquet", 0..100);
    fs::write(dataset.join("_common_metadata"), "not read").unwrap();
    fs::write(root.join("hats.properties"), properties).unwrap();
    root
}

#[test]
fn a_hats_catalogue_is_read_in_the_order_of_its_pixels() {
    let folder = survey();
    let properties = "#HATS catalog\nobs_collection=test\ndataproduct_type=object\nhats_nrows=400\n\
                      hats_col_ra=ra\nhats_col_dec=dec\nhats_order=2\n";
    let root = hats(folder.path(), properties);
    let csv = folder.path().join("positions.csv");
    write_csv(&csv, &rows(0..400));
    let [expected, found] = [&csv, &root].map(|path| read(settings(folder.path(), catalogue(path))));
    // Each file is a split.
    let number = |id: Option<&str>| id.unwrap()[1..].parse::<u64>().unwrap();
    assert!(found.rows["object_id"].as_string::<i32>().iter().map(|id| number(id) / 100).is_sorted());
    let whole = found.rows.clone();
    let [expected, found] = [expected, found].map(in_order);
    for name in ["object_id", "ra", "dec", "label", "flags", "image", "origin"] {
        assert_eq!(&found.rows[name], &expected.rows[name], "{name}");
    }
    let source = bound(settings(folder.path(), catalogue(&root)));
    assert_eq!(splits(source.as_ref()).len(), 4);
    assert_eq!(source.input_files(), [root.join("hats.properties")]);
    let origin = &found.rejects.iter().find(|reject| reject.origin.contains("part1")).expect("a reject").origin;
    assert!(origin.contains("dataset/Norder=1/Dir=0/Npix=4/part1.parquet["), "{origin}");

    // A collection names the folder of its catalogue.
    let collection = folder.path().join("collection.properties");
    fs::write(collection, "obs_collection=test\nhats_primary_table_url=catalogue\n").unwrap();
    let through = read(settings(folder.path(), catalogue(folder.path())));
    assert_eq!(through.rows, whole);
}

#[test]
fn the_properties_of_a_hats_catalogue_name_its_columns_and_rows() {
    let folder = survey();
    let root = hats(folder.path(), "hats_nrows=401\n");
    let refused = |catalogue: PositionCatalogue| in_words(read_in_batches(settings(folder.path(), catalogue), 32));
    let found = refused(catalogue(&root));
    assert!(found.contains("has 400 rows in its files, expected 401 (`hats_nrows`)"), "{found}");
    let properties = root.join("hats.properties");
    for (text, expected) in [
        ("dataproduct_type=margin", "`dataproduct_type` is `margin`, expected `object` or `source`"),
        ("hats_nrows=many", "`hats_nrows` is `many`, expected a whole number"),
        ("hats_col_ra = RAJ2000", "has no column `RAJ2000`"),
    ] {
        fs::write(&properties, text).unwrap();
        let found = refused(catalogue(&root));
        assert!(found.contains(expected), "{found}");
    }
    // A setting comes before the properties.
    let mut by_name = catalogue(&root);
    by_name.ra = "dec".into();
    assert_eq!(read(settings(folder.path(), by_name)).rejects.len(), 400);
    fs::remove_file(&properties).unwrap();
    let found = refused(catalogue(&root));
    assert!(found.contains("a folder without `hats.properties`"), "{found}");
    // One file has another type in a column that is used.
    fs::write(&properties, "").unwrap();
    let other = rows(300..400);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(300..400));
    let mut columns = other.columns().to_vec();
    columns[0] = ids;
    let names = ["id", "ra", "dec", "morph", "flags"];
    let other = RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap();
    write_parquet(&root.join("dataset/Norder=2/Dir=0/Npix=80.parquet"), &other, 40);
    let found = refused(catalogue(&root));
    assert!(found.contains("column `id` of") && found.contains("holds Int64, expected Utf8"), "{found}");
    write_parquet(&root.join("dataset/Norder=2/Dir=0/Npix=4000.parquet"), &other, 40);
    assert!(refused(catalogue(&root)).contains("is not a pixel of healpix order 2"));
}

const CHILD_FOLDER: &str = "LUCARNE_TEST_TILES_FOLDER";

/// Reads all rows in a process of its own. Returns the most memory that it ever held, MiB.
fn peak_mib(folder: &Path) -> f64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tiles_catalogue::a_child_process_reads_a_catalogue", "--ignored", "--test-threads=1"])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(folder.join("peak")).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[test]
#[ignore = "started by other tests"]
fn a_child_process_reads_a_catalogue() {
    let folder = std::env::var(CHILD_FOLDER).unwrap();
    let folder = Path::new(&folder);
    let source = bound(settings(folder, catalogue(&folder.join("positions.parquet"))));
    let mut seen = 0;
    for split in source.splits().unwrap() {
        let mut reader = source.open(&split, 0).unwrap();
        while let Read::Batch { rows, rejects } = reader.next(64, Instant::now()).unwrap() {
            seen += rows.num_rows() + rejects.len();
        }
    }
    assert!(seen > 0);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    fs::write(folder.join("peak"), line.split_whitespace().nth(1).unwrap()).unwrap();
}

#[test]
fn ten_times_the_rows_of_a_catalogue_take_no_more_memory() {
    if !Path::new("/proc/self/status").exists() {
        crate::skip::skip("the peak memory of a process: missing `/proc/self/status`");
        return;
    }
    // A kilobyte in each row: 12 and 120 MB. The positions are in no tile.
    let peak = |count: u64| {
        let folder = survey();
        let text = |number: u64| format!("{number:<1000}");
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(6000))
            .build();
        let mut writer = None;
        for start in (0..count).step_by(6000) {
            let numbers = start..start + 6000;
            let ids: ArrayRef = Arc::new(StringArray::from_iter_values(numbers.clone().map(|row| row.to_string())));
            let degrees: ArrayRef = Arc::new(Float64Array::from_iter_values(numbers.clone().map(|_| 10.0)));
            let long: ArrayRef = Arc::new(StringArray::from_iter_values(numbers.clone().map(text)));
            let flags: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers.map(|row| row as i64)));
            let columns = [("id", ids), ("ra", degrees.clone()), ("dec", degrees), ("morph", long), ("flags", flags)];
            let rows = RecordBatch::try_from_iter(columns).unwrap();
            let file = || File::create(folder.path().join("positions.parquet")).unwrap();
            writer
                .get_or_insert_with(|| ArrowWriter::try_new(file(), rows.schema(), Some(properties.clone())).unwrap())
                .write(&rows)
                .unwrap();
        }
        writer.unwrap().close().unwrap();
        peak_mib(folder.path())
    };
    let (short, long) = (peak(12_000), peak(120_000));
    println!("peak memory of 12,000 rows {short:.1} MiB, of 120,000 rows {long:.1} MiB");
    assert!(long < short + 24.0, "{long} MiB, from {short} MiB of a tenth of the rows");
}
