//! The sink `fits`: rows are written to files and read back.

use std::{fs, path::Path};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use lucarne::{
    batch::{ImageLayout, list_values},
    error::Code,
    fits::Writer,
    sink,
    source::fits::{Catalogue, Companion, Fits, HeaderKey, HeaderType, TypedKey},
    stage::{RunContext, Settings, Sink, TablePart},
};

use super::{cube, key, read, text};

/// Five rows: two have the same name, one has a name that is not a file name.
fn rows(folder: &Path) -> RecordBatch {
    let names = ["NGC 1", "a/../b", "twin", "twin", "it's"];
    for (number, name) in (0u8..).zip(names) {
        let mut file = lucarne::fits::Writer::new();
        let pixels: Vec<f32> = (0..18).map(|pixel| f32::from(number) + 1.0 / (1.0 + pixel as f32)).collect();
        let keys = [
            key("OBJECT", name),
            key("BANDS", "gr"),
            key("BUNIT", "nJy"),
            key("MORPH", "spiral"),
            ("PIXSCALE".into(), lucarne::fits::CardValue::Real(0.2)),
        ];
        file.image(&[2, 3, 3], &pixels, &keys);
        fs::write(folder.join(format!("{number}.fits")), file.into_bytes()).unwrap();
    }
    let table = folder.join("visits.csv");
    fs::write(&table, "name,visit\nNGC 1,7\ntwin,8\n").unwrap();
    let mut settings = Fits::new([text(folder)]);
    settings.label = Some("MORPH".into());
    // Of several objects, on purpose.
    settings.id = Some("OBJECT".into());
    settings.catalogue = Some(Catalogue {
        path: text(&table),
        key: "name".into(),
        header_key: None,
        columns: [("exposure_visit".into(), "visit".into())].into(),
        nulls: None,
    });
    read(settings).rows
}

fn write(settings: sink::fits::Fits, batches: &[RecordBatch], staging: &Path) -> Vec<TablePart> {
    let mut sink: Box<dyn Sink> = settings.build("cutouts").unwrap();
    let required = sink.bind(&batches[0].schema()).unwrap();
    assert!(required.iter().any(|column| column.column == "image"));
    sink.start(&RunContext { seed: 1, threads: 1, batch_rows: 32, ..RunContext::default() }, staging, staging).unwrap();
    batches.iter().for_each(|rows| sink.write(rows).unwrap());
    sink.finish().unwrap();
    let parts = sink.prepare().unwrap();
    assert_eq!(sink.prepare().unwrap(), [], "a part is returned once");
    for part in &parts {
        assert_eq!(fs::metadata(staging.join(&part.file)).unwrap().len(), part.bytes);
    }
    assert_eq!(fs::read_dir(staging).unwrap().count(), parts.len());
    parts
}

fn settings(objects_per_file: usize) -> sink::fits::Fits {
    sink::fits::Fits { images: vec!["image".into()], keys: None, objects_per_file }
}

#[test]
fn cutouts_and_keys_survive_the_round_trip() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let rows = rows(from.path());
    let parts = write(settings(1), &[rows.slice(0, 2), rows.slice(2, 3)], to.path());
    assert_eq!(parts.iter().map(|part| part.rows).collect::<Vec<_>>(), [1; 5]);
    // Reads the files in the order in which they were written.
    let mut again = Fits::new(parts.iter().map(|part| text(&to.path().join(&part.file))));
    again.label = Some("LABEL".into());
    again.id = Some("OBJECT".into());
    let visit = TypedKey { key: "EXPOSURE_VISIT".into(), r#type: HeaderType::Integer };
    again.columns.insert("visit".into(), HeaderKey::Typed(visit));
    let back = read(again).rows;
    let schema = (rows.schema(), back.schema());
    let layout = |schema: &arrow::datatypes::Schema| ImageLayout::of(schema.field_with_name("image").unwrap()).unwrap();
    assert_eq!(layout(&schema.0), layout(&schema.1));
    assert_eq!(list_values(&rows, "image").unwrap(), list_values(&back, "image").unwrap());
    for column in ["object_id", "label"] {
        assert_eq!(rows.column_by_name(column), back.column_by_name(column));
    }
    let visits = back.column_by_name("visit").unwrap();
    assert_eq!(visits.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), None, Some(8), Some(8), None]);
}

