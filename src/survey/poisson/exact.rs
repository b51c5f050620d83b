//! Counts one by one, in double precision: what the common path leaves undecided.

use super::{COMMON_MEANS, GROUP, GroupDraws, PAIRS, TAIL};
use crate::random::{Stream, ln};

/// Counters of the draws beyond those of the common path: for the tail of a pair, and for a pixel.
const PAIR_EXTRA: u64 = 1 << 63;
const PIXEL_EXTRA: u64 = 1 << 62;

/// The count of a pixel, of index `i` in its group.
#[cold]
pub(super) fn exact(stream: &Stream, pixel: u64, mean: f64, draws: &GroupDraws, i: usize) -> f64 {
    if mean.is_nan() || mean <= 0.0 || mean > 1e300 {
        return mean.max(0.0);
    }
    let mut extra = ExtraUniforms { stream, next: PIXEL_EXTRA | pixel << 24 };
    if mean < *COMMON_MEANS.start() {
        return by_inversion(mean, extra.uniform());
    }
    let mut normal = f64::from(draws.normal[i]);
    let bits = draws.radius_bits[i % PAIRS];
    if bits < TAIL {
        let pair = pixel / GROUP as u64 * PAIRS as u64 + (i % PAIRS) as u64;
        let fine = ExtraUniforms { stream, next: PAIR_EXTRA | pair }.uniform();
        let step = 1.0 / f64::from(1 << 23);
        normal *= (ln((f64::from(bits) + fine).max(1e-9) * step) / ln((f64::from(bits) + 0.5) * step)).sqrt();
    }
    let uniform = (f64::from(draws.uniform[i]) + extra.uniform()) / 256.0;
    ahrens_dieter(mean, normal, uniform, &mut extra)
}

/// Further uniforms of a pixel.
struct ExtraUniforms<'a> {
    stream: &'a Stream,
    next: u64,
}

impl ExtraUniforms<'_> {
    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        let [a, b, ..] = self.stream.block(self.next);
        self.next += 1;
        ((u64::from(a) << 20 | u64::from(b) >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64)
    }
}

/// Inversion: the smallest count whose cumulative probability exceeds `uniform`. For means below 10.
fn by_inversion(mean: f64, uniform: f64) -> f64 {
    let mut probability = exp(-mean);
    let mut left = uniform;
    let mut count = 0.0;
    // 110 is 10 + 30 sigma: the probability beyond is below the resolution of doubles.
    while left >= probability && count < 110.0 {
        left -= probability;
        count += 1.0;
        probability *= mean * INVERSE[count as usize];
    }
    count
}

/// Algorithm PD after its normal deviate and its first uniform. For means of at least 10.
fn ahrens_dieter(mu: f64, normal: f64, uniform: f64, extra: &mut ExtraUniforms) -> f64 {
    let s = mu.sqrt();
    let (b1, omega) = (1.0 / (24.0 * mu), 0.398_942_280_401_432_7 / s);
    let b2 = 0.3 * b1 * b1;
    let c3 = b1 * b2 / 7.0;
    let c2 = b2 - 15.0 * c3;
    let c1 = b1 - 6.0 * b2 + 45.0 * c3;
    let c0 = 1.0 - b1 + 3.0 * b2 - 15.0 * c3;
    // The Poisson probability py exp(px) of k, and the density fy exp(fx) of the normal that approximates it.
    let densities = |k: f64| {
        let (px, py) = probability(mu, k);
        let x = (k - mu + 0.5) / s;
        let square = x * x;
        (px, py, -0.5 * square, omega * (((c3 * square + c2) * square + c1) * square + c0))
    };
    let k = (mu + s * normal).floor();
    if k >= 0.0 {
        let below = mu - k;
        if k >= (mu - 1.1484).floor() || 6.0 * mu * mu * uniform >= below * below * below {
            return k;
        }
        let (px, py, fx, fy) = densities(k);
        if fy - uniform * fy <= py * exp(px - fx) {
            return k;
        }
    }
    loop {
        let exponential = -ln(extra.uniform());
        let u = 2.0 * extra.uniform() - 1.0;
        let t = 1.8 + if u < 0.0 { -exponential } else { exponential };
        if t <= -0.6744 {
            continue;
        }
        let k = (mu + s * t).floor();
        let (px, py, fx, fy) = densities(k);
        if 0.1069 / mu * u.abs() <= py * exp(px + exponential) - fy * exp(fx + exponential) {
            return k;
        }
    }
}

/// (px, py) with mu^k exp(-mu) / k! = py exp(px); by Stirling's series for k of at least 10.
pub(super) fn probability(mu: f64, k: f64) -> (f64, f64) {
    if k < 10.0 {
        let mut py = 1.0;
        let mut n = 1.0;
        while n <= k {
            py *= mu / n;
            n += 1.0;
        }
        return (-mu, py);
    }
    let inverse = 1.0 / k;
    let square = inverse * inverse;
    let stirling = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (k * ln(mu / k) - (mu - k) - stirling, 0.398_942_280_401_432_7 / k.sqrt())
}

/// 1 / n.
const INVERSE: [f64; 128] = {
    let mut inverse = [0.0; 128];
    let mut n = 1;
    while n < inverse.len() {
        inverse[n] = 1.0 / n as f64;
        n += 1;
    }
    inverse
};

/// e^x, relative error about 2e-16, from exactly rounded operations only; 0 below -700.
fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    // Rounds to the nearest integer: the sum with 1.5 * 2^52 has no fractional digits.
    let n = (x.min(700.0) * std::f64::consts::LOG2_E + 6_755_399_441_055_744.0) - 6_755_399_441_055_744.0;
    let r = (x.min(700.0) - n * 6.931_471_803_691_238e-1) - n * 1.908_214_929_270_587_7e-10;
    let mut sum = 1.0;
    for i in (1..=13).rev() {
        sum = 1.0 + sum * (r * INVERSE[i]);
    }
    sum * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_agrees_with_the_library() {
        for i in -6990..6990 {
            let x = f64::from(i) * 0.1;
            assert!((exp(x) / x.exp() - 1.0).abs() < 5e-16, "{x}");
        }
        assert_eq!((exp(0.0), exp(-701.0), exp(-1e9)), (1.0, 0.0, 0.0));
    }

    #[test]
    fn probabilities_are_those_of_the_definition_on_both_sides_of_stirling() {
        for mu in [0.3, 5.0, 10.0, 12.5, 40.0] {
            let mut expected = f64::exp(-mu);
            for k in 0..60 {
                let (px, py) = probability(mu, f64::from(k));
                let found = py * px.exp();
                assert!((found / expected - 1.0).abs() < 1e-9, "mu {mu}, k {k}: {found:e} {expected:e}");
                expected *= mu / f64::from(k + 1);
            }
        }
    }

    #[test]
    fn inversion_gives_the_quantiles_of_the_distribution() {
        // P(K <= 2) of mean 2 is 5 exp(-2) = 0.676676.
        assert_eq!((by_inversion(2.0, 0.6766), by_inversion(2.0, 0.6767)), (2.0, 3.0));
        assert_eq!((by_inversion(2.0, 0.1353), by_inversion(2.0, 0.1354)), (0.0, 1.0));
        // The search ends where rounding has left a rest that no probability exceeds.
        assert_eq!(by_inversion(9.9, 1.0 + 1e-9), 110.0);
    }
}
