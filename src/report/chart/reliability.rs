//! Reliability diagrams, side by side.

use askama::Template;

use super::{
    WIDTH,
    palette::{INK_HEX, MUTED_HEX, PAPER_HEX, hex, series},
    text::ellipsize,
};
use crate::{error::Result, report::render};

/// The reliability curve of a score.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct ReliabilityCurve {
    pub(in crate::report) title: String,
    pub(in crate::report) subtitle: String,
    pub(in crate::report) bins: Vec<ReliabilityBin>,
}

/// A non-empty bin of confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct ReliabilityBin {
    /// Low and high edge.
    pub(in crate::report) edges: (f64, f64),
    pub(in crate::report) confidence: f64,
    pub(in crate::report) accuracy: f64,
    /// Low and high end of the confidence interval of the accuracy.
    pub(in crate::report) interval: (f64, f64),
    /// The fraction of all objects in the bin.
    pub(in crate::report) share: f64,
}

#[derive(Template)]
#[template(path = "reliability.svg")]
struct ReliabilitySvg {
    width: u32,
    height: u32,
    side: u32,
    colour: String,
    share: String,
    curves: Vec<PlacedCurve>,
}

struct PlacedCurve {
    x: u32,
    y: u32,
    title: String,
    subtitle: String,
    shares: Vec<ShareBar>,
    whiskers: Vec<Whisker>,
    line: String,
    dots: Vec<(f64, f64)>,
}

struct ShareBar {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

struct Whisker {
    x: f64,
    from: f64,
    to: f64,
}

/// The space beside a diagram, pixels.
const GAP: u32 = 44;
const TOP: u32 = 38;

/// The diagrams, from 0 to 1 in both directions. The fewer, the larger.
pub(in crate::report) fn reliability(curves: &[ReliabilityCurve]) -> Result<String> {
    let columns = (curves.len() as u32).clamp(2, 4);
    let pitch = (WIDTH - 16) / columns;
    let side = pitch - GAP;
    let row_height = side + TOP + 24;
    let length = f64::from(side);
    // A tenth of a pixel is precise enough.
    let tenth = |at: f64| (10.0 * at).round() / 10.0;
    let (x, y) = (|fraction: f64| tenth(fraction * length), |fraction: f64| tenth((1.0 - fraction) * length));
    let placed = curves.iter().enumerate().map(|(i, curve)| {
        let bins = || curve.bins.iter();
        let dots: Vec<(f64, f64)> = bins().map(|bin| (x(bin.confidence), y(bin.accuracy))).collect();
        let bar = |bin: &ReliabilityBin| {
            let (low, high) = bin.edges;
            ShareBar {
                x: x(low),
                y: y(bin.share),
                width: tenth(x(high) - x(low)),
                height: tenth(length - y(bin.share)),
            }
        };
        let whisker =
            |bin: &ReliabilityBin| Whisker { x: x(bin.confidence), from: y(bin.interval.0), to: y(bin.interval.1) };
        PlacedCurve {
            x: 34 + i as u32 % columns * pitch,
            y: TOP + i as u32 / columns * row_height,
            title: ellipsize(&curve.title, (pitch / 7) as usize),
            subtitle: ellipsize(&curve.subtitle, (pitch / 6) as usize),
            shares: bins().map(bar).collect(),
            whiskers: bins().map(whisker).collect(),
            line: dots.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" "),
            dots,
        }
    });
    let rows = (curves.len() as u32).div_ceil(columns).max(1);
    render(&ReliabilitySvg {
        width: WIDTH,
        height: rows * row_height + 26,
        side,
        colour: hex(series(0)),
        share: hex(series(1)),
        curves: placed.collect(),
    })
}
