//! Curves of fractions against fractions, in squares side by side.

use askama::Template;

use super::{
    WIDTH,
    marks::{MarkStyle, SERIES_MARKS},
    palette::{INK_HEX, MUTED_HEX, PAPER_HEX, hex, series},
    text::ellipsize,
};
use crate::{error::Result, report::render};

/// A square from 0 to 1 in both directions.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct UnitSquare {
    pub(in crate::report) title: String,
    pub(in crate::report) x_label: String,
    pub(in crate::report) y_label: String,
    /// The dashed line: what a score without information gives.
    pub(in crate::report) uninformed: [(f64, f64); 2],
    pub(in crate::report) curves: Vec<UnitCurve>,
}

/// A curve in a unit square.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct UnitCurve {
    /// Its name and its area.
    pub(in crate::report) name: String,
    pub(in crate::report) points: Vec<(f64, f64)>,
    /// A point that is marked.
    pub(in crate::report) marked: Option<(f64, f64)>,
}

#[derive(Template)]
#[template(path = "unit_squares.svg")]
struct UnitSquaresSvg {
    width: u32,
    height: u32,
    side: u32,
    squares: Vec<PlacedSquare>,
}

struct PlacedSquare {
    x: u32,
    title: String,
    x_label: String,
    y_label: String,
    uninformed: String,
    lines: Vec<ColouredLine>,
    marks: Vec<String>,
    legend: Vec<PlacedEntry>,
}

struct ColouredLine {
    colour: String,
    points: String,
}

/// A line of the legend.
struct PlacedEntry {
    y: u32,
    mark: String,
    name: String,
}

/// The space around a square, pixels.
const LEFT: u32 = 44;
const TOP: u32 = 26;
const BOTTOM: u32 = 46;
/// The distance of lines in a legend, pixels. It is below the square: curves may go anywhere in it.
const LEGEND_PITCH: u32 = 17;

/// Two squares as an SVG.
pub(in crate::report) fn unit_squares(squares: &[UnitSquare; 2]) -> Result<String> {
    let pitch = WIDTH / 2;
    let side = pitch - LEFT - 12;
    let length = f64::from(side);
    // A tenth of a pixel is precise enough.
    let tenth = |at: f64| (10.0 * at).round() / 10.0;
    let place = |(x, y): (f64, f64)| (tenth(x * length), tenth((1.0 - y) * length));
    let line = |points: &[(f64, f64)]| {
        let mut placed: Vec<(f64, f64)> = points.iter().copied().map(place).collect();
        placed.dedup();
        placed.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
    };
    let style = |i: usize| MarkStyle { mark: SERIES_MARKS[i % SERIES_MARKS.len()], radius: 4.5, outlined: true };
    let squares = squares.iter().enumerate().map(|(i, square)| {
        let UnitSquare { title, x_label, y_label, uninformed, curves } = square;
        let entry = |(i, curve): (usize, &UnitCurve)| {
            let y = side + BOTTOM + LEGEND_PITCH * i as u32 + 4;
            let mark = style(i).svg((6.0, f64::from(y) - 4.0), series(i));
            PlacedEntry { y, mark, name: ellipsize(&curve.name, 44) }
        };
        PlacedSquare {
            x: i as u32 * pitch + LEFT,
            title: title.clone(),
            x_label: x_label.clone(),
            y_label: y_label.clone(),
            uninformed: line(uninformed),
            lines: curves
                .iter()
                .enumerate()
                .map(|(i, curve)| ColouredLine { colour: hex(series(i)), points: line(&curve.points) })
                .collect(),
            marks: curves
                .iter()
                .enumerate()
                .filter_map(|(i, curve)| Some(style(i).svg(place(curve.marked?), series(i))))
                .collect(),
            legend: curves.iter().enumerate().map(entry).collect(),
        }
    });
    let squares: Vec<PlacedSquare> = squares.collect();
    let entries = squares.iter().map(|square| square.legend.len()).max().unwrap_or(0) as u32;
    render(&UnitSquaresSvg { width: WIDTH, height: TOP + side + BOTTOM + LEGEND_PITCH * entries, side, squares })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fractions_from_the_bottom_left_and_leaves_out_points_on_one_pixel() {
        let points = vec![(0.0, 0.0), (0.000_01, 0.0), (0.5, 0.75), (1.0, 1.0)];
        let curve = UnitCurve { name: "m: AUC 0.9".into(), points, marked: Some((0.5, 0.75)) };
        let square = UnitSquare {
            title: "ROC".into(),
            x_label: "x".into(),
            y_label: "y".into(),
            uninformed: [(0.0, 0.0), (1.0, 1.0)],
            curves: vec![curve],
        };
        let svg = unit_squares(&[square.clone(), square]).expect("an SVG");
        assert_eq!(svg.matches("points=\"0,304 152,76 304,0\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("cx=\"152.0\" cy=\"76.0\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("m: AUC 0.9").count(), 2);
    }
}
