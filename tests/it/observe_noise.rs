//! The noise of `observe`, with its transforms run as in a pipeline.

use lucarne::{
    batch::{ImageLayout, Images, Unit},
    error::Code,
    stage::{Settings, Transform},
    transform::{
        observe::{InputVariance, Observe, Psf, Switch},
        quantity::Quantity,
    },
};

use crate::observe_oracle::{batch, layout, run, seen, steps};

/// Electrons of the sky in a pixel of 0.2", in a year of LSST.
const SKY: [f64; 3] = [2329.6, 12719.8, 17947.7];

fn dark(layout: &ImageLayout, rows: usize) -> arrow::array::RecordBatch {
    batch(layout, &vec![vec![0.0; layout.pixels()]; rows], &vec![0.7; rows])
}

fn years(years: f64) -> Observe {
    Observe { years: Some(Quantity::Value(years)), ..Observe::default() }
}

fn moments(pixels: &[f32]) -> (f64, f64) {
    let n = pixels.len() as f64;
    let mean = pixels.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    (mean, pixels.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n)
}

/// The correlation in units of its standard error.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let ((mean_a, variance_a), (mean_b, variance_b)) = (moments(a), moments(b));
    let product = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - mean_a) * (f64::from(*b) - mean_b)).sum::<f64>();
    product / (variance_a * variance_b * a.len() as f64).sqrt()
}

