//! The contract of `stage::Sink`, checked for every example of every kind.

#![allow(clippy::unwrap_used, reason = "a test reports where it cannot continue")]

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, UInt64Array},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema},
};
use tempfile::TempDir;

use super::KINDS;
use crate::{
    batch::{ImageLayout, LABEL, OBJECT_ID, ORIGIN, ROW, Unit, list_column, list_type},
    fits,
    io::parquet,
    stage::{Kind, RunContext, Sink, TablePart},
};

const ROWS: usize = 23;

/// Rows as they reach the sinks of a pipeline with two depths and a model.
fn rows() -> RecordBatch {
    let layout = |unit| ImageLayout {
        bands: ["g", "r", "i"].map(str::to_owned).to_vec(),
        height: 5,
        width: 4,
        unit,
        pixel_scale_arcsec: Some(0.2),
        stretch: None,
        electrons_per_njy: None,
        wcs: None,
    };
    let text =
        |of: &dyn Fn(usize) -> Option<String>| -> ArrayRef { Arc::new((0..ROWS).map(of).collect::<StringArray>()) };
    let floats = |salt: usize, length: usize| {
        list_column((0..ROWS * length).map(|i| ((i * salt) % 1009) as f32 / 7.0 - 50.0).collect(), length).unwrap()
    };
    let mut columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new(ROW, DataType::UInt64, false), Arc::new(UInt64Array::from_iter_values(0..ROWS as u64))),
        // Names repeat: only identity and origin together are unique.
        (Field::new(OBJECT_ID, DataType::Utf8, false), text(&|row| Some(format!("NGC {}/a", row / 2)))),
        (Field::new(ORIGIN, DataType::Utf8, false), text(&|row| Some(format!("survey.fits[{row}]")))),
        (Field::new(LABEL, DataType::Utf8, true), text(&|row| (row % 3 > 0).then(|| "spiral".to_owned()))),
    ];
    let units = [
        ("image", Unit::NanoJansky),
        ("y10_sky", Unit::Electron),
        ("y1_sky", Unit::Electron),
        ("y10", Unit::Stretched),
        ("y1", Unit::Stretched),
    ];
    for (salt, (name, unit)) in (3..).zip(units) {
        columns.push((layout(unit).field(name), floats(salt, layout(unit).pixels())));
    }
    for score in ["da_y10", "da_y1"] {
        let class = Field::new(format!("{score}_class"), DataType::Utf8, false);
        columns.push((class, text(&|row| Some(["spiral", "merger"][row % 2].to_owned()))));
        columns.push((Field::new(format!("{score}_probability"), list_type(3), false), floats(11, 3)));
        columns.push((Field::new(format!("{score}_latent"), list_type(6), false), floats(13, 6)));
    }
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// A sink that writes, the folders it got, and what it wrote.
struct SinkCase {
    kind: &'static Kind<dyn Sink>,
    example: &'static str,
    name: String,
    sink: Box<dyn Sink>,
    /// The columns that it requires.
    input: RecordBatch,
    staging: TempDir,
    table: TempDir,
    /// The files that were moved to the table, in order.
    published: Vec<TablePart>,
}

/// A sink for every example.
fn cases() -> Vec<SinkCase> {
    // `kafka` needs a broker: `tests/it/kafka.rs` has one.
    let kinds = KINDS.iter().filter(|kind| kind.name != "kafka");
    let examples = kinds.flat_map(|kind| (kind.examples)().iter().map(move |example| (kind, *example)));
    let case = |(kind, example): (&'static Kind<dyn Sink>, &'static str)| {
        let (staging, table) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (sink, input) = started(kind, example, &staging, &table);
        let name = format!("{}: {example}", kind.name);
        SinkCase { kind, example, name, sink, input, staging, table, published: Vec::new() }
    };
    examples.map(case).collect()
}

/// A started sink, and the columns of [`rows`] that it requires.
fn started(kind: &Kind<dyn Sink>, example: &str, staging: &TempDir, table: &TempDir) -> (Box<dyn Sink>, RecordBatch) {
    let settings = serde_saphyr::from_str(example).unwrap_or_else(|error| panic!("{example}: {error}"));
    let rows = rows();
    let bound = (kind.build)("kept", settings).and_then(|mut sink| Ok((sink.bind(&rows.schema())?, sink)));
    let (columns, mut sink) = bound.unwrap_or_else(|diagnostics| panic!("{example}: {diagnostics:?}"));
    let columns: BTreeSet<usize> =
        columns.iter().map(|column| rows.schema().index_of(&column.column).unwrap()).collect();
    let input = rows.project(&columns.into_iter().collect::<Vec<_>>()).unwrap();
    let run = RunContext { seed: 7, batch_rows: 16, ..RunContext::default() };
    sink.start(&run, staging.path(), table.path()).unwrap();
    (sink, input)
}

impl SinkCase {
    /// Commits as the engine does: prepares, then moves the files to the table.
    fn commit(&mut self) {
        let name = &self.name;
        assert_eq!(names_in(self.table.path()), names(&self.published), "{name}: the sink does not publish");
        let parts = self.sink.prepare().unwrap();
        assert_eq!(names_in(self.staging.path()), names(&parts), "{name}: the files in staging are those returned");
        for part in &parts {
            let path = self.staging.path().join(&part.file);
            assert_eq!(fs::metadata(&path).unwrap().len(), part.bytes, "{name}");
            assert_eq!(KeptRows::read(self.kind.name, &[path.as_path()]).len() as u64, part.rows, "{name}");
            let published = self.table.path().join(&part.file);
            assert!(!published.exists(), "{name}: `{}` is written twice", part.file);
            fs::rename(path, published).unwrap();
        }
        self.published.extend(parts);
    }

