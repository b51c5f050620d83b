//! Simulated galaxies: three classes, each a list of components with a flux per band, and their pixels.
//!
//! A galaxy depends on (run seed, object id, class) alone. The properties that all classes share are drawn first and from the
//! same distributions: r magnitude, half-light radius, offset of the centre, direction, reddening, and an unrelated neighbour in
//! 35 % of the images. None of them reveals the class. `draw` makes the components of each class, `profiles` their surface
//! brightness, `render` the pixels. Images are noise-free and not blurred: nJy per pixel, the pixel response included.

mod draw;
mod elementary;
mod profiles;
mod render;

pub use profiles::{Profile, Spiral};
pub use render::{Renderer, Stamp};

use crate::{random::Stream, survey::photometry::nanojansky};

/// The share of images with an unrelated neighbour.
const NEIGHBOUR_SHARE: f64 = 0.35;
/// Standard deviation of the offset of a galaxy from the centre of its image, each axis, arcsec.
const OFFSET_ARCSEC: f64 = 0.25;
/// Range of the half-light radius, arcsec; log-uniform.
const HALF_LIGHT_RADIUS_ARCSEC: [f64; 2] = [1.1, 2.8];

/// Standard deviation of the shift of each colour of a galaxy, magnitudes: distance, dust and age redden galaxies of any class.
const COLOUR_SHIFT: f64 = 0.08;

/// The class of a galaxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A disc with arms, a bulge and knots of young stars.
    Spiral,
    /// A smooth spheroid; with a smooth disc in 35 % of cases.
    Elliptical,
    /// Two disturbed bodies with tails and shells.
    Merger,
}

impl Class {
    /// All classes, in the order of the logits of the models.
    pub const ALL: [Self; 3] = [Self::Spiral, Self::Elliptical, Self::Merger];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spiral => "spiral",
            Self::Elliptical => "elliptical",
            Self::Merger => "merger",
        }
    }
}

/// A band that galaxies have colours for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    /// About 480 nm.
    G,
    /// About 620 nm.
    R,
    /// About 750 nm.
    I,
}

/// A component of a galaxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// The centre, arcsec from the centre of the stamp; x to the right, y upwards.
    pub centre: [f64; 2],
    /// The profile.
    pub profile: Profile,
    /// Total flux in r, nJy.
    pub flux_r: f64,
    /// Colours g - r and r - i, magnitudes.
    pub colour: [f64; 2],
}

impl Component {
    /// Total flux in a band, nJy.
    pub fn flux(&self, band: Band) -> f64 {
        let brighter = match band {
            Band::G => -self.colour[0],
            Band::R => 0.0,
            Band::I => self.colour[1],
        };
        self.flux_r * 10_f64.powf(0.4 * brighter)
    }
}

/// A galaxy and its true properties.
#[derive(Debug, Clone, PartialEq)]
pub struct Galaxy {
    /// The class.
    pub class: Class,
    /// r magnitude (AB) of all components, without the neighbour.
    pub magnitude_r: f64,
    /// The half-light radius that the components are scaled to, arcsec; circularised.
    pub half_light_radius_arcsec: f64,
    /// Minor over major axis of the main body.
    pub axis_ratio: f64,
    /// Direction of the major axis of the main body, radians from +x towards +y.
    pub angle: f64,
    /// Centroid of the light in r without the neighbour, arcsec from the centre of the stamp.
    pub centre: [f64; 2],
    /// The components; the last is the neighbour, if there is one.
    pub components: Vec<Component>,
    /// Whether the image contains an unrelated source.
    pub neighbour: bool,
}

/// A galaxy of a class before it is placed and scaled: components around the origin, r fluxes that sum to about 1.
struct UnplacedGalaxy {
    axis_ratio: f64,
    components: Vec<Component>,
}

impl Galaxy {
    /// Draws the galaxy of an object, with an r magnitude uniform in a range.
    pub fn draw(seed: u64, object_id: &str, class: Class, magnitude_r: [f64; 2]) -> Self {
        let mut shared = Stream::new(seed, object_id, "galaxy");
        let magnitude_r = shared.uniform_in(magnitude_r[0], magnitude_r[1]);
        let [low, high] = HALF_LIGHT_RADIUS_ARCSEC;
        let half_light_radius_arcsec = low * (high / low).powf(shared.uniform());
        let centre = [OFFSET_ARCSEC * shared.normal(), OFFSET_ARCSEC * shared.normal()];
        let angle = shared.uniform_in(0.0, std::f64::consts::PI);

        let mut own = Stream::new(seed, object_id, class.name());
        let UnplacedGalaxy { axis_ratio, mut components } = match class {
            Class::Spiral => draw::spiral(&mut own, half_light_radius_arcsec, angle),
            Class::Elliptical => draw::elliptical(&mut own, half_light_radius_arcsec, angle),
            Class::Merger => draw::merger(&mut own, half_light_radius_arcsec, angle),
        };
        let shift = [COLOUR_SHIFT * shared.normal(), COLOUR_SHIFT * shared.normal()];
        for component in &mut components {
            component.colour = [component.colour[0] + shift[0], component.colour[1] + shift[1]];
        }
        place(&mut components, centre, nanojansky(magnitude_r));

        let neighbour = shared.uniform() < NEIGHBOUR_SHARE;
        if neighbour {
            components.push(draw::neighbour(&mut shared, nanojansky(magnitude_r)));
        }
        Self { class, magnitude_r, half_light_radius_arcsec, axis_ratio, angle, centre, components, neighbour }
    }

    /// Position angle of the major axis: degrees in [0, 180) from north (up) through east (left).
    pub fn position_angle_deg(&self) -> f64 {
        (self.angle.to_degrees() - 90.0).rem_euclid(180.0)
    }
}

/// Moves the centroid of the light in r to `centre` and scales the r fluxes to a total.
fn place(components: &mut [Component], centre: [f64; 2], flux_r: f64) {
    let total: f64 = components.iter().map(|component| component.flux_r).sum();
    let centroid = [0, 1].map(|axis| components.iter().map(|c| c.flux_r * c.centre[axis]).sum::<f64>() / total);
    for component in components {
        component.flux_r *= flux_r / total;
        for axis in [0, 1] {
            component.centre[axis] += centre[axis] - centroid[axis];
        }
    }
}

#[cfg(test)]
mod tests;
