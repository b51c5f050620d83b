//! Charts as SVG, identical on the page and in files for papers.
//!
//! Charts with axes are drawn by `plotters` ([`panel`]). Image grids, graphs and other pictures without axes are SVG templates.
//! All use the colours of [`palette`] on white. The page replaces the theme colours by CSS variables, for the dark mode.

mod apng;
pub(super) mod axis;
pub(super) mod cutout;
pub(super) mod data_url;
pub(super) mod flip_gallery;
mod layered_layout;
pub(super) mod marks;
pub(super) mod palette;
pub(super) mod panel;
pub(super) mod pipeline_graph;
pub(super) mod pixel_maps;
pub(super) mod rasterize;
pub(super) mod reliability;
pub(super) mod scatter_3d;
pub(super) mod small_multiples;
pub(super) mod text;
pub(super) mod unit_square;

use crate::error::{Cause, Error};

/// The width of a chart that fills a column, pixels.
pub(super) const WIDTH: u32 = 720;
/// The font size of axes and legends, pixels.
pub(super) const FONT_SIZE: u32 = 13;

/// The height of a line of a legend, pixels.
const LEGEND_LINE: u32 = 22;

/// Where a legend entry is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LegendPosition {
    /// Pixels from the left.
    x: u32,
    /// The line, from 0.
    line: u32,
}

/// Breaks a legend with entries of these widths into lines.
fn wrap_legend(widths: impl IntoIterator<Item = u32>) -> Vec<LegendPosition> {
    let (mut x, mut line) = (8, 0);
    let place = |width| {
        if x > 8 && x + width > WIDTH {
            (x, line) = (8, line + 1);
        }
        x += width;
        LegendPosition { x: x - width, line }
    };
    widths.into_iter().map(place).collect()
}

/// The height of a legend with these entries.
fn legend_height(positions: &[LegendPosition]) -> u32 {
    positions.last().map_or(0, |last| (last.line + 1) * LEGEND_LINE + 8)
}

/// A failure to draw. Charts are drawn in memory, so it is a defect.
fn draw_error(error: impl Into<Cause>) -> Error {
    Error::bug("cannot draw a chart").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_legends_before_entries_that_do_not_fit() {
        let positions = wrap_legend([300, 300, 200, 900, 10]);
        let found: Vec<(u32, u32)> = positions.iter().map(|at| (at.x, at.line)).collect();
        assert_eq!(found, [(8, 0), (308, 0), (8, 1), (8, 2), (8, 3)]);
        assert_eq!((legend_height(&positions), legend_height(&[])), (96, 0));
    }
}