#[test]
fn objects_per_file_puts_several_objects_into_one_file() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let rows = rows(from.path());
    let parts = write(settings(3), std::slice::from_ref(&rows), to.path());
    assert_eq!(parts.iter().map(|part| part.rows).collect::<Vec<_>>(), [3, 2]);
    let mut again = Fits::new(parts.iter().map(|part| text(&to.path().join(&part.file))));
    again.id = Some("OBJECT".into());
    let back = read(again).rows;
    assert_eq!(list_values(&rows, "image").unwrap(), list_values(&back, "image").unwrap());
    assert_eq!(rows.column_by_name("object_id"), back.column_by_name("object_id"));
}

#[test]
fn images_with_their_companions_survive_the_round_trip() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for number in 0..3u8 {
        let first = 1.0 + f32::from(number);
        let pixels: Vec<f32> = (0..9).map(|pixel| first + f32::from(pixel as u8)).collect();
        let mut file = Writer::new();
        file.image(&[3, 3], &pixels, &[key("BUNIT", "electron"), key("EXTNAME", "SCI"), key("FILTER", "r")]);
        file.image(&[3, 3], &[first; 9], &[key("EXTNAME", "VAR")]);
        let mut bits = [0; 9];
        bits[2] = 1 << (30 + number) | 1;
        file.integers(&[3, 3], &bits, &[key("EXTNAME", "DQ")]);
        fs::write(from.path().join(format!("{number}.fits")), file.into_bytes()).unwrap();
    }
    let companions = vec![Companion::Variance, Companion::Mask];
    let read_with = |mut settings: Fits| {
        settings.companions = companions.clone();
        read(settings).rows
    };
    let rows = read_with(Fits::new([text(from.path())]));
    assert_eq!(rows.num_rows(), 3);
    for objects_per_file in [1, 2] {
        let images = ["image", "image_variance", "image_mask"].map(String::from).to_vec();
        let settings = sink::fits::Fits { images, keys: None, objects_per_file };
        let to = to.path().join(objects_per_file.to_string());
        fs::create_dir(&to).unwrap();
        let parts = write(settings, std::slice::from_ref(&rows), &to);
        let back = read_with(Fits::new(parts.iter().map(|part| text(&to.join(&part.file)))));
        for column in ["image", "image_variance", "image_mask"] {
            assert_eq!(rows.column_by_name(column), back.column_by_name(column), "{column}");
            let (rows, back) = (rows.schema(), back.schema());
            assert_eq!(rows.field_with_name(column).unwrap(), back.field_with_name(column).unwrap());
        }
    }
}

/// Images and headers of the golden file, and where the pixels of their cutouts lie by astropy.
fn golden_wcs() -> Vec<serde_json::Value> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wcs_cutouts/golden.json");
    let golden: serde_json::Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    golden["cases"].as_array().unwrap().clone()
}

