//! The gallery of flips: one row per object, before and after some of its pixels changed.
//!
//! Each image is stored once in the SVG. The enlarged cutouts are views of it, and the image after the attack is the image before
//! with the changed pixels on top.

use askama::Template;

use super::{
    palette::{BLACK_HEX, INK_HEX, MUTED_HEX, PAPER_HEX, WHITE_HEX},
    text::{ellipsize, ellipsize_to_width},
};
use crate::{error::Result, report::render};

/// An image as a `data:` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct GalleryImage {
    pub(in crate::report) url: String,
    pub(in crate::report) width: usize,
    pub(in crate::report) height: usize,
}

/// A flipped object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Flip {
    /// The text on the left; the id of the object comes first.
    pub(in crate::report) lines: Vec<String>,
    pub(in crate::report) before: GalleryImage,
    /// Another image of the object.
    pub(in crate::report) other: Option<GalleryImage>,
    pub(in crate::report) pixels: Vec<ChangedPixel>,
    /// The values of the pixels, before and after.
    pub(in crate::report) values: Vec<String>,
}

/// A changed pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) struct ChangedPixel {
    pub(in crate::report) row: usize,
    pub(in crate::report) column: usize,
    /// Its new colour, if known.
    pub(in crate::report) colour: Option<[u8; 3]>,
}

/// The headings above the images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct GalleryHeadings {
    pub(in crate::report) before: String,
    pub(in crate::report) other: Option<String>,
    /// Whether the images after the attack are known.
    pub(in crate::report) has_after: bool,
}

#[derive(Template)]
#[template(path = "flip_gallery.svg")]
struct FlipGallerySvg<'a> {
    width: u32,
    height: u32,
    headings: Vec<(u32, String)>,
    values_x: u32,
    rows: Vec<GalleryRow<'a>>,
}

struct GalleryRow<'a> {
    key: String,
    y: u32,
    lines: Vec<(u32, String)>,
    images: Vec<(String, &'a GalleryImage)>,
    changed: Vec<ColouredPixel>,
    views: Vec<ImageView>,
    values: Vec<(u32, String)>,
}

/// A pixel to draw over an image, in pixels of the image.
struct ColouredPixel {
    x: usize,
    y: usize,
    colour: String,
}

/// A view of a part of an image, with frames on it.
struct ImageView {
    x: u32,
    side: u32,
    /// The key of the image.
    image: String,
    left: usize,
    top: usize,
    across: usize,
    down: usize,
    is_after: bool,
    frames: Vec<PixelFrame>,
}

/// A frame around a pixel, in pixels of the image: a light line on a wider dark one, visible on any background.
struct PixelFrame {
    x: f64,
    y: f64,
    side: f64,
    light_width: f64,
    dark_width: f64,
}

/// The side of an image, pixels.
const SIDE: u32 = 134;
const GAP: u32 = 6;
/// The width of the text on the left.
const TEXT: u32 = 158;
const TOP: u32 = 24;
/// The side of the enlarged part, pixels of the image.
const ENLARGED: usize = 11;
/// The distance between a changed pixel and its frame on the complete image, pixels of the image.
const FRAME_DISTANCE: f64 = 4.0;
/// Characters that fit on the left, and below the enlarged parts.
const MAX_CHARS: usize = 24;
/// The width of the light line of a frame, pixels of the chart.
const LIGHT_WIDTH: f64 = 1.2;
/// The width of the dark line, relative to the light one.
const DARK_FACTOR: f64 = 2.5;

/// The gallery. `name` becomes part of the ids of its images, which must be unique on a page.
pub(in crate::report) fn flip_gallery(name: &str, headings: &GalleryHeadings, flips: &[Flip]) -> Result<String> {
    let titles = titles(headings);
    let rows = flips.iter().enumerate().map(|(i, flip)| row(format!("{name}.{i}"), i as u32, headings, flip));
    let rows: Vec<GalleryRow<'_>> = rows.collect();
    render(&FlipGallerySvg {
        width: panel_x(titles.len() as u32) - GAP + 8,
        height: TOP + rows.len() as u32 * (SIDE + GAP),
        headings: titles.into_iter().map(|(x, title)| (x, ellipsize_to_width(&title, SIDE, 11))).collect(),
        values_x: panel_x(1),
        rows,
    })
}

/// The left edge of a panel. Panels are: before, enlarged pixel, after (if known), other image.
const fn panel_x(panel: u32) -> u32 {
    TEXT + panel * (SIDE + GAP)
}

