//! Pictures as SVG, the same for the page and for papers.
//!
//! Charts with axes are drawn by `plotters` ([`panel`]); small multiples of images, and what has no axes, are templates of SVG.
//! Everything is drawn in the colours of [`palette`] on white; the page turns ink and paper around in the dark by its style sheet.

pub(super) mod axis;
pub(super) mod cutout;
mod film;
pub(super) mod flips;
pub(super) mod graph;
mod layered;
pub(super) mod maps;
pub(super) mod marks;
pub(super) mod palette;
pub(super) mod panel;
pub(super) mod pixels;
pub(super) mod raster;
pub(super) mod reliability;
pub(super) mod small;
pub(super) mod space;

use crate::error::Error;

/// The width of a picture that fills a column, pixels.
pub(super) const WIDTH: u32 = 720;
/// The letters of axes and legends, pixels.
pub(super) const LETTERS: u32 = 13;

/// A drawing that failed: into a text in memory nothing should.
pub(super) fn bug(error: impl std::fmt::Display) -> Error {
    Error::Bug(format!("a picture cannot be drawn: {error}"))
}

/// About how wide a text is, pixels. Browsers and papers have other letters than we could measure.
pub(super) fn text_width(text: &str, size: u32) -> u32 {
    (text.chars().count() as f64 * f64::from(size) * 0.56).ceil() as u32
}
