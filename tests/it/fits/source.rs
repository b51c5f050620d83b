//! The source `fits`: rows from files of every layout.

use arrow::{
    array::{Array, AsArray},
    datatypes::Float64Type,
};
use lucarne::{
    batch::{ImageLayout, Images, Unit, list_values, mask_values},
    error::Code,
    fits::{CardValue, Writer},
    source::fits::{Catalogue, Companion, EmptyBand, Fits, Layout, Policy},
    stage::{Read, Settings},
};

use super::{cube, key, read, read_in_batches, shared, text};

pub(super) fn strings(rows: &arrow::array::RecordBatch, column: &str) -> Vec<Option<String>> {
    rows.column_by_name(column).unwrap().as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn reads_all_72_kids_cutouts() {
    let Some(folder) = shared("kids_cutouts") else { return };
    let mut settings = Fits::new([text(&folder)]);
    settings.bands = Some(["g", "r", "i"].into());
    settings.size = Some(100);
    settings.label = Some("MORPH".into());
    settings.columns.insert("field_x".into(), "XFIELD".into());
    let output = read(settings.clone());
    assert_eq!((output.rows.num_rows(), output.rejects.len()), (72, 0));
    let images = Images::of(&output.rows, "image").unwrap();
    assert_eq!(images.layout.unit, Unit::NanoJansky);
    assert_eq!(images.layout.pixel_scale_arcsec, Some(0.339));
    assert_eq!(strings(&output.rows, "object_id")[0].as_deref(), Some("KIDS-0109-0656"));
    assert!(strings(&output.rows, "origin")[0].as_deref().unwrap().ends_with("KIDS-0109-0656.fits[0]"));
    let labels = output.rows.column_by_name("label").unwrap();
    assert_eq!(labels.len() - labels.null_count(), 6);
    assert_eq!(output.rows.column_by_name("field_x").unwrap().as_primitive::<Float64Type>().value(0), 109.1);
    // Fluxes in maggies would be far below 1.
    assert!(images.rows().next().unwrap().iter().sum::<f32>() > 1.0);
    let in_ones = read_in_batches(settings, 1).unwrap();
    assert_eq!(in_ones.rows, output.rows);
}

#[test]
fn every_hdu_of_a_cosmos_file_is_an_object() {
    let Some(folder) = shared("cosmos_hst") else { return };
    let mut settings = Fits::new([text(&folder.join("real_galaxy_images_extension.fits"))]);
    settings.size = Some(64);
    settings.bands = Some(["F814W"].into());
    settings.zero_point = Some(vec![25.94].into());
    settings.pixel_scale_arcsec = Some(0.03);
    let output = read(settings.clone());
    assert_eq!((output.rows.num_rows(), output.rejects.len()), (100, 0));
    assert_eq!(strings(&output.rows, "object_id")[7].as_deref(), Some("real_galaxy_images_extension[7]"));
    // Without `size` the HDUs of another size are rejected.
    settings.size = None;
    let output = read(settings);
    assert_eq!(output.rows.num_rows() + output.rejects.len(), 100);
    assert!(
        output.rejects.iter().any(|reject| reject.reason.contains("set `size` to crop or pad it")),
        "{:?}",
        output.rejects[0]
    );
}

#[test]
fn every_edge_file_gives_rows_or_rejects() {
    let Some(folder) = shared("fits_edge") else { return };
    let mut settings = Fits::new([format!("{}/*/*", text(&folder))]);
    settings.size = Some(32);
    settings.bands = Some(["x"].into());
    settings.nan = Policy::Fill;
    settings.empty_band = EmptyBand::Keep;
    settings.pad = Some(Policy::Fill);
    settings.unit = Some("adu".into());
    settings.pixel_scale_arcsec = Some(1.0);
    let output = read(settings);
    let mut files: Vec<&str> = output.rejects.iter().map(|reject| reject.origin.split('[').next().unwrap()).collect();
    let origins = strings(&output.rows, "origin");
    files.extend(origins.iter().map(|origin| origin.as_deref().unwrap().split('[').next().unwrap()));
    files.sort_unstable();
    files.dedup();
    let expected = glob::glob(&format!("{}/*/*", text(&folder))).unwrap().count();
    assert_eq!(files.len(), expected, "every file is a row or a reject");
    let rows: Vec<String> = origins.into_iter().flatten().collect();
    for name in [
        "m13_rice.fits[1]",
        "m13_gzip.fits[1]",
        "m13_hcomp.fits[1]",
        "m13_plio.fits[1]",
        "m13real_rice.fits[1]",
        "test_gzip_compressed_image.fits.fz[1]",
        "square_array.fits[0]",
    ] {
        assert!(rows.iter().any(|origin| origin.ends_with(name)), "{name} is not a row: {:?}", output.rejects);
    }
    for (name, reason) in [
        ("astropy/table.fits", "has no image: it holds no pixels, a table"),
        ("astropy/lzw.fits.Z", "is compressed with compress (LZW)"),
        ("astropy/random_groups.fits", "has no image: it holds random groups"),
    ] {
        let reject = output.rejects.iter().find(|reject| reject.origin.ends_with(name)).unwrap();
        assert!(reject.reason.contains(reason), "{reject:?}");
    }
}

#[test]
fn picks_the_hdus_of_bands_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = Writer::new();
    file.image(&[], &[], &[key("OBJECT", "NGC 1"), ("VISIT".into(), CardValue::Integer(42))]);
    for (band, value) in [("i", 3.0), ("g", 1.0), ("r", 2.0)] {
        file.image(&[2, 2], &[value; 4], &[key("FILTER", band), key("BUNIT", "uJy")]);
    }
    let path = folder.path().join("bands.fits");
    std::fs::write(&path, file.into_bytes()).unwrap();
    let mut settings = Fits::new([text(&path)]);
    settings.columns.insert("visit".into(), "VISIT".into());
    let all = read(settings.clone());
    assert_eq!(ImageLayout::of(all.rows.schema().field_with_name("image").unwrap()).unwrap().bands, ["i", "g", "r"]);
    settings.bands = Some(["g", "r"].into());
    let output = read(settings.clone());
    let (pixels, _) = list_values(&output.rows, "image").unwrap();
    assert_eq!(pixels, [1e3, 1e3, 1e3, 1e3, 2e3, 2e3, 2e3, 2e3]);
    assert_eq!(strings(&output.rows, "origin")[0].as_deref().unwrap(), format!("{}[1,2,3]", text(&path)));
    assert_eq!(strings(&output.rows, "object_id")[0].as_deref(), Some("NGC 1"));
    assert_eq!(output.rows.column_by_name("visit").unwrap().as_primitive::<Float64Type>().value(0), 42.0);
    settings.layout = Layout::HduPerObject;
    settings.bands = Some(serde_json::from_value(serde_json::json!({ "x": ["g", "r", "i"] })).unwrap());
    let objects = read(settings);
    assert_eq!(objects.rows.num_rows(), 3);
    assert_eq!(strings(&objects.rows, "object_id")[2].as_deref(), Some("bands[3]"));
}

