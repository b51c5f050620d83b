//! Operations on pixels against numpy (`tests/golden/pixels/make.py`).

use lucarne::{
    image::{
        orient::Orientation,
        resample::{Resampling, ResamplingKernel},
        stretch::Asinh,
    },
    stats::{
        quantile::percentiles,
        quantile_sketch::{QuantileSketch, RELATIVE_ERROR},
    },
};
use serde_json::Value;

fn cases(subject: &str) -> Vec<Value> {
    let golden: Value = serde_json::from_str(include_str!("../golden/pixels/pixels.json")).unwrap();
    let cases = golden[subject].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn doubles(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn singles(value: &Value) -> Vec<f32> {
    doubles(value).into_iter().map(|x| x as f32).collect()
}

fn integer(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn largest_difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_stretch_agrees_with_numpy_in_double_precision() {
    for case in cases("stretch") {
        let stretch = Asinh::new(case["lo"].as_f64().unwrap(), case["hi"].as_f64().unwrap()).unwrap();
        let pixels = singles(&case["x"]);
        let mut out = vec![0.0; pixels.len()];
        stretch.apply(1.0, &pixels, &mut out);
        let worst = largest_difference(&out, &doubles(&case["y"]));
        assert!(worst < 1.5e-7, "{} {}: {worst:e}", case["lo"], case["hi"]);
    }
}

#[test]
fn resampling_agrees_with_dense_matrices() {
    for case in cases("resample") {
        let kernel = if case["method"] == "area" { ResamplingKernel::Area } else { ResamplingKernel::Lanczos };
        let ratio = case["new"].as_f64().unwrap() / case["old"].as_f64().unwrap();
        let resampling = Resampling::new(kernel, (integer(&case["height"]), integer(&case["width"])), ratio);
        let size = (integer(&case["size"][0]), integer(&case["size"][1]));
        assert_eq!(resampling.size(), size);
        let mut out = vec![f32::NAN; size.0 * size.1];
        resampling.plane(&singles(&case["plane"]), &mut out);
        assert!(
            largest_difference(&out, &doubles(&case["image"])) < 1e-3 * ratio * ratio,
            "the image of {}",
            case["method"]
        );
        resampling.of_variance().plane(&singles(&case["variance_in"]), &mut out);
        assert!(largest_difference(&out, &doubles(&case["variance"])) < 1e-5 * ratio.powi(2).max(1.0), "the variance");
        if kernel == ResamplingKernel::Area {
            let bits = |name: &str| singles(&case[name]).iter().map(|bits| *bits as u64).collect::<Vec<_>>();
            let mut union = vec![0; out.len()];
            resampling.union(&bits("mask_in"), &mut union);
            assert_eq!(union, bits("mask"), "the mask");
        }
    }
}

#[test]
fn orientations_agree_with_numpy() {
    let plane: Vec<f32> = (0..12).map(|i| i as f32).collect();
    for case in cases("orient") {
        let orientation = Orientation {
            mirror_x: case["mirror_x"].as_bool().unwrap(),
            mirror_y: case["mirror_y"].as_bool().unwrap(),
            quarter_turns: u8::try_from(integer(&case["turns"])).unwrap(),
        };
        let mut out = vec![f32::NAN; 12];
        orientation.lay(&plane, (3, 4), &mut out);
        assert_eq!(out, singles(&case["out"]), "{orientation:?}");
    }
}

#[test]
fn percentiles_agree_with_numpy_and_streamed_ones_are_within_their_bound() {
    for case in cases("percentiles") {
        let numbers = singles(&case["x"]);
        let mut streamed = QuantileSketch::default();
        numbers.chunks(97).for_each(|chunk| streamed.add(chunk));
        for (percent, want) in doubles(&case["percents"]).into_iter().zip(doubles(&case["values"])) {
            let [found] = percentiles(&mut numbers.clone(), [percent]).unwrap();
            assert!((found - want).abs() <= 1e-12 * want.abs().max(1.0), "{percent}: {found} {want}");
            let found = streamed.percentile(percent).unwrap();
            // A percentile between two ranks has the bound of the greater one; here no rank is far from its percentile.
            assert!((found - want).abs() <= 1.5 * RELATIVE_ERROR * want.abs(), "{percent}: {found} {want}");
        }
    }
}
