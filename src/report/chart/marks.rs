//! Marks that are told apart without colour.

use std::f64::consts::TAU;

use plotters::{
    element::{Circle, PathElement, Polygon},
    style::{Color, RGBColor, ShapeStyle},
};

use super::{bug, palette::INK, panel::Area};
use crate::error::Result;

/// The form of a mark.
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

/// Forms in the order in which series take them.
pub(in crate::report) const FORMS: [Mark; 7] =
    [Mark::Dot, Mark::Square, Mark::Triangle, Mark::Diamond, Mark::Star, Mark::Ring, Mark::Cross];

impl Mark {
    /// Its corners about the origin, for a radius of 1; none for round marks.
    pub(in crate::report) fn corners(self) -> Vec<(f64, f64)> {
        let turn = |n: usize, first: f64, radius: fn(usize) -> f64| -> Vec<(f64, f64)> {
            let corner = |i: usize| {
                let angle = TAU * (first + i as f64 / n as f64);
                (radius(i) * angle.cos(), radius(i) * angle.sin())
            };
            (0..n).map(corner).collect()
        };
        match self {
            Self::Dot | Self::Ring | Self::Cross => Vec::new(),
            Self::Square => turn(4, 0.125, |_| 1.15),
            Self::Triangle => turn(3, -0.25, |_| 1.25),
            Self::Diamond => turn(4, 0.0, |_| 1.25),
            Self::Star => turn(10, -0.25, |i| if i % 2 == 0 { 1.5 } else { 0.65 }),
        }
    }

    /// Draws the mark at a place, in pixels of the area; `outlined` with a line of ink around it.
    pub(in crate::report) fn draw(
        self,
        area: &Area<'_>,
        (x, y): (i32, i32),
        radius: f64,
        colour: RGBColor,
        outlined: bool,
    ) -> Result<()> {
        let size = radius.round() as i32;
        let line = ShapeStyle::from(INK).stroke_width(1);
        let wide = ShapeStyle::from(colour).stroke_width(2);
        match self {
            Self::Dot => {
                area.draw(&Circle::new((x, y), size, colour.filled())).map_err(bug)?;
                if outlined {
                    area.draw(&Circle::new((x, y), size, line)).map_err(bug)?;
                }
            }
            Self::Ring => area.draw(&Circle::new((x, y), size, wide)).map_err(bug)?,
            Self::Cross => {
                for slope in [size, -size] {
                    let stroke = vec![(x - slope, y - size), (x + slope, y + size)];
                    area.draw(&PathElement::new(stroke, wide)).map_err(bug)?;
                }
            }
            _ => {
                let place = |(dx, dy): (f64, f64)| (x + (dx * radius).round() as i32, y + (dy * radius).round() as i32);
                let corners: Vec<(i32, i32)> = self.corners().into_iter().map(place).collect();
                let around = corners.iter().chain(corners.first()).copied().collect::<Vec<_>>();
                area.draw(&Polygon::new(corners, colour.filled())).map_err(bug)?;
                if outlined {
                    area.draw(&PathElement::new(around, line)).map_err(bug)?;
                }
            }
        }
        Ok(())
    }
}