#[test]
fn rejects_files_without_a_band() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.fits"), cube(4, 0.0)).unwrap();
    let mut settings = Fits::new([text(folder.path())]);
    settings.bands = Some(["g", "z"].into());
    settings.size = Some(4);
    let output = read(settings);
    assert_eq!(output.rejects[0].reason, "has the bands `g`, `r`, `i`, expected `g`, `z`");
}

#[test]
fn every_image_of_a_stack_is_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = Writer::new();
    let pixels: Vec<f32> = (0..2 * 3 * 4).map(|pixel| pixel as f32).collect();
    file.image(&[2, 3, 2, 2], &pixels, &[key("BANDS", "g,r,i"), key("OBJECT", "stack")]);
    let path = folder.path().join("stack.fits");
    std::fs::write(&path, file.into_bytes()).unwrap();
    let output = read(Fits::new([text(&path)]));
    assert_eq!(list_values(&output.rows, "image").unwrap(), (pixels.as_slice(), 12));
    assert_eq!(strings(&output.rows, "origin")[1].as_deref().unwrap(), format!("{}[0][1]", text(&path)));
    assert_eq!(strings(&output.rows, "object_id")[1].as_deref(), Some("stack[1]"));
}

fn with_companions(nan: bool) -> Vec<u8> {
    let mut file = Writer::new();
    let mut pixels = vec![1.0; 12];
    if nan {
        pixels[4] = f32::NAN;
    }
    file.image(&[3, 4], &pixels, &[key("EXTTYPE", "IMAGE"), key("BUNIT", "uJy")]);
    file.image(&[3, 4], &[2.0; 12], &[key("EXTNAME", "SIGMA")]);
    let mut mask = vec![0.0; 12];
    mask[5] = 6.0;
    file.image(&[3, 4], &mask, &[key("EXTNAME", "MASK")]);
    file.image(&[1, 1], &[0.5], &[key("EXTNAME", "PSFIMAGE")]);
    file.into_bytes()
}

