//! Cutouts in colour, so that what is bright keeps its hue (Lupton et al. 2004).
//!
//! Three bands are red, green and blue. With x their fluxes above black, each times the weight of its band and 0 at least, and I the
//! mean of the three, F(I) = arcsinh(I / soft) / arcsinh(white / soft) is the brightness, and x F(I) / I the colour; all three are
//! divided by the greatest where that is above 1. Two things are ours: where I is as faint as noise x is drawn towards I, by the part
//! soft^2 / (I^2 + soft^2), for the hue of noise means nothing; and where two bands are clipped at the top the pixel is white, for
//! its hue is not known. Images that a model sees are stretched already: that is undone first.

use crate::{
    batch::{ImageLayout, Unit},
    image::stretch::of_top,
    stats::quantile::percentiles,
};

/// What the fluxes of a cutout are in. Only those in the same can be shown on one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    /// The upper clip of the image's stretch is 1: images of any exposure are alike, as they are for a model.
    OfTop,
    /// Nanojansky.
    Flux,
    /// The numbers as they stand.
    Given(Unit),
}

impl Scale {
    /// What the fluxes of an image are in.
    pub(in crate::report) fn of(layout: &ImageLayout) -> Self {
        unstretching(layout).0
    }
}

/// The fluxes of one cutout, red, green and blue.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Cutout {
    pub(in crate::report) width: usize,
    pub(in crate::report) height: usize,
    pub(in crate::report) scale: Scale,
    fluxes: Vec<[f64; 3]>,
}

impl Cutout {
    /// A cutout of an image `[band, y, x]`.
    pub(in crate::report) fn of(layout: &ImageLayout, image: &[f64]) -> Self {
        let (scale, undo) = unstretching(layout);
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
    pub(in crate::report) fn colours(&self, tone: &Tone) -> Vec<[u8; 3]> {
        self.fluxes.iter().map(|flux| tone.colour(*flux)).collect()
    }

    /// One pixel as a colour.
    pub(in crate::report) fn colour(&self, row: usize, column: usize, tone: &Tone) -> [u8; 3] {
        self.fluxes.get(row * self.width + column).map_or([0; 3], |flux| tone.colour(*flux))
    }

    /// What is black: no flux, or the usual number where none is known to be no flux.
    fn black(&self) -> [f64; 3] {
        match self.scale {
            Scale::OfTop | Scale::Flux | Scale::Given(Unit::Electron) => [0.0; 3],
            Scale::Given(_) => [0, 1, 2].map(|channel| {
                let [usual] = percentiles_of(self.fluxes.iter().map(|flux| flux[channel]), [50.0]);
                usual
            }),
        }
    }
}

/// Percentiles of what is finite; 0 where nothing is.
fn percentiles_of<const N: usize>(numbers: impl Iterator<Item = f64>, percents: [f64; N]) -> [f64; N] {
    let mut numbers: Vec<f32> = numbers.map(|number| number as f32).filter(|number| number.is_finite()).collect();
    percentiles(&mut numbers, percents).unwrap_or([0.0; N])
}

/// What brings the numbers of an image back to fluxes, by band, and what those are in.
fn unstretching(layout: &ImageLayout) -> (Scale, impl Fn(usize, f64) -> f64) {
    let gain = layout.electrons_per_njy.clone().filter(|_| layout.unit == Unit::Electron);
    let scale = match (layout.unit, &gain) {
        (Unit::Stretched, _) => Scale::OfTop,
        (Unit::NanoJansky, _) | (_, Some(_)) => Scale::Flux,
        (unit, None) => Scale::Given(unit),
    };
    let undo = move |band: usize, value: f64| match (scale, &gain) {
        (Scale::OfTop, _) => of_top(value as f32),
        (_, Some(gain)) => value / gain.get(band).copied().unwrap_or(1.0),
        _ => value,
    };
    (scale, undo)
}

/// The bands in the order of their wavelengths, as far as names tell.
fn by_wavelength(bands: &[String]) -> Vec<usize> {
    let place = |band: &usize| ["u", "g", "r", "i", "z", "y"].iter().position(|known| *known == bands[*band]);
    let mut order: Vec<usize> = (0..bands.len()).collect();
    if order.iter().all(|band| place(band).is_some()) {
        order.sort_by_key(place);
    }
    order
}

/// The bands of red, green and blue: i, r and g where they are, else the three of the longest wavelengths. Of two bands green is the
/// mean; one is grey.
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

/// The names of the bands that are red, green and blue; `None` where the picture is grey.
pub(in crate::report) fn channel_names(bands: &[String]) -> Option<[String; 3]> {
    let name = |channel: Vec<usize>| channel.iter().map(|band| bands[*band].as_str()).collect::<Vec<_>>().join("+");
    (bands.len() > 1).then(|| channels(bands).map(name))
}

/// How fluxes become colours.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Tone {
    black: [f64; 3],
    weights: [f64; 3],
    soft: f64,
    white: f64,
    /// Where fluxes were clipped, if they were.
    top: Option<f64>,
}

