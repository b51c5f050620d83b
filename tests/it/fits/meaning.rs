//! What headers mean: units, zero points, roles, bands, axes, masks, and companions. Each file here is one that people met.

use std::path::Path;

use lucarne::{
    batch::{ImageLayout, Unit, list_values, mask_values},
    fits::{CardValue, Writer},
    source::fits::{
        Axis, Bands, Companion, EmptyBand, Fits, Layout, MaskPlane, NumberKey, NumbersOrKey, OneOrMany, Policy,
    },
};
use tempfile::TempDir;

use super::{SourceOutput, key, read, read_in_batches, text};

type Keys = Vec<(String, CardValue)>;

fn real(name: &str, value: f64) -> (String, CardValue) {
    (name.to_owned(), CardValue::Real(value))
}

fn integer(name: &str, value: i64) -> (String, CardValue) {
    (name.to_owned(), CardValue::Integer(value))
}

/// Pixels that count from a number.
fn counting(from: f32) -> Vec<f32> {
    (0..16).map(|pixel| from + pixel as f32).collect()
}

/// A folder with a file of images of 4 by 4 pixels.
fn file(hdus: &[(Vec<f32>, Keys)]) -> (TempDir, Fits) {
    let mut writer = Writer::new();
    for (pixels, keys) in hdus {
        writer.image(if pixels.is_empty() { &[] } else { &[4, 4] }, pixels, keys);
    }
    saved(writer)
}

fn saved(writer: Writer) -> (TempDir, Fits) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.fits"), writer.into_bytes()).unwrap();
    let settings = Fits::new([text(&folder.path().join("a.fits"))]);
    (folder, settings)
}

fn image(output: &SourceOutput) -> Vec<f32> {
    assert!(output.rejects.is_empty(), "{:?}", output.rejects);
    list_values(&output.rows, "image").unwrap().0.to_vec()
}

fn layout(output: &SourceOutput) -> ImageLayout {
    ImageLayout::of(output.rows.schema().field_with_name("image").unwrap()).unwrap()
}

/// Why the file cannot be read at all, or the reason of its only reject.
fn refused(settings: Fits) -> String {
    match read_in_batches(settings, 8) {
        Err(mistakes) => mistakes[0].message.clone(),
        Ok(output) => {
            assert_eq!(output.rejects.len(), 1, "{} rows", output.rows.num_rows());
            output.rejects[0].reason.clone()
        }
    }
}

fn near(found: f32, expected: f64) -> bool {
    (f64::from(found) / expected - 1.0).abs() < 1e-6
}

#[test]
fn units_are_numbers_times_units() {
    for (unit, njy) in [("10.0*nanoJansky", 10.0), ("1e-9 Jy", 1.0), ("3.631e-06 Jy", 3631.0), ("uJy/pixel", 1e3)] {
        let (_folder, settings) = file(&[(counting(1.0), vec![key("BUNIT", unit)])]);
        let output = read(settings);
        assert_eq!(layout(&output).unit, Unit::NanoJansky, "{unit}");
        assert!(near(image(&output)[0], njy), "{unit}");
    }
    let (_folder, settings) = file(&[(counting(1.0), vec![key("BUNIT", "electron")])]);
    assert_eq!(layout(&read(settings)).unit, Unit::Electron);
}

#[test]
fn surface_brightness_becomes_flux_by_the_area_of_a_pixel() {
    // 0.0312 arcsec squared, as of NIRCam: 1 MJy/sr is 22.88 nJy in a pixel.
    let keys = vec![key("BUNIT", "MJy/sr"), real("PIXAR_SR", 2.29e-14)];
    let (_folder, settings) = file(&[(counting(1.0), keys.clone())]);
    assert!(near(image(&read(settings))[0], 1e15 * 2.29e-14));
    let (_folder, settings) = file(&[(counting(1.0), keys[..1].to_vec())]);
    assert!(refused(settings.clone()).contains("without the area of a pixel"));
    let scaled = Fits { pixel_scale_arcsec: Some(1.0), ..settings };
    assert!((f64::from(image(&read(scaled))[0]) / 23_504.43 - 1.0).abs() < 1e-6);
    let (_folder, settings) = file(&[(counting(1.0), keys)]);
    let reason = refused(Fits { pixel_scale_arcsec: Some(1.0), ..settings });
    assert!(reason.contains("`PIXAR_SR`") && reason.contains("by their sides"), "{reason}");
}

