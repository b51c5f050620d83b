//! Surface brightness of the components of a galaxy as functions of a point, each with total flux 1.
//!
//! - Sersic (1963): exp(-b ((r/R)^(1/n) - 1)), b after Ciotti and Bertin (1999); r is the circularised elliptical radius.
//! - Disc: e^-x (1 - h fade(x) + l g(x) cos(theta - theta_l)), x = r/scale: exponential, without the light of the arms (h), and
//!   lopsided by l; fade = 1 - exp(-(x/0.6)^2), g = x / (1 + x).
//! - Arms: e^-x fade(x) exp(s (cos(m theta - m ln x / tan(pitch) - phase) - 1)): logarithmic spirals. The mean of the
//!   last factor over theta is I0(s) e^-s at every x, so the flux is known exactly.
//! - Gaussian: circular; its pixels are products of integrals along the axes (`gaussian_axis`).
//! - Shell: exp(-(r - R)^2 / 2 w^2) exp(k (cos(theta - theta_0) - 1)): a sharp arc.

use std::f64::consts::{PI, TAU};

use multiversion::multiversion;

use super::elementary::{bessel_i0_scaled, cos_turns, exp, ln, ln_gamma};

/// Radius below which arms fade into the centre, in scale lengths of the disc.
const FADE: f64 = 0.6;
/// The share of the light of an exponential disc that `fade` passes: 1 - integral of x exp(-x - (x/0.6)^2).
pub(super) const FADED_SHARE: f64 = 0.890_310_344_649_06;

/// The profile of a component. Lengths in arcsec, angles in radians from +x towards +y.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Profile {
    /// A spheroid.
    Sersic {
        /// Index.
        n: f64,
        /// Circularised half-light radius.
        half_light_radius: f64,
        /// Minor over major axis.
        axis_ratio: f64,
        /// Direction of the major axis.
        angle: f64,
    },
    /// An exponential disc.
    Disc {
        /// Circularised scale length.
        scale: f64,
        /// Minor over major axis.
        axis_ratio: f64,
        /// Direction of the major axis.
        angle: f64,
        /// The share of the light outside the centre that the arms take, 0 to 1.
        hole: f64,
        /// The excess of the brighter side, 0 to 1 - `hole`.
        lopsided: f64,
        /// Direction of the brighter side.
        lopsided_angle: f64,
    },
    /// The arms of a disc.
    Arms {
        /// Circularised scale length.
        scale: f64,
        /// Minor over major axis.
        axis_ratio: f64,
        /// Direction of the major axis.
        angle: f64,
        /// The pattern of the arms.
        spiral: Spiral,
    },
    /// A round blob.
    Gaussian {
        /// Standard deviation.
        sigma: f64,
    },
    /// An arc around a centre.
    Shell {
        /// Distance from the centre.
        radius: f64,
        /// Standard deviation across.
        width: f64,
        /// Direction of the middle of the arc.
        angle: f64,
        /// The `k` of the formula; a larger one makes a shorter arc.
        concentration: f64,
    },
}

/// A pattern of logarithmic arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spiral {
    /// Number of arms, 1 to 4.
    pub arms: u32,
    /// Angle between an arm and the circle, radians; the sign is the sense of winding.
    pub pitch: f64,
    /// The `s` of the formula.
    pub sharpness: f64,
    /// The `phase` of the formula, radians.
    pub phase: f64,
}

impl Spiral {
    /// The azimuth of the crest of an arm, x scale lengths from the centre.
    pub fn crest(&self, arm: u32, x: f64) -> f64 {
        x.ln() / self.pitch.tan() + (self.phase + TAU * f64::from(arm)) / f64::from(self.arms)
    }
}

/// A profile around a centre, with its norm computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brightness {
    pub centre: [f64; 2],
    profile: Profile,
    /// Brightness per square arcsec where the formula is 1, for a flux of 1.
    norm: f64,
}

/// How finely a profile varies near its centre.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fineness {
    /// The smallest scale of the profile at a distance, over that distance.
    pub(super) relative_scale: f64,
    /// How often to halve a pixel at the centre.
    pub(super) halvings: u32,
}

