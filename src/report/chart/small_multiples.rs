//! Small multiples: church windows and confusion matrices, side by side.

use askama::Template;
use plotters::style::RGBColor;

use super::{
    WIDTH,
    palette::{BLACK_HEX, INK_HEX, MUTED_HEX, PAPER_HEX, WHITE_HEX, hex, shade, text_on},
    text::{ellipsize, ellipsize_to_width, text_width},
};
use crate::{error::Result, report::render};

/// What the church windows of one chart have in common.
pub(in crate::report) struct ChurchWindowAxes<'a> {
    /// The classes and their colours.
    pub(in crate::report) classes: &'a [(String, RGBColor)],
    /// What is at 1 to the right.
    pub(in crate::report) across: &'a str,
    /// What is at 1 upwards.
    pub(in crate::report) up: &'a str,
    /// Windows cover -`extent` to `extent` in both directions.
    pub(in crate::report) extent: f64,
}

/// A church window as a `data:` URL, and its title.
pub(in crate::report) struct ChurchWindowImage {
    pub(in crate::report) url: String,
    pub(in crate::report) title: String,
}

#[derive(Template)]
#[template(path = "church_windows.svg")]
struct ChurchWindowsSvg<'a> {
    width: u32,
    height: u32,
    across: &'a str,
    up: &'a str,
    legend: Vec<ClassEntry<'a>>,
    windows: Vec<PlacedWindow<'a>>,
    /// From the centre to the mark at 1, pixels.
    unit: u32,
}

struct ClassEntry<'a> {
    x: u32,
    y: u32,
    colour: String,
    name: &'a str,
}

struct PlacedWindow<'a> {
    x: u32,
    y: u32,
    image: &'a ChurchWindowImage,
}

const SIDE: u32 = 132;
const PITCH: u32 = 176;
/// The height of a line of the legend.
const LEGEND_LINE: u32 = 20;

/// Church windows with a common legend.
pub(in crate::report) fn church_windows(windows: &[ChurchWindowImage], axes: &ChurchWindowAxes<'_>) -> Result<String> {
    let columns = WIDTH / PITCH;
    let rows = (windows.len() as u32).div_ceil(columns).max(1);
    let widest = axes.classes.iter().map(|(name, _)| text_width(name, 12)).max().unwrap_or(0);
    // A name that is wider than the chart is cut by it.
    let pitch = (widest + 36).clamp(130, WIDTH - 8);
    let per_line = (WIDTH - 8) / pitch;
    let lines = (axes.classes.len() as u32).div_ceil(per_line).max(1);
    let top = 58 + (lines - 1) * LEGEND_LINE;
    let placed = windows.iter().zip(0..).map(|(image, i)| PlacedWindow {
        x: 34 + i % columns * PITCH,
        y: top + i / columns * (PITCH + 14),
        image,
    });
    let legend = axes.classes.iter().zip(0..).map(|((name, colour), i)| ClassEntry {
        x: 8 + i % per_line * pitch,
        y: 10 + i / per_line * LEGEND_LINE,
        colour: hex(*colour),
        name,
    });
    render(&ChurchWindowsSvg {
        width: WIDTH,
        height: top + rows * (PITCH + 14) + 24,
        across: axes.across,
        up: axes.up,
        legend: legend.collect(),
        windows: placed.collect(),
        unit: (f64::from(SIDE) / 2.0 / axes.extent.max(1e-9)).round() as u32,
    })
}

/// A confusion matrix.
pub(in crate::report) struct ConfusionMatrix {
    pub(in crate::report) title: String,
    /// Counts by true class (rows) and predicted class (columns).
    pub(in crate::report) counts: Vec<Vec<u64>>,
}

#[derive(Template)]
#[template(path = "confusion_matrices.svg")]
struct ConfusionMatricesSvg {
    width: u32,
    height: u32,
    matrices: Vec<PlacedMatrix>,
}

struct PlacedMatrix {
    x: u32,
    y: u32,
    title: String,
    columns: Vec<(u32, String)>,
    rows: Vec<(u32, String)>,
    cells: Vec<MatrixCell>,
}

struct MatrixCell {
    x: u32,
    y: u32,
    fill: String,
    text_colour: &'static str,
    count: u64,
    share: String,
}

/// The side of a matrix cell, pixels.
const CELL: u32 = 62;

