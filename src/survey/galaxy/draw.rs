//! The components of a galaxy of each class, around the origin, with r fluxes that sum to about 1.
//!
//! The order of the draws is part of the results: a test pins galaxies of each class.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use super::{
    Component, UnplacedGalaxy,
    profiles::{FADED_SHARE, Profile, Spiral},
};
use crate::random::Stream;

/// g - r and r - i of old stars.
const OLD: [f64; 2] = [0.72, 0.37];
/// g - r and r - i of discs.
const DISC: [f64; 2] = [0.55, 0.30];
/// How much bluer knots are than arms, magnitudes.
const KNOT_BLUER: f64 = 0.25;
/// Standard deviation of a colour of a component, magnitudes.
const COLOUR_SCATTER: f64 = 0.06;
/// Half-light radius of a disc with a bulge, arms and knots over the scale length of the disc.
const DISC_SIZE: f64 = 1.33;
/// Half-light radius of a body of a merger that has all the light, over that of the merger: so mergers are as large as other
/// galaxies.
const BODY_SIZE: f64 = 0.87;
/// Half-light radius of an exponential disc over its scale length.
const DISC_HALF_LIGHT: f64 = 1.678;

/// A Sersic spheroid; in 35 % of cases with a smooth disc.
pub(super) fn elliptical(stream: &mut Stream, radius: f64, angle: f64) -> UnplacedGalaxy {
    let axis_ratio = stream.uniform_in(0.5, 1.0);
    let n = stream.uniform_in(2.5, 5.5);
    let lenticular = stream.uniform() < 0.35;
    let disc_share = stream.uniform_in(0.2, 0.6);
    let colour = scattered(stream, OLD);
    let spheroid =
        |half_light_radius, flux| component(Profile::Sersic { n, half_light_radius, axis_ratio, angle }, flux, colour);
    if !lenticular {
        return UnplacedGalaxy { axis_ratio, components: vec![spheroid(radius, 1.0)] };
    }
    // The disc is larger than the galaxy, the spheroid smaller.
    let disc = Profile::Disc {
        scale: 1.15 * radius / DISC_HALF_LIGHT,
        axis_ratio,
        angle,
        hole: 0.0,
        lopsided: 0.0,
        lopsided_angle: 0.0,
    };
    let disc_colour = scattered(stream, [0.5 * (OLD[0] + DISC[0]), 0.5 * (OLD[1] + DISC[1])]);
    let components = vec![spheroid(0.85 * radius, 1.0 - disc_share), component(disc, disc_share, disc_colour)];
    UnplacedGalaxy { axis_ratio, components }
}

/// A disc with arms, a bulge and knots of young stars.
pub(super) fn spiral(stream: &mut Stream, radius: f64, angle: f64) -> UnplacedGalaxy {
    let axis_ratio = stream.uniform_in(0.35, 1.0);
    let scale = radius / DISC_SIZE;
    let bulge_share = stream.uniform_in(0.05, 0.40);
    let bulge = Profile::Sersic {
        n: stream.uniform_in(1.5, 3.5),
        half_light_radius: 0.25 * scale,
        axis_ratio: axis_ratio.max(stream.uniform_in(0.7, 1.0)),
        angle,
    };
    let arms = match stream.uniform() {
        u if u < 0.7 => 2,
        u if u < 0.88 => 3,
        _ => 4,
    };
    let spiral = Spiral {
        arms,
        pitch: stream.uniform_in(12.0, 28.0).to_radians() * sign(stream),
        sharpness: stream.uniform_in(1.5, 4.0),
        phase: stream.uniform_in(0.0, TAU),
    };
    let knots = 4 + stream.below(21) as usize;
    let disc = DiscDraw {
        scale,
        axis_ratio,
        angle,
        spiral,
        arm_share: stream.uniform_in(0.30, 0.75),
        lopsided: 0.0,
        knots,
        knot_share: stream.uniform_in(0.04, 0.14),
    };
    let mut components = vec![component(bulge, bulge_share, scattered(stream, OLD))];
    disc.draw(stream, 1.0 - bulge_share, &mut components);
    UnplacedGalaxy { axis_ratio, components }
}