#[test]
fn zero_points_are_those_of_each_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, zero_point) in [("a", 27.0), ("b", 30.0)] {
        let mut writer = Writer::new();
        writer.image(&[], &[], &[real("MAGZERO", zero_point), real("FLUXMAG0", 10f64.powf(0.4 * zero_point))]);
        let counts = 10f64.powf(0.4 * (zero_point - 27.0)) as f32;
        writer.image(&[4, 4], &counting(1.0).iter().map(|pixel| pixel * counts).collect::<Vec<_>>(), &[]);
        std::fs::write(folder.path().join(format!("{name}.fits")), writer.into_bytes()).unwrap();
    }
    let settings = Fits::new([text(folder.path())]);
    let with = |change: fn(&mut Fits)| {
        let mut settings = settings.clone();
        change(&mut settings);
        read(settings)
    };
    let by_key = |key: &str| Some(NumbersOrKey::Key(NumberKey { key: OneOrMany::One(key.to_owned()) }));
    assert_eq!(by_key("MAGZERO"), serde_json::from_value(serde_json::json!({ "key": "MAGZERO" })).unwrap());
    let outputs = [
        with(|_| {}),
        with(|settings| settings.zero_point = serde_json::from_value(serde_json::json!({ "key": "MAGZERO" })).unwrap()),
        with(|settings| {
            settings.flux_at_zero_magnitude = serde_json::from_value(serde_json::json!({ "key": "FLUXMAG0" })).unwrap();
        }),
    ];
    for output in outputs {
        assert_eq!(layout(&output).unit, Unit::NanoJansky);
        let pixels = image(&output);
        let expected = 10f64.powf(0.4 * (31.4 - 27.0));
        assert!(near(pixels[0], expected) && near(pixels[16], expected), "{} {}", pixels[0], pixels[16]);
    }
    // A number that contradicts a header is not believed, unless the header is said to be wrong.
    let number = with(|settings| settings.zero_point = Some(27.0.into()));
    assert_eq!((number.rows.num_rows(), number.rejects.len()), (1, 1));
    let reason = &number.rejects[0].reason;
    assert!(reason.contains("key `MAGZERO` 30") && reason.contains("`zero_point` 27"), "{reason}");
    let forced = with(|settings| (settings.zero_point, settings.unit) = (Some(27.0.into()), Some("adu".into())));
    assert_eq!(forced.rejects.len(), 0);
    let (_folder, settings) = file(&[(counting(1.0), vec![])]);
    let missing = Fits { zero_point: by_key("MAGZP"), ..settings };
    assert!(refused(missing).contains("has no key `MAGZP`, expected the number for `zero_point`"));
}

#[test]
fn a_zero_point_of_the_settings_does_not_replace_a_unit_of_flux() {
    let (_folder, settings) = file(&[(counting(1.0), vec![key("BUNIT", "nJy")])]);
    let with = |zero_point: f64| Fits { zero_point: Some(zero_point.into()), ..settings.clone() };
    assert_eq!(image(&read(with(31.4)))[0], 1.0);
    assert!(refused(with(27.0)).contains("has the unit `nJy`, but other fluxes by `zero_point` 27"));
}

#[test]
fn asinh_magnitudes_of_pan_starrs_become_counts() {
    let keys = vec![real("BOFFSET", 5.0), real("BSOFTEN", 100.0), key("BUNIT", "nJy")];
    let (_folder, settings) = file(&[(counting(0.1), keys)]);
    // 5 + 200 sinh(0.1 ln 10 / 2.5)
    let expected = 5.0 + 200.0 * (f64::from(0.1f32) * std::f64::consts::LN_10 / 2.5).sinh();
    assert!(near(image(&read(settings))[0], expected));
    let (_folder, settings) = file(&[(counting(0.1), vec![real("BSOFTEN", 100.0)])]);
    assert_eq!(
        refused(settings).split("has key").nth(1),
        Some(" `BSOFTEN` without `BOFFSET`, expected both or neither")
    );
}

#[test]
fn numbers_that_stand_for_no_data_are_no_data() {
    let mut pixels = counting(1.0);
    (pixels[3], pixels[4]) = (-9999.0, 1e20);
    let (_folder, settings) = file(&[(pixels.clone(), vec![])]);
    for blank in [None, Some(vec![-9999.0, 1e20])] {
        let reason = refused(Fits { blank, ..settings.clone() });
        assert!(reason.contains("2 non-finite pixels of 16") && reason.contains("stands for no data"), "{reason}");
    }
    assert_eq!(image(&read(Fits { blank: Some(Vec::new()), ..settings.clone() }))[3], -9999.0);
    let blank = Fits { blank: Some(vec![-9999.0, 1e20, 3.0]), ..settings };
    let filled = read(Fits { nan: Policy::Fill, ..blank });
    assert_eq!(image(&filled)[2..6], [0.0, 0.0, 0.0, 6.0]);
    assert_eq!(mask_values(&filled.rows, "image_mask").unwrap().0[1..6], [0, 1, 1, 1, 0]);
    // `BLANK` is for integers, but some files of floats have it.
    let (_folder, settings) = file(&[(pixels, vec![integer("BLANK", -9999)])]);
    assert!(refused(Fits { blank: Some(vec![1e20]), ..settings.clone() }).contains("2 non-finite pixels of 16"));
    assert!(refused(Fits { blank: Some(Vec::new()), ..settings }).contains("1 non-finite pixels of 16"));
}

