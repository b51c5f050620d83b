//! A plane of numbers.

use super::Point;

/// Numbers, row after row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<f64>,
}

impl Plane {
    pub(super) fn row(&self, y: usize) -> &[f64] {
        &self.values[y * self.width..(y + 1) * self.width]
    }

    /// The plane with some pixels only; all others are 0.
    pub(super) fn only(&self, keep: &[bool]) -> Self {
        let values = self.values.iter().zip(keep).map(|(value, keep)| if *keep { *value } else { 0.0 }).collect();
        Self { values, ..*self }
    }

    /// The place of the greatest number, the first of equals.
    pub(super) fn brightest(&self) -> usize {
        (1..self.values.len()).fold(0, |best, i| if self.values[i] > self.values[best] { i } else { best })
    }

    /// Where a place is.
    pub(super) fn point(&self, place: usize) -> Point {
        [(place % self.width) as f64, (place / self.width) as f64]
    }

    /// Sum of all numbers, and their first moment over it; `None` unless the sum is positive.
    pub(super) fn centroid(&self) -> Option<Point> {
        let (mut sum, mut along_x, mut along_y) = (0.0, 0.0, 0.0);
        for y in 0..self.height {
            let (mut of_row, mut of_row_x) = (0.0, 0.0);
            for (x, value) in self.row(y).iter().enumerate() {
                of_row += value;
                of_row_x += value * x as f64;
            }
            sum += of_row;
            along_x += of_row_x;
            along_y += of_row * y as f64;
        }
        (sum > 0.0).then(|| [along_x / sum, along_y / sum])
    }

    /// Second moments about a point: (xx, xy, yy), each the sum of number times distance squared.
    pub(super) fn second_moments(&self, [xc, yc]: Point) -> (f64, f64, f64) {
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for y in 0..self.height {
            let dy = y as f64 - yc;
            for (x, value) in self.row(y).iter().enumerate() {
                let dx = x as f64 - xc;
                xx += value * dx * dx;
                xy += value * dx * dy;
                yy += value * dy * dy;
            }
        }
        (xx, xy, yy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_two_points_are_those_of_a_lever() {
        let mut values = vec![0.0; 20];
        values[1] = 3.0;
        values[2 * 5 + 3] = 1.0;
        let plane = Plane { height: 4, width: 5, values };
        assert_eq!(plane.centroid(), Some([1.5, 0.5]));
        assert_eq!(plane.second_moments([1.5, 0.5]), (3.0, 3.0, 3.0));
        assert_eq!(plane.point(plane.brightest()), [1.0, 0.0]);
        assert_eq!(Plane { values: vec![0.0; 20], ..plane }.centroid(), None);
    }
}
