//! Morphology of a galaxy without a model of it: Gini, M20, concentration, asymmetry, smoothness, Petrosian radii.
//!
//! The definitions are those of Lotz et al. (2004) as Rodriguez-Gomez et al. (2019) fixed them in statmorph, which is the
//! oracle (`tests/golden/morphology/make.py`). An image has its sky subtracted; a segmentation map says which pixels are
//! the source, which are other sources, and which are sky. Positions are (x, y) in pixels: pixel (0, 0) has its centre there.
//!
//! What cannot be measured is `None`, and the flag says how far the rest can be trusted: 0 good, 1 suspect, 2 bad,
//! 4 nothing could be measured.

mod aperture;
mod asymmetry;
mod brent;
mod class;
mod concentration;
mod extent;
mod filters;
mod gini;
mod m20;
mod minimum;
mod multimode_intensity_deviation;
mod petrosian;
mod plane;
mod regions;
pub mod segmentation;
mod signal;
mod sky;
mod smoothness;
mod stamp;

pub use class::{Class, ELLIPTICAL_INTERCEPT, bulge_statistic, merger_statistic};
pub use sky::Sky;

use self::{aperture::Table, asymmetry::Asymmetry, petrosian::Ellipse, sky::SkyBox, stamp::Stamp};

/// A position, (x, y) in pixels.
type Point = [f64; 2];

/// An image and all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Pixels, row after row; those that are not finite are left out.
    pub image: &'a [f32],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Which source every pixel belongs to; 0 for the sky.
    pub segments: &'a [u32],
    /// The source that is measured.
    pub label: u32,
    /// Not 0 where a pixel is to be left out.
    pub mask: Option<&'a [f32]>,
    /// Variance of every pixel, for the signal to noise.
    pub variance: Option<&'a [f32]>,
    /// Electrons per unit of the image, for the signal to noise where there is no variance. Without it the noise is
    /// that of the sky.
    pub gain: Option<f64>,
    /// What is known of the sky.
    pub sky: Sky,
    /// Width of the point spread function, pixels: a source with half its light in a smaller circle is suspect.
    pub psf_fwhm_pixels: Option<f64>,
}

/// What was measured. Radii are in pixels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Morphology {
    /// 0 good, 1 suspect, 2 bad, 4 nothing could be measured.
    pub flag: u8,
    /// Gini coefficient of the pixels: 0 all equal, 1 one has it all.
    pub gini: Option<f64>,
    /// Second moment of the brightest 20 % of the light over that of all, log10.
    pub m20: Option<f64>,
    /// 5 log10(r80 / r20).
    pub concentration: Option<f64>,
    /// Light that does not come back after half a turn, over all light.
    pub asymmetry: Option<f64>,
    /// Light in clumps, over all light.
    pub smoothness: Option<f64>,
    /// Radius of the circle on whose rim the mean flux is 0.2 of the mean within.
    pub petrosian: Option<f64>,
    /// The same of the ellipse of the source: its semi-major axis.
    pub petrosian_ellipse: Option<f64>,
    /// Radius of the circle with half the light.
    pub half_light: Option<f64>,
    /// Semi-major axis of the ellipse with half the light.
    pub half_light_ellipse: Option<f64>,
    /// Radius with 20 % of the light within 1.5 Petrosian radii.
    pub r20: Option<f64>,
    /// Radius with 80 % of the light within 1.5 Petrosian radii.
    pub r80: Option<f64>,
    /// Mean of signal over noise of the pixels.
    pub signal_to_noise: Option<f64>,
    /// The point of least asymmetry, (x, y) in pixels of the image.
    pub centre: Option<[f64; 2]>,
}

/// How good a measurement is. It never gets better again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Quality {
    #[default]
    Good = 0,
    Suspect = 1,
    Bad = 2,
}

impl Quality {
    /// Remembers that something was as bad as this.
    fn lower(&mut self, to: Self) {
        *self = (*self).max(to);
    }
}

/// Measures a source.
pub fn measure(source: &Source) -> Morphology {
    let mut quality = Quality::Good;
    let Some(stamp) = Stamp::cut(source).filter(|stamp| stamp.flux() > 0.0) else {
        return Morphology { flag: 4, ..Morphology::default() };
    };
    let centroid = stamp.centroid(&mut quality);
    if stamp.is_empty_at(centroid) {
        quality.lower(Quality::Bad);
    }
    let skybox = SkyBox::of(&stamp, source.sky, &mut quality);
    let table = Table::new(&stamp.image, &stamp.bad);

    let near = petrosian::circle(&table, centroid, &mut quality);
    let folded = Asymmetry::new(&stamp, &skybox, 1.5 * near);
    let centre = folded.centre(centroid, 0.25 * near, &mut quality);
    let asymmetry = folded.at(centre, &mut quality);
    let ellipse = Ellipse::of(&stamp, centre, &mut quality);

    let radius = petrosian::circle(&table, centre, &mut quality);
    let semi_major = petrosian::ellipse(&table, &ellipse, &mut quality);
    let pixels = gini::pixels(&stamp, &ellipse, centroid, semi_major, &mut quality);
    let gini = gini::gini(&stamp, &pixels, &mut quality);
    let m20 = m20::m20(&stamp, &pixels, &mut quality);
    let [r20, r80] = [0.2, 0.8].map(|share| concentration::radius(&table, centre, 1.5 * radius, share, &mut quality));
    let smoothness = smoothness::smoothness(&stamp, &skybox, centre, radius, &mut quality);
    let signal_to_noise = signal::signal_to_noise(&stamp, &pixels, source, &skybox, &mut quality);
    multimode_intensity_deviation::compare(&stamp, &pixels, &mut quality);
    let extent = extent::Extent::of(&stamp, &skybox, &ellipse, semi_major, &mut quality);
    let half_light = extent.half_light(&table, &ellipse, &mut quality);
    if skybox.is_left_over() {
        quality.lower(Quality::Bad);
    }
    if let (Some(fwhm), Some(half)) = (source.psf_fwhm_pixels, half_light.circle)
        && half < fwhm / 2.0
    {
        quality.lower(Quality::Suspect);
    }
    Morphology {
        flag: quality as u8,
        gini,
        m20,
        concentration: r20.zip(r80).map(|(r20, r80)| 5.0 * (r80 / r20).log10()),
        asymmetry,
        smoothness,
        petrosian: Some(radius),
        petrosian_ellipse: Some(semi_major),
        half_light: half_light.circle,
        half_light_ellipse: half_light.ellipse,
        r20,
        r80,
        signal_to_noise,
        centre: Some([centre[0] + stamp.x0 as f64, centre[1] + stamp.y0 as f64]),
    }
}
