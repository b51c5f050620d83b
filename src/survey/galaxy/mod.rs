//! Galaxies drawn from numbers: three classes, each a list of parts with a flux per band, and their pixels.
//!
//! A galaxy depends on (run seed, object id, class) alone. What every class shares is drawn first and from the same
//! laws: r magnitude, half-light radius, offset of the centre, direction, reddening, and an unrelated neighbour in 35 % of images,
//! so that none of them tells the class. `draw` makes the parts of each class, `profiles` their light, `render` pixels.
//! Images are noise-free and not blurred: nJy per pixel, the pixel response included.

mod draw;
mod elementary;
mod profiles;
mod render;

pub use profiles::{Profile, Spiral};
pub use render::{Renderer, Stamp};

use crate::random::Stream;

/// The share of images with an unrelated neighbour.
const NEIGHBOUR_SHARE: f64 = 0.35;
/// Standard deviation of the offset of a galaxy from the centre of its image, each axis, arcsec.
const OFFSET_ARCSEC: f64 = 0.25;
/// Half-light radius, arcsec: log-uniform between these.
const HALF_LIGHT_RADIUS_ARCSEC: [f64; 2] = [1.1, 2.8];

/// Standard deviation of each colour of a whole galaxy, magnitudes: distance, dust and age redden galaxies of any class.
const COLOUR_SHIFT: f64 = 0.08;

/// What a galaxy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A disc with arms, a bulge and knots of young stars.
    Spiral,
    /// A smooth spheroid, with a smooth disc in a third of cases.
    Elliptical,
    /// Two disturbed bodies, with tails and shells.
    Merger,
}

impl Class {
    /// All, in the order of the models' logits.
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

/// A part of a galaxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its centre, arcsec from the centre of the stamp, x to the right and y upwards.
    pub centre: [f64; 2],
    /// Its form.
    pub profile: Profile,
    /// Its total flux in r, nJy.
    pub flux_r: f64,
    /// Its colours g - r and r - i, magnitudes.
    pub colour: [f64; 2],
}

impl Component {
    /// Its total flux in a band, nJy.
    pub fn flux(&self, band: Band) -> f64 {
        let brighter = match band {
            Band::G => -self.colour[0],
            Band::R => 0.0,
            Band::I => self.colour[1],
        };
        self.flux_r * 10_f64.powf(0.4 * brighter)
    }
}

/// A galaxy and what is true of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Galaxy {
    /// Its class.
    pub class: Class,
    /// Its r magnitude (AB), all its parts and no neighbour.
    pub magnitude_r: f64,
    /// The half-light radius that its parts are scaled to, arcsec; circularised.
    pub half_light_radius_arcsec: f64,
    /// Minor over major axis of its main body.
    pub axis_ratio: f64,
    /// Direction of the major axis of its main body, radians from +x towards +y.
    pub angle: f64,
    /// Its centre of light, arcsec from the centre of the stamp.
    pub centre: [f64; 2],
    /// Its parts; the last is the neighbour, if there is one.
    pub components: Vec<Component>,
    /// Whether an unrelated source is in the image.
    pub neighbour: bool,
}

/// The main body of a class before it gets its place and flux: parts around the origin, fluxes that sum to about 1.
struct Body {
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
        let Body { axis_ratio, mut components } = match class {
            Class::Spiral => draw::spiral(&mut own, half_light_radius_arcsec, angle),
            Class::Elliptical => draw::elliptical(&mut own, half_light_radius_arcsec, angle),
            Class::Merger => draw::merger(&mut own, half_light_radius_arcsec, angle),
        };
        let shift = [COLOUR_SHIFT * shared.normal(), COLOUR_SHIFT * shared.normal()];
        for part in &mut components {
            part.colour = [part.colour[0] + shift[0], part.colour[1] + shift[1]];
        }
        place(&mut components, centre, flux_of_magnitude(magnitude_r));

        let neighbour = shared.uniform() < NEIGHBOUR_SHARE;
        if neighbour {
            components.push(draw::neighbour(&mut shared, flux_of_magnitude(magnitude_r)));
        }
        Self { class, magnitude_r, half_light_radius_arcsec, axis_ratio, angle, centre, components, neighbour }
    }

    /// Direction of the major axis as astronomers give it: degrees in [0, 180) from up (north) to the left (east).
    pub fn position_angle_deg(&self) -> f64 {
        (self.angle.to_degrees() - 90.0).rem_euclid(180.0)
    }
}

/// Flux of an AB magnitude, nJy.
pub fn flux_of_magnitude(magnitude: f64) -> f64 {
    10_f64.powf(0.4 * (31.4 - magnitude))
}

/// Moves the centre of light to `centre` and scales the r fluxes to a total.
fn place(components: &mut [Component], centre: [f64; 2], flux_r: f64) {
    let total: f64 = components.iter().map(|part| part.flux_r).sum();
    let mean = [0, 1].map(|axis| components.iter().map(|part| part.flux_r * part.centre[axis]).sum::<f64>() / total);
    for part in components {
        part.flux_r *= flux_r / total;
        for axis in [0, 1] {
            part.centre[axis] += centre[axis] - mean[axis];
        }
    }
}

#[cfg(test)]
mod tests;
