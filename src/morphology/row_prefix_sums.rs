//! Sums of a plane over many apertures.
//!
//! The pixels entirely inside of an aperture are summed by differences of prefix sums along the rows, so a sum costs
//! time in proportion to the length of the rim.

use super::{aperture::Aperture, pixel_plane::PixelPlane};

/// A plane with the prefix sums of its rows.
pub(super) struct RowPrefixSums {
    pub(super) height: usize,
    pub(super) width: usize,
    image: PixelPlane,
    good: PixelPlane,
    image_sums: Vec<f64>,
    good_sums: Vec<f64>,
}

impl RowPrefixSums {
    /// The sums of an image that is 0 where pixels are bad.
    pub(super) fn new(image: &PixelPlane, bad: &[bool]) -> Self {
        let good = bad.iter().map(|bad| f64::from(u8::from(!bad))).collect();
        let good = PixelPlane { values: good, ..*image };
        let (image_sums, good_sums) = (prefix_sums(image), prefix_sums(&good));
        Self { height: image.height, width: image.width, image: image.clone(), good, image_sums, good_sums }
    }

    /// The sum of the image in an aperture.
    pub(super) fn sum(&self, aperture: &Aperture) -> f64 {
        self.sums(aperture).0
    }

    /// The sum of the image, and the area of the good pixels.
    pub(super) fn sums(&self, aperture: &Aperture) -> (f64, f64) {
        let (mut flux, mut area) = (0.0, 0.0);
        for span in aperture.spans(self.height, self.width) {
            let row_start = span.y * (self.width + 1);
            let (start, end) = (row_start + span.inside.start, row_start + span.inside.end);
            flux += self.image_sums[end] - self.image_sums[start];
            area += self.good_sums[end] - self.good_sums[start];
            let (image, good) = (self.image.row(span.y), self.good.row(span.y));
            for x in span.rim() {
                let overlap = aperture.overlap(x, span.y);
                flux += image[x] * overlap;
                area += good[x] * overlap;
            }
        }
        (flux, area)
    }
}

/// The sums of the first 0, 1, ..., width values of every row.
fn prefix_sums(plane: &PixelPlane) -> Vec<f64> {
    let mut sums = Vec::with_capacity(plane.height * (plane.width + 1));
    for y in 0..plane.height {
        let mut sum = 0.0;
        sums.push(sum);
        for value in plane.row(y) {
            sum += value;
            sums.push(sum);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_pixel_by_pixel_without_the_area_of_bad_pixels() {
        let (height, width) = (20, 30);
        let bad: Vec<bool> = (0..height * width).map(|i| i % 7 == 3).collect();
        let values = (0..height * width).map(|i| if bad[i] { 0.0 } else { 1.0 + (i * 37 % 11) as f64 }).collect();
        let image = PixelPlane { height, width, values };
        let good = PixelPlane { height, width, values: bad.iter().map(|bad| f64::from(u8::from(!bad))).collect() };
        let sums = RowPrefixSums::new(&image, &bad);
        for (centre, axes, angle) in
            [([14.2, 9.7], [6.1, 3.3], 0.4), ([1.0, 18.0], [9.0, 2.0], 2.0), ([29.4, 3.0], [4.0, 4.0], 0.0)]
        {
            let aperture = Aperture::ellipse(centre, axes, angle);
            let (flux, area) = sums.sums(&aperture);
            assert!((flux - aperture.sum(&image)).abs() < 1e-9 && (area - aperture.sum(&good)).abs() < 1e-9);
            assert_eq!(sums.sum(&aperture), flux);
        }
    }
}