#[test]
fn an_empty_image_has_the_noise_of_the_sky() {
    let layout = layout(100, 100, 0.2);
    for time in [1.0, 10.0] {
        let pixels = seen(years(time), &dark(&layout, 4));
        for (band, sky) in SKY.iter().map(|sky| sky * time).enumerate() {
            let plane: Vec<f32> = pixels.chunks(layout.plane()).skip(band).step_by(3).flatten().copied().collect();
            let (mean, variance) = moments(&plane);
            let n = plane.len() as f64;
            assert!(mean.abs() < 4.0 * (sky / n).sqrt(), "{time} years, band {band}: mean {mean}");
            assert!((variance / sky - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{time} years, band {band}: {variance}");
        }
    }
}

#[test]
fn noise_is_uncorrelated_between_bands_exposures_objects_and_pixels() {
    let layout = layout(100, 100, 0.2);
    let input = dark(&layout, 2);
    let mut rejects = lucarne::stage::Rejects::default();
    let mut draw = |label: &str| {
        let mut batch = input.clone();
        for step in &mut steps(years(1.0), label, &input.schema()) {
            batch = step.apply(batch, &mut rejects).unwrap();
        }
        Images::of(&batch, label).unwrap().pixels.to_vec()
    };
    let (first, second) = (draw("first"), draw("second"));
    let plane = layout.plane();
    let of = |pixels: &[f32], row: usize, band: usize| {
        pixels[(row * 3 + band) * plane..(row * 3 + band + 1) * plane].to_vec()
    };
    for band in 0..3 {
        let here = of(&first, 0, band);
        let mut others = vec![of(&second, 0, band), of(&first, 1, band), of(&first, 0, (band + 1) % 3)];
        for shift in [1, 2, 32, 64, 99, 100, 101] {
            let mut shifted = here.clone();
            shifted.rotate_left(shift);
            others.push(shifted);
        }
        for (number, other) in others.iter().enumerate() {
            let sigma = correlation(&here, other);
            assert!(sigma.abs() < 4.5, "band {band}, other {number}: {sigma} sigma");
        }
    }
}

#[test]
fn results_do_not_depend_on_the_cut_into_batches() {
    let layout = layout(33, 47, 0.2);
    let images: Vec<Vec<f32>> =
        (0..5).map(|row| (0..layout.pixels()).map(|i| ((i * (row + 3)) as f32 * 0.01).sin().abs()).collect()).collect();
    let input = batch(&layout, &images, &[0.7, 0.8, 0.7, 0.9, 1.0]);
    let settings = Observe {
        fwhm_arcsec: Some(Quantity::column("seeing")),
        read_noise_electrons: Some(Quantity::Value(8.8)),
        sky_subtraction_error: Some(Quantity::Value(0.01)),
        ..years(1.0)
    };
    let at_once = seen(settings.clone(), &input);
    let mut stages = steps(settings, "seen", &input.schema());
    let mut parts = Vec::new();
    for (start, rows) in [(3, 2), (0, 1), (1, 2)] {
        let mut stages: Vec<Box<dyn Transform>> = stages.iter_mut().map(|stage| stage.fork()).collect();
        let mut part = input.slice(start, rows);
        for stage in &mut stages {
            part = stage.apply(part, &mut lucarne::stage::Rejects::default()).unwrap();
        }
        parts.push((start, Images::of(&part, "seen").unwrap().pixels.to_vec()));
    }
    parts.sort_by_key(|(start, _)| *start);
    let parts: Vec<f32> = parts.into_iter().flat_map(|(_, pixels)| pixels).collect();
    assert!(at_once.iter().map(|x| x.to_bits()).eq(parts.iter().map(|x| x.to_bits())));
}

#[test]
fn exposures_with_the_same_seeing_share_a_blur() {
    let hidden = |settings: Observe| settings.build("any").unwrap().prerequisites().remove(0).0;
    let one = hidden(years(1.0));
    assert!(one.starts_with("_blur_"), "{one}");
    assert_eq!(one, hidden(years(10.0)));
    assert_ne!(one, hidden(Observe { fwhm_arcsec: Some(Quantity::Value(0.7)), ..years(1.0) }));
    assert_ne!(one, hidden(Observe { psf: Psf::Gaussian, ..years(1.0) }));
    assert!(Observe { psf: Psf::Off, ..years(1.0) }.build("any").unwrap().prerequisites().is_empty());
}

#[test]
fn rejects_rows_with_non_finite_pixels() {
    let layout = layout(10, 10, 0.2);
    let mut images = vec![vec![1.0; layout.pixels()]; 3];
    (images[0][150], images[2][299]) = (f32::NAN, f32::NEG_INFINITY);
    for psf in [Psf::KolmogorovAiry, Psf::Off] {
        let (rows, rejects) = run(Observe { psf, ..years(1.0) }, &batch(&layout, &images, &[0.7; 3]));
        assert_eq!(rows.num_rows(), 1);
        let reasons: Vec<_> = rejects.rejected.iter().map(|reject| (reject.row, reject.reason.as_str())).collect();
        let reason = |band: &str| format!("band `{band}` has 1 pixels that are not finite; expected none");
        assert_eq!(reasons, [(0, reason("r").as_str()), (2, reason("i").as_str())]);
    }
}

#[test]
fn read_noise_adds_to_the_variance_of_the_photons_once_per_visit() {
    let layout = layout(100, 100, 0.2);
    let input = dark(&layout, 12);
    // One year is 8 visits in g and 18.4 in r and i. The read noise of LSST is about 8.8 electrons; 40 electrons dominate the sky.
    for read_noise in [8.8, 40.0] {
        let settings = Observe { read_noise_electrons: Some(Quantity::Value(read_noise)), psf: Psf::Off, ..years(1.0) };
        let pixels = seen(settings, &input);
        for (band, (sky, visits)) in SKY.into_iter().zip([8.0, 18.4, 18.4]).enumerate() {
            let plane: Vec<f32> = pixels.chunks(layout.plane()).skip(band).step_by(3).flatten().copied().collect();
            let (_, variance) = moments(&plane);
            let expected = sky + visits * read_noise * read_noise;
            // The standard error of the variance is sqrt(2 / 120,000) of it: 2 % is five of them.
            assert!((variance / expected - 1.0).abs() < 0.02, "{read_noise}, band {band}: {variance}, {expected}");
        }
    }
}

#[test]
fn saturation_and_sky_errors_have_their_size() {
    let layout = layout(100, 100, 0.2);
    let input = dark(&layout, 1);
    let off = |settings: Observe| Observe { psf: Psf::Off, ..settings };

    let full = Quantity::Value(SKY[0] / 8.0);
    let saturated = seen(off(Observe { saturation_electrons: Some(full), ..years(1.0) }), &input);
    assert!(saturated[..layout.plane()].iter().all(|x| *x <= 0.1));
    assert!(saturated[..layout.plane()].iter().filter(|x| x.abs() < 0.1).count() > 4000);

    let error = Observe { sky_subtraction_error: Some(Quantity::Value(0.01)), noise: Switch::Off, ..years(1.0) };
    let shifted = seen(off(error), &dark(&layout, 40));
    let shifts: Vec<f32> = shifted.iter().step_by(layout.pixels()).copied().collect();
    let (_, variance) = moments(&shifts);
    assert!((variance.sqrt() / (0.01 * SKY[0]) - 1.0).abs() < 0.4, "{variance}");

    let no_sky = Observe { sky_mag_per_arcsec2: Some(Quantity::OFF), ..years(1.0) };
    assert!(seen(off(no_sky), &input).iter().all(|x| *x == 0.0));
}

#[test]
fn adds_only_the_noise_that_the_image_lacks() {
    let layout = layout(100, 100, 0.2);
    let gain = 240.0 * 50.70 * 10_f64.powf(-2.96);
    // Half the variance of the sky, in nJy^2, from another observation of an empty image.
    let known = 0.5 * SKY[0] / (gain * gain);
    let normal = seen(Observe { psf: Psf::Off, ..years(1.0) }, &dark(&layout, 1));
    let image: Vec<f32> = normal.iter().map(|x| (f64::from(*x) * (0.5_f64).sqrt() / gain) as f32).collect();
    let mut input = batch(&layout, &[image], &[0.7]);
    let field = ImageLayout::new(["g", "r", "i"], 100, 100, Unit::Unknown).field("image_variance");
    let variances = lucarne::batch::list_column(vec![known as f32; layout.pixels()], layout.pixels()).unwrap();
    input = lucarne::batch::with_columns(&input, [(field, variances)]).unwrap();
    let with = |input_variance| {
        // Another label than that of the noise above, so another stream.
        let settings = Observe { psf: Psf::Off, input_variance, ..years(1.0) };
        let mut batch = input.clone();
        for step in &mut steps(settings, "missing", &input.schema()) {
            batch = step.apply(batch, &mut lucarne::stage::Rejects::default()).unwrap();
        }
        moments(&Images::of(&batch, "missing").unwrap().pixels[..layout.plane()]).1 / SKY[0]
    };
    assert!((with(None) - 1.5).abs() < 0.08);
    for input in [InputVariance::Njy2(Quantity::Value(known)), InputVariance::Column("image_variance".to_owned())] {
        assert!((with(Some(input.clone())) - 1.0).abs() < 0.06, "{input:?}");
    }
}

#[test]
fn the_field_describes_the_unit_and_the_gain_of_the_output() {
    let layout = layout(10, 10, 0.2);
    let input = dark(&layout, 1);
    let (batch, _) = run(years(1.0), &input);
    let made = ImageLayout::of(batch.schema().field_with_name("seen").unwrap()).unwrap();
    assert_eq!((made.unit, made.pixel_scale_arcsec), (Unit::Electron, Some(0.2)));
    let gain = made.electrons_per_njy.unwrap();
    assert!((gain[0] - 240.0 * 50.70 * 10_f64.powf(-2.96)).abs() < 1e-9);
    let varying = Observe { airmass: Some(Quantity::column("seeing")), ..years(1.0) };
    let input = batch_of_airmass(&layout);
    let (batch, _) = run(varying, &input);
    let made = ImageLayout::of(batch.schema().field_with_name("seen").unwrap()).unwrap();
    assert_eq!(made.electrons_per_njy, None);
}

#[test]
fn calibrated_fluxes_are_the_electrons_divided_by_the_gain_of_the_row() {
    let layout = layout(10, 10, 0.2);
    let exposures = [1.4, 7.0];
    let input = batch(&layout, &vec![vec![3.0; layout.pixels()]; 2], &exposures);
    let by_row = Observe { years: Some(Quantity::column("seeing")), ..Observe::default() };
    let electrons = seen(by_row.clone(), &input);
    let (calibrated, _) = run(Observe { calibrated: Switch::On, ..by_row }, &input);
    let made = ImageLayout::of(calibrated.schema().field_with_name("seen").unwrap()).unwrap();
    assert_eq!((made.unit, made.electrons_per_njy), (Unit::NanoJansky, None));
    let fluxes = Images::of(&calibrated, "seen").unwrap().pixels.to_vec();
    for (row, years) in exposures.iter().enumerate() {
        let gain = years * 240.0 * 50.70 * 10_f64.powf(-2.96);
        let at = row * layout.pixels()..row * layout.pixels() + layout.plane();
        for (flux, electrons) in fluxes[at.clone()].iter().zip(&electrons[at]) {
            let expected = f64::from(*electrons) / gain;
            assert!((f64::from(*flux) - expected).abs() <= 1e-6 * expected.abs(), "{flux} {expected}");
        }
    }
}

fn batch_of_airmass(layout: &ImageLayout) -> arrow::array::RecordBatch {
    batch(layout, &[vec![1.0; layout.pixels()]], &[1.4])
}

#[test]
fn diagnostics_name_the_setting_and_the_known_bands() {
    let mistakes = Observe::default().build("seen").err().unwrap();
    assert_eq!(mistakes[0].code, Code::MissingKey);
    let both = Observe { visits: Some(Quantity::Value(8.0)), ..years(1.0) };
    assert_eq!(both.build("seen").err().unwrap()[0].path, ["visits"]);
    let nowhere = Observe { survey: "no/such.yaml".to_owned(), ..years(1.0) };
    assert_eq!(nowhere.build("seen").err().unwrap()[0].code, Code::MissingFile);

    let bind = |layout: &ImageLayout| {
        let mut hidden = years(1.0).build("seen").unwrap().prerequisites().remove(0).1;
        hidden.bind(&batch(layout, &[vec![0.0; layout.pixels()]], &[0.7]).schema()).unwrap_err()
    };
    let infrared = ImageLayout::new(["g", "r", "K"], 4, 4, Unit::NanoJansky).with_pixel_scale(0.2);
    let mistakes = bind(&infrared);
    assert!(mistakes[0].message.contains("no band `K`") && mistakes[0].message.contains("`g`, `i`, `r`"));
    let stretched = ImageLayout::new(["g", "r", "i"], 4, 4, Unit::Stretched).with_pixel_scale(0.2);
    assert!(bind(&stretched)[0].message.contains("expected `nJy`"));
    let without_scale = layout(4, 4, 0.2).with_pixel_scale(None);
    assert!(bind(&without_scale)[0].message.contains("pixel scale"));
}
