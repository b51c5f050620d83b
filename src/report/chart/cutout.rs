//! Colour images of cutouts that keep the hue of bright pixels (Lupton et al. 2004).
//!
//! Three bands become red, green and blue. Let x be the flux of a band above black, times the weight of the band, clipped at 0,
//! and I the mean of the three. The brightness is F(I) = arcsinh(I / soft) / arcsinh(white / soft), and the colour x F(I) / I;
//! if a channel exceeds 1, all three are divided by the maximum. Two details are ours:
//!
//! - Where I is as faint as the noise, x is drawn towards I by the fraction soft^2 / (I^2 + soft^2), because the hue of noise has
//!   no meaning.
//! - Where two bands are clipped at the top, the pixel is white, because its hue is unknown.
//!
//! Images as a model sees them are stretched; the stretch is undone first.

use crate::{
    batch::{ImageLayout, Unit},
    image::stretch::of_top,
    stats::quantile::percentiles,
};

/// The scale of the fluxes of a cutout. Only cutouts with the same scale can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum FluxScale {
    /// Relative to the upper clip of the image's stretch: comparable between exposures, as they are for a model.
    RelativeToClip,
    /// Nanojansky.
    Flux,
    /// The values as stored, in this unit.
    Stored(Unit),
}

impl FluxScale {
    /// The scale of the fluxes of an image.
    pub(in crate::report) fn of(layout: &ImageLayout) -> Self {
        undo_stretch(layout).0
    }
}

/// The fluxes of one cutout, red, green and blue.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Cutout {
    pub(in crate::report) width: usize,
    pub(in crate::report) height: usize,
    pub(in crate::report) scale: FluxScale,
    fluxes: Vec<[f64; 3]>,
}

impl Cutout {
    /// The fluxes of an image `[band, y, x]`.
    pub(in crate::report) fn of(layout: &ImageLayout, image: &[f64]) -> Self {
        let (scale, undo) = undo_stretch(layout);
        let plane = layout.plane();
        let channels = channels(&layout.bands);
        let flux = |bands: &[usize], at: usize| {
            let each = bands.iter().map(|band| undo(*band, image.get(band * plane + at).copied().unwrap_or(f64::NAN)));
            each.sum::<f64>() / bands.len() as f64
        };
        let fluxes = (0..plane).map(|at| channels.each_ref().map(|bands| flux(bands, at))).collect();
        Self { width: layout.width, height: layout.height, scale, fluxes }
    }

    /// All pixels as colours.
    pub(in crate::report) fn colours(&self, tone: &ToneMap) -> Vec<[u8; 3]> {
        self.fluxes.iter().map(|flux| tone.colour(*flux)).collect()
    }

    /// One pixel as a colour.
    pub(in crate::report) fn colour(&self, row: usize, column: usize, tone: &ToneMap) -> [u8; 3] {
        self.fluxes.get(row * self.width + column).map_or([0; 3], |flux| tone.colour(*flux))
    }

    /// The values shown as black: zero flux, or the median where the zero point is unknown.
    fn black(&self) -> [f64; 3] {
        match self.scale {
            FluxScale::RelativeToClip | FluxScale::Flux | FluxScale::Stored(Unit::Electron) => [0.0; 3],
            FluxScale::Stored(_) => [0, 1, 2].map(|channel| {
                let [median] = percentiles_of(self.fluxes.iter().map(|flux| flux[channel]), [50.0]);
                median
            }),
        }
    }
}

/// Percentiles of the finite numbers; 0 if there are none.
fn percentiles_of<const N: usize>(numbers: impl Iterator<Item = f64>, percents: [f64; N]) -> [f64; N] {
    let mut numbers: Vec<f32> = numbers.map(|number| number as f32).filter(|number| number.is_finite()).collect();
    percentiles(&mut numbers, percents).unwrap_or([0.0; N])
}

/// The function from (band, pixel value) to flux, and the scale of these fluxes.
fn undo_stretch(layout: &ImageLayout) -> (FluxScale, impl Fn(usize, f64) -> f64) {
    let gain = layout.electrons_per_njy.clone().filter(|_| layout.unit == Unit::Electron);
    let scale = match (layout.unit, &gain) {
        (Unit::Stretched, _) => FluxScale::RelativeToClip,
        (Unit::NanoJansky, _) | (_, Some(_)) => FluxScale::Flux,
        (unit, None) => FluxScale::Stored(unit),
    };
    let undo = move |band: usize, value: f64| match (scale, &gain) {
        (FluxScale::RelativeToClip, _) => of_top(value as f32),
        (_, Some(gain)) => value / gain.get(band).copied().unwrap_or(1.0),
        _ => value,
    };
    (scale, undo)
}

