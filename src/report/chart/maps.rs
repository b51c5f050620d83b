//! Maps of pixels, side by side, in shades of one scale.

use askama::Template;

use super::{
    WIDTH,
    axis::clipped,
    bug,
    palette::{ALARM, hex, shade},
    pixels::indexed,
};
use crate::{error::Result, report::numbers::short};

/// A map of what every pixel does.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Map {
    pub(in crate::report) title: String,
    pub(in crate::report) subtitle: String,
    pub(in crate::report) width: usize,
    /// Row after row from the top.
    pub(in crate::report) values: Vec<f64>,
    /// Places of pixels that stand out.
    pub(in crate::report) marked: Vec<usize>,
}

#[derive(Template)]
#[template(path = "maps.svg")]
struct Maps {
    width: u32,
    height: u32,
    side: u32,
    ramp: String,
    ticks: Vec<(u32, String)>,
    alarm: String,
    maps: Vec<Placed>,
}

struct Placed {
    x: u32,
    y: u32,
    title: String,
    subtitle: String,
    image: String,
    width: usize,
    height: usize,
    rings: Vec<(f64, f64)>,
    radius: f64,
}

const SIDE: u32 = 164;
const PITCH: u32 = 178;
const TOP: u32 = 80;
/// Shades, as places in the colours of an image; the place after them is of marked pixels.
const SHADES: u8 = 250;
/// Marked pixels that have rings, where there are no more.
const RINGED: usize = 24;

/// The maps, from 0 (the lightest) to 1. Shades follow the square root, for most pixels do little.
pub(in crate::report) fn maps(maps: &[Map]) -> Result<String> {
    let mut colours: Vec<_> = (0..SHADES).map(|i| shade(f64::from(i) / f64::from(SHADES - 1))).collect();
    colours.push(ALARM);
    let place = |value: f64| (value.clamp(0.0, 1.0).sqrt() * f64::from(SHADES - 1)).round() as u8;
    let ramp: Vec<u8> = (0..SHADES).collect();
    let columns = WIDTH / PITCH;
    let placed = maps.iter().enumerate().map(|(i, map)| {
        let width = map.width.max(1);
        let mut places: Vec<u8> = map.values.iter().map(|value| place(*value)).collect();
        map.marked.iter().filter(|at| **at < map.values.len()).for_each(|at| places[*at] = SHADES);
        let middle = |at: usize| ((at % width) as f64 + 0.5, (at / width) as f64 + 0.5);
        let ringed = map.marked.len() <= RINGED;
        Ok(Placed {
            x: 8 + i as u32 % columns * PITCH,
            y: TOP + i as u32 / columns * (SIDE + 46),
            title: clipped(&map.title, 27),
            subtitle: clipped(&map.subtitle, 30),
            image: indexed(width, &places, &colours)?,
            width,
            height: (map.values.len() / width).max(1),
            rings: map.marked.iter().filter(|_| ringed).map(|at| middle(*at)).collect(),
            radius: 0.03 * width as f64,
        })
    });
    let rows = (maps.len() as u32).div_ceil(columns).max(1);
    let tick = |part: f64| (184 + (180.0 * part.sqrt()).round() as u32, short(part));
    Maps {
        width: WIDTH,
        height: TOP + rows * (SIDE + 46) - 30,
        side: SIDE,
        ramp: indexed(ramp.len(), &ramp, &colours)?,
        ticks: [0.0, 0.1, 0.25, 0.5, 1.0].map(tick).to_vec(),
        alarm: hex(ALARM),
        maps: placed.collect::<Result<_>>()?,
    }
    .render()
    .map_err(bug)
}