/// Two bodies with tails and shells.
pub(super) fn merger(stream: &mut Stream, radius: f64, angle: f64) -> UnplacedGalaxy {
    let first_share = stream.uniform_in(0.5, 0.8);
    let separation = stream.uniform_in(0.7, 2.2) * radius.sqrt();
    let direction = stream.uniform_in(0.0, TAU);
    let mut components = Vec::new();
    let mut main_axis_ratio = 1.0;
    for (share, along, tilt) in [(first_share, 0.0, angle), (1.0 - first_share, separation, stream.uniform_in(0.0, PI))]
    {
        let at = [along * direction.cos(), along * direction.sin()];
        let mut body = Vec::new();
        let axis_ratio = disturbed(stream, BODY_SIZE * radius * share.sqrt(), tilt, share, &mut body);
        if along == 0.0 {
            main_axis_ratio = axis_ratio;
        }
        if stream.uniform() < 0.8 {
            let outwards = if along == 0.0 { direction + PI } else { direction };
            tail(stream, radius, outwards, share, &mut body);
        }
        for component in &mut body {
            component.centre[0] += at[0];
            component.centre[1] += at[1];
        }
        components.extend(body);
    }
    for _ in 0..stream.below(3) {
        let shell = Profile::Shell {
            radius: stream.uniform_in(1.5, 3.2) * radius,
            width: stream.uniform_in(0.12, 0.3) * radius.sqrt(),
            angle: stream.uniform_in(0.0, TAU),
            concentration: stream.uniform_in(2.0, 6.0),
        };
        let flux = stream.uniform_in(0.02, 0.05);
        components.push(component(shell, flux, scattered(stream, OLD)));
    }
    UnplacedGalaxy { axis_ratio: main_axis_ratio, components }
}

/// A star or a small disc, 1 to 3.5 magnitudes fainter than `flux`, 3 to 9 arcsec from the centre.
pub(super) fn neighbour(stream: &mut Stream, flux: f64) -> Component {
    let (distance, direction) = (stream.uniform_in(3.0, 9.0), stream.uniform_in(0.0, TAU));
    let flux = flux * 10_f64.powf(-0.4 * stream.uniform_in(1.0, 3.5));
    let star = stream.uniform() < 0.5;
    let profile = if star {
        // Half a pixel wide, so that the image keeps the position within a pixel. The seeing is several times wider.
        Profile::Gaussian { sigma: 0.1 }
    } else {
        Profile::Disc {
            scale: stream.uniform_in(0.25, 0.7) / DISC_HALF_LIGHT,
            axis_ratio: stream.uniform_in(0.4, 1.0),
            angle: stream.uniform_in(0.0, PI),
            hole: 0.0,
            lopsided: 0.0,
            lopsided_angle: 0.0,
        }
    };
    let colour = [stream.uniform_in(0.2, 1.2), stream.uniform_in(0.1, 0.6)];
    let centre = [distance * direction.cos(), distance * direction.sin()];
    Component { centre, ..component(profile, flux, colour) }
}

/// Appends a body of a merger: a lopsided disc with weak arms and a bulge, or a spheroid. Returns its axis ratio.
fn disturbed(stream: &mut Stream, radius: f64, angle: f64, flux: f64, out: &mut Vec<Component>) -> f64 {
    if stream.uniform() >= 0.55 {
        let axis_ratio = stream.uniform_in(0.5, 1.0);
        let profile = Profile::Sersic { n: stream.uniform_in(1.5, 4.5), half_light_radius: radius, axis_ratio, angle };
        out.push(component(profile, flux, scattered(stream, OLD)));
        return axis_ratio;
    }
    let axis_ratio = stream.uniform_in(0.35, 1.0);
    let scale = radius / DISC_SIZE;
    let bulge_share = stream.uniform_in(0.05, 0.40);
    let bulge = Profile::Sersic { n: stream.uniform_in(1.5, 3.5), half_light_radius: 0.25 * scale, axis_ratio, angle };
    out.push(component(bulge, flux * bulge_share, scattered(stream, OLD)));
    let disc = DiscDraw {
        scale,
        axis_ratio,
        angle,
        spiral: Spiral {
            arms: 2,
            pitch: stream.uniform_in(15.0, 35.0).to_radians() * sign(stream),
            sharpness: stream.uniform_in(1.0, 2.5),
            phase: stream.uniform_in(0.0, TAU),
        },
        arm_share: stream.uniform_in(0.0, 0.35),
        lopsided: stream.uniform_in(0.1, 0.5),
        knots: stream.below(15) as usize,
        knot_share: stream.uniform_in(0.02, 0.12),
    };
    disc.draw(stream, flux * (1.0 - bulge_share), out);
    axis_ratio
}

/// A disc with arms and knots, and the shares of its light.
struct DiscDraw {
    scale: f64,
    axis_ratio: f64,
    angle: f64,
    spiral: Spiral,
    /// Share of the arms in the light without the knots.
    arm_share: f64,
    lopsided: f64,
    knots: usize,
    /// Share of the knots in all light.
    knot_share: f64,
}

