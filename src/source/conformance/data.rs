//! A folder with small files of the names that the examples use. Some of their rows are unusable.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Float64Array, Float64Builder, Int64Array, ListBuilder, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use flate2::{Compression, write::GzEncoder};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use tempfile::TempDir;

use crate::{
    batch::{DEC, ImageLayout, LABEL, OBJECT_ID, ORIGIN, RA, Unit, list_column},
    fits::{CardValue, Writer},
    run::{CommitRecord, TablePart},
};

type Keys = Vec<(String, CardValue)>;

/// The folder that `${data}` of the examples stands for.
pub(super) fn folder() -> TempDir {
    let data = tempfile::tempdir().unwrap();
    for folder in
        ["cutouts", "visits", "coadds", "stamps", "objects", "lists", "tiles", "alerts", "run/objects", "run/_commits"]
    {
        fs::create_dir_all(data.path().join(folder)).unwrap();
    }
    cutouts(&data.path().join("cutouts"));
    visits(&data.path().join("visits"));
    coadds(&data.path().join("coadds"));
    stamps(data.path());
    tiles(data.path());
    #[cfg(feature = "alerts")]
    super::packets::alerts(&data.path().join("alerts"));
    fs::write(data.path().join("catalogue.csv"), "name,morphology,mag_r\nv0,spiral,20.5\nv2,merger,21\n").unwrap();
    parquet_file(&data.path().join("objects/a.parquet"), 0..7);
    parquet_file(&data.path().join("objects/b.parquet"), 7..12);
    parquet_file(&data.path().join("run/objects/part-00000001.parquet"), 0..9);
    let bytes = fs::metadata(data.path().join("run/objects/part-00000001.parquet")).unwrap().len();
    let part = TablePart::new("part-00000001.parquet", 9, bytes);
    let tables = [("objects".to_owned(), vec![part])].into();
    CommitRecord { checkpoint: true, tables, ..CommitRecord::default() }.write(&data.path().join("run")).unwrap();
    lists(&data.path().join("lists/a.parquet"));
    data
}

fn text(key: &str, value: &str) -> (String, CardValue) {
    (key.to_owned(), CardValue::Text(value.to_owned()))
}

fn pixels(count: usize, first: usize) -> Vec<f32> {
    (first..first + count).map(|pixel| (pixel % 251) as f32 / 8.0 - 3.0).collect()
}

/// An HDU for each of two bands; one file has another band, one has pixels without data.
fn coadds(folder: &Path) {
    for number in 0..5 {
        let mut file = Writer::new();
        file.image(&[], &[], &[("FLUXMAG0".to_owned(), CardValue::Real(6.3e10 + number as f64))]);
        for (name, filter) in [("SCI_R", "HSC-R2"), ("SCI_G", if number == 3 { "HSC-Z" } else { "HSC-G" })] {
            let mut image = pixels(5 * 5, number);
            if number == 1 {
                image[7] = -9999.0;
            }
            file.image(&[5, 5], &image, &[text("EXTNAME", name), text("FILTER", filter)]);
        }
        fs::write(folder.join(format!("{number}.fits")), file.into_bytes()).unwrap();
    }
}

/// Cubes of several sizes in more than one split; every tenth file is not FITS, one has a NaN.
fn cutouts(folder: &Path) {
    for number in 0..70 {
        let side = 6 + number % 3;
        let mut image = pixels(3 * side * side, number);
        if number == 17 {
            image[50] = f32::NAN;
        }
        let keys = [text("BANDS", "gri"), text("BUNIT", "uJy"), text("MORPH", "spiral")];
        let scale = ("PIXSCALE".to_owned(), CardValue::Real(0.2));
        let mut file = Writer::new();
        file.image(&[3, side, side], &image, &[keys.to_vec(), vec![scale]].concat());
        let bytes = if number % 10 == 3 { b"not FITS".to_vec() } else { file.into_bytes() };
        fs::write(folder.join(format!("{number:02}.fits")), bytes).unwrap();
    }
}

/// An HDU per band, with companions and gzip; one file has no mask.
fn visits(folder: &Path) {
    for number in 0..5 {
        let mut file = Writer::new();
        let visit = ("VISIT".to_owned(), CardValue::Integer(i64::from(number)));
        file.image(&[], &[], &[text("OBJECT", &format!("v{number}")), visit]);
        for (band, first) in [("i", 5), ("g", 50), ("r", 500)] {
            file.image(&[6, 6], &pixels(36, first), &[text("FILTER", band)]);
        }
        file.image(&[6, 6], &[2.0; 36], &[text("EXTNAME", "IVAR")]);
        if number != 3 {
            let mask: Vec<u64> = (0..36).map(|pixel| u64::from(pixel % 7 == 0)).collect();
            let plane = |(bit, name): (i64, &str)| (format!("MP_{name}"), CardValue::Integer(bit));
            let planes = (0..).zip(["BAD", "SAT", "CR"]).map(plane).collect::<Vec<_>>();
            file.integers(&[6, 6], &mask, &[&[text("EXTNAME", "MASK")], planes.as_slice()].concat());
        }
        file.image(&[3, 3], &[0.1; 9], &[text("EXTNAME", "PSF")]);
        let path = folder.join(format!("v{number}.fits.gz"));
        let mut gzip = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
        gzip.write_all(&file.into_bytes()).unwrap();
        gzip.finish().unwrap();
    }
}

