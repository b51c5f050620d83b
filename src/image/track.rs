//! The straight track that a charged particle leaves in a detector.

/// A straight track. Pixel `[i, j]` covers y from i to i + 1 and x from j to j + 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Track {
    /// The start (y, x), which has to lie in the plane.
    pub start: (f64, f64),
    /// From the start to the end, (dy, dx).
    pub displacement: (f64, f64),
    /// The charge, spread evenly along the track.
    pub charge: f64,
}

impl Track {
    /// Adds the charge to a plane. Each pixel gets the share of the charge that is the share of the track in it; charge outside the
    /// plane is lost. Calls `hit` with the index of every pixel that gets charge.
    pub fn add_to(&self, plane: &mut [f32], width: usize, mut hit: impl FnMut(usize)) {
        let height = plane.len() / width;
        let ((start_y, start_x), (dy, dx)) = (self.start, self.displacement);
        let (mut y, mut x) = (start_y.floor(), start_x.floor());
        let mut done = 0.0;
        while done < 1.0 && (0.0..height as f64).contains(&y) && (0.0..width as f64).contains(&x) {
            let (to_y, to_x) = (share_to_edge(start_y, y, dy), share_to_edge(start_x, x, dx));
            let until = to_y.min(to_x).min(1.0);
            if until > done {
                let pixel = y as usize * width + x as usize;
                plane[pixel] += (self.charge * (until - done)) as f32;
                hit(pixel);
                done = until;
            }
            if to_x <= to_y {
                x += dx.signum();
            } else {
                y += dy.signum();
            }
        }
    }
}

/// The share of the track from its start to the edge where it leaves a pixel along one axis.
fn share_to_edge(start: f64, pixel: f64, displacement: f64) -> f64 {
    match displacement {
        d if d > 0.0 => (pixel + 1.0 - start) / d,
        d if d < 0.0 => (pixel - start) / d,
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(start: (f64, f64), displacement: (f64, f64)) -> ([f32; 12], Vec<usize>) {
        let (mut plane, mut hit) = ([0.0; 12], Vec::new());
        Track { start, displacement, charge: 1000.0 }.add_to(&mut plane, 4, |pixel| hit.push(pixel));
        (plane, hit)
    }

    #[test]
    fn each_pixel_gets_the_share_of_the_track_in_it() {
        // From the middle of the first pixel 2 pixels to the right.
        let (plane, hit) = track((0.5, 0.5), (0.0, 2.0));
        assert_eq!((&plane[..4], hit), (&[250.0, 500.0, 250.0, 0.0][..], vec![0, 1, 2]));
        assert_eq!(track((0.5, 0.5), (-0.0, 2.0)), track((0.5, 0.5), (0.0, 2.0)));
        // Down and left through corners, 2.5 diagonals: the pixels beside a corner are not hit.
        let (plane, hit) = track((0.5, 2.5), (2.5, -2.5));
        assert_eq!(([plane[2], plane[5], plane[8]], hit), ([200.0, 400.0, 400.0], vec![2, 5, 8]));
        assert_eq!(plane.iter().sum::<f32>(), 1000.0);
    }

    #[test]
    fn a_ray_perpendicular_to_the_detector_stays_in_its_pixel() {
        let (plane, hit) = track((1.9, 3.1), (0.0, 0.0));
        assert_eq!((plane[7], hit), (1000.0, vec![7]));
    }

    #[test]
    fn charge_outside_the_plane_is_lost() {
        let (plane, hit) = track((1.5, 3.5), (0.0, 5.0));
        assert_eq!((plane[7], plane.iter().sum::<f32>(), hit), (100.0, 100.0, vec![7]));
        let (plane, _) = track((0.0, 0.0), (-1.0, -1.0));
        assert_eq!(plane, [0.0; 12]);
        let (plane, _) = track((0.25, 0.5), (1e9, 3e8));
        assert!(plane.iter().sum::<f32>() < 1e-5);
    }

    #[test]
    fn a_steep_track_crosses_more_rows_than_columns() {
        let (plane, hit) = track((0.2, 1.3), (2.6, 0.9));
        assert_eq!(hit, [1, 5, 9, 10]);
        assert!((plane.iter().sum::<f32>() - 1000.0).abs() < 1e-3);
        assert!((f64::from(plane[1]) - 1000.0 * 0.8 / 2.6).abs() < 1e-3);
    }
}
