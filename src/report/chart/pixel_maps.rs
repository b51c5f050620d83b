//! Pixel maps, side by side, with one colour scale.

use askama::Template;

use super::{
    WIDTH,
    data_url::indexed,
    palette::{ALARM, INK_HEX, MUTED_HEX, PAPER_HEX, hex, shade},
    text::ellipsize,
};
use crate::{
    error::Result,
    report::{format::significant, render},
};

/// A value from 0 to 1 for each pixel of an image.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct PixelMapPanel {
    pub(in crate::report) title: String,
    pub(in crate::report) subtitle: String,
    pub(in crate::report) width: usize,
    /// Row after row from the top.
    pub(in crate::report) values: Vec<f64>,
    /// Indices of highlighted pixels.
    pub(in crate::report) highlighted: Vec<usize>,
}

#[derive(Template)]
#[template(path = "pixel_maps.svg")]
struct PixelMapsSvg {
    width: u32,
    height: u32,
    ramp: String,
    ticks: Vec<(u32, String)>,
    alarm: String,
    maps: Vec<PlacedMap>,
}

struct PlacedMap {
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
/// The number of shades in the colour table of an image. The entry after them is the colour of highlighted pixels.
const SHADES: u8 = 250;
/// Up to this many highlighted pixels are also circled.
const RINGED: usize = 24;

/// The maps; 0 is the lightest shade and 1 the darkest. Shades follow the square root, because most values are small.
pub(in crate::report) fn pixel_maps(maps: &[PixelMapPanel]) -> Result<String> {
    let mut colours: Vec<_> = (0..SHADES).map(|i| shade(f64::from(i) / f64::from(SHADES - 1))).collect();
    colours.push(ALARM);
    let shade_index = |value: f64| (value.clamp(0.0, 1.0).sqrt() * f64::from(SHADES - 1)).round() as u8;
    let ramp: Vec<u8> = (0..SHADES).collect();
    let columns = WIDTH / PITCH;
    let placed = maps.iter().enumerate().map(|(i, map)| {
        let width = map.width.max(1);
        let mut indices: Vec<u8> = map.values.iter().map(|value| shade_index(*value)).collect();
        map.highlighted.iter().filter(|at| **at < map.values.len()).for_each(|at| indices[*at] = SHADES);
        let centre = |at: usize| ((at % width) as f64 + 0.5, (at / width) as f64 + 0.5);
        let has_rings = map.highlighted.len() <= RINGED;
        Ok(PlacedMap {
            x: 8 + i as u32 % columns * PITCH,
            y: TOP + i as u32 / columns * (SIDE + 46),
            title: ellipsize(&map.title, 27),
            subtitle: ellipsize(&map.subtitle, 30),
            image: indexed(width, &indices, &colours)?,
            width,
            height: (map.values.len() / width).max(1),
            rings: map.highlighted.iter().filter(|_| has_rings).map(|at| centre(*at)).collect(),
            radius: 0.03 * width as f64,
        })
    });
    let rows = (maps.len() as u32).div_ceil(columns).max(1);
    let tick = |value: f64| (184 + (180.0 * value.sqrt()).round() as u32, significant(value));
    render(&PixelMapsSvg {
        width: WIDTH,
        height: TOP + rows * (SIDE + 46) - 30,
        ramp: indexed(ramp.len(), &ramp, &colours)?,
        ticks: [0.0, 0.1, 0.25, 0.5, 1.0].map(tick).to_vec(),
        alarm: hex(ALARM),
        maps: placed.collect::<Result<_>>()?,
    })
}
