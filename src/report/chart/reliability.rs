//! Reliability diagrams, side by side.

use askama::Template;

use super::{
    WIDTH,
    axis::clipped,
    bug,
    palette::{hex, series},
};
use crate::error::Result;

/// The reliability curve of a score.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Curve {
    pub(in crate::report) title: String,
    pub(in crate::report) subtitle: String,
    pub(in crate::report) bins: Vec<Bin>,
}

/// A bin of confidence with objects in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct Bin {
    /// Its edges.
    pub(in crate::report) edges: (f64, f64),
    pub(in crate::report) confidence: f64,
    pub(in crate::report) accuracy: f64,
    /// The interval of the accuracy.
    pub(in crate::report) interval: (f64, f64),
    /// The part of all objects.
    pub(in crate::report) share: f64,
}

#[derive(Template)]
#[template(path = "reliability.svg")]
struct Reliability {
    width: u32,
    height: u32,
    side: u32,
    colour: String,
    share: String,
    curves: Vec<Drawn>,
}

struct Drawn {
    x: u32,
    y: u32,
    title: String,
    subtitle: String,
    shares: Vec<(f64, f64, f64, f64)>,
    whiskers: Vec<(f64, f64, f64)>,
    line: String,
    dots: Vec<(f64, f64)>,
}

/// Below and beside a diagram, pixels.
const ROOM: u32 = 44;
const TOP: u32 = 38;

/// The diagrams, from 0 to 1 in both directions; large where they are few.
pub(in crate::report) fn reliability(curves: &[Curve]) -> Result<String> {
    let columns = (curves.len() as u32).clamp(2, 4);
    let pitch = (WIDTH - 16) / columns;
    let side = pitch - ROOM;
    let below = side + TOP + 24;
    let length = f64::from(side);
    // Tenths of a pixel are enough.
    let tenth = |at: f64| (10.0 * at).round() / 10.0;
    let (x, y) = (|part: f64| tenth(part * length), |part: f64| tenth((1.0 - part) * length));
    let drawn = curves.iter().enumerate().map(|(i, curve)| {
        let bins = || curve.bins.iter();
        let dots: Vec<(f64, f64)> = bins().map(|bin| (x(bin.confidence), y(bin.accuracy))).collect();
        let bar = |bin: &Bin| {
            let (low, high) = bin.edges;
            (x(low), y(bin.share), tenth(x(high) - x(low)), tenth(length - y(bin.share)))
        };
        Drawn {
            x: 34 + i as u32 % columns * pitch,
            y: TOP + i as u32 / columns * below,
            title: clipped(&curve.title, (pitch / 7) as usize),
            subtitle: clipped(&curve.subtitle, (pitch / 6) as usize),
            shares: bins().map(bar).collect(),
            whiskers: bins().map(|bin| (x(bin.confidence), y(bin.interval.0), y(bin.interval.1))).collect(),
            line: dots.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" "),
            dots,
        }
    });
    let rows = (curves.len() as u32).div_ceil(columns).max(1);
    Reliability {
        width: WIDTH,
        height: rows * below + 26,
        side,
        colour: hex(series(0)),
        share: hex(series(1)),
        curves: drawn.collect(),
    }
    .render()
    .map_err(bug)
}
