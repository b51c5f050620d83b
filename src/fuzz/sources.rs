//! Sources over one file of any bytes: FITS cutouts, a catalogue beside them, an image of the sky, Parquet.
//!
//! The path that a pipeline takes: bind, list splits, read batches. Nothing is kept but the promises of the contract.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use arrow::{
    array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{WriterProperties, WriterVersion},
};
use serde_json::{Value, json};

#[cfg(feature = "fits")]
use super::seeds::texts;
use super::{FuzzTarget, scratch::Scratch, seeds::files};
#[cfg(feature = "fits")]
use crate::fits::{CardValue, Writer};
use crate::{
    batch::{ImageLayout, Unit, list_column, row_number},
    error::{Error, Result},
    io::parquet as parquet_file,
    source,
    stage::{Read, RunContext, Source},
};

/// Rows of a batch, and batches that are read of a file.
const ROWS: usize = 16;
const BATCHES: usize = 64;

#[cfg(feature = "fits")]
pub(super) const FITS: FuzzTarget = FuzzTarget {
    name: "fits_source",
    run: fits,
    seeds: fits_seeds,
    words: &[
        "NAXIS   =                    4",
        "NAXIS4  =                    2",
        "BANDS   = 'g r i'",
        "FILTER  = 'g'",
        "BUNIT   = 'nJy'",
        "BUNIT   = '10**(-9) maggy'",
        "CD1_1   = -5.5E-05",
        "CDELT1  = 1",
        "CUNIT1  = 'arcsec'",
        "PIXSCALE= 0.2",
        "EXTTYPE = 'MASK'",
        "EXTNAME = 'VARIANCE'",
        "EXTNAME = 'IVAR'",
        "EXTNAME = 'PSF'",
        "OBJECT  = 'a'",
        "LABEL   = 'spiral'",
        "RA      = 359.9",
        "XTENSION= 'IMAGE   '",
        "END     ",
    ],
    max_bytes: 24 << 10,
    mutations: 3_000,
};

#[cfg(feature = "fits")]
pub(super) const CATALOGUE: FuzzTarget = FuzzTarget {
    name: "catalogue",
    run: catalogue,
    seeds: catalogue_seeds,
    words: &[
        "name",
        "morphology",
        "mag_r",
        ",",
        "\"",
        "\r\n",
        "\n",
        "nan",
        "1e999",
        "2026-01-01",
        "true",
        "\u{feff}",
        "PAR1",
        "# %ECSV 1.0\n",
        "# - {name: mag_r, datatype: float64}\n",
        "<FIELD name=\"mag_r\" datatype=\"double\"/>",
        "TTYPE1  = 'name'",
        "TFORM2  = '1D'",
        "TSCAL2  = 2.0",
        "TNULL2  = 7",
    ],
    max_bytes: 16 << 10,
    mutations: 4_000,
};

#[cfg(feature = "fits")]
pub(super) const SKY_IMAGE: FuzzTarget = FuzzTarget {
    name: "sky_image",
    run: sky_image,
    seeds: sky_image_seeds,
    words: &[
        "CTYPE1  = 'RA---TAN'",
        "CTYPE2  = 'DEC--TAN-SIP'",
        "CTYPE1  = 'RA---TPV'",
        "CTYPE2  = 'DEC--ZPN'",
        "CTYPE1  = 'GLON-CAR'",
        "CRVAL1  = 359.9999999",
        "CRVAL2  = -90.0",
        "CRPIX1  = -1E+9",
        "CD1_1   = 0",
        "CD1_2   = 5.5E-05",
        "CDELT1  = 1E-300",
        "PC1_1   = 1E+300",
        "LONPOLE = 180.0",
        "LATPOLE = 0.0",
        "PV2_1   = 1.0",
        "PV1_5   = 1E+30",
        "A_ORDER = 9",
        "A_2_0   = 1E+20",
        "BP_ORDER= 3",
        "CUNIT1  = 'arcsec'",
        "EXPTIME = 90.0",
        "BUNIT   = 'nJy'",
        "EXTNAME = 'MSK'",
        "EXTNAME = 'WGT'",
        "NAXIS   =                    3",
        "NAXIS3  =                    2",
        "BLANK   = 0",
    ],
    max_bytes: 24 << 10,
    mutations: 2_000,
};

pub(super) const PARQUET: FuzzTarget = FuzzTarget {
    name: "parquet",
    run: parquet,
    seeds: parquet_seeds,
    words: &["PAR1", "ARROW:schema", "object_id", "origin", "image", "\x15\x00", "\x19\x1c"],
    max_bytes: 32 << 10,
    mutations: 3_000,
};

