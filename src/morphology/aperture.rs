//! Circles and ellipses, with the exact overlap area of every pixel.
//!
//! An ellipse covers one span of a pixel row. A pixel on its rim is mapped, together with the ellipse, to the unit
//! disc, where the overlap is a sum of triangles and circular sectors along the edges of the pixel.

use std::{
    f64::consts::{PI, TAU},
    ops::Range,
};

use super::{Point, pixel_plane::PixelPlane};

/// An ellipse: centre, semi-axes, and direction of the first one in radians from +x towards +y.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Aperture {
    centre: Point,
    axes: [f64; 2],
    /// The map m to the unit disc: u = m[0] dx + m[1] dy, v = m[2] dx + m[3] dy.
    to_disc: [f64; 4],
    /// 1 / length squared of the sides of a pixel along x and along y, mapped to the unit disc.
    inverse_squared_sides: [f64; 2],
}

/// The pixels of a row that an aperture touches, and those of them that are entirely inside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) y: usize,
    pub(super) touched: Range<usize>,
    pub(super) inside: Range<usize>,
}

impl Span {
    /// The pixels on the rim.
    pub(super) fn rim(&self) -> impl Iterator<Item = usize> {
        (self.touched.start..self.inside.start).chain(self.inside.end..self.touched.end)
    }
}

impl Aperture {
    pub(super) fn circle(centre: Point, radius: f64) -> Self {
        Self::ellipse(centre, [radius; 2], 0.0)
    }

    pub(super) fn ellipse(centre: Point, axes: [f64; 2], angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        let [a, b] = axes;
        let to_disc = [cos / a, sin / a, -sin / b, cos / b];
        let [m0, m1, m2, m3] = to_disc;
        Self { centre, axes, to_disc, inverse_squared_sides: [squared([m0, m2]), squared([m1, m3])].map(f64::recip) }
    }

    pub(super) fn area(&self) -> f64 {
        PI * self.axes[0] * self.axes[1]
    }

    /// The span of every row that it touches in a plane.
    pub(super) fn spans(&self, height: usize, width: usize) -> impl Iterator<Item = Span> {
        let [m0, m1, m2, m3] = self.to_disc;
        // The ellipse as a quadratic form: p dx^2 + 2 q dx dy + r dy^2 = 1.
        let (p, q, r) = (m0 * m0 + m2 * m2, m0 * m1 + m2 * m3, m1 * m1 + m3 * m3);
        let area = p * r - q * q;
        let (top, side) = ((p / area).sqrt(), (r / area).sqrt());
        let [xc, yc] = self.centre;
        // dy of the point with the greatest x.
        let tilt = -q / r * side;
        let chord = move |dy: f64| {
            let root = (q * dy).powi(2) - p * (r * dy * dy - 1.0);
            (root >= 0.0).then(|| ((-q * dy - root.sqrt()) / p, (-q * dy + root.sqrt()) / p))
        };
        let first = to_index((yc - top - 0.5).ceil(), height);
        let last = to_index((yc + top + 0.5).floor() + 1.0, height);
        (first..last).map(move |y| {
            let (low, high) = (y as f64 - 0.5 - yc, y as f64 + 0.5 - yc);
            let (below, above) = (chord(low), chord(high));
            let between = |dy: f64| low < dy && dy < high;
            // The outermost ends of the chords on both sides of the row, or the extreme points of the ellipse if they
            // are in it.
            let mut left = below.map_or(f64::MAX, |c| c.0).min(above.map_or(f64::MAX, |c| c.0));
            let mut right = below.map_or(f64::MIN, |c| c.1).max(above.map_or(f64::MIN, |c| c.1));
            if between(-tilt) {
                left = -side;
            }
            if between(tilt) {
                right = side;
            }
            if left > right {
                // No chord and no extreme point: a row that is touched by rounding only.
                return Span { y, touched: 0..0, inside: 0..0 };
            }
            let touched = to_index((xc + left - 0.5).ceil(), width)..to_index((xc + right + 0.5).floor() + 1.0, width);
            let inside = match (below, above) {
                (Some(below), Some(above)) => {
                    let start = to_index((xc + below.0.max(above.0) + 0.5).ceil(), width).max(touched.start);
                    let end = to_index((xc + below.1.min(above.1) - 0.5).floor() + 1.0, width).min(touched.end);
                    if start < end { start..end } else { touched.start..touched.start }
                }
                _ => touched.start..touched.start,
            };
            Span { y, inside, touched }
        })
    }

