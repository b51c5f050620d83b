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

/// The height of a line of a legend, pixels.
const LEGEND_LINE: u32 = 22;

/// Where entries of these widths stand in lines of a legend: pixels from the left, line.
fn in_lines(widths: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let (mut x, mut line) = (8, 0);
    let place = |wide| {
        if x > 8 && x + wide > WIDTH {
            (x, line) = (8, line + 1);
        }
        x += wide;
        (x - wide, line)
    };
    widths.into_iter().map(place).collect()
}

/// The height of a legend of entries in these places.
fn legend_height(places: &[(u32, u32)]) -> u32 {
    places.last().map_or(0, |(_, line)| (line + 1) * LEGEND_LINE + 8)
}

/// A picture without the characters that XML does not allow: names in tables may have them.
pub(super) fn printable(svg: String) -> String {
    let is_refused = |c: char| matches!(c, '\0'..'\x20' | '\u{fffe}' | '\u{ffff}') && !matches!(c, '\t' | '\n' | '\r');
    if svg.contains(is_refused) { svg.replace(is_refused, "\u{fffd}") } else { svg }
}

/// A drawing that failed: into a text in memory nothing should.
pub(super) fn bug(error: impl std::fmt::Display) -> Error {
    Error::bug(format!("a picture cannot be drawn: {error}"))
}

/// About how wide a text is, pixels. Browsers and papers have other letters than we could measure.
pub(super) fn text_width(text: &str, size: u32) -> u32 {
    (text.chars().count() as f64 * f64::from(size) * 0.56).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_begins_a_new_line_where_the_next_entry_would_not_fit() {
        let places = in_lines([300, 300, 200, 900, 10]);
        assert_eq!(places, [(8, 0), (308, 0), (8, 1), (8, 2), (8, 3)]);
        assert_eq!((legend_height(&places), legend_height(&[])), (96, 0));
    }

    #[test]
    fn a_picture_with_any_name_can_be_read() {
        let svg = |name: &str| {
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"><text>{name}</text></svg>")
        };
        let name = "a\u{1}b\u{fffe}\tc";
        assert!(raster::png(&svg(name)).is_err());
        assert_eq!(printable(svg(name)), svg("a\u{fffd}b\u{fffd}\tc"));
        raster::png(&printable(svg(name))).expect("a PNG");
    }
}