#[test]
fn a_band_without_information_is_not_an_image() {
    let cube = |second: Vec<f32>| {
        let mut writer = Writer::new();
        writer.image(&[2, 4, 4], &[counting(1.0), second].concat(), &[key("BANDS", "gr")]);
        saved(writer)
    };
    for (second, expected) in [
        (vec![0.0; 16], "has no information in band `r`: all of its 16 pixels with data are 0"),
        (vec![f32::NAN; 16], "has no data in band `r`: none of 16 pixels is finite"),
    ] {
        let (_folder, settings) = cube(second);
        let filled = Fits { nan: Policy::Fill, ..settings };
        let reason = refused(filled.clone());
        assert!(reason.starts_with(expected), "{reason}");
        assert_eq!(read(Fits { empty_band: EmptyBand::Keep, ..filled }).rows.num_rows(), 1);
    }
    let mut writer = Writer::new();
    writer.image(&[10, 10], &[7.0; 100], &[]);
    let (_folder, settings) = saved(writer);
    assert!(refused(settings).contains("all of its 100 pixels with data are 7"));
}

fn named(name: &str) -> Keys {
    vec![key("EXTNAME", name)]
}

#[test]
fn roles_in_names_with_bands_make_one_object() {
    let mut hdus = vec![(vec![], vec![])];
    for (band, from) in [("G", 1.0), ("R", 2.0), ("I", 3.0)] {
        hdus.push((counting(from), [named(&format!("SCI_{band}")), vec![key("BUNIT", "nJy")]].concat()));
        hdus.push((vec![from; 16], named(&format!("VAR_{band}"))));
        hdus.push((vec![0.0; 16], named(&format!("MASK_{band}"))));
    }
    // The order of companions in the file does not matter.
    hdus[1..].reverse();
    let (_folder, settings) = file(&hdus);
    let companions = vec![Companion::Variance, Companion::Mask];
    let bands = Some(["g", "r", "i"].into());
    let output = read(Fits { companions, bands, ..settings.clone() });
    assert_eq!(image(&output).chunks(16).map(|plane| plane[0]).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
    let variance = list_values(&output.rows, "image_variance").unwrap().0;
    assert_eq!(variance.chunks(16).map(|plane| plane[0]).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
    assert_eq!(read(settings.clone()).rows.num_rows(), 1);
    let hdu = Some(["SCI_G", "SCI_R"].map(str::to_owned).to_vec());
    assert_eq!(layout(&read(Fits { hdu, bands: Some(["r", "g"].into()), ..settings })).bands, ["r", "g"]);
}

#[test]
fn roles_in_names_with_numbers_make_objects_with_their_own_companions() {
    let mut hdus = vec![(vec![], vec![])];
    for number in 0..3 {
        hdus.push((counting(number as f32 + 1.0), named(&format!("SCI_{number}"))));
        hdus.push((vec![10.0 * number as f32 + 1.0; 16], named(&format!("VAR_{number}"))));
        hdus.push((vec![1.0; 16], named(&format!("PSF_{number}"))));
    }
    let (_folder, settings) = file(&hdus);
    let output = read(Fits { companions: vec![Companion::Variance, Companion::Psf], ..settings });
    assert_eq!(output.rows.num_rows(), 3);
    let variance = list_values(&output.rows, "image_variance").unwrap().0;
    assert_eq!(variance.chunks(16).map(|plane| plane[0]).collect::<Vec<_>>(), [1.0, 11.0, 21.0]);
}

#[test]
fn an_error_is_preferred_to_a_weight() {
    let hdus =
        [(vec![], vec![]), (counting(1.0), named("SCI")), (vec![4.0; 16], named("WHT")), (vec![3.0; 16], named("ERR"))];
    let (_folder, settings) = file(&hdus);
    let output = read(Fits { companions: vec![Companion::Variance], ..settings });
    assert_eq!(list_values(&output.rows, "image_variance").unwrap().0.to_vec(), vec![9.0; 16]);
}

#[test]
fn companions_belong_to_the_image_of_their_version() {
    let versions = |name: &str, version: i64| [named(name), vec![integer("EXTVER", version)]].concat();
    let mut hdus = vec![(vec![], vec![])];
    hdus.extend((1..=3).map(|version| (counting(version as f32), versions("SCI", version))));
    hdus.extend([3, 1, 2].map(|version| (vec![(version * version) as f32; 16], versions("VAR", version))));
    let (_folder, settings) = file(&hdus);
    let settings = Fits { companions: vec![Companion::Variance], layout: Layout::HduPerObject, ..settings };
    let output = read(settings);
    let variance = list_values(&output.rows, "image_variance").unwrap().0;
    assert_eq!(variance.chunks(16).map(|plane| plane[0]).collect::<Vec<_>>(), [1.0, 4.0, 9.0]);
    hdus.pop();
    let (_folder, settings) = file(&hdus);
    let settings = Fits { companions: vec![Companion::Variance], layout: Layout::HduPerObject, ..settings };
    let output = read(settings);
    assert_eq!((output.rows.num_rows(), output.rejects.len()), (2, 1));
    assert_eq!(output.rejects[0].reason, "has no variance HDU of `EXTVER` 2, that of `SCI`,2");
}

#[test]
fn maps_beside_an_image_are_not_objects() {
    let maps = ["NEXP", "DEPTH", "CHI2", "MODEL", "SKY", "SEG", "FOOTPRINT", "NOISE_REALIZATIONS/0", "WHATEVER"];
    let mut hdus = vec![(counting(1.0), vec![key("BUNIT", "nJy")])];
    hdus.extend(maps.iter().map(|name| (counting(5.0), named(name))));
    let (_folder, settings) = file(&hdus);
    let output = read(settings);
    assert_eq!((output.rows.num_rows(), image(&output)[0]), (1, 1.0));
}

#[test]
fn weights_of_zero_say_that_a_pixel_does_not_count() {
    let mut weights = vec![4.0; 16];
    weights[2] = 0.0;
    let hdus = |weights: Vec<f32>| vec![(counting(1.0), vec![key("BUNIT", "nJy")]), (weights, named("IVAR"))];
    let (_folder, settings) = file(&hdus(weights.clone()));
    let settings = Fits { companions: vec![Companion::Variance], ..settings };
    assert!(refused(settings.clone()).contains("1 pixels of weight 0"), "{}", refused(settings.clone()));
    let output = read(Fits { nan: Policy::Fill, ..settings });
    assert_eq!(image(&output)[1..4], [2.0, 0.0, 4.0]);
    assert_eq!(list_values(&output.rows, "image_variance").unwrap().0[1..4], [0.25, 0.0, 0.25]);
    assert_eq!(mask_values(&output.rows, "image_mask").unwrap().0[1..4], [0, 1, 0]);
    let schema = output.rows.schema();
    let variance = ImageLayout::of(schema.field_with_name("image_variance").unwrap()).unwrap();
    assert_eq!(variance.unit, Unit::NanoJansky2);
    weights[2] = -1.0;
    let (_folder, settings) = file(&hdus(weights));
    for nan in [Policy::Reject, Policy::Fill] {
        let reason = refused(Fits { companions: vec![Companion::Variance], nan, ..settings.clone() });
        assert_eq!(reason, "has a negative weight, -1 in band `band1` at y 0, x 2");
    }
}

#[test]
fn variances_have_their_own_unit() {
    let with = |unit: Option<&str>, name: &str, value: f32| {
        let keys = [named(name), unit.map(|unit| key("BUNIT", unit)).into_iter().collect()].concat();
        let (folder, settings) = file(&[
            (vec![], vec![]),
            (counting(1.0), [named("SCI"), vec![key("BUNIT", "uJy")]].concat()),
            (vec![value; 16], keys),
        ]);
        (folder, Fits { companions: vec![Companion::Variance], ..settings })
    };
    for (unit, name, value, expected) in [
        (Some("nJy"), "ERR", 5.0, 25.0),
        (Some("uJy"), "ERR", 5.0, 25e6),
        (None, "ERR", 5.0, 25e6),
        (Some("nJy2"), "VAR", 5.0, 5.0),
        (Some("uJy^2"), "VAR", 5.0, 5e6),
        (Some("1/nJy2"), "IVAR", 4.0, 0.25),
    ] {
        let (_folder, settings) = with(unit, name, value);
        let output = read(settings);
        let found = list_values(&output.rows, "image_variance").unwrap().0[0];
        assert!(near(found, expected), "{unit:?} {name}: {found}");
    }
    let (_folder, settings) = with(Some("adu2"), "VAR", 5.0);
    assert!(
        refused(settings).contains("has a variance in `adu2`, expected the square of the unit of the image, `uJy`")
    );
    let (_folder, settings) = with(None, "UNCERT", 5.0);
    assert!(refused(settings).contains("`UNCERT` HDU without key `UTYPE`"));
}

#[test]
fn masks_keep_all_bits() {
    let bits: Vec<u64> = (0..16)
        .map(|pixel| match pixel {
            5 => 1 << 30 | 1,
            6 => 1,
            7 => 1 << 30,
            8 => 1 << 31 | 1,
            9 => 1 << 24 | 1,
            10 => 1 << 33,
            _ => 0,
        })
        .collect();
    let mut writer = Writer::new();
    writer.image(&[4, 4], &counting(1.0), &[]);
    writer.integers(&[4, 4], &bits, &named("DQ"));
    let (_folder, settings) = saved(writer);
    let settings = Fits { companions: vec![Companion::Mask], masked: Some(Policy::Fill), fill: -7.0, ..settings };
    let output = read(Fits { mask_bits: Some(1), ..settings.clone() });
    let filled = |output: &SourceOutput| {
        (0..16).zip(image(output)).filter(|(_, pixel)| *pixel == -7.0).map(|(index, _)| index).collect::<Vec<_>>()
    };
    assert_eq!(filled(&output), [5, 6, 8, 9]);
    let mask = mask_values(&output.rows, "image_mask").unwrap().0.to_vec();
    assert_eq!((mask[5], mask[7], mask[8]), (1 << 30 | 1, 0, 1 << 31 | 1));
    assert_eq!(filled(&read(Fits { bad: Some(vec![MaskPlane::Bit(33)]), ..settings.clone() })), [10]);
    assert_eq!(filled(&read(settings)), [5, 6, 7, 8, 9, 10]);
}

#[test]
fn planes_of_a_mask_are_chosen_by_name_in_each_file() {
    let folder = tempfile::tempdir().unwrap();
    // The same planes have other bits in each file.
    for (name, [bad, detected]) in [("a", [0, 5]), ("b", [3, 1])] {
        let mut writer = Writer::new();
        writer.image(&[4, 4], &counting(1.0), &[]);
        let mut bits = vec![1 << detected; 16];
        bits[2] |= 1 << bad;
        let planes = [named("MASK"), vec![integer("MP_BAD", bad), integer("MP_DETECTED", detected)]].concat();
        writer.integers(&[4, 4], &bits, &planes);
        std::fs::write(folder.path().join(format!("{name}.fits")), writer.into_bytes()).unwrap();
    }
    let settings = Fits { companions: vec![Companion::Mask], ..Fits::new([text(folder.path())]) };
    let bad: MaskPlane = MaskPlane::Name("BAD".into());
    for settings in [settings.clone(), Fits { bad: Some(vec![bad]), ..settings.clone() }] {
        let output = read(settings);
        let mask = mask_values(&output.rows, "image_mask").unwrap().0;
        let masked: Vec<usize> = (0..32).filter(|pixel| mask[*pixel] != 0).collect();
        assert_eq!(masked, [2, 18], "a detected galaxy counts");
    }
    let detected =
        Fits { bad: Some(vec![MaskPlane::Name("DETECTED".into())]), masked: Some(Policy::Reject), ..settings.clone() };
    let reason = &read(detected).rejects[0].reason;
    assert_eq!(
        reason,
        "has 16 masked pixels of 16 (DETECTED 16): some are at the centre; `bad` chooses the planes that count"
    );
    let unknown = Fits { bad: Some(vec![MaskPlane::Name("SAT".into())]), ..settings };
    assert_eq!(read(unknown).rejects[0].reason, "has no mask plane `SAT`: it has `BAD`, `DETECTED`");
}

#[test]
fn a_masked_pixel_without_data_is_filled_as_the_mask_says() {
    let mut pixels = counting(1.0);
    pixels[3] = f32::NAN;
    let mut writer = Writer::new();
    writer.image(&[4, 4], &pixels, &[]);
    writer.integers(&[4, 4], &(0..16).map(|pixel| u64::from(pixel == 3) << 8).collect::<Vec<_>>(), &named("MASK"));
    writer.image(&[4, 4], &pixels, &named("VAR"));
    let (_folder, settings) = saved(writer);
    let settings = Fits { companions: vec![Companion::Variance], masked: Some(Policy::Fill), ..settings };
    let output = read(settings.clone());
    assert_eq!((image(&output)[3], list_values(&output.rows, "image_variance").unwrap().0[3]), (0.0, 0.0));
    assert_eq!(mask_values(&output.rows, "image_mask").unwrap().0[3], 1 << 8);
    assert!(refused(Fits { masked: None, ..settings }).contains("1 non-finite pixels"));
}

#[test]
fn numbered_images_are_bands_in_their_order() {
    let (_folder, settings) = file(&[(counting(1.0), named("IMAGE1")), (counting(2.0), named("IMAGE2"))]);
    let output = read(Fits { bands: Some(["g", "r"].into()), ..settings });
    assert_eq!((layout(&output).bands.as_slice(), image(&output)[16]), (&["g".to_owned(), "r".to_owned()][..], 2.0));
}

#[test]
fn a_mask_in_two_parts_has_the_bits_of_both() {
    let mut writer = Writer::new();
    writer.image(&[4, 4], &counting(1.0), &[]);
    for (version, bits) in [(1, 1), (2, 2)] {
        let planes = [named("MASK"), vec![integer("EXTVER", version), key("MSKN0001", "X"), integer("MSKM0001", bits)]];
        writer.integers(&[4, 4], &[bits as u64; 16], &planes.concat());
    }
    let (_folder, settings) = saved(writer);
    let output = read(Fits { companions: vec![Companion::Mask], ..settings });
    assert_eq!(mask_values(&output.rows, "image_mask").unwrap().0[0], 1 | 2 << 32);
}

#[test]
fn a_band_in_a_file_is_never_relabelled() {
    let (_folder, settings) = file(&[(counting(1.0), vec![key("FILTER", "z")])]);
    let with = |bands: Bands| Fits { bands: Some(bands), size: Some(4), ..settings.clone() };
    assert!(refused(with(["g"].into())).starts_with("has the band `z`, expected `g`"));
    assert_eq!(layout(&read(with(["Z"].into()))).bands, ["Z"]);
    let spelled: Bands = serde_json::from_value(serde_json::json!({ "g": ["HSC-G", "z"] })).unwrap();
    assert_eq!(layout(&read(with(spelled))).bands, ["g"]);
}

#[test]
fn axes_are_named_where_they_can_be_read_in_two_ways() {
    let mut writer = Writer::new();
    let pixels: Vec<f32> = (0..12 * 13 * 3).map(|pixel| pixel as f32).collect();
    writer.image(&[12, 13, 3], &pixels, &[]);
    let (_folder, settings) = saved(writer);
    assert!(refused(settings.clone()).contains("looks like [y, x, band]: set `axes: [y, x, band]`"));
    let output = read(Fits { axes: Some(vec![Axis::Y, Axis::X, Axis::Band]), ..settings });
    let layout = layout(&output);
    assert_eq!((layout.bands.len(), layout.height, layout.width), (3, 12, 13));
    assert_eq!(image(&output)[..3], [0.0, 3.0, 6.0]);
    assert_eq!(image(&output)[156..158], [1.0, 4.0]);
}

#[test]
fn padding_is_asked_for_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, side: usize| {
        let mut writer = Writer::new();
        writer.image(&[side, side], &(0..side * side).map(|pixel| pixel as f32).collect::<Vec<_>>(), &[]);
        std::fs::write(folder.path().join(name), writer.into_bytes()).unwrap();
    };
    write("a.fits", 4);
    write("b.fits", 2);
    let settings = Fits { size: Some(4), ..Fits::new([text(folder.path())]) };
    let output = read(settings.clone());
    assert!(output.rows.column_by_name("image_mask").is_none());
    assert_eq!(output.rejects[0].reason, "is 2 by 2 pixels, smaller than `size` 4: `pad: fill` would pad it");
    let output = read(Fits { pad: Some(Policy::Fill), ..settings.clone() });
    let mask = mask_values(&output.rows, "image_mask").unwrap().0;
    assert_eq!((mask[..16].iter().sum::<u64>(), mask[16..].iter().sum::<u64>()), (0, 12));
    write("a.fits", 2);
    assert_eq!(mask_values(&read(settings).rows, "image_mask").unwrap().0.len(), 32, "the first image is padded");
}

#[test]
fn a_psf_with_smaller_pixels_is_summed_to_those_of_its_image() {
    let psf = |side: usize, keys: Keys| {
        let pixels: Vec<f32> = (0..side * side).map(|pixel| pixel as f32).collect();
        let mut file = lucarne::fits::Writer::new();
        file.image(&[4, 4], &counting(1.0), &[key("BUNIT", "nJy"), real("PIXSCALE", 0.2)]);
        file.image(&[side, side], &pixels, &[named("PSF"), keys].concat());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.fits"), file.into_bytes()).unwrap();
        let settings = Fits { companions: vec![Companion::Psf], ..Fits::new([text(folder.path())]) };
        (folder, settings)
    };
    for (keys, expected) in [
        (vec![real("PIXSCALE", 0.1)], vec![10.0, 18.0, 42.0, 50.0]),
        (vec![real("PIXELSCL", 0.1001)], vec![10.0, 18.0, 42.0, 50.0]),
        (vec![integer("OVERSAMP", 2)], vec![10.0, 18.0, 42.0, 50.0]),
        (vec![integer("OVERSAMP", 4), real("PIXELSCL", 0.05)], vec![120.0]),
        (vec![real("PIXSCALE", 0.2), integer("OVERSAMP", 1)], (0..16).map(|pixel| pixel as f32).collect()),
    ] {
        let (_folder, settings) = psf(4, keys.clone());
        let rows = read(settings).rows;
        assert_eq!(list_values(&rows, "image_psf").unwrap().0, expected, "{keys:?}");
        let layout = ImageLayout::of(rows.schema().field_with_name("image_psf").unwrap()).unwrap();
        assert_eq!((layout.pixel_scale_arcsec, layout.height * layout.width), (Some(0.2), expected.len()));
    }
    for (side, keys, expected) in [
        (4, vec![real("PSF_SAMP", 0.5)], "has a PSF with key `PSF_SAMP` 0.5, expected 1"),
        (4, vec![real("PIXSCALE", 0.4)], "has a PSF with pixels of 0.4 arcsec, larger than the pixels of its image"),
        (
            4,
            vec![integer("OVERSAMP", 4), real("PIXELSCL", 0.2)],
            "has a PSF with key `OVERSAMP` 4 and pixels of 0.2 arcsec",
        ),
        (4, vec![integer("OVERSAMP", 3)], "has a PSF of 4 pixels, 3 to a pixel of its image"),
    ] {
        let (_folder, settings) = psf(side, keys.clone());
        let found = refused(settings);
        assert!(found.contains(expected), "{keys:?}: {found}");
    }
}

#[test]
fn companions_follow_their_image_through_all_steps() {
    let mut pixels = counting(1.0);
    pixels[5] = f32::NAN;
    let (_folder, settings) = file(&[(pixels, vec![key("BUNIT", "nJy")]), (vec![2.0; 16], named("VAR"))]);
    let document = format!(
        "source: {{ fits: {{ paths: ['{}'], nan: fill, companions: [variance] }} }}\n\
         transform:\n  \
         turned: {{ orient: {{ image: image, quarter_turns: 2 }} }}\n  \
         small: {{ crop: {{ image: turned, size: 3 }} }}\n  \
         back: {{ orient: {{ image: small, quarter_turns: 2 }} }}\n\
         sink: {{ objects: {{ parquet: {{ images: [back, back_mask, back_variance] }} }} }}",
        settings.paths[0]
    );
    let run = tempfile::tempdir().unwrap();
    let summary = lucarne::pipeline::Pipeline::from_yaml(document).overwrite().run(run.path().join("run")).unwrap();
    assert_eq!((summary.counts.written, summary.counts.rejected), (1, 0));
}

/// Writes files of single bands; an image counts from a number and has a variance.
fn write_bands(folder: &Path, files: &[(&str, &str, f32)]) {
    for (name, band, from) in files {
        let mut writer = Writer::new();
        let object = name.split('_').next().unwrap_or_default();
        writer.image(&[], &[], &[real("MAGZERO", 31.4), key("OBJECT", object)]);
        writer.image(&[4, 4], &counting(*from), &[named("SCI"), vec![key("FILTER", band)]].concat());
        writer.image(&[4, 4], &[*from; 16], &named("VAR"));
        std::fs::write(folder.join(name), writer.into_bytes()).unwrap();
    }
}

fn strings(output: &SourceOutput, column: &str) -> Vec<String> {
    use arrow::array::AsArray;
    let column = output.rows.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().flatten().map(str::to_owned).collect()
}

#[test]
fn objects_with_a_file_for_each_band_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    write_bands(
        folder.path(),
        &[
            ("a_g.fits", "g DECam", 1.0),
            ("a_r.fits", "r DECam", 2.0),
            ("b_r.fits", "r DECam", 4.0),
            ("b_g.fits", "g DECam", 3.0),
            ("c_g.fits", "g DECam", 5.0),
            ("d_g.fits", "g DECam", 6.0),
            ("d_r.fits", "z DECam", 7.0),
            ("e_z.fits", "z DECam", 8.0),
        ],
    );
    let mut settings = Fits::new([text(folder.path())]);
    settings.layout = Layout::FilePerBand;
    settings.bands = Some(["r", "g"].into());
    settings.companions = vec![Companion::Variance];
    let by_keys = Fits { id: Some("OBJECT".into()), ..settings.clone() };
    let by_pattern = Fits { pattern: Some("{object}_{band}.fits".into()), ..settings.clone() };
    for (settings, ids, rejects) in [(settings, ["a", "b"], 2), (by_pattern, ["a", "b"], 2), (by_keys, ["a", "b"], 2)] {
        let output = read(settings);
        assert_eq!(strings(&output, "object_id"), ids);
        assert_eq!(layout(&output).unit, Unit::NanoJansky, "by the key of each primary header");
        let pixels = list_values(&output.rows, "image").unwrap().0;
        assert_eq!(pixels.chunks(16).map(|plane| plane[0]).collect::<Vec<_>>(), [2.0, 1.0, 4.0, 3.0]);
        let variance = list_values(&output.rows, "image_variance").unwrap().0;
        assert_eq!(variance.chunks(16).map(|plane| plane[0]).collect::<Vec<_>>(), [2.0, 1.0, 4.0, 3.0]);
        let expected = format!("{0}/a_r.fits[1],a_g.fits[1]", text(folder.path()));
        assert_eq!(strings(&output, "origin")[0], expected);
        assert_eq!(output.rejects.len(), rejects, "{:?}", output.rejects);
        assert_eq!(output.rejects[0].reason, "has no file of the band `r`");
        assert_eq!(output.rejects[0].object_id.as_deref(), Some("c"));
    }
}