    /// The area of a pixel that is inside.
    pub(super) fn overlap(&self, x: usize, y: usize) -> f64 {
        let [m0, m1, m2, m3] = self.to_disc;
        let (dx, dy) = (x as f64 - 0.5 - self.centre[0], y as f64 - 0.5 - self.centre[1]);
        let corner = [m0 * dx + m1 * dy, m2 * dx + m3 * dy];
        let right = [corner[0] + m0, corner[1] + m2];
        let across = [right[0] + m1, right[1] + m3];
        let up = [corner[0] + m1, corner[1] + m3];
        disc_and_parallelogram([corner, right, across, up], self.inverse_squared_sides) * self.axes[0] * self.axes[1]
    }

    /// The sum of a plane, each pixel weighted by its area inside.
    pub(super) fn sum(&self, plane: &PixelPlane) -> f64 {
        self.spans(plane.height, plane.width)
            .map(|span| {
                let row = plane.row(span.y);
                let rim: f64 = span.rim().map(|x| row[x] * self.overlap(x, span.y)).sum();
                row[span.inside.clone()].iter().sum::<f64>() + rim
            })
            .sum()
    }
}

/// The index of a coordinate, clamped to 0 ... length.
fn to_index(coordinate: f64, length: usize) -> usize {
    // Casts saturate: a negative coordinate becomes 0.
    (coordinate as usize).min(length)
}

fn cross(a: Point, b: Point) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

fn squared(a: Point) -> f64 {
    a[0] * a[0] + a[1] * a[1]
}

/// The area of the intersection of the unit disc and a parallelogram, given its corners counterclockwise and 1 / length
/// squared of its first two sides.
fn disc_and_parallelogram(corners: [Point; 4], inverse_squared_sides: [f64; 2]) -> f64 {
    let within = corners.map(|corner| squared(corner) <= 1.0);
    let contains_origin = || (0..4).all(|i| cross(corners[i], corners[(i + 1) % 4]) > 0.0);
    // A circle that touches a side or a corner leaves and enters at one point: the arc is the complete circle, or
    // nothing.
    let arc = |from: Point, to: Point| match arc(from, to) {
        None if contains_origin() => TAU,
        None => 0.0,
        Some(angle) => angle,
    };
    let mut twice = 0.0;
    let (mut left_at, mut entered_first): (Option<Point>, Option<Point>) = (None, None);
    let mut enter = |at: Point, left_at: &mut Option<Point>| match left_at.take() {
        Some(left) => arc(left, at),
        None => {
            entered_first = Some(at);
            0.0
        }
    };
    let mut intersects = false;
    for i in 0..4 {
        let (from, to) = (corners[i], corners[(i + 1) % 4]);
        match (within[i], within[(i + 1) % 4]) {
            (true, true) => twice += cross(from, to),
            (true, false) => {
                let [_, at] = crossings(from, to, inverse_squared_sides[i % 2]).unwrap_or([from; 2]);
                twice += cross(from, at);
                (left_at, intersects) = (Some(at), true);
            }
            (false, true) => {
                let [at, _] = crossings(from, to, inverse_squared_sides[i % 2]).unwrap_or([to; 2]);
                twice += enter(at, &mut left_at) + cross(at, to);
                intersects = true;
            }
            (false, false) => {
                // The edge crosses the circle twice only if its nearest point to the origin is between its ends.
                let way = [to[0] - from[0], to[1] - from[1]];
                if dot(from, way) >= 0.0 || dot(to, way) <= 0.0 {
                    continue;
                }
                let Some([near, far]) = crossings(from, to, inverse_squared_sides[i % 2]) else { continue };
                twice += enter(near, &mut left_at) + cross(near, far);
                (left_at, intersects) = (Some(far), true);
            }
        }
    }
    if let (Some(left), Some(entered)) = (left_at, entered_first) {
        twice += arc(left, entered);
    }
    if !intersects && !within[0] {
        // The parallelogram contains the disc, or they are disjoint.
        return if contains_origin() { PI } else { 0.0 };
    }
    twice / 2.0
}

/// The two crossings of the line through two points with the unit circle, in its direction, given 1 / the squared
/// distance of the points.
fn crossings(from: Point, to: Point, inverse_squared: f64) -> Option<[Point; 2]> {
    let way = [to[0] - from[0], to[1] - from[1]];
    let half = dot(from, way) * inverse_squared;
    let root = half * half - (squared(from) - 1.0) * inverse_squared;
    (root >= 0.0).then(|| {
        let root = root.sqrt();
        [-half - root, -half + root].map(|t| [from[0] + t * way[0], from[1] + t * way[1]])
    })
}