/// The bands ordered by wavelength if all have known names, otherwise as they are.
fn by_wavelength(bands: &[String]) -> Vec<usize> {
    let rank = |band: &usize| ["u", "g", "r", "i", "z", "y"].iter().position(|known| *known == bands[*band]);
    let mut order: Vec<usize> = (0..bands.len()).collect();
    if order.iter().all(|band| rank(band).is_some()) {
        order.sort_by_key(rank);
    }
    order
}

/// The bands of red, green and blue: i, r and g if present, otherwise the three with the longest wavelengths. With two bands
/// green is their mean; one band gives grey.
fn channels(bands: &[String]) -> [Vec<usize>; 3] {
    let named = |name: &str| bands.iter().position(|band| band == name);
    if let (Some(i), Some(r), Some(g)) = (named("i"), named("r"), named("g")) {
        return [vec![i], vec![r], vec![g]];
    }
    match by_wavelength(bands).as_slice() {
        [.., blue, green, red] => [vec![*red], vec![*green], vec![*blue]],
        [blue, red] => [vec![*red], vec![*blue, *red], vec![*blue]],
        grey => [grey.to_vec(), grey.to_vec(), grey.to_vec()],
    }
}

/// The names of the bands shown as red, green and blue; `None` for grey images.
pub(in crate::report) fn channel_names(bands: &[String]) -> Option<[String; 3]> {
    let name = |channel: Vec<usize>| channel.iter().map(|band| bands[*band].as_str()).collect::<Vec<_>>().join("+");
    (bands.len() > 1).then(|| channels(bands).map(name))
}

/// The map from fluxes to colours.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct ToneMap {
    black: [f64; 3],
    weights: [f64; 3],
    soft: f64,
    white: f64,
    /// The flux at which values were clipped, if they were.
    clip: Option<f64>,
}

/// Pixels above this percentile determine the colour of a cutout.
const BRIGHT_PERCENT: f64 = 95.0;
/// Intensities are linear up to about this many standard deviations of the sky.
const SOFT_SIGMAS: f64 = 4.0;
/// The percentile of the intensities shown as white: 20 of 100 x 100 pixels are brighter.
const WHITE_PERCENT: f64 = 99.8;
/// White is at least this multiple of the softening, so that pure noise has no white pixels.
const DEPTH: f64 = 10.0;

