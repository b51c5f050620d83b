//! The same sky as a coadd and as a visit show it: `match_exposure` beside numpy, and lesson 10 on simulated and on Rubin's packets.

use std::{
    fs,
    path::{Path, PathBuf},
};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{Float64Type, Int64Type},
};
use lucarne::{
    batch::list_values,
    pipeline::Pipeline,
    query::Run,
    source::{
        alerts::{Alerts, Packets, Survey},
        fits::Companion,
    },
    transform::{match_exposure::MatchExposure, observe::Switch},
};
use serde::Deserialize;

use crate::skip::skip;

const SIDE: usize = 29;

/// Rubin's packets that are container files.
fn rubins_packets() -> Option<PathBuf> {
    let folder = Path::new("../shared/data/alerts_lsst");
    if !folder.is_dir() {
        skip("template and visit of Rubin's packets: missing `../shared/data/alerts_lsst`");
        return None;
    }
    Some(folder.join("1*.avro"))
}

/// Template, visit, the template with the blur of the visit, and two controls, which have its noise too.
fn exposures(paths: &str) -> RecordBatch {
    let stamps = [("science", "cutoutScience"), ("template", "cutoutTemplate")];
    let packets = Packets {
        schemas: Some("pipelines/alerts/schemas".into()),
        stamps: Some(stamps.map(|(name, field)| (name.to_owned(), field.to_owned())).into()),
        size: Some(SIDE),
        companions: vec![Companion::Variance, Companion::Psf],
        psf_size: Some(49),
        ..Packets::of(Survey::Lsst)
    };
    let matched = |noise| MatchExposure { noise, ..MatchExposure::new("template", "science") };
    let pipeline = Pipeline::builder().source(Alerts { paths: vec![paths.into()], packets });
    let pipeline = pipeline.transform("blurred", matched(Switch::Off)).transform("control", matched(Switch::On));
    let mut stream = pipeline.transform("repeat", matched(Switch::On)).build().stream().unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = stream.next_batch().unwrap() {
        batches.push(batch);
    }
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// The planes of a column, row after row.
fn planes<'a>(batch: &'a RecordBatch, column: &str) -> Vec<&'a [f32]> {
    let (pixels, length) = list_values(batch, column).unwrap();
    pixels.chunks_exact(length).collect()
}

/// The width of a point spread, pixels.
fn width(psf: &[f32]) -> f64 {
    let (sum, squares) = psf.iter().fold((0.0, 0.0), |(sum, squares), pixel| {
        let pixel = f64::from(*pixel);
        (sum + pixel, squares + pixel * pixel)
    });
    (sum * sum / squares).sqrt()
}

/// What numpy computes for some packets (`tests/golden/alerts/match_exposure.py`).
#[derive(Deserialize)]
struct Matched {
    object_id: String,
    pixels: Vec<f64>,
    variances: Vec<f64>,
    widths: Widths,
}

#[derive(Deserialize)]
struct Widths {
    template: f64,
    visit: f64,
    blurred: f64,
}

#[test]
fn templates_are_blurred_as_numpy_does() {
    let batch = exposures("pipelines/alerts/messages");
    let golden = fs::read_to_string("tests/golden/alerts/match_exposure.json").unwrap();
    let golden: Vec<Matched> = serde_json::from_str(&golden).unwrap();
    let ids = batch["object_id"].as_string::<i32>();
    for expected in &golden {
        let row = ids.iter().position(|id| id == Some(expected.object_id.as_str())).unwrap();
        let plane = |column: &str| planes(&batch, column)[row];
        let at = |i: usize| i / 5 * 7 * SIDE + i % 5 * 7;
        // A kernel reaches over the grid on which it is made, 100 pixels here and 256 there: that is a thousandth of the noise of 7 nJy.
        for (column, values, grid) in
            [("blurred", &expected.pixels, 0.01), ("blurred_variance", &expected.variances, 1e-3)]
        {
            let found = plane(column);
            let largest = found.iter().map(|pixel| f64::from(pixel.abs())).fold(0.0, f64::max);
            for (i, expected) in values.iter().enumerate() {
                let found = f64::from(found[at(i)]);
                assert!((found - expected).abs() < grid + 2e-5 * largest, "{column} {i}: {found} {expected}");
            }
        }
        let Widths { template, visit, blurred } = expected.widths;
        for (column, expected) in [("template_psf", template), ("science_psf", visit), ("blurred_psf", blurred)] {
            let found = width(plane(column));
            assert!((found / expected - 1.0).abs() < 1e-4, "{column}: {found} {expected}");
        }
    }
}