/// The part of the pixels of a cutout that say its colour: the brightest.
const BRIGHT_PERCENT: f64 = 95.0;
/// Intensities are linear up to about so many standard deviations of the sky.
const SOFT_SIGMAS: f64 = 4.0;
/// The percentile of the intensities that is white: twenty pixels of 100 x 100 are brighter.
const WHITE_PERCENT: f64 = 99.8;
/// White is at least so many times where intensities cease to be linear: of an image of noise alone nothing is white.
const DEPTH: f64 = 10.0;

impl Tone {
    /// Weights of the bands with which some cutouts together are grey.
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

    /// The tone for a cutout: its sky is dark, its core is white.
    pub(in crate::report) fn of(cutout: &Cutout, weights: [f64; 3]) -> Self {
        let top = (cutout.scale == Scale::OfTop).then_some(1.0);
        let tone = Self { black: cutout.black(), weights, soft: 1.0, white: 1.0, top };
        let intensities = cutout.fluxes.iter().map(|flux| tone.weighted(*flux).iter().sum::<f64>() / 3.0);
        let [low, middle, white] = percentiles_of(intensities, [16.0, 50.0, WHITE_PERCENT]);
        let soft = (SOFT_SIGMAS * (middle - low)).max(1e-3 * white).max(f64::MIN_POSITIVE);
        Self { soft, white: white.max(DEPTH * soft), ..tone }
    }