/// The angle from one point of the unit circle counterclockwise to another, which is twice the area of the sector.
/// `None` when the points are equal but for rounding.
fn arc(from: Point, to: Point) -> Option<f64> {
    let sine = cross(from, to);
    let half_chord_squared = squared([to[0] - from[0], to[1] - from[1]]) / 4.0;
    if half_chord_squared < 1e-24 {
        return None;
    }
    if sine >= 0.0 && half_chord_squared < 0.01 {
        // Twice the arcsine of half the chord, as a series whose next term is below 1e-12.
        let s = half_chord_squared;
        let series = 1.0 + s * (1.0 / 6.0 + s * (3.0 / 40.0 + s * (15.0 / 336.0 + s * (105.0 / 3456.0))));
        return Some(2.0 * s.sqrt() * series);
    }
    Some(sine.atan2(dot(from, to)).rem_euclid(TAU))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::row_prefix_sums::RowPrefixSums;

    const SIZE: usize = 40;

    /// The area of an aperture, pixel by pixel and by prefix sums.
    fn area(aperture: &Aperture) -> (f64, f64) {
        let ones = PixelPlane { height: SIZE, width: SIZE, values: vec![1.0; SIZE * SIZE] };
        let sums = RowPrefixSums::new(&ones, &vec![false; SIZE * SIZE]);
        (aperture.sum(&ones), sums.sum(aperture))
    }

    #[test]
    fn areas_inside_of_a_plane_are_those_of_ellipses() {
        for axes in [[0.2, 0.2], [0.5, 0.5], [0.9, 0.3], [3.0, 3.0], [7.3, 2.1], [15.0, 0.05], [18.2, 17.9]] {
            for angle in [0.0, 0.4, 1.2, -0.8, std::f64::consts::FRAC_PI_2] {
                for centre in [[20.0, 20.0], [19.3, 20.71], [20.5, 19.5]] {
                    let aperture = Aperture::ellipse(centre, axes, angle);
                    let (direct, by_sums) = area(&aperture);
                    assert!((direct - aperture.area()).abs() < 1e-9, "{aperture:?}: {direct} {}", aperture.area());
                    assert!((direct - by_sums).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn a_circle_is_a_round_ellipse_and_is_clipped_at_the_edge() {
        let circle = Aperture::circle([3.1, 38.2], 9.7);
        let ellipse = Aperture::ellipse([3.1, 38.2], [9.7, 9.7], 0.3);
        assert!((area(&circle).0 - area(&ellipse).0).abs() < 1e-9);
        // The expected area by a fine grid of points.
        let fine = 200;
        let points = (0..SIZE * fine).flat_map(|y| (0..14 * fine).map(move |x| (x, y)));
        let coordinate = |i: usize| (i as f64 + 0.5) / f64::from(fine as u32) - 0.5;
        let inside =
            points.filter(|(x, y)| (coordinate(*x) - 3.1).powi(2) + (coordinate(*y) - 38.2).powi(2) < 9.7 * 9.7);
        let expected = inside.count() as f64 / (fine * fine) as f64;
        assert!((area(&circle).0 - expected).abs() < 0.01, "{} {expected}", area(&circle).0);
    }

    #[test]
    fn a_straight_rim_cuts_a_pixel_in_half() {
        // A circle so large that its rim is almost a line through the middle of the pixel.
        let circle = Aperture::circle([-1e6, 5.0], 1e6 + 5.0);
        assert!((circle.overlap(5, 5) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn arcs_are_angles_between_points_of_the_circle() {
        let point = |angle: f64| [angle.cos(), angle.sin()];
        for from in [0.0, 1.0, 2.5, 4.0, 6.0] {
            for angle in [1e-6, 1e-3, 0.01, 0.1, 0.19, 0.2, 0.21, 1.0, 3.0, 3.2, 6.0, 6.282] {
                let found = arc(point(from), point(from + angle)).expect("two points");
                assert!((found - angle).abs() < 1e-12, "{from} {angle}: {found}");
            }
            assert_eq!(arc(point(from), point(from)), None);
        }
    }

    #[test]
    fn a_disc_inside_of_a_pixel_touches_its_sides() {
        // The circle through the centres of all four sides.
        let inscribed = Aperture::circle([5.0, 5.0], 0.5);
        assert!((inscribed.overlap(5, 5) - inscribed.area()).abs() < 1e-12);
        for (x, y) in [(4, 5), (6, 5), (5, 4), (5, 6), (4, 4), (6, 6)] {
            assert!(inscribed.overlap(x, y).abs() < 1e-12, "{x} {y}");
        }
        // The circle through all four corners.
        let circumscribed = Aperture::circle([5.0, 5.0], 0.5f64.sqrt());
        assert!((circumscribed.overlap(5, 5) - 1.0).abs() < 1e-12);
    }
}