#[test]
fn bands_with_pixels_of_different_sizes_are_not_one_image() {
    let scaled = |scale: f64| vec![real("PIXSCALE", scale)];
    let with = |scales: [Keys; 2]| {
        let [g, r] = scales;
        file(&[
            (vec![], vec![]),
            (counting(1.0), [named("SCI_G"), g].concat()),
            (counting(2.0), [named("SCI_R"), r].concat()),
        ])
    };
    let (_folder, settings) = with([scaled(0.2), scaled(0.3)]);
    let reason = refused(settings.clone());
    assert!(
        reason.contains(
            "has a pixel scale of 0.3 arcsec in band `R`, expected a pixel scale of 0.2 arcsec as in band `G`"
        ),
        "{reason}"
    );
    assert_eq!(read(Fits { pixel_scale_arcsec: Some(0.2), ..settings }).rows.num_rows(), 1);
    let (_folder, settings) = with([scaled(0.2), vec![]]);
    assert!(refused(settings).contains("has an unknown pixel scale in band `R`"));
    let (_folder, settings) = with([scaled(0.2), scaled(0.2005)]);
    assert_eq!(layout(&read(settings)).pixel_scale_arcsec, Some(0.2));
}

#[test]
fn a_file_whose_header_contradicts_its_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_bands(
        folder.path(),
        &[("a_g.fits", "g", 1.0), ("a_r.fits", "z", 2.0), ("b_g.fits", "g", 1.0), ("b_r.fits", "r", 2.0)],
    );
    let mut settings = Fits::new([text(folder.path())]);
    settings.layout = Layout::FilePerBand;
    settings.bands = Some(["g", "r"].into());
    let output = read(settings);
    assert_eq!((output.rows.num_rows(), output.rejects.len()), (1, 1));
    assert!(
        output.rejects[0].reason.ends_with("has the band `z`, expected `r` by its name"),
        "{:?}",
        output.rejects[0]
    );
}

