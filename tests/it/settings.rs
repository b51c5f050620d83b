//! Settings of every kind: read, written, and made in code.

use lucarne::{
    monitor::{
        self, accuracy::Accuracy, calibration::Calibration, church_window::ChurchWindow, isomap::Isomap,
        latent_distance::LatentDistance, latent_drift::LatentDrift, one_pixel::OnePixel, pixel_map::PixelMap,
    },
    score::{self, onnx::Onnx},
    sink,
    source::{self, simulated::Simulated},
    stage::Kind,
    transform::{
        self,
        asinh_stretch::{AsinhStretch, Constants},
        blur::Blur,
        compress::Compress,
        cosmic_rays::CosmicRays,
        crop::Crop,
        dead_pixels::DeadPixels,
        filter::Filter,
        gain_error::GainError,
        morphology::Morphology,
        observe::Observe,
        orient::Orient,
        resample::Resample,
        sky_error::SkyError,
        split::Split,
    },
};
use serde_json::Value;

/// Settings as a document writes them.
pub(crate) fn settings(yaml: &str) -> Value {
    // As in documents: `on` and `off` are words.
    serde_saphyr::from_str_with_options(yaml, serde_saphyr::options! { strict_booleans: true }).unwrap()
}

/// A kind of any family, without its stage.
struct AnyKind {
    name: String,
    examples: &'static [&'static str],
    normalize: fn(Value) -> serde_json::Result<Value>,
}

fn all_kinds() -> Vec<AnyKind> {
    fn of<T: ?Sized>(family: &str, kinds: &'static [Kind<T>]) -> Vec<AnyKind> {
        let any = |kind: &Kind<T>| AnyKind {
            name: format!("{family} `{}`", kind.name),
            examples: (kind.examples)(),
            normalize: kind.normalize,
        };
        kinds.iter().map(any).collect()
    }
    let families = [
        of("source", source::KINDS),
        of("transform", transform::KINDS),
        of("score", score::KINDS),
        of("monitor", monitor::KINDS),
        of("sink", sink::KINDS),
    ];
    families.into_iter().flatten().collect()
}

/// Whether settings that were read and written have everything that a document set.
fn includes(written: &Value, document: &Value) -> bool {
    match (written, document) {
        (Value::Object(written), Value::Object(document)) => {
            document.iter().all(|(key, value)| written.get(key).is_some_and(|written| includes(written, value)))
        }
        (Value::Array(written), Value::Array(document)) => {
            written.len() == document.len() && written.iter().zip(document).all(|(one, other)| includes(one, other))
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}

#[test]
fn settings_of_every_kind_have_examples_and_survive_being_written() {
    for AnyKind { name, examples, normalize } in all_kinds() {
        assert!(!examples.is_empty(), "{name} has no examples");
        for example in examples {
            let document = settings(example);
            let written = normalize(document.clone()).unwrap();
            assert!(includes(&written, &document), "{name} {example}: written as {written}");
            assert_eq!(normalize(written.clone()).unwrap(), written, "{name} {example}");
        }
    }
}

#[test]
fn constructors_have_the_defaults_of_the_document() {
    fn equal<T: serde::Serialize + serde::de::DeserializeOwned>(in_code: T, yaml: &str) {
        let in_document: T = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(serde_json::to_value(in_code).unwrap(), serde_json::to_value(in_document).unwrap(), "{yaml}");
    }
    equal(Simulated::default(), "{}");
    equal(source::fits::Fits::new(["a.fits"]), "paths: [a.fits]");
    equal(source::parquet::Parquet::default(), "{}");
    equal(AsinhStretch::new("i", Constants::explicit(-1.0, 2.0)), "image: i\nconstants: { lo: -1, hi: 2 }");
    equal(Blur::new("i", 0.8), "image: i\nfwhm_arcsec: 0.8");
    equal(Compress::new("i"), "image: i");
    equal(CosmicRays::new("i"), "image: i");
    equal(Crop::new("i"), "image: i");
    equal(DeadPixels::new("i"), "image: i");
    equal(Filter::new(["a > 1"]), "keep: [a > 1]");
    equal(GainError::new("i"), "image: i");
    equal(Morphology::new("i"), "image: i");
    equal(Observe::new("i"), "image: i");
    equal(Orient::new("i"), "image: i");
    equal(Resample::new("i", 0.2), "image: i\npixel_scale_arcsec: 0.2");
    equal(SkyError::new("i"), "image: i");
    equal(Split::default(), "{}");
    equal(Onnx::new("m.onnx", "i"), "model: m.onnx\nimage: i");
    equal(Accuracy::new("s"), "score: s");
    equal(Calibration::new(["s", "t"]), "score: [s, t]");
    equal(OnePixel::new("s"), "score: s");
    equal(PixelMap::new("s", 3), "score: s\nlimit: 3");
    equal(LatentDistance::new("a", "b"), "from: a\nto: b");
    equal(ChurchWindow::new("s", "a", "b"), "score: s\nacross: a\nup: b");
    equal(LatentDrift::new("s", "r.parquet"), "score: s\nreference: r.parquet");
    equal(Isomap::new("s"), "score: s");
    equal(sink::parquet::Parquet::default(), "{}");
    equal(sink::fits::Fits::new(["i"]), "images: [i]");
}
