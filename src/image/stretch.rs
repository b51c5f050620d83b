//! The arcsinh stretch: y = (arcsinh(c clip(x, lo, hi)) + 1) / 2 with c = 0.85 / hi (Ćiprijanović et al. 2022).
//!
//! Zero maps to 0.5 and `hi` to 0.8856. Unless lo < -hi, |c x| is at most 0.85. In this range arcsinh is computed as a polynomial:
//! arcsinh(t) / 2 = t (1/2 + u R(u)), u = t², with R of degree 6 fitted to 7e-10. It uses no fused multiply-adds, so that every
//! processor gives the same bits. The absolute error of y is below 1.2e-7. Pixels below -hi take the arcsinh of the standard
//! library.

use multiversion::multiversion;

/// c hi: the greatest argument of the arcsinh.
const TOP: f64 = 0.85;

/// R(u) for u up to 0.7225 = 0.85², lowest power first; minimax fit with numpy in double precision.
const R: [f32; 7] =
    [-0.083_332_96, 0.037_488_742, -0.022_196_494, 0.014_487_532, -0.008_902_095, 0.004_095_713, -0.000_958_672_45];

/// The arcsinh stretch of a pair of constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asinh {
    lo: f32,
    hi: f32,
    c: f64,
}

impl Asinh {
    /// The stretch between two clips, in the unit of the pixels; `None` unless both are finite, lo < hi and hi > 0.
    pub fn new(lo: f64, hi: f64) -> Option<Self> {
        let stretch = Self { lo: lo as f32, hi: hi as f32, c: TOP / hi };
        let fine = stretch.lo.is_finite() && stretch.hi.is_finite() && stretch.lo < stretch.hi && stretch.hi > 0.0;
        (fine && (stretch.c as f32).is_finite()).then_some(stretch)
    }

    /// Stretches finite pixels; each is multiplied by `factor` before. `out` is as long as `pixels`.
    pub fn apply(self, factor: f32, pixels: &[f32], out: &mut [f32]) {
        let c = self.c as f32;
        stretch(pixels, out, factor, self.lo, self.hi, c);
        if self.lo * c < -(TOP as f32) {
            // A lower clip below -hi: the few pixels there are outside the range of the polynomial.
            for (y, x) in out.iter_mut().zip(pixels) {
                let t = f64::from((x * factor).clamp(self.lo, self.hi)) * self.c;
                if t < -TOP {
                    *y = f64::midpoint(t.asinh(), 1.0) as f32;
                }
            }
        }
    }
}