/// The variance of the noise of images in that which is stated for each pixel, by a filter that sources do not pass: differences of
/// second differences.
fn noise(batch: &RecordBatch, image: &str, variance: &str) -> f64 {
    const TAPS: [f64; 3] = [1.0, -2.0, 1.0];
    let (mut sum, mut count) = (0.0, 0.0);
    for (pixels, variances) in planes(batch, image).into_iter().zip(planes(batch, variance)) {
        for y in 1..SIDE - 1 {
            for x in 1..SIDE - 1 {
                let (mut response, mut expected) = (0.0, 0.0);
                for (i, tap_y) in TAPS.iter().enumerate() {
                    for (j, tap_x) in TAPS.iter().enumerate() {
                        let (at, tap) = ((y + i - 1) * SIDE + x + j - 1, tap_y * tap_x);
                        response += tap * f64::from(pixels[at]);
                        expected += tap * tap * f64::from(variances[at]);
                    }
                }
                sum += response * response / expected;
                count += 1.0;
            }
        }
    }
    sum / count
}

#[test]
fn the_control_has_the_noise_and_the_point_spread_of_rubins_visits() {
    let Some(packets) = rubins_packets() else { return };
    let batch = exposures(packets.to_str().unwrap());
    assert!(batch.num_rows() >= 35, "{}", batch.num_rows());
    let (visits, templates) = (planes(&batch, "science_psf"), planes(&batch, "template_psf"));
    for column in ["blurred_psf", "control_psf"] {
        for (row, psf) in planes(&batch, column).into_iter().enumerate() {
            let (found, expected) = (width(psf), width(visits[row]));
            assert!((found / expected - 1.0).abs() < 0.03, "{column} {row}: {found} {expected}");
            assert!(width(templates[row]) < 0.85 * expected, "the template is sharper");
        }
    }
    assert_eq!(planes(&batch, "control_variance"), planes(&batch, "science_variance"));
    let [visit, control, repeat] =
        ["science", "control", "repeat"].map(|image| noise(&batch, image, "science_variance"));
    assert!((0.5 * (control + repeat) / visit - 1.0).abs() < 0.05, "{visit} {control} {repeat}");
    assert!(noise(&batch, "template", "science_variance") < 0.1 * visit, "the template has less noise");
}

/// Medians of the distances of the latents, and of the differences of Gini, in the order of `10_tables.sql`.
struct Moved {
    latents: Vec<f64>,
    gini: Vec<f64>,
    measured: i64,
    kept: u64,
    rejected: u64,
}

fn moved(packets: Option<&Path>) -> Moved {
    let folder = tempfile::tempdir().unwrap();
    let mut lesson = Pipeline::from_file("pipelines/10_real_shift.yaml").unwrap();
    if let Some(packets) = packets {
        lesson = lesson.set("packets", packets.to_str().unwrap());
    }
    let summary = lesson.run(folder.path().join("run")).unwrap();
    let run = Run::open(&folder.path().join("run")).unwrap();
    let query = fs::read_to_string("pipelines/10_tables.sql").unwrap();
    let rows: Vec<RecordBatch> = run.query(&query).unwrap().map(Result::unwrap).collect();
    let rows = concat_batches(&rows[0].schema(), &rows).unwrap();
    let numbers = |column: &str| rows[column].as_primitive::<Float64Type>().values().to_vec();
    assert_eq!(rows.num_rows(), 4);
    Moved {
        latents: numbers("latent_median"),
        gini: numbers("gini"),
        measured: rows["measured"].as_primitive::<Int64Type>().value(0),
        kept: summary.counts.written,
        rejected: summary.counts.rejected,
    }
}

#[test]
fn blur_and_noise_explain_most_of_the_shift_of_simulated_packets() {
    let Moved { latents, gini, measured, kept, rejected } = moved(None);
    // Those at an edge of the detector have pixels that are not known.
    assert_eq!((kept + rejected, rejected), (48, 3));
    let [template, _, control, floor] = latents[..] else { panic!("{latents:?}") };
    assert!(control < 0.6 * template, "{latents:?}");
    assert!(floor < control, "{latents:?}: transients are in the visit alone");
    assert!(measured > 20 && gini[2] < gini[0], "{measured} {gini:?}");
}

#[test]
fn blur_and_noise_explain_most_of_the_shift_between_rubins_coadds_and_visits() {
    let Some(packets) = rubins_packets() else { return };
    let Moved { latents, gini, measured, kept, rejected } = moved(Some(&packets));
    assert_eq!(kept + rejected, 40);
    assert!(kept >= 35, "{kept}");
    let [template, _, control, floor] = latents[..] else { panic!("{latents:?}") };
    assert!(control < 0.6 * template, "{latents:?}");
    assert!(floor < control, "{latents:?}");
    assert!(measured > 10 && gini[2] < gini[0], "{measured} {gini:?}");
}
