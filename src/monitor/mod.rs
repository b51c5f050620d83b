//! What watches the stream: every monitor writes a table of its own.

pub mod accuracy;
mod asked;
pub mod calibration;
pub mod church_window;
mod columns;
#[cfg(test)]
mod fake;
mod heard;
pub mod isomap;
pub mod labels;
pub mod latent_distance;
pub mod latent_drift;
mod latents;
mod object_tasks;
pub mod one_pixel;
pub mod pixel_map;
pub mod pixels;
mod truth;
mod windowed;

use crate::stage::{Kind, Monitor};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Monitor>] = &[
    Kind::of::<accuracy::Accuracy>(),
    Kind::of::<calibration::Calibration>(),
    Kind::of::<one_pixel::OnePixel>(),
    Kind::of::<pixel_map::PixelMap>(),
    Kind::of::<latent_distance::LatentDistance>(),
    Kind::of::<church_window::ChurchWindow>(),
    Kind::of::<latent_drift::LatentDrift>(),
    Kind::of::<isomap::Isomap>(),
];