/// The inverse of the stretch in units of the upper clip: x / hi = sinh(2 y - 1) / 0.85, for any clips. Clipped pixels are not
/// restored.
pub fn of_top(y: f32) -> f64 {
    (2.0 * f64::from(y) - 1.0).sinh() / TOP
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "x86_64+avx"))]
fn stretch(pixels: &[f32], out: &mut [f32], factor: f32, lo: f32, hi: f32, c: f32) {
    for (y, x) in out.iter_mut().zip(pixels) {
        let t = (x * factor).clamp(lo, hi) * c;
        let u = t * t;
        let mut r = R[6];
        r = r * u + R[5];
        r = r * u + R[4];
        r = r * u + R[3];
        r = r * u + R[2];
        r = r * u + R[1];
        r = r * u + R[0];
        *y = 0.5 + t * (0.5 + u * r);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(stretch: Asinh, x: f32) -> f32 {
        let mut y = [0.0];
        stretch.apply(1.0, &[x], &mut y);
        y[0]
    }

    fn exact(lo: f64, hi: f64, x: f64) -> f64 {
        f64::midpoint((x.clamp(lo, hi) * 0.85 / hi).asinh(), 1.0)
    }

    #[test]
    fn zero_maps_to_a_half_and_the_top_to_its_constant() {
        let stretch = Asinh::new(-1136.0, 23822.0).expect("a stretch");
        assert_eq!(one(stretch, 0.0), 0.5);
        assert!((one(stretch, 23822.0) - 0.885_618_7).abs() < 1e-6, "{}", one(stretch, 23822.0));
        assert_eq!(one(stretch, 1e30), one(stretch, 23822.0));
        assert_eq!(one(stretch, -1e30), one(stretch, -1136.0));
    }

    #[test]
    fn the_polynomial_agrees_with_double_precision_to_a_ten_millionth() {
        let mut worst = 0f64;
        for (lo, hi) in [(-1136.0, 23822.0), (-0.9, 1.0), (-1e-3, 7e-3), (3.0, 1e9)] {
            let stretch = Asinh::new(lo, hi).expect("a stretch");
            let (lo, hi) = (f64::from(lo as f32), f64::from(hi as f32));
            let pixels: Vec<f32> = (0..=40_000).map(|i| (lo + (hi - lo) * (f64::from(i) / 4e4)) as f32).collect();
            let mut out = vec![0.0; pixels.len()];
            stretch.apply(1.0, &pixels, &mut out);
            let errors = pixels.iter().zip(&out).map(|(x, y)| (f64::from(*y) - exact(lo, hi, f64::from(*x))).abs());
            worst = errors.fold(worst, f64::max);
        }
        assert!(worst < 1.2e-7, "{worst:e}");
    }

    #[test]
    fn pixels_below_the_range_of_the_polynomial_are_exact() {
        // From a lower clip barely outside of the range of the polynomial, where it is still nearly right, to one far outside.
        for (lo, hi) in [(-1.001, 1.0), (-1.1, 1.0), (-1.18, 1.0), (-23_900.0, 23_822.0), (-2.0, 1.0), (-1e6, 1.0)] {
            let stretch = Asinh::new(lo, hi).expect("a stretch");
            let lo = f64::from(lo as f32);
            let pixels: Vec<f32> = (0..=20_000).map(|i| (1.1 * lo + (hi - lo) * f64::from(i) / 2e4) as f32).collect();
            let mut out = vec![0.0; pixels.len()];
            stretch.apply(1.0, &pixels, &mut out);
            for (x, y) in pixels.iter().zip(&out) {
                let t = f64::from(*x).clamp(lo, hi) * (0.85 / hi);
                let want = f64::midpoint(t.asinh(), 1.0);
                assert!((f64::from(*y) - want).abs() < 1.2e-7 * want.abs().max(1.0), "{lo} {x}: {y} {want}");
                // Below -hi the result is that of double precision, rounded once.
                assert!(t >= -0.85 || *y == want as f32, "{lo} {x}: {y} {want}");
            }
        }
    }

    #[test]
    fn a_factor_is_applied_before_the_clip() {
        let stretch = Asinh::new(-1.0, 10.0).expect("a stretch");
        let mut y = [0.0; 2];
        stretch.apply(4.0, &[2.0, 8.0], &mut y);
        assert_eq!(y, [one(stretch, 8.0), one(stretch, 10.0)]);
    }

    #[test]
    fn the_inverse_restores_pixels_between_the_clips() {
        for (lo, hi) in [(-1136.0, 23822.0), (-367.0, 2388.0)] {
            let stretch = Asinh::new(lo, hi).expect("a stretch");
            for x in [lo, 0.2 * lo, -1e-3 * hi, 0.0, 1e-3 * hi, 0.1 * hi, 0.5 * hi, hi] {
                // The error of y is 1.5e-7 with its rounding, and the slope of the sinh at most 1.32.
                let error = (of_top(one(stretch, x as f32)) * hi - x).abs();
                assert!(error < 2.0 * 1.5e-7 * 1.32 / 0.85 * hi, "{x}: {error}");
            }
            assert!((of_top(one(stretch, 1e9)) - 1.0).abs() < 1e-6, "a clipped pixel stays at the top");
        }
        assert_eq!(of_top(0.5), 0.0);
        // Attacks also try values that no flux has: 1 is sinh(1) / 0.85 of the top.
        assert!((of_top(1.0) - 1.382_590).abs() < 1e-5);
    }

    #[test]
    fn rejects_constants_without_a_stretch() {
        for (lo, hi) in [
            (0.0, 0.0),
            (1.0, 1.0),
            (2.0, 1.0),
            (-2.0, -1.0),
            (-1.0, 0.0),
            (f64::NAN, 1.0),
            (f64::NEG_INFINITY, 1.0),
            (0.0, f64::INFINITY),
            (0.0, 1e300),
            // c = 0.85 / hi overflows a float32.
            (-1.0, 1e-40),
        ] {
            assert_eq!(Asinh::new(lo, hi), None, "{lo} {hi}");
        }
    }
}
