//! The source `tiles`: cutouts of large images around the positions of a catalogue.

use std::{fs, ops::Range, path::Path};

use arrow::{
    array::{Array, AsArray, UInt64Array},
    compute::take_record_batch,
    datatypes::Float64Type,
};
use lucarne::{
    batch::{ImageLayout, Unit, list_values, mask_values},
    fits::{CardValue, Writer},
    source::{
        fits::{Companion, MaskPlane, Policy},
        tiles::{EdgeRule, ImageList, OverlapRule, PositionCatalogue, Tiles},
    },
    stage::{Settings, Source},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::fits::{SourceOutput, read_in_batches};

type Keys = Vec<(String, CardValue)>;

const STEP: f64 = 0.2 / 3600.0;

fn real(key: &str, value: f64) -> (String, CardValue) {
    (key.to_owned(), CardValue::Real(value))
}

fn text(key: &str, value: &str) -> (String, CardValue) {
    (key.to_owned(), CardValue::Text(value.to_owned()))
}

/// World coordinates with north up, of which pixel `[x, y]`, from 0, is at 150, 2 degrees.
fn sky(x: f64, y: f64) -> Keys {
    vec![
        text("CTYPE1", "RA---TAN"),
        text("CTYPE2", "DEC--TAN"),
        real("CRVAL1", 150.0),
        real("CRVAL2", 2.0),
        real("CRPIX1", x + 1.0),
        real("CRPIX2", y + 1.0),
        real("CD1_1", -STEP),
        real("CD1_2", 0.0),
        real("CD2_1", 0.0),
        real("CD2_2", STEP),
    ]
}

/// The same with other values for some keys, or further ones.
fn with(mut keys: Keys, others: &[(String, CardValue)]) -> Keys {
    keys.retain(|(key, _)| !others.iter().any(|(other, _)| other == key));
    keys.extend_from_slice(others);
    keys
}

/// Pixels of 30 rows and 40 columns that count from a number.
fn counting(first: f32) -> Vec<f32> {
    (0..30 * 40).map(|pixel| first + pixel as f32).collect()
}

/// A folder with tiles of 30 rows and 40 columns, and a catalogue of positions that are offsets from 150, 2 degrees in pixels.
struct Survey {
    folder: TempDir,
}

impl Survey {
    fn new(offsets: &[[f64; 2]]) -> Self {
        let mut rows = "id,ra,dec\n".to_owned();
        for (number, [x, y]) in offsets.iter().enumerate() {
            let dec = 2.0 + y * STEP;
            rows += &format!("o{number},{},{dec}\n", 150.0 - x * STEP / dec.to_radians().cos());
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("positions.csv"), rows).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn tile(&self, name: &str, first: f32, keys: &[(String, CardValue)]) {
        let mut file = Writer::new();
        file.image(&[30, 40], &counting(first), keys);
        fs::write(self.path(name), file.into_bytes()).unwrap();
    }

    fn settings(&self, images: &[(&str, &[&str])], size: usize) -> Tiles {
        let catalogue = PositionCatalogue::new(&self.path("positions.csv"), "id", "ra", "dec");
        let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect::<Vec<_>>();
        Tiles::new(catalogue, images.iter().map(|(band, names)| (*band, paths(names))), size)
    }
}

/// Rows and rejects in the order of the identities, which is that of the catalogue. They are read in the order of the tiles.
pub(super) fn in_order(SourceOutput { rows, mut rejects }: SourceOutput) -> SourceOutput {
    let by_length = |id: &str| (id.len(), id.to_owned());
    let ids = rows.column_by_name("object_id").unwrap().as_string::<i32>();
    let mut order: Vec<u64> = (0..rows.num_rows() as u64).collect();
    order.sort_by_key(|row| by_length(ids.value(*row as usize)));
    let rows = take_record_batch(&rows, &UInt64Array::from(order)).unwrap();
    rejects.sort_by_key(|reject| reject.object_id.as_deref().map(by_length));
    SourceOutput { rows, rejects }
}

fn read(settings: Tiles) -> SourceOutput {
    in_order(crate::fits::read(settings))
}

fn image(output: &SourceOutput, row: usize) -> Vec<f32> {
    let (pixels, length) = list_values(&output.rows, "image").unwrap();
    pixels[row * length..(row + 1) * length].to_vec()
}

fn reasons(output: &SourceOutput) -> Vec<&str> {
    output.rejects.iter().map(|reject| reject.reason.as_str()).collect()
}

fn origins(output: &SourceOutput) -> Vec<String> {
    let origins = output.rows.column_by_name("origin").unwrap().as_string::<i32>();
    origins.iter().map(|origin| origin.unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

/// The mistakes with which settings are refused, in words.
fn mistakes(settings: Tiles) -> String {
    let mistakes = read_in_batches(settings, 8).err().expect("settings that are refused");
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

mod golden {
    use super::*;

    const SHAPE: [usize; 2] = [45, 60];

    fn golden() -> Value {
        serde_json::from_str(&fs::read_to_string("tests/golden/tiles/golden.json").unwrap()).unwrap()
    }

    fn keys(cards: &Value) -> Keys {
        let value = |value: &Value| match value {
            Value::String(text) => CardValue::Text(text.clone()),
            value if value.is_i64() => CardValue::Integer(value.as_i64().unwrap()),
            value => CardValue::Real(value.as_f64().unwrap()),
        };
        cards.as_object().unwrap().iter().map(|(key, card)| (key.clone(), value(card))).collect()
    }

    fn range(section: &Value, key: &str) -> Range<usize> {
        let [start, end] = [0, 1].map(|at| section[key][at].as_u64().unwrap() as usize);
        start..end
    }

    /// The pixels that `Cutout2D` has, -1 outside of the tile; `value` is that of a pixel by its number.
    fn expected(section: &Value, size: usize, value: &dyn Fn(usize) -> f64) -> Vec<f64> {
        let (rows, columns, at) = (range(section, "rows"), range(section, "columns"), range(section, "at"));
        let mut out = vec![-1.0; size * size];
        for (to_y, y) in (at.start..).zip(rows) {
            for (to_x, x) in (at.end..).zip(columns.clone()) {
                out[to_y * size + to_x] = value(y * SHAPE[1] + x);
            }
        }
        out
    }

    fn catalogue(folder: &Path, positions: &[Value]) -> PositionCatalogue {
        let mut rows = "id,ra,dec\n".to_owned();
        for (number, row) in positions.iter().enumerate() {
            rows += &format!("{number},{},{}\n", row["ra"], row["dec"]);
        }
        let path = folder.join("positions.csv");
        fs::write(&path, rows).unwrap();
        PositionCatalogue::new(&path.display().to_string(), "id", "ra", "dec")
    }

    #[test]
    fn cutouts_of_tan_sip_and_tpv_in_overlapping_tiles_are_those_of_astropy() {
        let golden = golden();
        let (mut rows, mut rejects) = (0, 0);
        for case in golden["cases"].as_array().unwrap() {
            let folder = tempfile::tempdir().unwrap();
            let positions = case["positions"].as_array().unwrap();
            let size = golden["size"].as_u64().unwrap() as usize;
            let band = |name: &str| {
                let write = |tile: &Value| {
                    let number = tile["number"].as_u64().unwrap();
                    let pixels: Vec<f32> =
                        (0..SHAPE[0] * SHAPE[1]).map(|pixel| (10_000 * number) as f32 + pixel as f32).collect();
                    let mut file = Writer::new();
                    file.image(&SHAPE, &pixels, &keys(&tile["cards"]));
                    let path = folder.path().join(format!("{number}.fits"));
                    fs::write(&path, file.into_bytes()).unwrap();
                    path.display().to_string()
                };
                (name.to_owned(), case["bands"][name].as_array().unwrap().iter().map(write).collect::<Vec<_>>())
            };
            let mut settings = Tiles::new(catalogue(folder.path(), positions), [band("g"), band("r")], size);
            (settings.edge, settings.fill) = (EdgeRule::Pad, -1.0);
            let output = read(settings);
            let ids = output.rows.column_by_name("object_id").unwrap().as_string::<i32>();
            for (at, id) in ids.iter().enumerate() {
                let row = &positions[id.unwrap().parse::<usize>().unwrap()];
                let pixels = image(&output, at);
                for (band, pixels) in ["g", "r"].iter().zip(pixels.chunks(size * size)) {
                    let tile = row[band]["tile"].as_u64().expect("a tile has it") as usize;
                    let expected = expected(&row[band], size, &|pixel| (10_000 * tile + pixel) as f64);
                    let found: Vec<f64> = pixels.iter().map(|pixel| f64::from(*pixel)).collect();
                    assert_eq!(found, expected, "{} {} {row}", case["code"], case["angle"]);
                    // Padding is marked, and nothing else.
                    let mask = mask_values(&output.rows, "image_mask").unwrap();
                    let mask = &mask.0[at * mask.1..]
                        [if *band == "g" { 0..size * size } else { size * size..2 * size * size }];
                    assert!(mask.iter().zip(&expected).all(|(bits, pixel)| (*bits == 1) == (*pixel == -1.0)));
                }
            }
            for reject in &output.rejects {
                let row = &positions[reject.object_id.as_ref().unwrap().parse::<usize>().unwrap()];
                let missing = if row["g"].is_null() { "g" } else { "r" };
                assert!(row[missing].is_null(), "{reject:?}");
                assert!(reject.reason.starts_with(&format!("lies in no tile of band `{missing}`")), "{reject:?}");
            }
            (rows, rejects) = (rows + output.rows.num_rows(), rejects + output.rejects.len());
        }
        assert_eq!(rows + rejects, 360);
        assert!(rows > 200 && rejects > 50, "{rows} {rejects}");
    }

    #[test]
    fn cutouts_and_masks_of_a_tile_compressed_file_of_astropy_are_exact() {
        let golden = golden();
        let folder = tempfile::tempdir().unwrap();
        let positions = golden["rice"].as_array().unwrap();
        let catalogue = catalogue(folder.path(), positions);
        let mut settings = Tiles::new(catalogue, [("r", vec!["tests/golden/tiles/rice.fits"])], 11);
        (settings.edge, settings.fill, settings.companions) = (EdgeRule::Pad, -1.0, vec![Companion::Mask]);
        let output = read(settings);
        assert!(output.rejects.is_empty(), "{:?}", output.rejects);
        for (at, row) in positions.iter().enumerate() {
            let expected_image = expected(row, 11, &|pixel| pixel as f64);
            assert!(image(&output, at).iter().zip(&expected_image).all(|(a, b)| f64::from(*a) == *b), "{row}");
            // Above 2^24, where floats skip integers.
            let expected = expected(row, 11, &|pixel| ((pixel * 7919) % (1 << 30)) as f64);
            let mask = mask_values(&output.rows, "image_mask").unwrap().0;
            let mask = mask[at * 121..(at + 1) * 121].iter().map(|bits| *bits as f64);
            assert!(mask.zip(&expected).all(|(a, b)| a == if *b < 0.0 { 1.0 } else { *b }), "{row}");
        }
    }
}

#[test]
fn edges_are_rejected_or_padded_and_marked() {
    // In the middle, 2 pixels from the left edge, in the corner, and outside.
    let survey = Survey::new(&[[0.0, 0.0], [-18.0, 0.0], [19.0, 14.0], [25.0, 0.0]]);
    survey.tile("g.fits", 1.0, &sky(20.0, 15.0));
    let settings = survey.settings(&[("g", &["g.fits"])], 5);
    let output = read(settings.clone());
    assert_eq!(origins(&output), ["g.fits[0][13:18,18:23]", "g.fits[0][13:18,0:5]"]);
    assert_eq!(image(&output, 0)[12], 1.0 + 15.0 * 40.0 + 20.0);
    let [corner, outside] = reasons(&output)[..] else { panic!("{:?}", output.rejects) };
    assert!(corner.starts_with("reaches beyond the edge of the tile `") && corner.contains("g.fits[0]` of band `g`"));
    assert!(corner.contains("at y 29.0, x 39.0: `edge: pad` would pad it"), "{corner}");
    assert!(outside.starts_with("lies in no tile of band `g` (ra 149.99"), "{outside}");
    assert!(output.rows.column_by_name("image_mask").is_none());
    let padded = read(Tiles { edge: EdgeRule::Pad, fill: -5.0, ..settings });
    assert_eq!((padded.rows.num_rows(), padded.rejects.len()), (3, 1));
    assert_eq!(origins(&padded)[2], "g.fits[0][27:30,37:40]");
    let (mask, _) = mask_values(&padded.rows, "image_mask").unwrap();
    for (index, pixel) in image(&padded, 2).iter().enumerate() {
        let is_inside = index / 5 < 3 && index % 5 < 3;
        assert_eq!((mask[50 + index], *pixel == -5.0), (u64::from(!is_inside), !is_inside), "{index}");
    }
    assert!(mask[..50].iter().all(|bits| *bits == 0));
}

#[test]
fn positions_are_columns_and_ids_and_further_columns_follow_the_catalogue() {
    let survey = Survey::new(&[]);
    survey.tile("g.fits", 1.0, &sky(20.0, 15.0));
    let rows = "name,RA,DEC,class,mag\na,150.0,2.0,07,21.5\n,150,2,x,1\nc,10:00:00,+02:00:00,,\nd,,2,x,1\n";
    fs::write(survey.path("positions.csv"), rows).unwrap();
    let mut settings = survey.settings(&[("g", &["g.fits"])], 5);
    settings.catalogue = PositionCatalogue::new(&survey.path("positions.csv"), "name", "RA", "DEC");
    let columns = [("label", "class"), ("magnitude", "mag")];
    settings.catalogue.columns = columns.map(|(name, from)| (name.to_owned(), from.to_owned())).into();
    let output = read(settings.clone());
    let strings = |name: &str| {
        let column = output.rows.column_by_name(name).unwrap().as_string::<i32>();
        column.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(strings("object_id"), [Some("a".into()), Some("c".into())]);
    assert_eq!(strings("label"), [Some("07".into()), None]);
    for name in ["ra", "dec", "magnitude"] {
        let column = output.rows.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        let expected =
            [("ra", 150.0), ("dec", 2.0), ("magnitude", 21.5)].iter().find(|(own, _)| *own == name).unwrap().1;
        assert_eq!((column.value(0), column.is_valid(1)), (expected, name != "magnitude"));
    }
    assert_eq!(reasons(&output), ["has no `name` in the catalogue", "has no `ra` in the catalogue"]);
    assert_eq!(output.rejects[1].object_id.as_deref(), Some("d"));
    assert!(output.rejects[1].origin.ends_with("positions.csv[3]"), "{:?}", output.rejects);
    fs::write(survey.path("positions.csv"), "name,RA,DEC,class,mag\na,150,2,x,1\ne,400,2,x,1\nf,1,95,x,1\n").unwrap();
    let output = read(settings.clone());
    let [ra, dec] = reasons(&output)[..] else { panic!("{:?}", output.rejects) };
    assert!(ra.contains("has `ra` 400") && dec.contains("has `dec` 95"), "{ra} {dec}");
    fs::write(survey.path("positions.csv"), "name,RA,DEC,class,mag\na,150,2,x,1\na,150,2,x,1\n").unwrap();
    let mistake = mistakes(settings.clone());
    assert!(mistake.contains("has `a` twice in column `name`") && mistake.contains("(at `catalogue.id`)"), "{mistake}");
    settings.catalogue.dec = "DECL".into();
    let mistake = mistakes(settings);
    assert!(mistake.contains("has no column `DECL`") && mistake.contains("(at `catalogue.dec`)"), "{mistake}");
}

#[test]
fn of_overlapping_tiles_the_nearest_or_the_deepest_is_cut() {
    // Tile b begins 20 pixels to the right of tile a. Position 1 is nearer to the centre of b, position 2 only whole in b.
    let survey = Survey::new(&[[6.0, 0.0], [12.0, 0.0], [18.0, 0.0]]);
    survey.tile("a.fits", 1.0, &with(sky(20.0, 15.0), &[real("EXPTIME", 900.0)]));
    survey.tile("b.fits", 10_001.0, &with(sky(0.0, 15.0), &[real("EXPTIME", 90.0)]));
    let settings = survey.settings(&[("g", &["a.fits", "b.fits"])], 7);
    let tiles = |settings: Tiles| -> Vec<String> {
        origins(&read(settings)).iter().map(|origin| origin[..1].to_owned()).collect()
    };
    assert_eq!(tiles(settings.clone()), ["a", "b", "b"]);
    let deepest = Tiles { overlap: OverlapRule::Deepest, ..settings.clone() };
    assert_eq!(tiles(deepest.clone()), ["a", "a", "b"]);
    let mistake = mistakes(Tiles { exposure_key: Some("NEXP".into()), ..deepest });
    assert!(
        mistake.contains("a.fits[0]` has no number under key `NEXP`, expected one for `overlap: deepest`"),
        "{mistake}"
    );
    let mistake = mistakes(Tiles { exposure_key: Some("NEXP".into()), ..settings });
    assert!(mistake.contains("`exposure_key` has no effect without `overlap: deepest`"), "{mistake}");
}

#[test]
fn each_tile_has_its_own_zero_point_and_unit() {
    let survey = Survey::new(&[[0.0, 0.0], [60.0, 0.0]]);
    survey.tile("a.fits", 1.0, &with(sky(20.0, 15.0), &[real("MAGZERO", 30.0)]));
    survey.tile("b.fits", 1.0, &with(sky(-40.0, 15.0), &[text("BUNIT", "uJy")]));
    let settings = survey.settings(&[("g", &["a.fits", "b.fits"])], 5);
    let output = read(settings.clone());
    let layout = ImageLayout::of(output.rows.schema().field_with_name("image").unwrap()).unwrap();
    assert_eq!((layout.unit, layout.bands.as_slice(), layout.width), (Unit::NanoJansky, &["g".to_owned()][..], 5));
    assert!((layout.pixel_scale_arcsec.unwrap() / 0.2 - 1.0).abs() < 1e-9);
    let stored = 1.0 + 15.0 * 40.0 + 20.0;
    let expected = [stored * 10f64.powf(0.4 * 1.4), stored * 1e3];
    for (row, expected) in expected.iter().enumerate() {
        assert!((f64::from(image(&output, row)[12]) / expected - 1.0).abs() < 1e-6, "{row}");
    }
    // One in counts beside one in nJy.
    survey.tile("a.fits", 1.0, &sky(20.0, 15.0));
    let mistake = mistakes(settings.clone());
    assert!(mistake.contains("b.fits[0]` has a unit of flux, expected no `BUNIT` as in"), "{mistake}");
    // Zero points of bands are in the order of the bands.
    survey.tile("b.fits", 1.0, &sky(20.0, 15.0));
    let mut settings = survey.settings(&[("g", &["a.fits"]), ("r", &["b.fits"])], 5);
    settings.zero_point = Some(vec![31.4, 28.9].into());
    let output = read(settings);
    assert!((image(&output, 0)[25 + 12] / image(&output, 0)[12] - 10.0).abs() < 1e-5);
}

/// A tile with a weight of 4 and a mask, in which pixel `[15, 20]` has bit 40, and the one to the right of it bit 1; the one above
/// has a weight of 0.
fn with_companions(survey: &Survey) {
    let mut file = Writer::new();
    file.image(&[30, 40], &counting(1.0), &with(sky(20.0, 15.0), &[text("BUNIT", "uJy")]));
    let (mut weight, mut mask) = (vec![4.0; 30 * 40], vec![0; 30 * 40]);
    let at = 15 * 40 + 20;
    weight[at + 40] = 0.0;
    (mask[at], mask[at + 1]) = (1 << 40, 2);
    file.image(&[30, 40], &weight, &[text("EXTNAME", "WHT")]);
    file.integers(&[30, 40], &mask, &[text("EXTNAME", "DQ")]);
    fs::write(survey.path("g.fits"), file.into_bytes()).unwrap();
}

#[test]
fn variances_and_masks_are_cut_with_the_image() {
    let survey = Survey::new(&[[0.0, 0.0], [19.0, 14.0]]);
    with_companions(&survey);
    let mut settings = survey.settings(&[("g", &["g.fits"])], 5);
    settings.companions = vec![Companion::Variance, Companion::Mask];
    (settings.edge, settings.fill) = (EdgeRule::Pad, -1.0);
    let strict = read(settings.clone());
    assert!(strict.rejects[0].reason.contains("weights of 0") && strict.rejects.len() == 1, "{:?}", strict.rejects);
    settings.nan = Policy::Fill;
    let output = read(settings.clone());
    let (variance, _) = list_values(&output.rows, "image_variance").unwrap();
    let (mask, _) = mask_values(&output.rows, "image_mask").unwrap();
    // 1 / 4 uJy^-2, in nJy^2.
    assert_eq!((variance[12], variance[12 + 5]), (0.25e6, 0.0));
    assert_eq!((mask[12], mask[13], mask[12 + 5], mask[0]), (1 << 40, 2, 1, 0));
    assert_eq!((image(&output, 0)[12 + 5], image(&output, 0)[12]), (-1.0, 1e3 * (1.0 + 15.0 * 40.0 + 20.0)));
    // The corner of the tile: three rows and columns are in it.
    assert_eq!((variance[25 + 12], variance[25 + 24], mask[25 + 24], image(&output, 1)[24]), (0.25e6, 0.0, 1, -1.0));
    settings.masked = Some(Policy::Fill);
    let filled = read(Tiles { bad: Some(vec![MaskPlane::Bit(40)]), ..settings.clone() });
    let (mask, _) = mask_values(&filled.rows, "image_mask").unwrap();
    assert_eq!((image(&filled, 0)[12], mask[12], mask[13]), (-1.0, 1 << 40, 0));
    settings.masked = Some(Policy::Reject);
    let rejected = read(settings.clone());
    assert!(rejected.rejects[0].reason.starts_with("has 2 masked pixels of 25 in band `g`"), "{:?}", rejected.rejects);
    settings.companions = vec![Companion::Psf];
    assert!(mistakes(settings).contains("has no PSF"));
    survey.tile("g.fits", 1.0, &sky(20.0, 15.0));
    let mut settings = survey.settings(&[("g", &["g.fits"])], 5);
    settings.companions = vec![Companion::Mask];
    let mistake = mistakes(settings);
    assert!(mistake.contains("g.fits[0]` has no mask HDU") && mistake.contains("(at `images.g`)"), "{mistake}");
}

#[test]
fn masks_and_weights_in_files_of_their_own_belong_to_their_image() {
    let survey = Survey::new(&[[0.0, 0.0]]);
    let keys = with(sky(20.0, 15.0), &[text("BUNIT", "uJy"), text("EXTNAME", "N4"), real("EXPNUM", 7.0)]);
    let two_hdus = |name: &str, pixels: &dyn Fn(&mut Writer)| {
        let mut file = Writer::new();
        file.image(&[], &[], &[real("EXPNUM", 7.0)]);
        // A detector somewhere else comes first in this file.
        if name != "ooi.fits" {
            file.image(&[30, 40], &[9.0; 1200], &with(sky(500.0, 15.0), &[text("EXTNAME", "S1")]));
        }
        pixels(&mut file);
        fs::write(survey.path(name), file.into_bytes()).unwrap();
    };
    let weights = |keys: Keys| {
        two_hdus("oow.fits", &|file| {
            file.image(&[30, 40], &[4.0; 1200], &with(keys.clone(), &[text("BUNIT", "1/uJy^2")]));
        });
    };
    two_hdus("ooi.fits", &|file| file.image(&[30, 40], &counting(1.0), &keys));
    let mask: Vec<u64> = (0..1200).map(|pixel| (1 << 30) + pixel).collect();
    two_hdus("ood.fits", &|file| {
        file.integers(&[30, 40], &mask, &keys[..10].iter().chain(&keys[11..]).cloned().collect::<Vec<_>>());
    });
    weights(keys.clone());
    let mut settings = survey.settings(&[("g", &["ooi.fits"])], 5);
    settings.companions = vec![Companion::Variance, Companion::Mask];
    let paths = |name: &str| [("g".to_owned(), vec![survey.path(name)])].into();
    (settings.masks, settings.weights) = (paths("ood.fits"), paths("oow.fits"));
    let output = read(settings.clone());
    assert!(output.rejects.is_empty(), "{:?}", output.rejects);
    assert_eq!(list_values(&output.rows, "image_variance").unwrap().0, [0.25e6; 25]);
    assert_eq!(mask_values(&output.rows, "image_mask").unwrap().0[12], (1 << 30) + 15 * 40 + 20);
    let mistake = mistakes(Tiles { weights: [].into(), variances: paths("oow.fits"), ..settings.clone() });
    assert!(mistake.contains("oow.fits` has a variance in `1/uJy^2`, expected the square of the unit"), "{mistake}");
    for (others, expected) in [
        (
            vec![real("CRPIX1", 25.0)],
            "oow.fits` HDU 2 has other world coordinates than its image: they differ by 4.0 pixels",
        ),
        (vec![real("EXPNUM", 8.0)], "oow.fits` HDU 2 key `EXPNUM` is `8`, expected `7` as in its image"),
        (vec![text("EXTNAME", "N5")], "oow.fits` has no HDU `N4`, the name of its image"),
    ] {
        weights(with(keys.clone(), &others));
        let mistake = mistakes(settings.clone());
        assert!(mistake.contains(expected), "{mistake}");
    }
    let mistake = mistakes(Tiles { companions: vec![Companion::Mask], ..settings.clone() });
    assert!(mistake.contains("`weights` has no effect, as nothing reads its files"), "{mistake}");
    let two = vec![survey.path("ood.fits"), survey.path("oow.fits")];
    let mistake = mistakes(Tiles { masks: [("g".to_owned(), two)].into(), ..settings });
    assert!(mistake.contains("`masks` names 2 files for the band `g`, `images` names 1"), "{mistake}");
}

#[test]
fn the_psf_of_each_tile_comes_from_an_hdu_or_a_file_of_its_own() {
    let survey = Survey::new(&[[0.0, 0.0], [25.0, 0.0]]);
    let psf = |first: f32, side: usize| -> Vec<f32> { (0..side * side).map(|pixel| first + pixel as f32).collect() };
    for (name, x, first) in [("a", 20.0, 0.0), ("b", -10.0, 100.0)] {
        let mut file = Writer::new();
        file.image(&[30, 40], &counting(first), &sky(x, 15.0));
        file.image(&[3, 3], &psf(first, 3), &[text("EXTNAME", "PSF")]);
        fs::write(survey.path(&format!("{name}.fits")), file.into_bytes()).unwrap();
        let mut alone = Writer::new();
        alone.image(&[5, 5], &psf(first, 5), &[real("PIXSCALE", 0.2)]);
        fs::write(survey.path(&format!("{name}_psf.fits")), alone.into_bytes()).unwrap();
    }
    let mut settings = survey.settings(&[("g", &["a.fits", "b.fits"])], 5);
    settings.companions = vec![Companion::Psf];
    let psfs = |settings: Tiles| -> Vec<Vec<f32>> {
        let output = read(settings);
        assert!(output.rejects.is_empty(), "{:?}", output.rejects);
        let field = output.rows.schema().field_with_name("image_psf").unwrap().clone();
        assert_eq!(ImageLayout::of(&field).unwrap().unit, Unit::Unknown);
        let (pixels, length) = list_values(&output.rows, "image_psf").unwrap();
        pixels.chunks(length).map(<[f32]>::to_vec).collect()
    };
    assert_eq!(psfs(settings.clone()), [psf(0.0, 3), psf(100.0, 3)]);
    let mut alone = settings.clone();
    alone.psfs = [("g".to_owned(), vec![survey.path("a_psf.fits"), survey.path("b_psf.fits")])].into();
    assert_eq!(psfs(alone.clone()), [psf(0.0, 5), psf(100.0, 5)]);

    let write = |name: &str, side: usize, keys: &[(String, CardValue)]| {
        let mut file = Writer::new();
        file.image(&[side, side], &psf(0.0, side), keys);
        fs::write(survey.path(name), file.into_bytes()).unwrap();
        mistakes(alone.clone())
    };
    let found = write("b_psf.fits", 7, &[]);
    assert!(found.contains("b.fits[0]` has a PSF of [7, 7] pixels, expected [5, 5] as in"), "{found}");
    for (key, value) in [("PIXSCALE", 0.1), ("OVERSAMP", 2.0)] {
        let found = write("b_psf.fits", 5, &[real(key, value)]);
        assert!(found.contains("has a PSF with 2 pixels to a pixel of its image (keys `OVERSAMP`"), "{found}");
    }
    survey.tile("b.fits", 0.0, &sky(-10.0, 15.0));
    let found = mistakes(settings);
    assert!(found.contains("has no PSF"), "{found}");
}

#[test]
fn an_image_list_names_tiles_masks_and_weights_of_all_bands() {
    let survey = Survey::new(&[[0.0, 0.0], [2.0, -3.0]]);
    fs::create_dir(survey.path("coadds")).unwrap();
    for (band, first) in [("g", 0.0), ("r", 5000.0)] {
        survey.tile(&format!("coadds/a_{band}.fits"), first, &sky(20.0, 15.0));
        let companion = |name: &str, value: u64| {
            let mut file = Writer::new();
            file.integers(&[30, 40], &vec![value; 1200], &sky(20.0, 15.0));
            fs::write(survey.path(&format!("coadds/{name}_{band}.fits")), file.into_bytes()).unwrap();
        };
        companion("mask", 2);
        companion("weight", 4);
    }
    let list = "image,filter,m,w\n\
                coadds/a_r.fits,HSC-R,coadds/mask_r.fits,coadds/weight_r.fits\n\
                coadds/a_g.fits,hsc-g,coadds/mask_g.fits,coadds/weight_g.fits\n\
                coadds/missing.fits,HSC-Y,coadds/missing.fits,coadds/missing.fits\n";
    fs::write(survey.path("list.csv"), list).unwrap();
    let mut settings = survey.settings(&[("g", &["coadds/a_g.fits"]), ("r", &["coadds/a_r.fits"])], 5);
    settings.bands = serde_json::from_value(serde_json::json!({ "g": "HSC-G", "r": "HSC-R" })).unwrap();
    settings.companions = vec![Companion::Mask, Companion::Variance];
    let files = |name: &str| {
        let file = |band: &str| (band.to_owned(), vec![survey.path(&format!("coadds/{name}_{band}.fits"))]);
        [file("g"), file("r")].into()
    };
    (settings.masks, settings.weights) = (files("mask"), files("weight"));
    let mut listed = settings.clone();
    (listed.images, listed.masks, listed.weights) = Default::default();
    let list = ImageList {
        image: "image".into(),
        band: "filter".into(),
        mask: Some("m".into()),
        weight: Some("w".into()),
        ..ImageList::new(&survey.path("list.csv"))
    };
    listed.image_list = Some(list.clone());
    let (expected, found) = (read(settings), read(listed.clone()));
    assert_eq!(found.rows, expected.rows);
    assert_eq!(found.rows.num_rows(), 2);
    assert!(found.rows.column_by_name("image_variance").is_some());

    let refused = |change: &dyn Fn(&mut Tiles, &mut ImageList)| {
        let (mut settings, mut list) = (listed.clone(), list.clone());
        change(&mut settings, &mut list);
        settings.image_list = Some(list);
        mistakes(settings)
    };
    for (found, expected) in [
        (refused(&|_, list| list.band = "bands".into()), "has no column `bands`"),
        (refused(&|_, list| list.path = "x.csv".into()), "cannot read catalogue `x.csv`"),
        (refused(&|settings, _| settings.bands = ["g", "z"].into()), "has no row of the bands `z`"),
        (refused(&|settings, _| settings.images = files("a")), "`images` and `image_list` both name the tiles"),
        (refused(&|_, list| list.variance = Some("w".into())), "both name the column"),
        (refused(&|settings, _| settings.companions = vec![Companion::Variance]), "`image_list.mask` has no effect"),
    ] {
        assert!(found.contains(expected), "{found}");
    }
    fs::write(survey.path("list.csv"), "image,filter,m,w\ncoadds/a_g.fits,g,,\n").unwrap();
    let found = refused(&|settings, _| settings.bands = ["g"].into());
    assert!(found.contains("row 0 of image list") && found.contains("has no `m`"), "{found}");
    fs::write(survey.path("list.csv"), "image,filter\ncoadds/none.fits,g\n").unwrap();
    let found = refused(&|settings, list| {
        (settings.bands, settings.companions) = (["g"].into(), Vec::new());
        (list.mask, list.weight) = (None, None);
    });
    assert!(found.contains("none.fits"), "{found}");
}

#[test]
fn a_position_that_one_band_lacks_names_the_band() {
    let survey = Survey::new(&[[0.0, 0.0], [14.0, 0.0]]);
    survey.tile("g.fits", 1.0, &sky(20.0, 15.0));
    survey.tile("r.fits", 5001.0, &sky(28.3, 14.3));
    let output = read(survey.settings(&[("g", &["g.fits"]), ("r", &["r.fits"])], 5));
    assert_eq!(output.rows.num_rows(), 1);
    let origin = output.rows.column_by_name("origin").unwrap().as_string::<i32>().value(0).to_owned();
    assert!(origin.contains("g.fits[0][13:18,18:23]; ") && origin.ends_with("r.fits[0][12:17,26:31]"), "{origin}");
    // The first pixels at or above 28.3 - 2.5 and 14.3 - 2.5.
    assert_eq!(image(&output, 0)[25], 5001.0 + 12.0 * 40.0 + 26.0);
    assert!(reasons(&output)[0].starts_with("lies in no tile of band `r`"), "{:?}", output.rejects);
}

#[test]
fn bands_that_are_turned_against_each_other_are_rejected() {
    let survey = Survey::new(&[[0.0, 0.0]]);
    survey.tile("g.fits", 1.0, &sky(20.0, 15.0));
    let bands: &[(&str, &[&str])] = &[("g", &["g.fits"]), ("r", &["r.fits"])];
    for (degrees, is_kept) in [(0.5_f64, true), (20.0, false), (180.0, false)] {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let cd = [
            real("CD1_1", -STEP * cos),
            real("CD1_2", STEP * sin),
            real("CD2_1", STEP * sin),
            real("CD2_2", STEP * cos),
        ];
        survey.tile("r.fits", 5001.0, &with(sky(20.0, 15.0), &cd));
        let output = read(survey.settings(bands, 9));
        assert_eq!(output.rows.num_rows() == 1, is_kept, "{degrees}: {:?}", output.rejects);
        if !is_kept {
            assert!(reasons(&output)[0].starts_with("has bands `g` and `r` that lie up to "), "{:?}", output.rejects);
        }
    }
    // Mirrored.
    survey.tile("r.fits", 5001.0, &with(sky(20.0, 15.0), &[real("CD1_1", STEP)]));
    assert!(reasons(&read(survey.settings(bands, 9)))[0].contains("turned, mirrored or scaled differently"));
    // Pixels of another size are a mistake of all rows.
    let wide = [real("CD1_1", -1.05 * STEP), real("CD2_2", 1.05 * STEP)];
    survey.tile("r.fits", 5001.0, &with(sky(20.0, 15.0), &wide));
    let mistake = mistakes(survey.settings(bands, 9));
    assert!(mistake.contains("r.fits[0]` has pixels of 0.21") && mistake.contains("as in `"), "{mistake}");
}

#[test]
fn tiles_that_cannot_be_used_are_mistakes_with_file_and_key() {
    let survey = Survey::new(&[[0.0, 0.0]]);
    let of = |name: &str| mistakes(survey.settings(&[("g", &[name])], 5));
    survey.tile("a.fits", 1.0, &with(sky(20.0, 15.0), &[real("CD1_1", 0.0)]));
    assert!(of("a.fits").contains("a.fits[0]` has"), "{}", of("a.fits"));
    survey.tile("a.fits", 1.0, &with(sky(20.0, 15.0), &[text("CTYPE1", "GLON-TAN"), text("CTYPE2", "GLAT-TAN")]));
    assert!(of("a.fits").contains("a.fits[0]` key `CTYPE1` is `GLON-TAN`"), "{}", of("a.fits"));
    survey.tile("a.fits", 1.0, &with(sky(20.0, 15.0), &[text("FILTER", "z")]));
    assert!(of("a.fits").contains("a.fits[0]` has the band `z`, expected `g`"), "{}", of("a.fits"));
    survey.tile("a.fits", 1.0, &[]);
    assert!(of("a.fits").contains("key `CTYPE1` is missing"), "{}", of("a.fits"));
    fs::write(survey.path("a.fits.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    assert!(of("a.fits.gz").contains("is compressed with gzip as a whole"), "{}", of("a.fits.gz"));
    fs::write(survey.path("b.fits"), "nothing").unwrap();
    assert!(of("b.fits").contains("not a FITS file"), "{}", of("b.fits"));
    let mut settings = survey.settings(&[("g", &["a.fits"])], 5);
    settings.bands = ["g", "r"].into();
    assert!(mistakes(settings).contains("`images` names no files for the band `r`"));
}

#[test]
fn the_planes_of_a_cube_are_tiles_of_several_bands() {
    let survey = Survey::new(&[[0.0, 0.0]]);
    let mut file = Writer::new();
    let pixels: Vec<f32> = (0..3 * 30 * 40).map(|pixel| pixel as f32).collect();
    file.image(&[3, 30, 40], &pixels, &with(sky(20.0, 15.0), &[text("BANDS", "grz")]));
    fs::write(survey.path("cube.fits"), file.into_bytes()).unwrap();
    let output = read(survey.settings(&[("z", &["cube.fits"]), ("g", &["cube.fits"])], 5));
    assert_eq!(image(&output, 0)[12], 2.0 * 1200.0 + 15.0 * 40.0 + 20.0);
    assert_eq!(image(&output, 0)[25 + 12], 15.0 * 40.0 + 20.0);
    assert!(origins(&output)[0].ends_with("cube.fits[0][0,13:18,18:23]"), "{:?}", origins(&output));
}

#[test]
fn a_tile_that_was_replaced_ends_the_run() {
    let survey = Survey::new(&[[0.0, 0.0]]);
    survey.tile("g.fits", 1.0, &sky(20.0, 15.0));
    let mut source: Box<dyn Source> = survey.settings(&[("g", &["g.fits"])], 5).build("source").unwrap();
    source.bind().unwrap();
    let split = source.splits().unwrap().remove(0);
    survey.tile("g.fits", 1.0, &sky(21.0, 15.0));
    let mut reader = source.open(&split, 0).unwrap();
    let error = reader.next(8, std::time::Instant::now()).unwrap_err().report();
    assert!(error.contains("g.fits` has other headers than when the run began"), "{error}");
    // The same headers, and perhaps other pixels.
    survey.tile("g.fits", 2.0, &sky(20.0, 15.0));
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    fs::File::options().write(true).open(survey.path("g.fits")).unwrap().set_modified(later).unwrap();
    let error = source.open(&split, 0).unwrap().next(8, std::time::Instant::now()).unwrap_err().report();
    assert!(error.contains("g.fits` has changed since the run began"), "{error}");
    survey.tile("g.fits", 1.0, &sky(21.0, 15.0));
    // A resume compares the digest of the headers.
    let before = reader.contents();
    source.bind().unwrap();
    assert_ne!(source.open(&split, 0).unwrap().contents(), before);
    fs::remove_file(survey.path("g.fits")).unwrap();
    let error = source.open(&split, 0).unwrap().next(8, std::time::Instant::now()).unwrap_err();
    assert!(matches!(error, lucarne::error::Error::Environment { .. }), "{}", error.report());
}

#[test]
fn more_tiles_are_read_than_files_are_open() {
    // 100 tiles, one for each object, in an order in which none is open any more when it is needed again.
    let offsets: Vec<[f64; 2]> = (0..200).map(|number| [f64::from(number % 100) * 50.0, 0.0]).collect();
    let survey = Survey::new(&offsets);
    for number in 0..100_u16 {
        survey.tile(&format!("{number}.fits"), f32::from(number) * 2000.0, &sky(20.0 - 50.0 * f64::from(number), 15.0));
    }
    let names: Vec<String> = (0..100).map(|number| format!("{number}.fits")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let settings = survey.settings(&[("g", &names)], 5);
    let output = read(settings);
    assert!(output.rejects.is_empty(), "{:?}", output.rejects);
    for row in 0..200 {
        let found = image(&output, row)[12];
        assert_eq!((found / 2000.0).floor(), (row % 100) as f32, "{row}");
    }
}