    fn weighted(&self, flux: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|channel| (flux[channel] - self.black[channel]) * self.weights[channel])
    }

    /// Whether two bands or more are where they were clipped.
    fn is_clipped(&self, flux: [f64; 3]) -> bool {
        let at = |top: f64| flux.iter().filter(|flux| (**flux - top).abs() < 1e-4 * top).count();
        self.top.is_some_and(|top| at(top) > 1)
    }

    /// A colour.
    pub(in crate::report) fn colour(&self, flux: [f64; 3]) -> [u8; 3] {
        // `max` takes the number of a number and NaN.
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
        }
    }

    const TONE: Tone = Tone { black: [0.0; 3], weights: [1.0; 3], soft: 0.1, white: 2.0, top: None };

    #[test]
    fn grey_stays_grey_and_gets_brighter_with_the_flux() {
        let greys: Vec<[u8; 3]> = (0..=40).map(|i| TONE.colour([f64::from(i) / 20.0; 3])).collect();
        assert!(greys.iter().all(|[red, green, blue]| red == green && green == blue), "{greys:?}");
        assert!(greys.windows(2).all(|pair| pair[0][0] < pair[1][0]), "{greys:?}");
        assert_eq!((greys[0], greys[40]), ([0; 3], [255; 3]));
        // arcsinh(10) / arcsinh(20) of 255
        assert_eq!(greys[20][0], 207);
        assert_eq!((TONE.colour([-1.0; 3]), TONE.colour([f64::NAN; 3])), ([0; 3], [0; 3]));
    }

    #[test]
    fn the_hue_is_kept_however_bright_a_pixel_is() {
        for brightness in [4.0, 10.0, 50.0, 1e6] {
            let [red, green, blue] = TONE.colour([brightness, 0.5 * brightness, 0.25 * brightness]).map(f64::from);
            assert!((green - 0.5 * red).abs() < 1.0 && (blue - 0.25 * red).abs() < 1.0, "{brightness}");
        }
        assert_eq!(TONE.colour([1e6, 5e5, 0.0]), [255, 128, 0]);
        assert_eq!(TONE.colour([40.0, -40.0, 0.0]), [255, 0, 0], "what is lost in one band does not hide another");
    }

    #[test]
    fn what_is_faint_as_noise_or_clipped_has_no_hue() {
        let spread = |flux: [f64; 3]| {
            let colour = TONE.colour(flux).map(f64::from);
            (colour[0] - colour[2]) / colour.iter().sum::<f64>()
        };
        // Red alone: of the sum all is red where it is bright, and of the excess half at the softening.
        assert!((spread([3e3, 0.0, 0.0]) - 1.0).abs() < 1e-6);
        assert!((spread([0.3, 0.0, 0.0]) - 0.5).abs() < 0.02);
        assert!(spread([0.03, 0.0, 0.0]) < 0.05);
        let clipped = Tone { top: Some(1.0), weights: [1.0, 1.0, 4.0], white: 1.0, ..TONE };
        assert_eq!(clipped.colour([1.0, 0.99999, 0.7]), [255; 3]);
        let [red, _, blue] = clipped.colour([1.0, 0.9, 0.7]);
        assert!(red < blue, "one band leaves the hue");
    }

    #[test]
    fn long_wavelengths_are_red_whatever_the_order_of_the_bands() {
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
    fn what_a_model_saw_is_fluxes_again() {
        let stretch = Stretch { lo: -367.0, hi: 2388.0 };
        let asinh = Asinh::new(stretch.lo, stretch.hi).expect("a stretch");
        let electrons: [f32; 6] = [0.0, 300.0, 2388.0, -20.0, 9000.0, 1.0];
        let mut seen = [0.0; 6];
        asinh.apply(1.0, &electrons, &mut seen);
        let layout = ImageLayout { stretch: Some(stretch), ..layout(&["g", "r", "i"], Unit::Stretched) };
        let cutout = Cutout::of(&layout, &seen.map(f64::from));
        assert_eq!(cutout.scale, Scale::OfTop);
        // i r g of both pixels; what was clipped stays at the top.
        let expected = [[1.0, 1.0, 0.0], [1.0 / 2388.0, -20.0 / 2388.0, 300.0 / 2388.0]];
        for (found, expected) in cutout.fluxes.as_flattened().iter().zip(expected.as_flattened()) {
            assert!((found - expected).abs() < 1e-6, "{:?}", cutout.fluxes);
        }
    }

    #[test]
    fn exposures_are_brought_to_one_flux_and_other_numbers_are_left_alone() {
        let gain = Some(vec![10.0, 20.0, 40.0]);
        let layout = ImageLayout { electrons_per_njy: gain, ..layout(&["g", "r", "i"], Unit::Electron) };
        let cutout = Cutout::of(&layout, &[10.0, 20.0, 20.0, 40.0, 40.0, 80.0]);
        assert_eq!((cutout.scale, cutout.fluxes.as_slice()), (Scale::Flux, [[1.0; 3], [2.0; 3]].as_slice()));
        let layout = ImageLayout { electrons_per_njy: None, unit: Unit::Unknown, ..layout };
        let cutout = Cutout::of(&layout, &[0.5, 0.9, 0.5, 0.9, 0.4, 0.4]);
        assert_eq!((cutout.scale, cutout.fluxes[0]), (Scale::Given(Unit::Unknown), [0.4, 0.5, 0.5]));
        for (found, expected) in cutout.black().into_iter().zip([0.4, 0.7, 0.7]) {
            assert!((found - expected).abs() < 1e-6, "the usual number is black");
        }
    }

    #[test]
    fn the_sky_is_dark_the_core_is_white_and_the_average_is_grey() {
        // 20 x 20 pixels with a sky of +-1 and a red core of 200, 100 and 50.
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
        let tone = Tone::of(&cutout, Tone::balance([&cutout]));
        let core = cutout.colour(10, 10, &tone);
        assert!(core.iter().all(|channel| *channel > 235), "{core:?}");
        let most = (0..20).flat_map(|column| cutout.colour(0, column, &tone)).max();
        assert!(most.is_some_and(|most| most < 70), "{most:?}");
        let plain = Tone::of(&cutout, [1.0; 3]);
        let [red, green, blue] = cutout.colour(10, 10, &plain);
        assert!(red > green && green > blue, "without a balance the core is red");
        assert_eq!(cutout.colours(&plain)[210], [red, green, blue]);
    }
}
