//! The gallery of flips: a row for every object, before and after its pixels were changed.
//!
//! An image stands in the picture once: what is enlarged is a part of it, and after is before with the changed pixels over it.

use askama::Template;

use super::{
    axis::{clipped, fitted},
    bug,
};
use crate::error::Result;

/// A cutout as a `data:` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Picture {
    pub(in crate::report) image: String,
    pub(in crate::report) width: usize,
    pub(in crate::report) height: usize,
}

/// A row of the gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Flip {
    /// What is said of it, the object's name first.
    pub(in crate::report) lines: Vec<String>,
    pub(in crate::report) before: Picture,
    /// Another image of the object.
    pub(in crate::report) other: Option<Picture>,
    pub(in crate::report) pixels: Vec<Changed>,
    /// The numbers of the pixels, before and after.
    pub(in crate::report) values: Vec<String>,
}

/// A pixel that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) struct Changed {
    pub(in crate::report) row: usize,
    pub(in crate::report) column: usize,
    /// Its new colour, where that is known.
    pub(in crate::report) colour: Option<[u8; 3]>,
}

/// What stands over the images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Headings {
    pub(in crate::report) before: String,
    pub(in crate::report) other: Option<String>,
    /// Whether the images after are known.
    pub(in crate::report) has_after: bool,
}

#[derive(Template)]
#[template(path = "flips.svg")]
struct Gallery<'a> {
    width: u32,
    height: u32,
    headings: Vec<(u32, String)>,
    values_x: u32,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    key: String,
    y: u32,
    lines: Vec<(u32, String)>,
    pictures: Vec<(String, &'a Picture)>,
    changed: Vec<(usize, usize, String)>,
    views: Vec<View>,
    values: Vec<(u32, String)>,
}

/// A part of an image, and the frames on it.
struct View {
    x: u32,
    side: u32,
    of: String,
    left: usize,
    top: usize,
    across: usize,
    down: usize,
    is_after: bool,
    frames: Vec<Frame>,
}

/// In pixels of the image: a light line, and dark ones along it.
struct Frame {
    x: f64,
    y: f64,
    side: f64,
    line: f64,
    dark: f64,
}

/// Of an image, pixels.
const SIDE: u32 = 134;
const GAP: u32 = 6;
const TEXT: u32 = 158;
const TOP: u32 = 24;
/// What is enlarged, pixels of the image.
const ENLARGED: usize = 11;
/// Between a changed pixel and its frame on the whole image, pixels of the image.
const AROUND: f64 = 4.0;
/// Letters that fit beside the images, and under what is enlarged.
const LETTERS: usize = 24;
/// How wide the lines of frames are, pixels of the picture, with the dark ones along them.
const LINE: f64 = 1.2;
const DARK: f64 = 2.5;

/// The gallery; `name` is part of the names of its images, which are to be unique on a page.
pub(in crate::report) fn gallery(name: &str, headings: &Headings, flips: &[Flip]) -> Result<String> {
    let place = |panel: u32| TEXT + panel * (SIDE + GAP);
    let other_panel = if headings.has_after { 3 } else { 2 };
    let mut titles = vec![(place(0), headings.before.clone()), (place(1), "pixel".to_owned())];
    if headings.has_after {
        titles[1].1.push_str(": before, after");
        titles.push((place(2), "after".to_owned()));
    }
    titles.extend(headings.other.clone().map(|other| (place(other_panel), other)));
    let width = place(titles.len() as u32) - GAP + 8;
    let rows = flips.iter().enumerate().map(|(i, flip)| {
        let key = format!("{name}.{i}");
        let (before, other) = (format!("{key}.before"), format!("{key}.other"));
        let whole = |of: &str, panel: u32, picture: &Picture| View {
            x: place(panel),
            side: SIDE,
            of: of.to_owned(),
            left: 0,
            top: 0,
            across: picture.width,
            down: picture.height,
            is_after: false,
            frames: Vec::new(),
        };
        let framed = |view: View| View { frames: flip.frames(AROUND, view.across.max(view.down), SIDE), ..view };
        let image = whole(&before, 0, &flip.before);
        let mut views = if headings.has_after {
            let after = View { is_after: true, x: place(2), ..whole(&before, 2, &flip.before) };
            vec![image, flip.enlarged(&before, 0, false), flip.enlarged(&before, 1, true), framed(after)]
        } else {
            vec![framed(image), flip.enlarged(&before, 0, false)]
        };
        views.extend(flip.other.as_ref().map(|picture| whole(&other, other_panel, picture)));
        let changed = flip.pixels.iter().filter_map(|pixel| {
            let [red, green, blue] = pixel.colour?;
            // Not as hexadecimals: the page would take white for paper.
            Some((pixel.column, pixel.row, format!("rgb({red},{green},{blue})")))
        });
        let lines = |texts: &[String], first: u32, step: u32| {
            texts.iter().enumerate().map(|(i, text)| (first + i as u32 * step, clipped(text, LETTERS))).collect()
        };
        Row {
            y: TOP + i as u32 * (SIDE + GAP),
            lines: lines(&flip.lines, 14, 16),
            values: lines(&flip.values, SIDE / 2 + 14, 13),
            changed: changed.collect(),
            pictures: [(before, Some(&flip.before)), (other, flip.other.as_ref())]
                .into_iter()
                .filter_map(|(key, picture)| Some((key, picture?)))
                .collect(),
            views,
            key,
        }
    });
    let rows: Vec<Row<'_>> = rows.collect();
    let titles = titles.into_iter().map(|(x, title)| (x, fitted(&title, SIDE, 11)));
    Gallery {
        width,
        height: TOP + rows.len() as u32 * (SIDE + GAP),
        headings: titles.collect(),
        values_x: place(1),
        rows,
    }
    .render()
    .map_err(bug)
}

impl Flip {
    /// Frames around the changed pixels, so many pixels off, on an image that is `across` wide and drawn on `drawn`. They hide nothing
    /// of what is within.
    fn frames(&self, off: f64, across: usize, drawn: u32) -> Vec<Frame> {
        let line = LINE * across as f64 / f64::from(drawn);
        let off = off + DARK * line / 2.0;
        let place = |at: usize| thousandth(at as f64 - off);
        let frame = |pixel: &Changed| Frame {
            x: place(pixel.column),
            y: place(pixel.row),
            side: thousandth(1.0 + 2.0 * off),
            line: thousandth(line),
            dark: thousandth(DARK * line),
        };
        self.pixels.iter().map(frame).collect()
    }

    /// The surroundings of the first changed pixel, to the left (0) or to the right (1).
    fn enlarged(&self, of: &str, half: u32, is_after: bool) -> View {
        let Picture { width, height, .. } = self.before;
        let (across, down) = (ENLARGED.min(width), ENLARGED.min(height));
        let first = self.pixels.first();
        let begin = |at: usize, length: usize, part: usize| at.saturating_sub(part / 2).min(length - part);
        let side = SIDE / 2 - 1;
        View {
            x: TEXT + SIDE + GAP + half * (side + 2),
            side,
            of: of.to_owned(),
            left: begin(first.map_or(0, |pixel| pixel.column), width, across),
            top: begin(first.map_or(0, |pixel| pixel.row), height, down),
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