    /// Begins again as after a kill: a new sink, with the snapshot of the last commit.
    fn restart(&mut self) {
        let snapshot = self.sink.snapshot().unwrap();
        self.sink = started(self.kind, self.example, &self.staging, &self.table).0;
        if !snapshot.is_empty() {
            self.sink.restore(&snapshot).unwrap();
        }
    }

    /// Writes all rows in batches of `batch_rows`, with a commit and a restart after every `per_commit` batches, and a commit at the
    /// end.
    fn write_all(&mut self, batch_rows: usize, per_commit: usize) -> KeptRows {
        for (number, start) in (0..ROWS).step_by(batch_rows).enumerate() {
            self.sink.write(&self.input.slice(start, batch_rows.min(ROWS - start))).unwrap();
            if (number + 1) % per_commit == 0 {
                self.commit();
                self.restart();
            }
        }
        self.sink.finish().unwrap();
        self.commit();
        let paths: Vec<_> = self.published.iter().map(|part| self.table.path().join(&part.file)).collect();
        KeptRows::read(self.kind.name, &paths.iter().map(AsRef::as_ref).collect::<Vec<&Path>>())
    }
}

fn names(parts: &[TablePart]) -> BTreeSet<String> {
    parts.iter().map(|part| part.file.clone()).collect()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What files hold, bit for bit.
#[derive(Debug, PartialEq)]
enum KeptRows {
    Parquet(RecordBatch),
    Fits(Vec<CutoutHdu>),
}

/// An HDU with pixels.
#[derive(Debug, PartialEq)]
struct CutoutHdu {
    column: Option<String>,
    /// The cards of its columns.
    keys: Vec<Vec<u8>>,
    pixels: Vec<u32>,
}

impl KeptRows {
    fn read(kind: &str, paths: &[&Path]) -> Self {
        match kind {
            "parquet" => {
                let read = |path: &&Path| parquet::read(path, 1000).unwrap();
                let schema = parquet::open(paths[0]).unwrap().1.schema().clone();
                let batches: Vec<RecordBatch> = paths.iter().flat_map(read).map(Result::unwrap).collect();
                Self::Parquet(concat_batches(&schema, &batches).unwrap())
            }
            "fits" => Self::Fits(paths.iter().flat_map(|path| cutouts(path)).collect()),
            other => panic!("no reader of `{other}`: add one here"),
        }
    }

    /// The number of rows. In FITS files a row has one HDU for each column.
    fn len(&self) -> usize {
        match self {
            Self::Parquet(rows) => rows.num_rows(),
            Self::Fits(cutouts) => cutouts.iter().filter(|cutout| cutout.column == cutouts[0].column).count(),
        }
    }
}

fn cutouts(path: &Path) -> Vec<CutoutHdu> {
    let file = fits::FitsFile::open(path, &fits::Limits::default()).unwrap();
    let hdus = file.hdus().iter().filter(|hdu| hdu.has_pixels());
    let cutout = |hdu: &fits::Hdu| {
        let image = file.image(hdu.index).unwrap();
        let mut pixels = vec![0.0; image.pixels()];
        image.copy(0, &mut pixels);
        let keys = hdu.header.cards().map(<[u8]>::to_vec).collect();
        CutoutHdu { column: hdu.header.text("EXTNAME"), keys, pixels: pixels.into_iter().map(f32::to_bits).collect() }
    };
    hdus.map(cutout).collect()
}

#[test]
fn kept_rows_do_not_depend_on_batches_or_commits() {
    let all: Vec<KeptRows> = cases().iter_mut().map(|case| case.write_all(ROWS, 1)).collect();
    for (batch_rows, per_commit) in [(1, 1), (1, 100), (4, 2), (5, 100), (7, 1)] {
        for (case, all) in cases().iter_mut().zip(&all) {
            assert_eq!(all.len(), ROWS, "{}", case.name);
            assert_eq!(case.write_all(batch_rows, per_commit), *all, "{}", case.name);
        }
    }
}

#[test]
fn files_do_not_depend_on_batches_and_those_for_others_not_on_commits() {
    for (mut one, mut another) in cases().into_iter().zip(cases()) {
        one.write_all(ROWS, 100);
        // Parts of a table are the engine's own; files of FITS are read by name.
        another.write_all(3, if one.kind.name == "parquet" { 100 } else { 2 });
        let rows =
            |case: &SinkCase| case.published.iter().map(|part| (part.file.clone(), part.rows)).collect::<Vec<_>>();
        assert_eq!(rows(&one), rows(&another), "{}", one.name);
    }
}

#[test]
fn a_commit_without_rows_adds_no_rows() {
    for mut case in cases() {
        case.sink.write(&case.input.slice(0, 0)).unwrap();
        case.commit();
        assert_eq!(case.published.iter().map(|part| part.rows).sum::<u64>(), 0, "{}", case.name);
        case.sink.write(&case.input).unwrap();
        case.sink.finish().unwrap();
        case.commit();
        let parts = case.published.len();
        case.commit();
        assert_eq!(case.published.len(), parts, "{}: a file is returned once", case.name);
    }
}