/// Reads all rows of a source, and checks what its contract promises of them.
fn read_source(kind: &str, settings: Value) -> Result<()> {
    let kind = source::KINDS.iter().find(|known| known.name == kind).expect("a kind");
    let mut source: Box<dyn Source> = (kind.build)("source", settings)?;
    let schema = source.bind()?;
    source.start(&RunContext::default())?;
    for split in source.splits()? {
        let mut reader = source.open(&split, 0)?;
        let (mut offset, mut last) = (0, None);
        for _ in 0..BATCHES {
            match reader.next(ROWS, Instant::now())? {
                Read::Batch { rows, rejects } => {
                    assert!(rows.num_rows() + rejects.len() <= ROWS, "more rows than asked for");
                    assert_eq!(rows.schema(), schema);
                    let accepted =
                        (0..rows.num_rows()).map(|row| row_number(&rows, row)).collect::<Result<Vec<u64>>>()?;
                    let mut numbers: Vec<u64> = accepted.into_iter().chain(rejects.iter().map(|one| one.row)).collect();
                    numbers.sort_unstable();
                    for number in numbers {
                        assert!(last.is_none_or(|last| last < number), "row {number} after {last:?}");
                        last = Some(number);
                    }
                    assert!(rejects.iter().all(|reject| !reject.reason.is_empty()));
                }
                Read::Idle => panic!("a file does not wait"),
                Read::End => break,
            }
            assert!(reader.offset() >= offset);
            offset = reader.offset();
        }
    }
    Ok(())
}

/// An error of data or of the document; anything else is a bug.
fn expect_data(result: Result<()>) {
    match result {
        Ok(()) | Err(Error::Pipeline(_) | Error::Data { .. }) => {}
        Err(error) => panic!("{}: {error:?}", error.report()),
    }
}

thread_local! {
    static FOLDER: Scratch = Scratch::new("sources");
}

/// Writes a file into the folder of this thread, and returns its path.
fn write(name: &str, bytes: &[u8]) -> PathBuf {
    FOLDER.with(|folder| folder.write(name, bytes))
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(feature = "fits")]
fn fits(bytes: &[u8]) {
    let file = path(&write("source.fits", bytes));
    let simple = json!({ "paths": [file], "max_megapixels": 1, "max_gunzipped_mib": 1 });
    let full = json!({
        "paths": [file], "max_megapixels": 1, "max_gunzipped_mib": 1, "size": 5, "nan": "fill", "masked": "fill",
        "companions": ["variance", "mask", "psf"], "label": "LABEL", "ra": "RA", "dec": "DEC", "columns": { "visit": "VISIT" },
    });
    let objects = json!({
        "paths": [file], "max_megapixels": 1, "max_gunzipped_mib": 1, "layout": "hdu_per_object", "bands": ["g"], "size": 3,
    });
    for settings in [simple, full, objects] {
        expect_data(read_source("fits", settings));
    }
}

#[cfg(feature = "fits")]
fn fits_seeds() -> Vec<Vec<u8>> {
    let text = |key: &str, value: &str| (key.to_owned(), CardValue::Text(value.to_owned()));
    let mut cube = Writer::new();
    let keys = [text("BANDS", "g r i"), text("OBJECT", "v0"), text("BUNIT", "nJy"), text("LABEL", "spiral")];
    let numbers = [("RA", 3.5), ("DEC", -4.0), ("CD1_1", -5.5e-5), ("CD2_2", 5.5e-5)];
    let numbers = numbers.map(|(key, value)| (key.to_owned(), CardValue::Real(value)));
    cube.image(&[3, 4, 4], &[1.0; 48], &[keys.to_vec(), numbers.to_vec()].concat());
    let mut stack = Writer::new();
    stack.image(&[3, 2, 4, 4], &[0.5; 96], &[]);
    let mut bands = Writer::new();
    bands.image(&[], &[], &[text("OBJECT", "v1")]);
    for band in ["g", "r"] {
        bands.image(&[5, 5], &[2.0; 25], &[text("FILTER", band), text("EXTNAME", "SCI")]);
        bands.image(&[5, 5], &[0.1; 25], &[text("FILTER", band), text("EXTNAME", "VARIANCE")]);
        bands.image(&[5, 5], &[0.0; 25], &[text("FILTER", band), text("EXTNAME", "MASK")]);
        bands.image(&[3, 3], &[0.1; 9], &[text("FILTER", band), text("EXTNAME", "PSF")]);
    }
    let mut seeds: Vec<Vec<u8>> = [cube, stack, bands].map(Writer::into_bytes).into();
    seeds.extend(files(&["tests/golden/fits", "../shared/data/fits_edge"], &[".fits", ".fit", ".fz", ".gz"]));
    seeds
}

