//! Monitors: tables and findings computed from the stream.

pub mod accuracy;
pub mod calibration;
pub mod church_window;
pub mod isomap;
mod kit;
pub mod latent_distance;
pub mod latent_drift;
mod object_tasks;
pub mod one_pixel;
pub mod pixel_map;
pub mod regression;
pub mod roc;

pub use self::kit::{pixels, score::Labels};
use crate::stage::{Kind, Monitor};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Monitor>] = &[
    Kind::of::<accuracy::Accuracy>(),
    Kind::of::<calibration::Calibration>(),
    Kind::of::<roc::Roc>(),
    Kind::of::<regression::Regression>(),
    Kind::of::<one_pixel::OnePixel>(),
    Kind::of::<pixel_map::PixelMap>(),
    Kind::of::<latent_distance::LatentDistance>(),
    Kind::of::<church_window::ChurchWindow>(),
    Kind::of::<latent_drift::LatentDrift>(),
    Kind::of::<isomap::Isomap>(),
];
