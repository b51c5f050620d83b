//! Marks that are told apart without colour.

use std::f64::consts::TAU;

use plotters::{
    element::{Circle, DynElement, EmptyElement, IntoDynElement, PathElement, Polygon},
    prelude::SVGBackend,
    style::{Color, RGBColor, ShapeStyle},
};

use super::palette::INK;

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

    /// The mark at a place; `outlined` with a line of ink around it.
    pub(in crate::report) fn at<'a, 'b: 'a, C: Clone + 'a>(
        self,
        at: C,
        radius: f64,
        colour: RGBColor,
        outlined: bool,
    ) -> DynElement<'a, SVGBackend<'b>, C> {
        let size = radius.round() as i32;
        let line = ShapeStyle::from(if outlined { INK } else { colour }.mix(1.0)).stroke_width(1);
        let place = EmptyElement::at(at);
        let corner = |(x, y): (f64, f64)| ((x * radius).round() as i32, (y * radius).round() as i32);
        match self {
            Self::Dot if outlined => {
                (place + Circle::new((0, 0), size, colour.filled()) + Circle::new((0, 0), size, line)).into_dyn()
            }
            Self::Dot => (place + Circle::new((0, 0), size, colour.filled())).into_dyn(),
            Self::Ring => (place + Circle::new((0, 0), size, ShapeStyle::from(colour).stroke_width(2))).into_dyn(),
            Self::Cross => {
                let style = ShapeStyle::from(colour).stroke_width(2);
                let stroke = |x: i32| PathElement::new(vec![(-x, -size), (x, size)], style);
                (place + stroke(size) + stroke(-size)).into_dyn()
            }
            _ => {
                let corners: Vec<(i32, i32)> = self.corners().into_iter().map(corner).collect();
                let mut around = corners.clone();
                around.extend(corners.first());
                if outlined {
                    return (place + Polygon::new(corners, colour.filled()) + PathElement::new(around, line))
                        .into_dyn();
                }
                (place + Polygon::new(corners, colour.filled())).into_dyn()
            }
        }
    }
}