/// Cuts an image of the sky around positions near to it and around the poles, with and without what may lie beside it. As the PSFs of
/// a good image it is read too.
#[cfg(feature = "fits")]
fn sky_image(bytes: &[u8]) {
    thread_local! {
        static POSITIONS: String = path(&write(
            "positions.csv",
            b"id,ra,dec\na,150,2\nb,150.0002,2.0001\nc,149.9997,1.9996\nd,0,90\ne,359.99,-90\nf,266.4,-29\ng,,1\n",
        ));
    }
    thread_local! {
        static GOOD: String = path(&write("good.fits", &sky_image_seeds()[0]));
    }
    let file = path(&write("image.fits", bytes));
    let (positions, good) = (json!({ "path": POSITIONS.with(Clone::clone), "id": "id" }), GOOD.with(Clone::clone));
    let plain = json!({ "catalogue": positions, "bands": ["g"], "images": { "g": [file] }, "size": 4 });
    let full = json!({
        "catalogue": positions, "bands": ["g"], "images": { "g": [file] }, "size": 7, "edge": "pad", "nan": "fill",
        "masked": "fill", "empty_band": "keep", "companions": ["variance", "mask"], "overlap": "deepest", "blank": [0],
    });
    let psf = json!({
        "catalogue": positions, "bands": ["g"], "images": { "g": [good] }, "size": 4, "edge": "pad",
        "companions": ["psf"], "psfs": { "g": [file] },
    });
    for settings in [plain, full, psf] {
        expect_data(read_source("tiles", settings));
    }
}

#[cfg(feature = "fits")]
fn sky_image_seeds() -> Vec<Vec<u8>> {
    let text = |key: &str, value: &str| (key.to_owned(), CardValue::Text(value.to_owned()));
    let sky = |code: &str, further: &[(&str, f64)]| {
        let numbers = [
            ("CRVAL1", 150.0),
            ("CRVAL2", 2.0),
            ("CRPIX1", 4.5),
            ("CRPIX2", 5.0),
            ("CD1_1", -5.5e-5),
            ("CD1_2", 1e-6),
            ("CD2_1", 1e-6),
            ("CD2_2", 5.5e-5),
            ("EXPTIME", 90.0),
        ];
        let numbers = numbers.iter().chain(further).map(|(key, value)| ((*key).to_owned(), CardValue::Real(*value)));
        let mut keys = vec![text("CTYPE1", &format!("RA---{code}")), text("CTYPE2", &format!("DEC--{code}"))];
        keys.extend(numbers);
        keys
    };
    let pixels: Vec<f32> = (0..80_u8).map(f32::from).collect();
    let mut seeds = Vec::new();
    let orders = [("A_ORDER", 2.0), ("B_ORDER", 2.0), ("A_2_0", 1e-4), ("B_1_1", -1e-4)];
    let tpv = [("PV1_1", 1.0), ("PV1_4", 1e-3), ("PV2_1", 1.0), ("PV2_5", -1e-3)];
    for (code, further) in [("TAN", &[][..]), ("TAN-SIP", &orders[..]), ("TPV", &tpv[..]), ("SIN", &[]), ("STG", &[])] {
        let mut file = Writer::new();
        file.image(&[10, 8], &pixels, &sky(code, further));
        file.image(&[10, 8], &[4.0; 80], &[text("EXTNAME", "WGT")]);
        file.integers(&[10, 8], &[1; 80], &[text("EXTNAME", "MSK")]);
        seeds.push(file.into_bytes());
    }
    seeds.extend(files(&["tests/golden/tiles", "tests/golden/psfex"], &[".fits", ".psf"]));
    seeds
}

/// Joins a catalogue to two objects, and cuts an image around the positions that it has: as CSV, or in the format that it may have.
#[cfg(feature = "fits")]
fn catalogue(bytes: &[u8]) {
    thread_local! {
        static IMAGE: String = path(&write("sky.fits", &sky_image_seeds()[0]));
        static OBJECTS: [String; 2] = ["v0", "v1"].map(|id| {
            let mut file = Writer::new();
            file.image(&[1, 2, 2], &[1.0; 4], &[("OBJECT".to_owned(), CardValue::Text(id.into()))]);
            path(&write(&format!("{id}.fits"), file.as_bytes()))
        });
    }
    let name = if bytes.starts_with(b"PAR1") { "catalogue.parquet" } else { "catalogue.csv" };
    let table = path(&write(name, bytes));
    let columns = json!({ "label": "morphology", "mag": "mag_r" });
    let catalogue = json!({ "path": table, "key": "name", "columns": columns });
    expect_data(read_source("fits", json!({ "paths": OBJECTS.with(Clone::clone), "catalogue": catalogue })));
    let positions =
        json!({ "path": table, "id": "name", "ra": "mag_r", "dec": "mag_r", "columns": { "label": "morphology" } });
    let image = IMAGE.with(Clone::clone);
    let tiles = json!({ "catalogue": positions, "bands": ["g"], "images": { "g": [image] }, "size": 2, "edge": "pad" });
    expect_data(read_source("tiles", tiles));
}