impl Brightness {
    pub(super) fn new(profile: Profile, centre: [f64; 2]) -> Self {
        let norm = match profile {
            Profile::Sersic { n, half_light_radius, .. } => {
                let b = sersic_b(n);
                let ln_flux =
                    TAU.ln() + n.ln() + 2.0 * half_light_radius.ln() + ln_gamma(2.0 * n) + b - 2.0 * n * b.ln();
                (-ln_flux).exp()
            }
            Profile::Disc { scale, hole, .. } => 1.0 / (TAU * scale * scale * (1.0 - hole * FADED_SHARE)),
            Profile::Arms { scale, spiral, .. } => {
                1.0 / (TAU * scale * scale * FADED_SHARE * bessel_i0_scaled(spiral.sharpness))
            }
            Profile::Gaussian { sigma } => 1.0 / (TAU * sigma * sigma),
            Profile::Shell { radius, width, concentration, .. } => {
                // The ring has the area radius * width * sqrt(2 pi) per radian, as long as it does not reach the centre.
                1.0 / (TAU * radius * width * TAU.sqrt() * bessel_i0_scaled(concentration))
            }
        };
        Self { centre, profile, norm }
    }

    /// How finely the profile has to be sampled near its centre.
    pub(super) fn fineness(&self) -> Fineness {
        let (relative_scale, halvings) = match self.profile {
            Profile::Sersic { axis_ratio, n, .. } => (axis_ratio, if n < 1.5 { 5 } else { 10 }),
            Profile::Disc { axis_ratio, .. } => (axis_ratio, 4),
            Profile::Arms { axis_ratio, spiral, .. } => {
                let winding = f64::from(spiral.arms) / spiral.pitch.tan().abs();
                (6.0 * axis_ratio / (winding * spiral.sharpness.sqrt()), 1)
            }
            Profile::Gaussian { .. } | Profile::Shell { .. } => (1.0, 0),
        };
        Fineness { relative_scale, halvings }
    }

    /// The brightness at points (arcsec), per square arcsec.
    pub(super) fn at(&self, x: &[f64], y: &[f64], out: &mut [f64]) {
        let [cx, cy] = self.centre;
        match self.profile {
            Profile::Sersic { n, half_light_radius, axis_ratio, angle } => {
                let frame = ProfileFrame::new(cx, cy, angle, axis_ratio, half_light_radius);
                sersic(x, y, out, frame, [0.5 / n, sersic_b(n), self.norm]);
            }
            Profile::Disc { scale, axis_ratio, angle, hole, lopsided, lopsided_angle } => {
                let frame = ProfileFrame::new(cx, cy, angle, axis_ratio, scale);
                let (sin, cos) = (lopsided_angle - angle).sin_cos();
                disc(x, y, out, frame, [hole, lopsided * cos, lopsided * sin, self.norm]);
            }
            Profile::Arms { scale, axis_ratio, angle, spiral } => {
                arms(x, y, out, ProfileFrame::new(cx, cy, angle, axis_ratio, scale), spiral, self.norm);
            }
            Profile::Gaussian { sigma } => {
                for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                    let (u, v) = ((x - cx) / sigma, (y - cy) / sigma);
                    *out = self.norm * exp(-0.5 * (u * u + v * v));
                }
            }
            Profile::Shell { radius, width, angle, concentration } => {
                let frame = ProfileFrame::new(cx, cy, angle, 1.0, radius);
                shell(x, y, out, frame, [radius / width, concentration, self.norm]);
            }
        }
    }
}

/// The b of a Sersic profile, for which `half_light_radius` holds half the light (Ciotti and Bertin 1999, eq. 18).
pub(super) fn sersic_b(n: f64) -> f64 {
    let i = 1.0 / n;
    2.0 * n - 1.0 / 3.0
        + i * (4.0 / 405.0 + i * (46.0 / 25_515.0 + i * (131.0 / 1_148_175.0 - i * 2_194_697.0 / 30_690_717_750.0)))
}

/// From arcsec on the sky to the coordinates of a profile: x' along the major axis, in units of the circularised length.
#[derive(Clone, Copy)]
struct ProfileFrame {
    cx: f64,
    cy: f64,
    ux: f64,
    uy: f64,
    vx: f64,
    vy: f64,
}

impl ProfileFrame {
    fn new(cx: f64, cy: f64, angle: f64, axis_ratio: f64, length: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (major, minor) = (axis_ratio.sqrt() / length, 1.0 / (axis_ratio.sqrt() * length));
        Self { cx, cy, ux: cos * major, uy: sin * major, vx: -sin * minor, vy: cos * minor }
    }

