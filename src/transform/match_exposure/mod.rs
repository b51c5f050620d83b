//! `match_exposure`: an image as another exposure of the same sky would show it.
//!
//! The kernel brings the PSF of the image to that of the other: the ratio of their transforms, each about its centroid, in which no wave
//! is amplified. Where the other PSF has more power than the image (in the last waves that either has, and in the widest wings) the
//! kernel is a phase alone, so noise is never magnified; if the transfer function of the result lacks more than 0.05 anywhere, the row
//! is rejected. Waves of which the image has less than a thousandth are left out: where it has the amplitude a and the other b, the
//! kernel has `a min(a, b) / (a^2 + 1e-6)`. Noise in the image is blurred too: its variance is convolved with the square of the kernel, which is exact for
//! uncorrelated noise. What its variance lacks to that of the other exposure is added as Gaussian noise; the photons of sources are
//! part of that variance. Draws depend on (run seed, object, label).
//!
//! Pixels outside the image count as 0: flux from beyond its edges is missing there, so crop afterwards.

mod matcher;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::matcher::{Matcher, PsfPlane};
use super::{
    diagnostics::{check_variance, image_layout, not_bound},
    finite::check_finite,
    image_planes::ImagePlaneRole,
    observe::Switch,
};
use crate::{
    batch::{ImageLayout, Images, Masks, Unit, list_column, mask_column, object_id, with_columns},
    error::{Code, Diagnostic, Result},
    image::blur::BlurKernel,
    random::Stream,
    stage::{ColumnRef, Rejects, RunContext, Settings, Transform},
};

/// What a variance may be above the other by rounding.
const ROUNDING: f32 = 1e-4;

/// Brings an image to the PSF and the noise of another exposure of the same sky, as a control: what remains between the two is neither
/// blur nor depth. Both images need a variance and a PSF beside them (`companions: [variance, psf]` of the source). Makes `<label>` with
/// its variance and PSF; its mask is kept.
///
/// A row is rejected if the other exposure is sharper, or has less noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchExposure {
    /// The image column, before any stretch: the sharper and deeper one.
    pub image: String,
    /// The image column of the other exposure, of the same size, unit and number of bands.
    pub to: String,
    /// `on` adds the noise that the image lacks, `off` only blurs.
    #[serde(default)]
    pub noise: Switch,
}

impl MatchExposure {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>, to: impl Into<String>) -> Self {
        Self { image: image.into(), to: to.into(), noise: Switch::On }
    }
}

impl Settings<dyn Transform> for MatchExposure {
    const NAME: &'static str = "match_exposure";

    fn examples() -> &'static [&'static str] {
        &["{ image: image, to: visit }", "{ image: image, to: visit, noise: off }"]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        Ok(Box::new(MatchTransform { label: label.to_owned(), settings: self, bound: None, seed: 0 }))
    }
}

#[derive(Clone)]
struct MatchTransform {
    label: String,
    settings: MatchExposure,
    bound: Option<MatchBound>,
    seed: u64,
}

/// What is known once the input is.
#[derive(Clone)]
struct MatchBound {
    image: ImageLayout,
    variance: ImageLayout,
    mask: Option<ImageLayout>,
    psf: ImageLayout,
    /// The layout of the other PSF.
    target_psf: ImageLayout,
    /// The layout of the PSF of the result: as large as the larger of both.
    made_psf: ImageLayout,
    matcher: Matcher,
}

/// An image with its variance and PSF, in columns.
struct ExposureColumns {
    image: ImageLayout,
    variance: ImageLayout,
    psf: ImageLayout,
}