impl ToneMap {
    /// The weights of the bands that make the average of these cutouts grey.
    pub(in crate::report) fn balance<'a>(cutouts: impl IntoIterator<Item = &'a Cutout>) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for cutout in cutouts {
            let black = cutout.black();
            let above = |flux: &[f64; 3]| [0, 1, 2].map(|channel| flux[channel] - black[channel]);
            let total = |flux: &[f64; 3]| above(flux).iter().sum::<f64>();
            let [bright] = percentiles_of(cutout.fluxes.iter().map(total), [BRIGHT_PERCENT]);
            for flux in cutout.fluxes.iter().filter(|flux| total(flux) >= bright) {
                sums.iter_mut().zip(above(flux)).for_each(|(sum, flux)| *sum += flux);
            }
        }
        let mean = sums.iter().sum::<f64>() / 3.0;
        if sums.iter().all(|sum| *sum > 0.0) { sums.map(|sum| (mean / sum).clamp(0.1, 10.0)) } else { [1.0; 3] }
    }

    /// The map that makes the sky of a cutout dark and its core white.
    pub(in crate::report) fn of(cutout: &Cutout, weights: [f64; 3]) -> Self {
        let clip = (cutout.scale == FluxScale::RelativeToClip).then_some(1.0);
        let tone = Self { black: cutout.black(), weights, soft: 1.0, white: 1.0, clip };
        let intensities = cutout.fluxes.iter().map(|flux| tone.weighted(*flux).iter().sum::<f64>() / 3.0);
        let [low, middle, white] = percentiles_of(intensities, [16.0, 50.0, WHITE_PERCENT]);
        let soft = (SOFT_SIGMAS * (middle - low)).max(1e-3 * white).max(f64::MIN_POSITIVE);
        Self { soft, white: white.max(DEPTH * soft), ..tone }
    }

    fn weighted(&self, flux: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|channel| (flux[channel] - self.black[channel]) * self.weights[channel])
    }

    /// Whether two bands or more are clipped.
    fn is_clipped(&self, flux: [f64; 3]) -> bool {
        let clipped = |clip: f64| flux.iter().filter(|flux| (**flux - clip).abs() < 1e-4 * clip).count();
        self.clip.is_some_and(|clip| clipped(clip) > 1)
    }

    /// The colour of a pixel.
    pub(in crate::report) fn colour(&self, flux: [f64; 3]) -> [u8; 3] {
        // `f64::max` ignores NaN.
        let channels = self.weighted(flux).map(|flux| flux.max(0.0));
        let intensity = channels.iter().sum::<f64>() / 3.0;
        if intensity <= 0.0 {
            return [0; 3];
        }
        let bright = (intensity / self.soft).asinh() / (self.white / self.soft).asinh();
        let certain = (intensity / self.soft).powi(2);
        let hue = if self.is_clipped(flux) { 0.0 } else { certain / (certain + 1.0) };
        let channels = channels.map(|channel| (1.0 + hue * (channel / intensity - 1.0)) * bright);
        let greatest = channels.iter().copied().fold(1.0, f64::max);
        channels.map(|channel| (255.0 * channel / greatest).round() as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::Stretch, image::stretch::Asinh};

    fn layout(bands: &[&str], unit: Unit) -> ImageLayout {
        ImageLayout {
            bands: bands.iter().map(|band| (*band).to_owned()).collect(),
            height: 1,
            width: 2,
            unit,
            pixel_scale_arcsec: None,
            stretch: None,
            electrons_per_njy: None,
            wcs: None,
        }
    }

    const TONE: ToneMap = ToneMap { black: [0.0; 3], weights: [1.0; 3], soft: 0.1, white: 2.0, clip: None };

    #[test]
    fn keeps_grey_pixels_grey_and_brightens_with_flux() {
        let greys: Vec<[u8; 3]> = (0..=40).map(|i| TONE.colour([f64::from(i) / 20.0; 3])).collect();
        assert!(greys.iter().all(|[red, green, blue]| red == green && green == blue), "{greys:?}");
        assert!(greys.windows(2).all(|pair| pair[0][0] < pair[1][0]), "{greys:?}");
        assert_eq!((greys[0], greys[40]), ([0; 3], [255; 3]));
        // arcsinh(10) / arcsinh(20) of 255
        assert_eq!(greys[20][0], 207);
        assert_eq!((TONE.colour([-1.0; 3]), TONE.colour([f64::NAN; 3])), ([0; 3], [0; 3]));
    }

    #[test]
    fn keeps_the_hue_of_bright_pixels() {
        for brightness in [4.0, 10.0, 50.0, 1e6] {
            let [red, green, blue] = TONE.colour([brightness, 0.5 * brightness, 0.25 * brightness]).map(f64::from);
            assert!((green - 0.5 * red).abs() < 1.0 && (blue - 0.25 * red).abs() < 1.0, "{brightness}");
        }
        assert_eq!(TONE.colour([1e6, 5e5, 0.0]), [255, 128, 0]);
        assert_eq!(TONE.colour([40.0, -40.0, 0.0]), [255, 0, 0], "a negative band does not darken the others");
    }

    #[test]
    fn removes_the_hue_of_noise_and_of_clipped_pixels() {
        let spread = |flux: [f64; 3]| {
            let colour = TONE.colour(flux).map(f64::from);
            (colour[0] - colour[2]) / colour.iter().sum::<f64>()
        };
        // Only red flux: a bright pixel is pure red, and at the softening half of the excess remains.
        assert!((spread([3e3, 0.0, 0.0]) - 1.0).abs() < 1e-6);
        assert!((spread([0.3, 0.0, 0.0]) - 0.5).abs() < 0.02);
        assert!(spread([0.03, 0.0, 0.0]) < 0.05);
        let clipped = ToneMap { clip: Some(1.0), weights: [1.0, 1.0, 4.0], white: 1.0, ..TONE };
        assert_eq!(clipped.colour([1.0, 0.99999, 0.7]), [255; 3]);
        let [red, _, blue] = clipped.colour([1.0, 0.9, 0.7]);
        assert!(red < blue, "one clipped band does not remove the hue");
    }

    #[test]
    fn maps_long_wavelengths_to_red_in_any_band_order() {
        let names = |bands: &[&str]| {
            let bands: Vec<String> = bands.iter().map(|band| (*band).to_owned()).collect();
            channel_names(&bands).map(|names| names.join(" "))
        };
        assert_eq!(names(&["g", "r", "i"]).as_deref(), Some("i r g"));
        assert_eq!(names(&["y", "z", "i", "r", "g", "u"]).as_deref(), Some("i r g"));
        assert_eq!(names(&["y", "u", "z", "r"]).as_deref(), Some("y z r"));
        assert_eq!(names(&["VIS", "Y", "J", "H"]).as_deref(), Some("H J Y"));
        assert_eq!(names(&["r", "g"]).as_deref(), Some("r g+r g"));
        assert_eq!(names(&["r"]), None);
        let one = Cutout::of(&layout(&["r"], Unit::NanoJansky), &[1.0, 2.0]);
        assert_eq!(one.fluxes, [[1.0; 3], [2.0; 3]]);
    }

    #[test]
    fn undoes_the_stretch_of_model_inputs() {
        let stretch = Stretch { lo: -367.0, hi: 2388.0 };
        let asinh = Asinh::new(stretch.lo, stretch.hi).expect("a stretch");
        let electrons: [f32; 6] = [0.0, 300.0, 2388.0, -20.0, 9000.0, 1.0];
        let mut seen = [0.0; 6];
        asinh.apply(1.0, &electrons, &mut seen);
        let layout = ImageLayout { stretch: Some(stretch), ..layout(&["g", "r", "i"], Unit::Stretched) };
        let cutout = Cutout::of(&layout, &seen.map(f64::from));
        assert_eq!(cutout.scale, FluxScale::RelativeToClip);
        // i, r, g of both pixels; clipped values stay at the clip.
        let expected = [[1.0, 1.0, 0.0], [1.0 / 2388.0, -20.0 / 2388.0, 300.0 / 2388.0]];
        for (found, expected) in cutout.fluxes.as_flattened().iter().zip(expected.as_flattened()) {
            assert!((found - expected).abs() < 1e-6, "{:?}", cutout.fluxes);
        }
    }

    #[test]
    fn converts_electrons_to_flux_and_keeps_unknown_units() {
        let gain = Some(vec![10.0, 20.0, 40.0]);
        let layout = ImageLayout { electrons_per_njy: gain, ..layout(&["g", "r", "i"], Unit::Electron) };
        let cutout = Cutout::of(&layout, &[10.0, 20.0, 20.0, 40.0, 40.0, 80.0]);
        assert_eq!((cutout.scale, cutout.fluxes.as_slice()), (FluxScale::Flux, [[1.0; 3], [2.0; 3]].as_slice()));
        let layout = ImageLayout { electrons_per_njy: None, unit: Unit::Unknown, ..layout };
        let cutout = Cutout::of(&layout, &[0.5, 0.9, 0.5, 0.9, 0.4, 0.4]);
        assert_eq!((cutout.scale, cutout.fluxes[0]), (FluxScale::Stored(Unit::Unknown), [0.4, 0.5, 0.5]));
        for (found, expected) in cutout.black().into_iter().zip([0.4, 0.7, 0.7]) {
            assert!((found - expected).abs() < 1e-6, "the median is black");
        }
    }

    #[test]
    fn makes_the_sky_dark_the_core_white_and_the_average_grey() {
        // 20 x 20 pixels: a sky of +-1 and a red core of 200, 100 and 50.
        let bands = ["g", "r", "i"];
        let layout = ImageLayout { height: 20, width: 20, ..layout(&bands, Unit::NanoJansky) };
        let image: Vec<f64> = (0..1200)
            .map(|i| {
                let (y, x) = ((i % 400) / 20, i % 20);
                let core = (7..13).contains(&y) && (7..13).contains(&x);
                let sky = if (7 * x + 3 * y + i / 400) % 2 == 0 { 1.0 } else { -1.0 };
                sky + if core { [50.0, 100.0, 200.0][i / 400] } else { 0.0 }
            })
            .collect();
        let cutout = Cutout::of(&layout, &image);
        let tone = ToneMap::of(&cutout, ToneMap::balance([&cutout]));
        let core = cutout.colour(10, 10, &tone);
        assert!(core.iter().all(|channel| *channel > 235), "{core:?}");
        let most = (0..20).flat_map(|column| cutout.colour(0, column, &tone)).max();
        assert!(most.is_some_and(|most| most < 70), "{most:?}");
        let plain = ToneMap::of(&cutout, [1.0; 3]);
        let [red, green, blue] = cutout.colour(10, 10, &plain);
        assert!(red > green && green > blue, "without balanced weights the core is red");
        assert_eq!(cutout.colours(&plain)[210], [red, green, blue]);
    }
}
