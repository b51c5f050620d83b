//! A straight track over pixels: what a charged particle leaves in a detector.

/// Adds a charge to a plane, spread evenly along the way from a point (y, x) by (dy, dx). Pixel `[i, j]` covers i to i + 1 and
/// j to j + 1, and gets as much of the charge as of the way lies in it; what leaves the plane is lost. `hit` is told of every
/// pixel. The point has to lie in the plane.
pub fn add(
    plane: &mut [f32],
    width: usize,
    from: (f64, f64),
    way: (f64, f64),
    charge: f64,
    mut hit: impl FnMut(usize),
) {
    let height = plane.len() / width;
    let (mut y, mut x) = (from.0.floor(), from.1.floor());
    // The part of the way up to the next edge of the pixel in one direction.
    let edge = |start: f64, pixel: f64, way: f64| match way {
        way if way > 0.0 => (pixel + 1.0 - start) / way,
        way if way < 0.0 => (pixel - start) / way,
        _ => f64::INFINITY,
    };
    let mut done = 0.0;
    while done < 1.0 && (0.0..height as f64).contains(&y) && (0.0..width as f64).contains(&x) {
        let (to_y, to_x) = (edge(from.0, y, way.0), edge(from.1, x, way.1));
        let until = to_y.min(to_x).min(1.0);
        if until > done {
            let pixel = y as usize * width + x as usize;
            plane[pixel] += (charge * (until - done)) as f32;
            hit(pixel);
            done = until;
        }
        if to_x <= to_y {
            x += way.1.signum();
        } else {
            y += way.0.signum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(from: (f64, f64), way: (f64, f64)) -> ([f32; 12], Vec<usize>) {
        let (mut plane, mut hit) = ([0.0; 12], Vec::new());
        add(&mut plane, 4, from, way, 1000.0, |pixel| hit.push(pixel));
        (plane, hit)
    }

    #[test]
    fn each_pixel_gets_as_much_as_of_the_way_lies_in_it() {
        // From the middle of the first pixel to the right, 2 pixels far.
        let (plane, hit) = track((0.5, 0.5), (0.0, 2.0));
        assert_eq!((&plane[..4], hit), (&[250.0, 500.0, 250.0, 0.0][..], vec![0, 1, 2]));
        // Down and left, over corners: 1.5 diagonals of 2.5.
        let (plane, _) = track((0.5, 2.5), (2.5, -2.5));
        assert_eq!([plane[2], plane[5], plane[8]], [200.0, 400.0, 400.0]);
        assert_eq!(plane.iter().sum::<f32>(), 1000.0);
    }

    #[test]
    fn a_ray_that_goes_straight_down_stays_in_its_pixel() {
        let (plane, hit) = track((1.9, 3.1), (0.0, 0.0));
        assert_eq!((plane[7], hit), (1000.0, vec![7]));
    }

    #[test]
    fn what_leaves_the_plane_is_lost() {
        let (plane, hit) = track((1.5, 3.5), (0.0, 5.0));
        assert_eq!((plane[7], plane.iter().sum::<f32>(), hit), (100.0, 100.0, vec![7]));
        let (plane, _) = track((0.0, 0.0), (-1.0, -1.0));
        assert_eq!(plane, [0.0; 12]);
        let (plane, _) = track((0.25, 0.5), (1e9, 3e8));
        assert!(plane.iter().sum::<f32>() < 1e-5);
    }

    #[test]
    fn a_steep_way_crosses_more_rows_than_columns() {
        let (plane, hit) = track((0.2, 1.3), (2.6, 0.9));
        assert_eq!(hit, [1, 5, 9, 10]);
        assert!((plane.iter().sum::<f32>() - 1000.0).abs() < 1e-3);
        assert!((f64::from(plane[1]) - 1000.0 * 0.8 / 2.6).abs() < 1e-3);
    }
}