impl ExposureColumns {
    fn find(input: &Schema, key: &str, name: &str) -> Result<Self, Diagnostic> {
        let image = image_layout(input, key, name)?;
        if image.unit == Unit::Stretched {
            let message = format!("image `{name}` is stretched; expected pixels that are proportional to flux");
            let mistake = Diagnostic::at(key, Code::WrongColumn, message);
            return Err(mistake.help("name the image before its `asinh_stretch`"));
        }
        let companion = |role: ImagePlaneRole| {
            role.find(input, name).ok_or_else(|| {
                let message = format!("image `{name}` has no `{}` beside it", role.column(name));
                Diagnostic::at(key, Code::WrongColumn, message).help("set `companions: [variance, psf]` in the source")
            })
        };
        let variance = companion(ImagePlaneRole::Variance)?;
        let psf = companion(ImagePlaneRole::Psf)?;
        let name_of_variance = ImagePlaneRole::Variance.column(name);
        check_variance(key, &name_of_variance, &variance, &image)?;
        if shape(&variance) != shape(&image) {
            let (found, expected) = (shape(&variance), shape(&image));
            let message = format!("`{name_of_variance}` has the shape {found:?}, expected {expected:?} as in `{name}`");
            return Err(Diagnostic::at(key, Code::WrongColumn, message));
        }
        if ![1, image.bands.len()].contains(&psf.bands.len()) {
            let (found, expected) = (psf.bands.len(), image.bands.len());
            let message = format!("`{}` has {found} bands, expected {expected}", ImagePlaneRole::Psf.column(name));
            return Err(Diagnostic::at(key, Code::WrongColumn, message));
        }
        Ok(Self { image, variance, psf })
    }
}

/// Bands, height, width.
fn shape(layout: &ImageLayout) -> (usize, usize, usize) {
    (layout.bands.len(), layout.height, layout.width)
}

impl Transform for MatchTransform {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let MatchExposure { image, to, .. } = &self.settings;
        let mut columns = vec![ColumnRef::new("image", image), ColumnRef::new("to", to)];
        if let Some(bound) = &self.bound {
            for name in [image, to] {
                columns.push(ColumnRef::new("", ImagePlaneRole::Variance.column(name)));
                columns.push(ColumnRef::new("", ImagePlaneRole::Psf.column(name)));
            }
            columns.extend(bound.mask.iter().map(|_| ColumnRef::new("", ImagePlaneRole::Mask.column(image))));
        }
        columns
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let MatchExposure { image: name, to, .. } = &self.settings;
        let ExposureColumns { image, variance, psf } =
            ExposureColumns::find(input, "image", name).map_err(|mistake| vec![mistake])?;
        let target = ExposureColumns::find(input, "to", to).map_err(|mistake| vec![mistake])?;
        let refuse = |message: String| Err(vec![Diagnostic::at("to", Code::WrongColumn, message)]);
        if shape(&target.image) != shape(&image) {
            let (found, expected) = (shape(&target.image), shape(&image));
            return refuse(format!("image `{to}` has the shape {found:?}, expected {expected:?} as in `{name}`"));
        }
        if target.image.unit != image.unit {
            let (found, expected) = (target.image.unit.name(), image.unit.name());
            return refuse(format!("image `{to}` is in unit `{found}`; expected `{expected}` as in `{name}`"));
        }
        if let (Some(found), Some(expected)) = (target.image.pixel_scale_arcsec, image.pixel_scale_arcsec)
            && (found / expected - 1.0).abs() > 1e-3
        {
            return refuse(format!("image `{to}` has pixels of {found}\", expected {expected}\" as in `{name}`"));
        }
        let mask = ImagePlaneRole::Mask.find(input, name).filter(|mask| shape(mask) == shape(&image));
        let mut fields = vec![
            ImagePlaneRole::Image.field(&image, &self.label),
            ImagePlaneRole::Variance.field(&variance, &self.label),
        ];
        fields.extend(mask.iter().map(|mask| ImagePlaneRole::Mask.field(mask, &self.label)));
        let target_psf = target.psf;
        let (height, width) = (psf.height.max(target_psf.height), psf.width.max(target_psf.width));
        let made_psf = ImageLayout { height, width, ..psf.clone() };
        fields.push(ImagePlaneRole::Psf.field(&made_psf, &self.label));
        let matcher = Matcher::new(&[&image, &made_psf]);
        self.bound = Some(MatchBound { image, variance, mask, psf, target_psf, made_psf, matcher });
        Ok(fields)
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = run.seed;
        Ok(())
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let MatchExposure { image: name, to, noise } = &self.settings;
        let MatchBound { image, variance, mask, psf, target_psf, made_psf, matcher } =
            self.bound.as_mut().ok_or_else(|| not_bound(&self.label))?;
        let of = |role: ImagePlaneRole, name: &str| Images::of(&batch, &role.column(name));
        let images = of(ImagePlaneRole::Image, name)?;
        let (variances, psfs) = (of(ImagePlaneRole::Variance, name)?, of(ImagePlaneRole::Psf, name)?);
        let (wanted_variances, wanted_psfs) = (of(ImagePlaneRole::Variance, to)?, of(ImagePlaneRole::Psf, to)?);
        let (mut pixels, mut made_variances) = (images.pixels.to_vec(), variances.pixels.to_vec());
        let mut made_psfs = vec![0.0; batch.num_rows() * made_psf.pixels()];
        let plane = image.plane();
        let mut bad = Vec::new();
        for row in 0..batch.num_rows() {
            let mut draws = Stream::new(self.seed, object_id(&batch, row)?, &self.label);
            let matched: Result<(), String> = (0..image.bands.len()).try_for_each(|band| {
                let at = (row * image.bands.len() + band) * plane;
                let band_of = |layout: &ImageLayout| if layout.bands.len() == 1 { 0 } else { band };
                let mut own = BandPlanes {
                    image: name,
                    band: &image.bands[band],
                    width: image.width,
                    pixels: &mut pixels[at..][..plane],
                    variance: &mut made_variances[at..][..plane],
                    psf: PsfPlane { pixels: psfs.plane(row, band_of(psf)), width: psf.width, image: name },
                };
                let other = TargetPlanes {
                    image: to,
                    band: &wanted_variances.layout.bands[band],
                    variance: wanted_variances.plane(row, band),
                    psf: PsfPlane {
                        pixels: wanted_psfs.plane(row, band_of(target_psf)),
                        width: target_psf.width,
                        image: to,
                    },
                };
                let kernel = own.blur_to(&other, matcher)?;
                // One PSF for all bands is blurred like that of the first.
                if band < psf.bands.len() {
                    let at = (row * psf.bands.len() + band) * made_psf.plane();
                    let made = &mut made_psfs[at..][..made_psf.plane()];
                    own.psf.centre_in(made, made_psf.width);
                    matcher.apply(&kernel, made, made_psf.width);
                }
                if *noise == Switch::On {
                    own.add_noise_up_to(other.variance, &mut draws);
                }
                Ok(())
            });
            bad.extend(matched.err().map(|reason| (row, reason)));
        }
        let mut made = vec![
            (ImagePlaneRole::Image.field(image, &self.label), list_column(pixels, image.pixels())?),
            (ImagePlaneRole::Variance.field(variance, &self.label), list_column(made_variances, image.pixels())?),
        ];
        if let Some(mask) = mask {
            let masks = Masks::of(&batch, &ImagePlaneRole::Mask.column(name))?.pixels.to_vec();
            made.push((ImagePlaneRole::Mask.field(mask, &self.label), mask_column(masks, mask.pixels())?));
        }
        made.push((ImagePlaneRole::Psf.field(made_psf, &self.label), list_column(made_psfs, made_psf.pixels())?));
        rejects.take(with_columns(&batch, made)?, &self.label, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}

fn check_variances(plane: &[f32], image: &str, band: &str) -> Result<(), String> {
    let bad = plane.iter().filter(|variance| !(variance.is_finite() && **variance >= 0.0)).count();
    if bad == 0 {
        return Ok(());
    }
    let name = ImagePlaneRole::Variance.column(image);
    Err(format!("band `{band}` of `{name}` has {bad} pixels that are negative or not finite; expected none"))
}

/// The planes of a band of the image, to be changed in place.
struct BandPlanes<'a> {
    image: &'a str,
    band: &'a str,
    width: usize,
    pixels: &'a mut [f32],
    variance: &'a mut [f32],
    psf: PsfPlane<'a>,
}