impl DiscDraw {
    fn draw(&self, stream: &mut Stream, flux: f64, out: &mut Vec<Component>) {
        let &Self { scale, axis_ratio, angle, spiral, .. } = self;
        let disc_colour = scattered(stream, DISC);
        let bluer = stream.uniform_in(0.05, 0.25);
        let arm_colour = disc_colour.map(|colour| colour - bluer);
        let knot_flux = if self.knots == 0 { 0.0 } else { flux * self.knot_share };
        let smooth_flux = flux - knot_flux;
        // `hole` is the share that the arms take outside the centre, where they do not fade; over the entire disc it is less.
        let hole = self.arm_share / FADED_SHARE;
        let disc = Profile::Disc {
            scale,
            axis_ratio,
            angle,
            hole,
            lopsided: self.lopsided.min(1.0 - hole),
            lopsided_angle: stream.uniform_in(0.0, TAU),
        };
        out.push(component(disc, smooth_flux * (1.0 - self.arm_share), disc_colour));
        out.push(component(
            Profile::Arms { scale, axis_ratio, angle, spiral },
            smooth_flux * self.arm_share,
            arm_colour,
        ));
        self.draw_knots(stream, knot_flux, arm_colour, out);
    }

    fn draw_knots(&self, stream: &mut Stream, flux: f64, arm_colour: [f64; 2], out: &mut Vec<Component>) {
        let weights: Vec<f64> = (0..self.knots).map(|_| (0.7 * stream.normal()).exp()).collect();
        let total: f64 = weights.iter().sum();
        for weight in weights {
            // Distributed as the light of an exponential disc (the radius follows a gamma distribution), but neither in the bulge
            // nor far outside.
            let x = (stream.exponential() + stream.exponential()).clamp(0.8, 3.6);
            let arm = stream.below(u64::from(self.spiral.arms)) as u32;
            let (sin, cos) = (self.spiral.crest(arm, x) + 0.12 * stream.normal()).sin_cos();
            let along = x * cos * self.scale / self.axis_ratio.sqrt();
            let across = x * sin * self.scale * self.axis_ratio.sqrt();
            let (sin, cos) = self.angle.sin_cos();
            let colour = scattered(stream, arm_colour.map(|colour| colour - KNOT_BLUER));
            out.push(Component {
                centre: [along * cos - across * sin, along * sin + across * cos],
                ..component(Profile::Gaussian { sigma: stream.uniform_in(0.1, 0.22) }, flux * weight / total, colour)
            });
        }
    }
}

/// Appends a tidal tail: a curved chain of Gaussians that leaves at right angles to the line of centres.
fn tail(stream: &mut Stream, radius: f64, outwards: f64, share: f64, out: &mut Vec<Component>) {
    const LINKS: u32 = 14;
    let length = stream.uniform_in(2.5, 5.5) * radius.powf(0.6);
    let sigma = stream.uniform_in(0.25, 0.5);
    let flux = stream.uniform_in(0.04, 0.12);
    let side = sign(stream);
    let start = outwards + side * (FRAC_PI_2 + 0.25 * stream.normal());
    // The tail bends back behind its body.
    let bend = -side * stream.uniform_in(0.3, 1.6);
    let colour = scattered(stream, DISC.map(|colour| colour - 0.05));
    let first = 0.5 * radius * share.sqrt();
    let mut at = [first * start.cos(), first * start.sin()];
    let step = length / f64::from(LINKS);
    let shares: f64 = (0..LINKS).map(tail_share).sum();
    for link in 0..LINKS {
        let along = f64::from(link) / f64::from(LINKS);
        let direction = start + bend * along;
        at = [at[0] + step * direction.cos(), at[1] + step * direction.sin()];
        let profile = Profile::Gaussian { sigma: sigma * (0.8 + 0.5 * along) };
        out.push(Component { centre: at, ..component(profile, flux * tail_share(link) / shares, colour) });
    }
}

/// The relative light of a link of a tail; the last link has a third of that of the first.
fn tail_share(link: u32) -> f64 {
    (-0.08 * f64::from(link)).exp()
}

fn component(profile: Profile, flux_r: f64, colour: [f64; 2]) -> Component {
    Component { centre: [0.0, 0.0], profile, flux_r, colour }
}

fn scattered(stream: &mut Stream, colour: [f64; 2]) -> [f64; 2] {
    colour.map(|colour| colour + COLOUR_SCATTER * stream.normal())
}

fn sign(stream: &mut Stream) -> f64 {
    if stream.uniform() < 0.5 { -1.0 } else { 1.0 }
}
