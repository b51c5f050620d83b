//! Transforms: what happens to images and rows before a model sees them.
//!
//! Kinds that move pixels (`crop`, `orient`, `resample`) share `geometric_transform.rs`; kinds that change the values of pixels
//! in place share `pixel_transform.rs`. Both carry the companions of an image along: its variance, mask and PSF.

pub mod asinh_stretch;
pub mod blur;
#[cfg(feature = "fits")]
pub mod compress;
#[cfg(test)]
mod conformance;
pub mod cosmic_rays;
pub mod crop;
pub mod dead_pixels;
mod diagnostics;
pub mod filter;
mod finite;
#[cfg(test)]
mod fixtures;
pub mod gain_error;
mod geometric_transform;
mod image_planes;
mod kernel_cache;
pub mod match_exposure;
pub mod morphology;
pub mod observe;
pub mod orient;
mod pixel_transform;
pub mod quantity;
pub mod resample;
pub mod sky_error;
pub mod split;

use crate::stage::{Kind, Transform};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Transform>] = &[
    Kind::of::<observe::Observe>(),
    Kind::of::<match_exposure::MatchExposure>(),
    Kind::of::<asinh_stretch::AsinhStretch>(),
    Kind::of::<resample::Resample>(),
    Kind::of::<crop::Crop>(),
    Kind::of::<orient::Orient>(),
    Kind::of::<morphology::Morphology>(),
    #[cfg(feature = "fits")]
    Kind::of::<compress::Compress>(),
    Kind::of::<blur::Blur>(),
    Kind::of::<dead_pixels::DeadPixels>(),
    Kind::of::<cosmic_rays::CosmicRays>(),
    Kind::of::<gain_error::GainError>(),
    Kind::of::<sky_error::SkyError>(),
    Kind::of::<filter::Filter>(),
    Kind::of::<split::Split>(),
];