const fn other_panel(headings: &GalleryHeadings) -> u32 {
    if headings.has_after { 3 } else { 2 }
}

fn titles(headings: &GalleryHeadings) -> Vec<(u32, String)> {
    let mut titles = vec![(panel_x(0), headings.before.clone()), (panel_x(1), "pixel".to_owned())];
    if headings.has_after {
        titles[1].1.push_str(": before, after");
        titles.push((panel_x(2), "after".to_owned()));
    }
    titles.extend(headings.other.clone().map(|other| (panel_x(other_panel(headings)), other)));
    titles
}

fn row<'a>(key: String, index: u32, headings: &GalleryHeadings, flip: &'a Flip) -> GalleryRow<'a> {
    let (before, other) = (format!("{key}.before"), format!("{key}.other"));
    let complete = |panel: u32, key: &str, image: &GalleryImage| ImageView {
        x: panel_x(panel),
        side: SIDE,
        image: key.to_owned(),
        left: 0,
        top: 0,
        across: image.width,
        down: image.height,
        is_after: false,
        frames: Vec::new(),
    };
    let framed =
        |view: ImageView| ImageView { frames: flip.frames(FRAME_DISTANCE, view.across.max(view.down), SIDE), ..view };
    let image = complete(0, &before, &flip.before);
    let mut views = if headings.has_after {
        let after = ImageView { is_after: true, ..complete(2, &before, &flip.before) };
        vec![image, flip.enlarged(&before, 0, false), flip.enlarged(&before, 1, true), framed(after)]
    } else {
        vec![framed(image), flip.enlarged(&before, 0, false)]
    };
    views.extend(flip.other.as_ref().map(|image| complete(other_panel(headings), &other, image)));
    let changed = flip.pixels.iter().filter_map(|pixel| {
        let [red, green, blue] = pixel.colour?;
        // Not hexadecimal: the page would replace white by its background in dark mode.
        Some(ColouredPixel { x: pixel.column, y: pixel.row, colour: format!("rgb({red},{green},{blue})") })
    });
    let lines = |texts: &[String], first: u32, step: u32| {
        texts.iter().enumerate().map(|(i, text)| (first + i as u32 * step, ellipsize(text, MAX_CHARS))).collect()
    };
    let images = [(before, Some(&flip.before)), (other, flip.other.as_ref())];
    GalleryRow {
        y: TOP + index * (SIDE + GAP),
        lines: lines(&flip.lines, 14, 16),
        values: lines(&flip.values, SIDE / 2 + 14, 13),
        changed: changed.collect(),
        images: images.into_iter().filter_map(|(key, image)| Some((key, image?))).collect(),
        views,
        key,
    }
}

impl Flip {
    /// Frames around the changed pixels, at a distance of `distance` pixels of the image, on a view that is `across` image
    /// pixels wide and `drawn` chart pixels wide. A frame covers nothing inside it.
    fn frames(&self, distance: f64, across: usize, drawn: u32) -> Vec<PixelFrame> {
        let width = LIGHT_WIDTH * across as f64 / f64::from(drawn);
        let distance = distance + DARK_FACTOR * width / 2.0;
        let edge = |at: usize| thousandth(at as f64 - distance);
        let frame = |pixel: &ChangedPixel| PixelFrame {
            x: edge(pixel.column),
            y: edge(pixel.row),
            side: thousandth(1.0 + 2.0 * distance),
            light_width: thousandth(width),
            dark_width: thousandth(DARK_FACTOR * width),
        };
        self.pixels.iter().map(frame).collect()
    }

    /// The surroundings of the first changed pixel, in the left (0) or the right (1) half of the panel.
    fn enlarged(&self, image: &str, half: u32, is_after: bool) -> ImageView {
        let GalleryImage { width, height, .. } = self.before;
        let (across, down) = (ENLARGED.min(width), ENLARGED.min(height));
        let first = self.pixels.first();
        let start = |at: usize, length: usize, part: usize| at.saturating_sub(part / 2).min(length - part);
        let side = SIDE / 2 - 1;
        ImageView {
            x: panel_x(1) + half * (side + 2),
            side,
            image: image.to_owned(),
            left: start(first.map_or(0, |pixel| pixel.column), width, across),
            top: start(first.map_or(0, |pixel| pixel.row), height, down),
            across,
            down,
            is_after,
            frames: self.frames(0.0, across.max(down), side),
        }
    }
}

fn thousandth(number: f64) -> f64 {
    (1000.0 * number).round() / 1000.0
}