/// The output of a pipeline's source of the cases beside the project.
fn case(folder: &Path, pipeline: &str) -> Result<SourceOutput, String> {
    let text = std::fs::read_to_string(folder.join(pipeline)).unwrap();
    let document: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let mut settings: Fits =
        serde_json::from_value(document["source"]["fits"].clone()).map_err(|error| error.to_string())?;
    settings.paths = settings.paths.iter().map(|path| super::text(&folder.join(path))).collect();
    read_in_batches(settings, 8).map_err(|mistakes| mistakes[0].message.clone())
}

#[test]
fn files_of_public_reports_give_their_right_values() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases");
    if !cases.exists() {
        crate::skip::skip("files of public reports: missing `../shared/cases`");
        return;
    }
    let rows = |name: &str, pipeline: &str| {
        let output = case(&cases.join(name), pipeline).unwrap_or_else(|reason| panic!("{name}/{pipeline}: {reason}"));
        (output.rows.num_rows(), output.rejects.iter().map(|reject| reject.reason.clone()).collect::<Vec<_>>())
    };
    for (name, pipeline, count) in [
        ("fits-roles-band-suffix", "default.yaml", 1),
        ("fits-roles-band-suffix", "named.yaml", 1),
        ("fits-roles-band-suffix", "kbmod.yaml", 4),
        ("fits-roles-des-fz", "default.yaml", 1),
        ("fits-roles-des-fz", "companions.yaml", 1),
        ("fits-roles-extra-maps", "p.yaml", 1),
        ("fits-roles-footprint", "p.yaml", 1),
        ("fits-roles-legacy-imagetyp", "default.yaml", 1),
        ("fits-roles-legacy-imagetyp", "companions.yaml", 1),
        ("fits-roles-rubin-cell-coadd", "default.yaml", 1),
        ("fits-mask-two-units", "p.yaml", 1),
        ("fits-mask-high-bits", "p.yaml", 1),
        ("fits-mask-high-bits", "int64.yaml", 1),
        ("fits-flux-zero-point-header", "key.yaml", 2),
        ("fits-unit-strings", "ten_nanojansky.yaml", 1),
        ("fits-unit-strings", "power.yaml", 1),
        ("fits-companions-order", "p.yaml", 3),
        ("fits-variance-own-unit", "p.yaml", 1),
        ("fits-variance-ivar-zero", "fill.yaml", 0),
        ("fits-variance-ivar-zero", "reject.yaml", 0),
        ("fits-flux-zero-point-header", "number.yaml", 1),
        ("fits-pixels-zero-band", "p.yaml", 0),
        ("fits-pixels-sentinel", "p.yaml", 1),
    ] {
        let (found, rejects) = rows(name, pipeline);
        assert_eq!(found, count, "{name}/{pipeline}: {rejects:?}");
    }
    for (name, pipeline, expected) in [
        ("fits-bands-axes", "yx3.yaml", "set `axes: [y, x, band]`"),
        ("fits-bands-axes", "b1yx.yaml", "set `axes:"),
        ("fits-bands-one-plane-any-name", "p.yaml", "has the band `z`, expected `g`"),
        ("fits-roles-rubin-cell-coadd", "companions.yaml", "has a PSF of the shape [2, 2, 21, 21]"),
        ("fits-unit-strings", "mjysr.yaml", ""),
    ] {
        match case(&cases.join(name), pipeline) {
            Err(reason) => assert!(reason.contains(expected), "{name}/{pipeline}: {reason}"),
            Ok(output) => {
                assert!(output.rejects.iter().all(|reject| reject.reason.contains(expected)), "{name}/{pipeline}");
            }
        }
    }
    let values = |name: &str, pipeline: &str, column: &str| {
        let output = case(&cases.join(name), pipeline).unwrap();
        list_values(&output.rows, column).unwrap().0.iter().map(|pixel| f64::from(*pixel)).collect::<Vec<_>>()
    };
    let sum: f64 = values("fits-flux-ps1-asinh", "p.yaml", "image").iter().sum();
    assert!((sum / 20_426.0 - 1.0).abs() < 1e-3, "{sum}");
    assert_eq!(values("fits-unit-strings", "ten_nanojansky.yaml", "image")[0], 10.0);
    let order = values("fits-companions-order", "p.yaml", "image_variance");
    assert_eq!([order[0], order[400], order[800]], [1.0, 4.0, 9.0]);
    assert!((values("fits-variance-own-unit", "p.yaml", "image_variance")[0] / 25.0 - 1.0).abs() < 1e-6);
    let output = case(&cases.join("fits-mask-high-bits"), "p.yaml").unwrap();
    let (mask, pixels) = (mask_values(&output.rows, "image_mask").unwrap().0, image(&output));
    for (y, x, bits, is_filled) in [
        (5, 5, (1 << 30) + 1, true),
        (6, 6, 1, true),
        (7, 7, 0, false),
        (8, 8, (1 << 31) + 1, true),
        (9, 9, (1 << 24) + 1, true),
        (10, 10, 50_331_653, true),
    ] {
        assert_eq!((mask[y * 20 + x], pixels[y * 20 + x] == -7.0), (bits, is_filled), "{y} {x}");
    }
}