/// Names of classes in the space beside a matrix. Where names would look alike, as `Disk, Face-on, No Spiral` and `Disk, Face-on,
/// Tight Spiral` of Galaxy10 do, the number of the class stands before its name.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::report) struct ClassLabels {
    pub(in crate::report) labels: Vec<String>,
    pub(in crate::report) are_numbered: bool,
}

impl ClassLabels {
    pub(in crate::report) fn of(classes: &[String]) -> Self {
        const MAX_CHARS: usize = 10;
        let labels: Vec<String> = classes.iter().map(|name| ellipsize(name, MAX_CHARS)).collect();
        let are_numbered = (1..labels.len()).any(|i| labels[..i].contains(&labels[i]));
        let numbered = |(i, name): (usize, &String)| ellipsize_to_width(&format!("{i} {name}"), CELL - 6, 11);
        let labels = if are_numbered { classes.iter().enumerate().map(numbered).collect() } else { labels };
        Self { labels, are_numbered }
    }
}

/// Confusion matrices. Shades and percentages are fractions of a row.
pub(in crate::report) fn confusion_matrices(matrices: &[ConfusionMatrix], classes: &ClassLabels) -> Result<String> {
    let classes = &classes.labels;
    let side = classes.len() as u32 * CELL;
    let pitch = side + 110;
    let columns = (WIDTH / pitch).max(1);
    let rows = (matrices.len() as u32).div_ceil(columns).max(1);
    let placed = matrices.iter().zip(0..).map(|(matrix, i)| {
        let cells = matrix.counts.iter().zip(0..).flat_map(|(line, row)| {
            let total = line.iter().sum::<u64>().max(1) as f64;
            line.iter().zip(0..).map(move |(&count, column)| cell(row, column, count, count as f64 / total))
        });
        let class_label = |(i, name): (usize, &String)| (i as u32 * CELL + CELL / 2, name.clone());
        PlacedMatrix {
            x: 92 + i % columns * pitch,
            y: 44 + i / columns * (side + 74),
            title: ellipsize(&matrix.title, 30),
            columns: classes.iter().enumerate().map(class_label).collect(),
            rows: classes.iter().enumerate().map(class_label).collect(),
            cells: cells.collect(),
        }
    });
    render(&ConfusionMatricesSvg { width: WIDTH, height: rows * (side + 74) + 12, matrices: placed.collect() })
}

fn cell(row: u32, column: u32, count: u64, share: f64) -> MatrixCell {
    let fill = shade(share);
    MatrixCell {
        x: column * CELL,
        y: row * CELL,
        fill: hex(fill),
        text_colour: text_on(fill),
        count,
        share: format!("{:.1} %", share * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_when_short_are_numbered() {
        let labels = |names: &[&str]| ClassLabels::of(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let plain = labels(&["spiral", "elliptical", "barred spiral"]);
        let expected = ["spiral", "elliptical", "barred sp…"].map(str::to_owned).to_vec();
        assert_eq!(plain, ClassLabels { labels: expected, are_numbered: false });
        let alike = labels(&["Disk, Face-on, No Spiral", "Disk, Face-on, Tight Spiral"]);
        assert!(alike.are_numbered && alike.labels[0].starts_with("0 Disk") && alike.labels[1].starts_with("1 Disk"));
    }

    #[test]
    fn the_legend_of_many_classes_has_several_lines() {
        let colour = RGBColor(0, 0, 0);
        let classes: Vec<_> = (0..10).map(|i| (format!("Disk, Face-on, Medium Spiral {i}"), colour)).collect();
        let axes = ChurchWindowAxes { classes: &classes, across: "x", up: "y", extent: 1.1 };
        let svg = church_windows(&[], &axes).expect("a chart");
        let places: Vec<(u32, u32)> = svg
            .match_indices("width=\"14\"")
            .filter_map(|(at, _)| {
                let (_, place) = svg[..at].rsplit_once("<rect x=\"")?;
                let (x, rest) = place.split_once("\" y=\"")?;
                Some((x.parse().ok()?, rest.split_once('"')?.0.parse().ok()?))
            })
            .collect();
        assert_eq!(places.len(), 10);
        assert!(places.iter().all(|(x, _)| *x + 150 < WIDTH), "{places:?}");
        assert!(places.iter().all(|place| places.iter().filter(|other| *other == place).count() == 1), "{places:?}");
    }
}
