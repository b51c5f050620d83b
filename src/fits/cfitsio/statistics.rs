//! The statistics from which cfitsio derives its quantisation.

use std::{ffi::c_long, ptr};

use fitsio_sys::fits_img_stats_float;

use super::check;

/// Statistics of a plane.
#[derive(Debug, Clone, Copy)]
pub(in crate::fits) struct PlaneStatistics {
    /// The least pixel.
    pub(in crate::fits) low: f32,
    /// The greatest pixel.
    pub(in crate::fits) high: f32,
    /// The noise as cfitsio uses it: its estimate of third order, or that of second or fifth order if it is less and not 0.
    pub(in crate::fits) noise: f64,
}

/// The statistics of a plane `[y, x]`.
pub(in crate::fits) fn statistics(plane: &[f32], width: usize) -> Result<PlaneStatistics, String> {
    let (mut low, mut high, mut second, mut third, mut fifth) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut status = 0;
    let rows = plane.len() / width;
    // SAFETY: the array has `width * rows` float32 or more, and is only read: the cast to a mutable pointer replaces a missing
    // `const`; the five numbers outlive the call; null pointers are allowed for results that are not wanted.
    unsafe {
        fits_img_stats_float(
            plane.as_ptr().cast_mut(),
            width as c_long,
            rows as c_long,
            0,
            0.0,
            ptr::null_mut(),
            &mut low,
            &mut high,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut second,
            &mut third,
            &mut fifth,
            &mut status,
        );
    }
    check(status)?;
    let noise = [second, fifth].into_iter().filter(|noise| *noise != 0.0).fold(third, f64::min);
    Ok(PlaneStatistics { low, high, noise })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn estimates_of_zero_are_ignored() {
        // A quarter of the pixels is 1: most differences of second order are 0, and most of third order are not.
        let mut stream = Stream::new(1, "plane", "statistics");
        let plane: Vec<f32> = (0..100 * 80).map(|_| if stream.uniform() < 0.25 { 1.0 } else { 0.0 }).collect();
        let statistics = statistics(&plane, 80).expect("statistics");
        assert_eq!((statistics.low, statistics.high), (0.0, 1.0));
        assert!((0.1..2.0).contains(&statistics.noise), "{}", statistics.noise);
    }

    #[test]
    fn normal_noise_has_its_standard_deviation() {
        let mut stream = Stream::new(1, "plane", "statistics");
        let plane: Vec<f32> = (0..200 * 100).map(|_| 3.0 * stream.normal() as f32).collect();
        let noise = statistics(&plane, 100).expect("statistics").noise;
        assert!((2.8..3.1).contains(&noise), "{noise}");
    }
}