/// An HDU per object, in files that a list names; one right ascension is not a number.
fn stamps(data: &Path) {
    let mut list = "# two files\n".to_owned();
    for name in ["a", "b"] {
        let mut file = Writer::new();
        file.image(&[], &[], &[]);
        for number in 0..4 {
            let mut keys: Keys = vec![text("BANDS", "g,r,i"), text("CLASS", "merger")];
            if number > 0 {
                keys.push(text("NAME", &format!("{name}-{number}")));
            }
            let ra = CardValue::Real(150.0 + f64::from(number));
            keys.push(("RA".into(), if number == 2 { CardValue::Text("10:00:00".into()) } else { ra }));
            keys.push(("DEC".into(), CardValue::Integer(2)));
            file.image(&[3, 5, 5], &pixels(75, 7), &keys);
        }
        let path = data.join(format!("stamps/{name}.fits"));
        fs::write(&path, file.into_bytes()).unwrap();
        list += &format!("{}\n", path.display());
    }
    fs::write(data.join("stamps.txt"), list).unwrap();
}

/// Two tiles of 40 by 60 pixels in each of two bands, the second one 30 pixels beside the first, with weights and masks; and
/// positions in one of them, in both, at edges, outside, or missing. One tile has pixels without data.
fn tiles(data: &Path) {
    let real = |key: &str, value: f64| (key.to_owned(), CardValue::Real(value));
    let step = 0.263 / 3600.0;
    for (band, zero_point) in [("G", 30.0), ("R", 30.5)] {
        for (tile, shift) in [("a", 0.0), ("b", 30.0)] {
            let keys = [
                text("CTYPE1", "RA---TAN"),
                text("CTYPE2", "DEC--TAN"),
                real("CRVAL1", 150.0),
                real("CRVAL2", 2.0),
                real("CRPIX1", 30.5 - shift),
                real("CRPIX2", 20.5),
                real("CD1_1", -step),
                real("CD2_2", step),
                text("FILTER", &format!("DES-{band}")),
                real("EXPTIME", 90.0 + shift),
                real("ZP", zero_point),
            ];
            let mut image = pixels(40 * 60, shift as usize);
            if tile == "b" {
                image[20 * 60 + 40] = f32::NAN;
            }
            let mut file = Writer::new();
            file.image(&[40, 60], &image, &keys);
            file.image(&[40, 60], &[4.0; 40 * 60], &[text("EXTNAME", "WGT")]);
            let mask: Vec<u64> = (0..40 * 60).map(|pixel| pixel % 5).collect();
            file.integers(&[40, 60], &mask, &[text("EXTNAME", "MSK")]);
            fs::write(data.join(format!("tiles/{tile}_{}.fits", band.to_lowercase())), file.into_bytes()).unwrap();
        }
    }
    let mut rows = "name,RA,DEC,morphology\n".to_owned();
    for number in 0..24 {
        let (x, y) = (f64::from(number % 8 * 12 - 2), f64::from(number / 8 * 17 + 2));
        let (ra, dec) = (150.0 - (x - 29.5) * step / 2_f64.to_radians().cos(), 2.0 + (y - 19.5) * step);
        let name = if number == 11 { String::new() } else { format!("p{number}") };
        let dec = if number == 12 { String::new() } else { dec.to_string() };
        rows += &format!("{name},{ra},{dec},spiral\n");
    }
    fs::write(data.join("positions.csv"), rows).unwrap();
}

/// Rows as a `parquet` sink writes them, in row groups of three; row 4 has an infinite pixel.
fn parquet_file(path: &Path, rows: std::ops::Range<usize>) {
    let layout = ImageLayout {
        bands: ["g", "r", "i"].map(str::to_owned).to_vec(),
        height: 5,
        width: 4,
        unit: Unit::NanoJansky,
        pixel_scale_arcsec: Some(0.2),
        stretch: None,
        electrons_per_njy: None,
        wcs: None,
    };
    let names = |prefix: &str| -> ArrayRef {
        Arc::new(rows.clone().map(|row| Some(format!("{prefix}{row}"))).collect::<StringArray>())
    };
    let degrees = |first: f64| -> ArrayRef {
        Arc::new(rows.clone().map(|row| (row % 3 > 0).then_some(first + row as f64)).collect::<Float64Array>())
    };
    let mut image: Vec<f32> = rows.clone().flat_map(|row| pixels(layout.pixels(), row)).collect();
    if rows.contains(&4) {
        image[(4 - rows.start) * layout.pixels()] = f32::INFINITY;
    }
    let columns = vec![
        names("object-"),
        names("survey/"),
        names("class "),
        degrees(150.0),
        degrees(2.0),
        list_column(image, layout.pixels()).unwrap(),
    ];
    let fields = vec![
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
        Field::new(LABEL, DataType::Utf8, true),
        Field::new(RA, DataType::Float64, true),
        Field::new(DEC, DataType::Float64, true),
        layout.field("image"),
    ];
    write(path, &RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap());
}

/// Rows with images as plain lists of float64 and integer identities; one list is short, one identity missing.
fn lists(path: &Path) {
    let mut images = ListBuilder::new(Float64Builder::new());
    for row in 0..6 {
        let length = if row == 2 { 7 } else { 3 * 100 * 100 };
        images.append_value(pixels(length, row).into_iter().map(|pixel| Some(f64::from(pixel))));
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None, Some(5), Some(6)]))),
        ("image", Arc::new(images.finish())),
        ("label", Arc::new(StringArray::from(vec!["spiral"; 6]))),
    ];
    write(path, &RecordBatch::try_from_iter(columns).unwrap());
}

fn write(path: &Path, rows: &RecordBatch) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(3)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}
