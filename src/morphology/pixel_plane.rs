//! A plane of pixels.

use super::Point;

/// Pixels, row after row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PixelPlane {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<f64>,
}

impl PixelPlane {
    pub(super) fn row(&self, y: usize) -> &[f64] {
        &self.values[y * self.width..(y + 1) * self.width]
    }

    /// The plane with only some of its pixels; all others are 0.
    pub(super) fn only(&self, keep: &[bool]) -> Self {
        let values = self.values.iter().zip(keep).map(|(value, keep)| if *keep { *value } else { 0.0 }).collect();
        Self { values, ..*self }
    }

    /// The index of the greatest value; of equal ones the first.
    pub(super) fn brightest(&self) -> usize {
        (1..self.values.len()).fold(0, |best, i| if self.values[i] > self.values[best] { i } else { best })
    }

    /// The position of an index.
    pub(super) fn point(&self, index: usize) -> Point {
        [(index % self.width) as f64, (index / self.width) as f64]
    }

    /// The centre of light: first moments over the sum of all values. `None` unless the sum is positive.
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

    /// Second moments about a point, not divided by the sum of the values.
    pub(super) fn second_moments(&self, [xc, yc]: Point) -> SecondMoments {
        let mut moments = SecondMoments { xx: 0.0, xy: 0.0, yy: 0.0 };
        for y in 0..self.height {
            let dy = y as f64 - yc;
            for (x, value) in self.row(y).iter().enumerate() {
                let dx = x as f64 - xc;
                moments.xx += value * dx * dx;
                moments.xy += value * dx * dy;
                moments.yy += value * dy * dy;
            }
        }
        moments
    }
}

/// Sums of value times dx^2, dx dy and dy^2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SecondMoments {
    pub(super) xx: f64,
    pub(super) xy: f64,
    pub(super) yy: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_two_points_are_those_of_a_lever() {
        let mut values = vec![0.0; 20];
        values[1] = 3.0;
        values[2 * 5 + 3] = 1.0;
        let plane = PixelPlane { height: 4, width: 5, values };
        assert_eq!(plane.centroid(), Some([1.5, 0.5]));
        assert_eq!(plane.second_moments([1.5, 0.5]), SecondMoments { xx: 3.0, xy: 3.0, yy: 3.0 });
        assert_eq!(plane.second_moments([0.0, 0.0]), SecondMoments { xx: 12.0, xy: 6.0, yy: 4.0 });
        assert_eq!(plane.point(plane.brightest()), [1.0, 0.0]);
        assert_eq!(plane.point(13), [3.0, 2.0]);
        assert_eq!(PixelPlane { values: vec![0.0; 20], ..plane }.centroid(), None);
    }

    #[test]
    fn of_equal_pixels_the_first_is_the_brightest() {
        let brightest = |values: [f64; 4]| PixelPlane { height: 2, width: 2, values: values.to_vec() }.brightest();
        assert_eq!((brightest([1.0, 3.0, 3.0, 2.0]), brightest([4.0, 3.0, 3.0, 2.0])), (1, 0));
    }

    #[test]
    fn faint_light_has_a_centroid() {
        let plane = PixelPlane { height: 1, width: 3, values: vec![1e-9, 0.0, 1e-9] };
        assert_eq!(plane.centroid(), Some([1.0, 0.0]));
    }
}