    #[inline(always)]
    fn of(&self, x: f64, y: f64) -> (f64, f64) {
        let (dx, dy) = (x - self.cx, y - self.cy);
        (dx * self.ux + dy * self.uy, dx * self.vx + dy * self.vy)
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "x86_64+avx"))]
fn sersic(x: &[f64], y: &[f64], out: &mut [f64], frame: ProfileFrame, [half_index, b, norm]: [f64; 3]) {
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        let (u, v) = frame.of(*x, *y);
        let root = exp(half_index * ln(u * u + v * v + 1e-30));
        *out = norm * exp(b - b * root);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "x86_64+avx"))]
fn disc(x: &[f64], y: &[f64], out: &mut [f64], frame: ProfileFrame, [hole, along, across, norm]: [f64; 4]) {
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        let (u, v) = frame.of(*x, *y);
        let square = u * u + v * v;
        let r = square.sqrt();
        let taken = hole * (1.0 - exp(-square / (FADE * FADE)));
        *out = norm * exp(-r) * (1.0 - taken + (along * u + across * v) / (1.0 + r));
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "x86_64+avx"))]
fn arms(x: &[f64], y: &[f64], out: &mut [f64], frame: ProfileFrame, spiral: Spiral, norm: f64) {
    let turns_per_ln = -f64::from(spiral.arms) / (spiral.pitch.tan() * TAU);
    let phase = -spiral.phase / TAU;
    let weight = [1, 2, 3, 4].map(|m| f64::from(u8::from(m == spiral.arms)));
    let sharpness = spiral.sharpness;
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        let (u, v) = frame.of(*x, *y);
        let square = u * u + v * v + 1e-30;
        let r = square.sqrt();
        // cos and sin of m theta as powers of (u + i v) / r, which avoids the arc tangent.
        let (c, s) = (u / r, v / r);
        let (c2, s2) = (c * c - s * s, 2.0 * c * s);
        let (c3, s3) = (c2 * c - s2 * s, c2 * s + s2 * c);
        let (c4, s4) = (c2 * c2 - s2 * s2, 2.0 * c2 * s2);
        let cm = weight[0] * c + weight[1] * c2 + weight[2] * c3 + weight[3] * c4;
        let sm = weight[0] * s + weight[1] * s2 + weight[2] * s3 + weight[3] * s4;
        let wind = turns_per_ln * 0.5 * ln(square) + phase;
        let pattern = cm * cos_turns(wind) - sm * cos_turns(wind - 0.25);
        let fade = 1.0 - exp(-square / (FADE * FADE));
        *out = norm * fade * exp(sharpness * (pattern - 1.0) - r);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "x86_64+avx"))]
fn shell(x: &[f64], y: &[f64], out: &mut [f64], frame: ProfileFrame, [thinness, concentration, norm]: [f64; 3]) {
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        let (u, v) = frame.of(*x, *y);
        let r = (u * u + v * v + 1e-30).sqrt();
        let across = (r - 1.0) * thinness;
        *out = norm * exp(concentration * (u / r - 1.0) - 0.5 * across * across);
    }
}

/// The flux of a Gaussian of flux 1 within each pixel of an axis, by Gauss-Legendre quadrature in pieces that are narrow enough
/// for its width. `first` is the centre of the first pixel relative to that of the Gaussian, arcsec.
pub(super) fn gaussian_axis(sigma: f64, first: f64, pixel: f64, out: &mut [f64]) {
    const NODES: [(f64, f64); 3] =
        [(0.0, 8.0 / 18.0), (-0.774_596_669_241_483_4, 5.0 / 18.0), (0.774_596_669_241_483_4, 5.0 / 18.0)];
    let pieces = (2.0 * pixel / sigma).ceil().clamp(1.0, 64.0);
    let piece = pixel / pieces;
    let norm = piece / (sigma * (2.0 * PI).sqrt());
    for (i, out) in out.iter_mut().enumerate() {
        let edge = first + (i as f64 - 0.5) * pixel;
        let mut sum = 0.0;
        for k in 0..pieces as u32 {
            let middle = edge + (f64::from(k) + 0.5) * piece;
            for (node, weight) in NODES {
                let t = (middle + 0.5 * node * piece) / sigma;
                sum += weight * exp(-0.5 * t * t);
            }
        }
        *out = sum * norm;
    }
}