#[test]
fn companions_are_cropped_and_scaled_with_the_image() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.fits"), with_companions(false)).unwrap();
    let mut settings = Fits::new([text(folder.path())]);
    settings.companions = vec![Companion::Psf, Companion::Variance, Companion::Mask];
    settings.size = Some(4);
    settings.fill = -7.0;
    let output = read(settings.clone());
    let column = |name| list_values(&output.rows, name).unwrap().0.to_vec();
    // The image is padded by one row above: pixel n/2 stays pixel n/2.
    assert_eq!(column("image")[..5], [-7.0, -7.0, -7.0, -7.0, 1e3]);
    assert_eq!(column("image_variance")[..5], [0.0, 0.0, 0.0, 0.0, 4e6]);
    let mask = mask_values(&output.rows, "image_mask").unwrap().0;
    assert_eq!(mask[..10], [1, 1, 1, 1, 0, 0, 0, 0, 0, 6]);
    assert_eq!(column("image_psf"), [0.5]);
    settings.masked = Some(Policy::Fill);
    assert_eq!(list_values(&read(settings.clone()).rows, "image").unwrap().0[9], -7.0);
    settings.masked = Some(Policy::Reject);
    let expected = "has 1 masked pixels of 16: some are at the centre; `bad` chooses the planes that count";
    assert_eq!(read(settings.clone()).rejects[0].reason, expected);
    settings.mask_bits = Some(1);
    assert_eq!(read(settings).rows.num_rows(), 1);
}

#[test]
fn rejects_or_fills_non_finite_pixels() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.fits"), with_companions(true)).unwrap();
    let mut settings = Fits::new([text(folder.path())]);
    let output = read(settings.clone());
    let expected = "has 1 non-finite pixels of 12, the first in band `band1` at y 1, x 0: `nan: fill` would fill them";
    assert_eq!((output.rejects[0].reason.as_str(), output.rejects[0].row), (expected, 0));
    settings.nan = Policy::Fill;
    assert_eq!(list_values(&read(settings).rows, "image").unwrap().0[4], 0.0);
}

