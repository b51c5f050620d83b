//! Small multiples: many pictures of one form, side by side.

use askama::Template;
use plotters::style::RGBColor;

use super::{WIDTH, axis::clipped, bug, palette::hex};
use crate::error::Result;

/// Church windows, with one legend and one pair of labels for all.
#[derive(Template)]
#[template(path = "windows.svg")]
struct Windows<'a> {
    width: u32,
    height: u32,
    side: u32,
    across: &'a str,
    up: &'a str,
    legend: Vec<(u32, String, &'a str)>,
    windows: Vec<(u32, u32, &'a str, &'a str)>,
    /// From the middle to the mark at 1, pixels.
    unit: u32,
}

/// A window: its image as a `data:` address, and what stands above it.
pub(in crate::report) struct Window {
    pub(in crate::report) image: String,
    pub(in crate::report) title: String,
}

const SIDE: u32 = 132;
const PITCH: u32 = 176;

/// Windows from -`extent` to `extent` in both directions.
pub(in crate::report) fn windows(
    windows: &[Window],
    classes: &[(String, RGBColor)],
    (across, up): (&str, &str),
    extent: f64,
) -> Result<String> {
    let columns = WIDTH / PITCH;
    let rows = (windows.len() as u32).div_ceil(columns).max(1);
    let place = |i: usize| (34 + i as u32 % columns * PITCH, 58 + i as u32 / columns * (PITCH + 14));
    Windows {
        width: WIDTH,
        height: 58 + rows * (PITCH + 14) + 24,
        side: SIDE,
        across,
        up,
        legend: classes
            .iter()
            .enumerate()
            .map(|(i, (name, of))| (8 + i as u32 * 130, hex(*of), name.as_str()))
            .collect(),
        windows: windows
            .iter()
            .enumerate()
            .map(|(i, window)| (place(i).0, place(i).1, window.image.as_str(), window.title.as_str()))
            .collect(),
        unit: (f64::from(SIDE) / 2.0 / extent.max(1e-9)).round() as u32,
    }
    .render()
    .map_err(bug)
}

/// A table of counts in shades, one for every name.
#[derive(Template)]
#[template(path = "confusions.svg")]
struct Confusions {
    width: u32,
    height: u32,
    cell: u32,
    tables: Vec<Confusion>,
}

struct Confusion {
    x: u32,
    y: u32,
    title: String,
    columns: Vec<(u32, String)>,
    rows: Vec<(u32, String)>,
    cells: Vec<Cell>,
}

struct Cell {
    x: u32,
    y: u32,
    fill: String,
    letters: &'static str,
    count: u64,
    share: String,
}

/// Confusion matrices: for each title, the counts by true class (rows) and predicted class (columns). Shades are shares of a row.
pub(in crate::report) fn confusions(matrices: &[(String, Vec<Vec<u64>>)], classes: &[String]) -> Result<String> {
    const CELL: u32 = 62;
    let side = classes.len() as u32 * CELL;
    let pitch = side + 110;
    let columns = (WIDTH / pitch).max(1);
    let rows = (matrices.len() as u32).div_ceil(columns).max(1);
    let tables = matrices.iter().enumerate().map(|(i, (title, counts))| {
        let at = i as u32;
        let cells = counts.iter().enumerate().flat_map(|(row, line)| {
            let all = line.iter().sum::<u64>().max(1) as f64;
            line.iter().enumerate().map(move |(column, &count)| {
                let share = count as f64 / all;
                let fill = super::palette::shade(share);
                Cell {
                    x: column as u32 * CELL,
                    y: row as u32 * CELL,
                    fill: hex(fill),
                    letters: super::palette::letters_on(fill),
                    count,
                    share: format!("{:.1} %", share * 100.0),
                }
            })
        });
        let named = |i: usize, name: &String| (i as u32 * CELL + CELL / 2, clipped(name, 10));
        Confusion {
            x: 92 + at % columns * pitch,
            y: 44 + at / columns * (side + 74),
            title: clipped(title, 30),
            columns: classes.iter().enumerate().map(|(i, name)| named(i, name)).collect(),
            rows: classes.iter().enumerate().map(|(i, name)| named(i, name)).collect(),
            cells: cells.collect(),
        }
    });
    Confusions { width: WIDTH, height: rows * (side + 74) + 12, cell: CELL, tables: tables.collect() }
        .render()
        .map_err(bug)
}