/// The planes of a band of the other exposure.
struct TargetPlanes<'a> {
    image: &'a str,
    band: &'a str,
    variance: &'a [f32],
    psf: PsfPlane<'a>,
}

impl BandPlanes<'_> {
    /// Blurs image and variance to the PSF of the other exposure. Returns the kernel, or why the row is rejected.
    fn blur_to(&mut self, other: &TargetPlanes, matcher: &mut Matcher) -> Result<BlurKernel, String> {
        check_finite(self.pixels, self.band)?;
        check_variances(self.variance, self.image, self.band)?;
        check_variances(other.variance, other.image, other.band)?;
        let kernel = matcher.kernel(&self.psf, &other.psf)?;
        matcher.apply(&kernel, self.pixels, self.width);
        let squared = matcher.squared(&kernel)?;
        matcher.apply(&squared, self.variance, self.width);
        self.variance.iter_mut().for_each(|variance| *variance = variance.max(0.0));
        let pairs = self.variance.iter().zip(other.variance);
        let louder = pairs.filter(|(own, wanted)| **own > **wanted * (1.0 + ROUNDING)).count();
        if louder > 0 {
            let Self { image, band, .. } = self;
            return Err(format!(
                "band `{band}` of `{image}` has more noise than `{}`: {louder} pixels have a larger variance, after the blur",
                other.image
            ));
        }
        Ok(kernel)
    }

    fn add_noise_up_to(&mut self, wanted: &[f32], draws: &mut Stream) {
        for ((pixel, own), wanted) in self.pixels.iter_mut().zip(self.variance.iter_mut()).zip(wanted) {
            let missing = f64::from((wanted - *own).max(0.0));
            *pixel = (f64::from(*pixel) + missing.sqrt() * draws.normal()) as f32;
            *own = *wanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{PI, TAU};

    use arrow::array::RecordBatch;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        batch::list_values,
        transform::fixtures::{LABEL_MADE, apply_to_image, bind_kind, square_images, test_run},
    };

    const SIDE: usize = 40;

    /// A Gaussian of a variance in pixels^2 about a point, of unit flux.
    fn gaussian(side: usize, (y, x): (f64, f64), variance: f64) -> Vec<f32> {
        let square = |i: usize| ((i / side) as f64 - y).powi(2) + ((i % side) as f64 - x).powi(2);
        let density = |i: usize| (-square(i) / (2.0 * variance)).exp() / (TAU * variance);
        (0..side * side).map(|i| density(i) as f32).collect()
    }

    /// An exposure: pixels, their variance, and the variance of its PSF, pixels^2.
    struct Sky {
        pixels: Vec<f32>,
        variance: f32,
        psf: f64,
    }

    /// Rows with `image` and `visit`, of the same sky.
    fn rows(count: usize, image: &Sky, visit: &Sky) -> RecordBatch {
        let mut batch = square_images(&vec![image.pixels.clone(); count], SIDE);
        let layout = ImageLayout::of(batch.schema().field_with_name("image").expect("it is there")).expect("an image");
        let variance = ImageLayout { unit: layout.unit.squared(), ..layout.clone() };
        for (name, sky, side) in [("image", image, 31), ("visit", visit, 41)] {
            let psf = ImageLayout { height: side, width: side, unit: Unit::Unknown, ..layout.clone() };
            let middle = (side / 2) as f64;
            let repeated = |plane: &[f32]| list_column(plane.repeat(count), plane.len()).expect("a column");
            let mut columns = vec![
                (variance.field(&format!("{name}_variance")), repeated(&vec![sky.variance; SIDE * SIDE])),
                // The centre of a PSF has no meaning.
                (psf.field(&format!("{name}_psf")), repeated(&gaussian(side, (middle + 0.3, middle), sky.psf))),
            ];
            if name == "visit" {
                columns.push((layout.field(name), repeated(&sky.pixels)));
            }
            batch = with_columns(&batch, columns).expect("columns");
        }
        batch
    }

    fn star(flux: f64, psf: f64, variance: f32) -> Sky {
        let pixels = gaussian(SIDE, (17.25, 21.5), psf).iter().map(|pixel| *pixel * flux as f32).collect();
        Sky { pixels, variance, psf }
    }

    fn worst(found: &[f32], expected: &[f32]) -> f32 {
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_star_becomes_that_of_the_other_exposure_and_stays_where_it_is() {
        let (image, visit) = (star(1e4, 3.0, 4.0), star(1e4, 8.0, 100.0));
        let settings = json!({ "to": "visit", "noise": "off" });
        let (_, after, out) = apply_to_image("match_exposure", settings, rows(1, &image, &visit));
        let peak = visit.pixels.iter().copied().fold(0.0, f32::max);
        assert!(worst(&after, &visit.pixels) < 2e-3 * peak, "{}", worst(&after, &visit.pixels) / peak);
        let psf = list_values(&out, "made_psf").expect("a PSF").0;
        let expected = gaussian(41, (20.3, 20.0), 8.0);
        assert!(worst(psf, &expected) < 1e-4, "{}", worst(psf, &expected));
        // The kernel is a Gaussian of a variance of 5: the sum of its squares is 1 / (4 pi 5).
        let variance = list_values(&out, "made_variance").expect("a variance").0[20 * SIDE + 20];
        assert!((f64::from(variance) * 20.0 * PI / 4.0 - 1.0).abs() < 2e-3, "{variance}");
    }

    #[test]
    fn the_noise_becomes_that_of_the_other_exposure() {
        let noise = |row: usize| {
            let mut draws = Stream::new(5, &row.to_string(), "noise");
            (0..SIDE * SIDE).map(move |_| (20.0 * draws.normal()) as f32).collect::<Vec<_>>()
        };
        // The kernel leaves 14 % of the variance of the image. Of 60 images it is known to 1.3 %.
        let variance_of = |setting: &str| {
            let mut squares = Vec::new();
            let mut stated = 0.0;
            for row in 0..60 {
                let image = Sky { pixels: noise(row), variance: 400.0, psf: 3.0 };
                let visit = Sky { pixels: vec![0.0; SIDE * SIDE], variance: 180.0, psf: 3.5 };
                let settings = json!({ "to": "visit", "noise": setting });
                let (_, after, out) = apply_to_image("match_exposure", settings, rows(1, &image, &visit));
                stated = f64::from(list_values(&out, "made_variance").expect("a variance").0[20 * SIDE + 20]);
                let inner = |i: &usize| (6..34).contains(&(i / SIDE)) && (6..34).contains(&(i % SIDE));
                squares.extend((0..SIDE * SIDE).filter(inner).map(|i| f64::from(after[i]).powi(2)));
            }
            (squares.iter().sum::<f64>() / squares.len() as f64, stated)
        };
        let (found, stated) = variance_of("on");
        assert_eq!(stated, 180.0);
        assert!((found / 180.0 - 1.0).abs() < 0.05, "{found}");
        let (found, stated) = variance_of("off");
        assert!((found / stated - 1.0).abs() < 0.05 && (stated - 55.88).abs() < 0.1, "{found} {stated}");
    }

    /// The reason why the first of two rows is rejected.
    fn reason(image: &Sky, visit: &Sky) -> String {
        let batch = rows(2, image, visit);
        let mut step = bind_kind("match_exposure", json!({ "image": "image", "to": "visit" }), batch.schema_ref())
            .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        step.start(&test_run()).expect("started");
        let mut rejects = Rejects::default();
        assert_eq!(step.apply(batch, &mut rejects).expect("applied").num_rows(), 0);
        assert_eq!((rejects.rejected.len(), rejects.rejected[0].stage.as_str()), (2, LABEL_MADE));
        rejects.rejected[0].reason.clone()
    }

    #[test]
    fn sharper_and_quieter_exposures_are_refused() {
        let sharper = reason(&star(1e4, 4.0, 1.0), &star(1e4, 3.0, 100.0));
        assert!(sharper.starts_with("the PSF of `visit` is sharper than that of `image`"), "{sharper}");
        let quieter = reason(&star(1e4, 3.0, 100.0), &star(1e4, 8.0, 1.0));
        assert!(quieter.starts_with("band `r` of `image` has more noise than `visit`: 1"), "{quieter}");
        let unknown = reason(&star(1e4, 3.0, 4.0), &star(1e4, 8.0, f32::INFINITY));
        assert!(unknown.starts_with("band `r` of `visit_variance` has 1600 pixels"), "{unknown}");
        let empty = Sky { psf: f64::NAN, ..star(1e4, 3.0, 4.0) };
        assert!(reason(&empty, &star(1e4, 8.0, 100.0)).starts_with("`image_psf`: the PSF"), "not a PSF");
    }

    #[test]
    fn an_image_without_companions_is_a_mistake() {
        let batch = square_images(&[vec![0.0; SIDE * SIDE]], SIDE);
        let mistake = |settings: Value, batch: &RecordBatch| {
            let mistakes = bind_kind("match_exposure", settings, batch.schema_ref()).err().expect("a mistake");
            (mistakes[0].path.join("."), mistakes[0].message.clone())
        };
        let (path, message) = mistake(json!({ "image": "image", "to": "image" }), &batch);
        assert_eq!((path.as_str(), message.as_str()), ("image", "image `image` has no `image_variance` beside it"));
        let whole = rows(1, &star(1.0, 3.0, 4.0), &star(1.0, 8.0, 100.0));
        let without = whole.schema().index_of("visit_psf").expect("it is there");
        let left: Vec<usize> = (0..whole.num_columns()).filter(|column| *column != without).collect();
        let (path, message) =
            mistake(json!({ "image": "image", "to": "visit" }), &whole.project(&left).expect("columns"));
        assert_eq!((path.as_str(), message.as_str()), ("to", "image `visit` has no `visit_psf` beside it"));
    }
}