#[test]
fn written_files_lie_where_astropy_has_the_pixels_of_the_original() {
    use lucarne::{
        fits::{CardValue, FitsFile, Limits},
        wcs::{PixelPosition, Wcs},
    };
    for (number, case) in golden_wcs().iter().enumerate() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let integer = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
        let shape = [0, 1].map(|axis| integer(&case["shape"][axis]));
        let mut keys = vec![key("BUNIT", "nJy"), key("FILTER", "r")];
        keys.extend(case["cards"].as_object().unwrap().iter().map(|(name, value)| match value.as_str() {
            Some(value) => key(name, value),
            None if value.is_i64() => (name.clone(), CardValue::Integer(value.as_i64().unwrap())),
            None => (name.clone(), CardValue::Real(value.as_f64().unwrap())),
        }));
        let mut file = Writer::new();
        let pixels: Vec<f32> = (0..shape[0] * shape[1]).map(|pixel| pixel as f32).collect();
        file.image(&shape, &pixels, &keys);
        fs::write(from.path().join("a.fits"), file.into_bytes()).unwrap();
        let settings = Fits { wcs: true, size: Some(integer(&case["size"])), ..Fits::new([text(from.path())]) };
        let rows = read(settings.clone()).rows;
        let part = &write(self::settings(1), std::slice::from_ref(&rows), to.path())[0];
        let written = FitsFile::open(&to.path().join(&part.file), &Limits::default()).unwrap();
        let wcs = Wcs::from_header(&written.hdus()[0].header).unwrap();
        for point in case["points"].as_array().unwrap() {
            let [x, y, ra, dec] = [0, 1, 2, 3].map(|index| point[index].as_f64().unwrap());
            let found = wcs.pixel_to_sky(PixelPosition { x, y }).unwrap();
            let east = ((found.ra_deg - ra + 540.0).rem_euclid(360.0) - 180.0) * dec.to_radians().cos();
            let off = east.hypot(found.dec_deg - dec) * 3600.0 / 0.2;
            let is_distorted =
                ["SIP", "TPV"].iter().any(|code| case["cards"]["CTYPE1"].as_str().unwrap().contains(code));
            let most = if is_distorted { 5e-3 } else { 1e-5 };
            assert!(off < most, "case {number}: pixel {x}, {y} is {off} pixels off");
        }
        // What is read back is equal, and its own sink writes the same.
        let back = read(Fits { paths: vec![text(to.path())], ..settings }).rows;
        assert_eq!(list_values(&rows, "image").unwrap(), list_values(&back, "image").unwrap());
        let wcs = |rows: &RecordBatch| lucarne::batch::WorldCoordinates::of_row(rows, "image_wcs", 0).unwrap();
        let (first, second) = (wcs(&rows), wcs(&back));
        let numbers = |wcs: &lucarne::batch::WorldCoordinates| {
            let [[a, b], [c, d]] = wcs.matrix_deg;
            [wcs.ra_deg, wcs.dec_deg, a, b, c, d]
        };
        // Right ascensions near the pole have fewer digits.
        let most = [1e-9, 1e-11, 1e-13, 1e-13, 1e-13, 1e-13];
        for ((first, second), most) in numbers(&first).into_iter().zip(numbers(&second)).zip(most) {
            assert!((first - second).abs() < most, "case {number}: {first} is {second}");
        }
    }
}

#[test]
fn world_coordinates_stay_with_the_pixels_that_they_are_of() {
    let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let scale = ("CD1_1".to_owned(), lucarne::fits::CardValue::Real(-0.2 / 3600.0));
    let other = ("CD2_2".to_owned(), lucarne::fits::CardValue::Real(0.2 / 3600.0));
    let at = ["CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2"].map(|key| (key.to_owned(), lucarne::fits::CardValue::Real(8.0)));
    let keys = [key("CTYPE1", "RA---TAN"), key("CTYPE2", "DEC--TAN"), key("BUNIT", "nJy"), key("FILTER", "r")];
    let mut file = Writer::new();
    file.image(&[16, 16], &[1.0; 256], &[&keys[..], &at, &[scale, other]].concat());
    fs::write(folder.path().join("a.fits"), file.into_bytes()).unwrap();
    let document = format!(
        "source: {{ fits: {{ paths: ['{}'], wcs: true, empty_band: keep }} }}\n\
         transform:\n  dead: {{ dead_pixels: {{ image: image, fraction: 0.1 }} }}\n  \
         small: {{ crop: {{ image: image, size: 8 }} }}\n  turned: {{ orient: {{ image: image, quarter_turns: 1 }} }}\n\
         sink: {{ out: {{ fits: {{ images: [image, dead, small, turned] }} }} }}\n",
        folder.path().display()
    );
    let run = to.path().join("run");
    lucarne::pipeline::Pipeline::from_yaml(document).run(&run).unwrap();
    let mut files = fs::read_dir(run.join("out")).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|ending| ending == "fits")).unwrap();
    let written = lucarne::fits::FitsFile::open(&file, &lucarne::fits::Limits::default()).unwrap();
    let of = |name: &str| {
        let hdu = written.hdus().iter().find(|hdu| hdu.header.text("EXTNAME").as_deref() == Some(name)).unwrap();
        lucarne::wcs::Wcs::from_header(&hdu.header).ok()
    };
    assert_eq!(["image", "dead", "small", "turned"].map(|name| of(name).is_some()), [true, true, false, false]);
}