#[test]
fn joins_a_catalogue_by_identity_or_by_a_key() {
    let folder = tempfile::tempdir().unwrap();
    for (name, id) in [("a", "007"), ("b", "8"), ("c", "9")] {
        let mut file = Writer::new();
        file.image(&[1, 1], &[1.0], &[key("OBJECT", id), key("TARGET", name)]);
        std::fs::write(folder.path().join(format!("{name}.fits")), file.into_bytes()).unwrap();
    }
    let table = folder.path().join("objects.csv");
    std::fs::write(&table, "id,name,class,mag,ra\n9,c,spiral,20.5,10\n007,a,merger,21.5,11.5\n").unwrap();
    let mut settings = Fits::new([text(folder.path())]);
    let columns = [("label", "class"), ("mag_r", "mag"), ("ra", "ra")];
    let catalogue = Catalogue::new(&text(&table), "id", columns);
    settings.catalogue = Some(catalogue.clone());
    let expected = [Some("merger".to_owned()), None, Some("spiral".to_owned())];
    let output = read(settings.clone());
    assert_eq!(strings(&output.rows, "label"), expected);
    assert_eq!(output.rows.column_by_name("ra").unwrap().as_primitive::<Float64Type>().value(0), 11.5);
    settings.catalogue = Some(Catalogue { key: "name".into(), header_key: Some("TARGET".into()), ..catalogue.clone() });
    assert_eq!(strings(&read(settings.clone()).rows, "label"), expected);
    let columns = [("label".to_owned(), "id".to_owned())].into();
    let by_name = Catalogue { key: "name".into(), header_key: Some("TARGET".into()), columns, ..catalogue.clone() };
    settings.catalogue = Some(by_name);
    assert_eq!(strings(&read(settings.clone()).rows, "label"), [Some("007".to_owned()), None, Some("9".to_owned())]);
    settings.catalogue = Some(Catalogue { key: "nam".into(), ..catalogue });
    let found = &read_in_batches(settings, 8).err().unwrap()[0];
    assert_eq!((found.code, found.help.as_deref()), (Code::UnknownColumn, Some("did you mean `name`?")));
}

#[test]
fn a_catalogue_without_its_columns_is_a_mistake_of_the_document() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.fits"), cube(2, 1.0)).unwrap();
    let table = folder.path().join("objects.csv");
    for content in ["", "id,class\n"] {
        std::fs::write(&table, content).unwrap();
        let document = format!(
            "source: {{ fits: {{ paths: ['{}/a.fits'], bands: [g, r, i], size: 2,
  catalogue: {{ path: '{}', key: name, columns: {{ label: class }} }} }} }}
sink: {{ objects: {{ parquet: {{}} }} }}",
            text(folder.path()),
            text(&table)
        );
        let Err(lucarne::error::Error::Pipeline(mistakes)) = lucarne::pipeline::Pipeline::from_yaml(document).check()
        else {
            panic!("the catalogue has no column `name`")
        };
        assert!(mistakes.iter().any(|mistake| mistake.message.contains("has no column `name`")), "{mistakes:?}");
    }
}

#[test]
fn files_whose_folder_is_missing_end_the_run_and_a_missing_file_is_a_reject() {
    let folder = tempfile::tempdir().unwrap();
    let night = folder.path().join("night");
    std::fs::create_dir(&night).unwrap();
    for name in ["a", "b"] {
        std::fs::write(night.join(format!("{name}.fits")), cube(2, 1.0)).unwrap();
    }
    let mut source = Fits::new([text(&night)]).build("source").unwrap();
    source.bind().unwrap();
    let split = source.splits().unwrap().remove(0);
    let read = || source.open(&split, 0).unwrap().next(10, std::time::Instant::now());
    std::fs::remove_file(night.join("a.fits")).unwrap();
    let Read::Batch { rows, rejects } = read().unwrap() else { panic!("expected rows") };
    assert_eq!((rows.num_rows(), rejects.len()), (1, 1));
    std::fs::remove_dir_all(&night).unwrap();
    let error = read().unwrap_err();
    assert!(matches!(error, lucarne::error::Error::Environment { .. }), "{error:?}");
    assert!(error.report().contains("resume when it can be read"), "{}", error.report());
}