#[cfg(feature = "fits")]
fn catalogue_seeds() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        "name,morphology,mag_r\nv0,spiral,20.5\nv1,merger,21\n",
        "mag_r,name,morphology\r\n1e3,\"v0\",\"a, \"\"b\"\"\"\r\n,v1,\r\n",
        "name,morphology,mag_r\n007,1,true\nv1,2,false\n",
        "name,morphology,mag_r\nv0,,2026-11-28T06:39:03\n",
        "name,morphology,mag_r\n",
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: name, datatype: string}\n# - {name: morphology, datatype: string}\n\
         # - {name: mag_r, datatype: float64}\nname morphology mag_r\nv0 spiral 20.5\nv1 \"\" nan\n",
    ]);
    seeds.extend(files(&["../shared/cases"], &[".csv"]));
    // Their columns have other names, which mutations may hit; what is read of them before is the same.
    seeds.extend(files(&["tests/golden/catalogues"], &[".fits", ".vot", ".ecsv", ".gz"]));
    seeds.push(written(&catalogue_rows(), WriterProperties::builder().build()));
    seeds
}

#[cfg(feature = "fits")]
fn catalogue_rows() -> RecordBatch {
    let text = |values: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let magnitudes: ArrayRef = Arc::new(Float32Array::from(vec![Some(20.5), None, Some(f32::NAN)]));
    RecordBatch::try_from_iter([
        ("name", text(["v0", "v1", "v2"])),
        ("morphology", text(["spiral", "merger", "spiral"])),
        ("mag_r", magnitudes),
    ])
    .expect("a batch")
}

/// Reads all columns, and as the source of a pipeline.
fn parquet(bytes: &[u8]) {
    let file = write("source.parquet", bytes);
    let all = parquet_file::read(&file, ROWS).and_then(|batches| {
        let schema = batches.schema();
        batches.take(BATCHES).try_for_each(|batch| {
            let batch = batch?;
            assert!(batch.num_rows() <= ROWS && batch.schema() == schema);
            Ok(())
        })
    });
    expect_data(all);
    let file = path(&file);
    expect_data(read_source("parquet", json!({ "paths": [file] })));
    let image = json!({ "bands": ["g"], "size": 2, "unit": "nJy" });
    expect_data(read_source("parquet", json!({ "paths": [file], "object_id": "id", "images": { "image": image } })));
}

fn parquet_seeds() -> Vec<Vec<u8>> {
    let rows = parquet_rows();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = [
        WriterProperties::builder().build(),
        WriterProperties::builder().set_compression(Compression::SNAPPY).build(),
        WriterProperties::builder().set_compression(zstd).set_writer_version(WriterVersion::PARQUET_2_0).build(),
        WriterProperties::builder().set_dictionary_enabled(false).set_max_row_group_row_count(Some(4)).build(),
    ];
    let mut seeds: Vec<Vec<u8>> = properties.into_iter().map(|properties| written(&rows, properties)).collect();
    seeds.extend(files(&["tests/golden/runs/v1/finished", "../shared/cases"], &[".parquet"]));
    seeds
}

fn parquet_rows() -> RecordBatch {
    let ids: Vec<String> = (0..9).map(|row| format!("o{row}")).collect();
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let pixels = Arc::new(Float32Array::from_iter_values((0..36).map(|pixel| pixel as f32)));
    let images = FixedSizeListArray::new(item.clone(), 4, pixels, None);
    let layout = ImageLayout::new(["g", "r"], 2, 2, Unit::NanoJansky).with_pixel_scale(0.2);
    let fields = [
        Field::new("object_id", DataType::Utf8, false),
        Field::new("id", DataType::UInt64, true),
        Field::new("origin", DataType::Utf8, true),
        Field::new("label", DataType::Utf8, true),
        Field::new("image", DataType::FixedSizeList(item, 4), false),
        // A column of a run, whose metadata describe its images.
        layout.field("seen"),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(ids.clone())),
        Arc::new((0..9).map(|row| (row % 4 > 0).then_some(row)).collect::<UInt64Array>()),
        Arc::new(StringArray::from(ids)),
        Arc::new((0..9).map(|row| (row % 3 > 0).then_some("spiral")).collect::<StringArray>()),
        Arc::new(images),
        list_column((0..72).map(|pixel| pixel as f32).collect(), 8).expect("images"),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns).expect("a batch")
}

fn written(rows: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).expect("a writer");
    writer.write(rows).and_then(|()| writer.close()).expect("a file");
    bytes
}
