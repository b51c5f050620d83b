//! Marks for points, distinguishable without colour.
//!
//! One geometry per mark, drawn by three back ends: `plotters` for charts with axes, SVG for static three-dimensional charts,
//! and JSON for the canvas of the page.

use std::f64::consts::TAU;

use plotters::{
    element::{Circle, PathElement, Polygon},
    style::{Color, RGBColor, ShapeStyle},
};
use serde_json::{Value, json};

use super::{
    draw_error,
    palette::{INK, INK_HEX, hex},
    panel::Area,
};
use crate::error::Result;

/// The shape of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Mark {
    Dot,
    Ring,
    Square,
    Triangle,
    Diamond,
    Star,
    Cross,
}

/// How the points of a series are drawn, apart from their colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) struct MarkStyle {
    pub(in crate::report) mark: Mark,
    /// Pixels.
    pub(in crate::report) radius: f64,
    /// Whether filled marks have a dark outline.
    pub(in crate::report) outlined: bool,
}

/// The order in which series get their marks.
pub(in crate::report) const SERIES_MARKS: [Mark; 7] =
    [Mark::Dot, Mark::Square, Mark::Triangle, Mark::Diamond, Mark::Star, Mark::Ring, Mark::Cross];

/// The geometry of a mark of radius 1 around the origin.
enum MarkOutline {
    Circle { filled: bool },
    Polygon(Vec<(f64, f64)>),
    Strokes([[(f64, f64); 2]; 2]),
}

impl Mark {
    fn outline(self) -> MarkOutline {
        let polygon = |n: usize, first: f64, radius: fn(usize) -> f64| {
            let corner = |i: usize| {
                let angle = TAU * (first + i as f64 / n as f64);
                (radius(i) * angle.cos(), radius(i) * angle.sin())
            };
            MarkOutline::Polygon((0..n).map(corner).collect())
        };
        match self {
            Self::Dot => MarkOutline::Circle { filled: true },
            Self::Ring => MarkOutline::Circle { filled: false },
            Self::Cross => MarkOutline::Strokes([[(-1.0, -1.0), (1.0, 1.0)], [(-1.0, 1.0), (1.0, -1.0)]]),
            Self::Square => polygon(4, 0.125, |_| 1.15),
            Self::Triangle => polygon(3, -0.25, |_| 1.25),
            Self::Diamond => polygon(4, 0.0, |_| 1.25),
            Self::Star => polygon(10, -0.25, |i| if i % 2 == 0 { 1.5 } else { 0.65 }),
        }
    }
}

impl MarkStyle {
    /// Draws a mark in pixels of the area.
    pub(super) fn draw(self, area: &Area<'_>, (x, y): (i32, i32), colour: RGBColor) -> Result<()> {
        let rim = ShapeStyle::from(INK).stroke_width(1);
        let stroke = ShapeStyle::from(colour).stroke_width(2);
        let size = self.radius.round() as i32;
        match self.mark.outline() {
            MarkOutline::Circle { filled: true } => {
                area.draw(&Circle::new((x, y), size, colour.filled())).map_err(draw_error)?;
                if self.outlined {
                    area.draw(&Circle::new((x, y), size, rim)).map_err(draw_error)?;
                }
            }
            MarkOutline::Circle { filled: false } => {
                area.draw(&Circle::new((x, y), size, stroke)).map_err(draw_error)?;
            }
            MarkOutline::Strokes(lines) => {
                for line in lines {
                    let ends = line.map(|(dx, dy)| (x + size * dx as i32, y + size * dy as i32));
                    area.draw(&PathElement::new(ends.to_vec(), stroke)).map_err(draw_error)?;
                }
            }
            MarkOutline::Polygon(corners) => {
                let place = |(dx, dy): (f64, f64)| {
                    (x + (dx * self.radius).round() as i32, y + (dy * self.radius).round() as i32)
                };
                let corners: Vec<(i32, i32)> = corners.into_iter().map(place).collect();
                let closed = corners.iter().chain(corners.first()).copied().collect::<Vec<_>>();
                area.draw(&Polygon::new(corners, colour.filled())).map_err(draw_error)?;
                if self.outlined {
                    area.draw(&PathElement::new(closed, rim)).map_err(draw_error)?;
                }
            }
        }
        Ok(())
    }

    /// A mark as an SVG element.
    pub(super) fn svg(self, (x, y): (f64, f64), colour: RGBColor) -> String {
        let (radius, colour) = (self.radius, hex(colour));
        let rim = if self.outlined { format!(" stroke=\"{INK_HEX}\"") } else { String::new() };
        let point = |(dx, dy): &(f64, f64)| format!("{:.1} {:.1}", x + radius * dx, y + radius * dy);
        match self.mark.outline() {
            MarkOutline::Circle { filled } => {
                let paint = if filled {
                    format!("fill=\"{colour}\"{rim}")
                } else {
                    format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"")
                };
                format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" {paint}/>")
            }
            MarkOutline::Polygon(corners) => {
                let corners = corners.iter().map(point).collect::<Vec<_>>().join("L");
                format!("<path d=\"M{corners}z\" fill=\"{colour}\"{rim}/>")
            }
            MarkOutline::Strokes(lines) => {
                let lines: String = lines.iter().map(|[from, to]| format!("M{}L{}", point(from), point(to))).collect();
                format!("<path d=\"{lines}\" stroke=\"{colour}\" stroke-width=\"2\"/>")
            }
        }
    }

    /// A mark for the canvas: a circle, or lines of corners, for radius 1.
    pub(super) fn json(self) -> Value {
        let (is_circle, is_filled, lines) = match self.mark.outline() {
            MarkOutline::Circle { filled } => (true, filled, Vec::new()),
            MarkOutline::Polygon(corners) => (false, true, vec![corners]),
            MarkOutline::Strokes(lines) => (false, false, lines.map(|line| line.to_vec()).to_vec()),
        };
        json!({
            "is_circle": is_circle,
            "is_filled": is_filled,
            "lines": lines,
            "radius": self.radius,
            "is_outlined": self.outlined,
        })
    }
}