#[test]
fn a_split_continues_at_any_offset() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..70 {
        let bytes = if number % 10 == 3 { b"no FITS".to_vec() } else { cube(2, number as f32) };
        std::fs::write(folder.path().join(format!("{number:02}.fits")), bytes).unwrap();
    }
    let mut source = Fits::new([text(folder.path())]).build("source").unwrap();
    source.bind().unwrap();
    let splits = source.splits().unwrap();
    assert_eq!(splits.len(), 2);
    let rest = |offset| {
        let mut reader = source.open(&splits[0], offset).unwrap();
        assert_eq!(reader.offset(), offset);
        let Read::Batch { rows, rejects } = reader.next(1000, std::time::Instant::now()).unwrap() else {
            panic!("expected rows")
        };
        assert_eq!(reader.offset(), 64);
        (rows, rejects)
    };
    let (all, all_rejects) = rest(0);
    let (late, late_rejects) = rest(33);
    assert_eq!(all_rejects.len(), 7);
    assert_eq!(late_rejects, all_rejects[3..]);
    assert_eq!(late, all.slice(30, 27));
}

#[test]
fn rejects_a_split_whose_files_changed_since_the_run_began() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("b.fits"), cube(2, 0.0)).unwrap();
    let open = || {
        let mut source = Fits::new([text(folder.path())]).build("source").unwrap();
        source.bind().unwrap();
        source
    };
    let splits = open().splits().unwrap();
    std::fs::write(folder.path().join("a.fits"), cube(2, 0.0)).unwrap();
    let error = open().open(&splits[0], 0).err().unwrap();
    assert!(error.to_string().contains("are not those that the run began with"), "{error}");
}

fn mistake(paths: &[String]) -> (Code, String) {
    let diagnostics = read_in_batches(Fits::new(paths), 8).err().unwrap();
    assert!(diagnostics.iter().all(|diagnostic| diagnostic.help.is_some()));
    (diagnostics[0].code, diagnostics[0].message.clone())
}

#[test]
fn rejects_paths_without_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name));
    assert_eq!(mistake(&[at("none.fits")]), (Code::MissingFile, format!("`{}` does not exist", at("none.fits"))));
    assert_eq!(mistake(&[at("*.fits")]), (Code::MissingFile, format!("no file matches `{}`", at("*.fits"))));
    assert_eq!(
        mistake(&[text(folder.path())]),
        (Code::MissingFile, format!("folder `{}` has no FITS file", text(folder.path())))
    );
    assert_eq!(mistake(&[]).0, Code::MissingKey);
    std::fs::write(folder.path().join("a.fits"), cube(2, 0.0)).unwrap();
    std::fs::write(folder.path().join("list.txt"), format!("# two\n{}\n\n{}\n", at("a.fits"), at("b.fits"))).unwrap();
    let list = format!("@{}", at("list.txt"));
    assert_eq!(
        mistake(std::slice::from_ref(&list)),
        (Code::MissingFile, format!("list `{}`: `{}` does not exist", at("list.txt"), at("b.fits")))
    );
    std::fs::write(folder.path().join("b.fits"), cube(2, 0.0)).unwrap();
    assert_eq!(read(Fits::new([list])).rows.num_rows(), 2);
    assert_eq!(mistake(&[at("a.fits"), at("./*.fits")]).0, Code::Conflict);
}

#[test]
fn rejects_impossible_settings() {
    let codes = |change: fn(&mut Fits)| {
        let mut settings = Fits::new(["x.fits"]);
        change(&mut settings);
        settings.build("source").err().unwrap_or_default().iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(|_| {}), []);
    assert_eq!(codes(|settings| settings.bands = Some(["g", "g"].into())), [Code::OutOfRange]);
    assert_eq!(codes(|settings| settings.columns = [("_x".into(), "X".into())].into()), [Code::BadLabel]);
    assert_eq!(codes(|settings| settings.columns = [("image".into(), "X".into())].into()), [Code::DuplicateLabel]);
    let both = |settings: &mut Fits| {
        settings.unit = Some("nJy".into());
        settings.zero_point = Some(vec![25.0].into());
    };
    assert_eq!(codes(both), [Code::Conflict]);
}