#[test]
fn images_without_world_coordinates_are_rejected_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.fits"), cube(4, 0.0)).unwrap();
    let output = read(Fits { wcs: true, ..Fits::new([text(folder.path())]) });
    assert_eq!(output.rejects[0].reason, "has no world coordinates, which `wcs: true` asks for");
}

#[test]
fn bands_that_lie_elsewhere_on_the_sky_are_rejected_where_world_coordinates_are_kept() {
    let reasons = |shift_pixels: f64| {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Writer::new();
        for (band, shift) in [("g", 0.0), ("r", shift_pixels)] {
            let real = |key: &str, value: f64| (key.to_owned(), lucarne::fits::CardValue::Real(value));
            let keys = [
                key("EXTNAME", band),
                key("CTYPE1", "RA---TAN"),
                key("CTYPE2", "DEC--TAN"),
                real("CRVAL1", 150.0),
                real("CRVAL2", 2.0),
                real("CRPIX1", 3.0 + shift),
                real("CRPIX2", 3.0),
                real("CD1_1", -0.2 / 3600.0),
                real("CD2_2", 0.2 / 3600.0),
            ];
            file.image(&[6, 6], &(0..36).map(|pixel| pixel as f32).collect::<Vec<_>>(), &keys);
        }
        fs::write(folder.path().join("a.fits"), file.into_bytes()).unwrap();
        let mut settings = Fits { wcs: true, ..Fits::new([text(folder.path())]) };
        settings.bands = Some(["g", "r"].into());
        read(settings).rejects.into_iter().map(|reject| reject.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(0.9), [] as [String; 0]);
    let [reason] = &reasons(5.0)[..] else { panic!("one reject") };
    assert!(reason.starts_with("has bands whose pixels lie up to 5.0 pixels off each other"), "{reason}");
}

#[test]
fn writes_only_the_chosen_keys() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let rows = rows(from.path());
    let mut settings = settings(1);
    settings.keys = Some([("MORPH".into(), "label".into())].into());
    let parts = write(settings, &[rows.slice(0, 1)], to.path());
    let file =
        lucarne::fits::FitsFile::open(&to.path().join(&parts[0].file), &lucarne::fits::Limits::default()).unwrap();
    let header = &file.hdus()[0].header;
    assert_eq!((header.text("MORPH").as_deref(), header.text("ORIGIN")), (Some("spiral"), None));
}

#[test]
fn rejects_columns_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.fits"), cube(2, 0.0)).unwrap();
    let schema = read(Fits::new([text(folder.path())])).rows.schema();
    let bound = |images: &[&str], keys: &[(&str, &str)]| {
        let keys = keys.iter().map(|(key, column)| ((*key).to_owned(), (*column).to_owned())).collect();
        let images = images.iter().map(|image| (*image).to_owned()).collect();
        let mut sink: Box<dyn Sink> = sink::fits::Fits { images, keys: Some(keys), objects_per_file: 1 }.build("x")?;
        sink.bind(&schema)
    };
    let codes = |images: &[&str], keys: &[(&str, &str)]| {
        bound(images, keys).err().unwrap_or_default().iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&["image"], &[]), []);
    assert_eq!(codes(&["imag", "origin"], &[]), [Code::UnknownColumn, Code::WrongColumn]);
    assert_eq!(codes(&["image"], &[("A", "image"), ("B", "labl")]), [Code::WrongColumn, Code::UnknownColumn]);
    assert_eq!(codes(&["image"], &[("naxis", "origin")]), [Code::OutOfRange]);
    assert_eq!(codes(&[], &[]), [Code::MissingKey]);
}
