//! Poisson counts, exact and fast: Ahrens & Dieter (1982), "Computer generation of Poisson deviates from modified
//! normal distributions" (their algorithm PD), with its common cases worked out for 64 pixels at a time.
//!
//! A normal deviate T (Box-Muller) gives K = floor(mu + sqrt(mu) T). K is accepted at once if it is at least mu - 1.1484,
//! or if a uniform U is at least (mu - K)^3 / (6 mu^2). At the means of a survey this leaves less than one pixel in a hundred.
//! Those are completed one by one in double precision, as are pixels in the far tail of T, whose uniform gets more bits. Means
//! below 10 are drawn by inversion. The common cases are in single precision relative to floor(mu), which moves the edge of a
//! count by less than 1e-4 at any mean that a detector can hold.
//!
//! Pixel `i` of a stream always uses the same counters, so its count does not depend on the pixels drawn with it.
//!
//! Why not a crate: the counts are results of a run, so they must be the same bits on every machine and in every version, which
//! no crate promises; and the noise of three bands of 100x100 pixels takes about 80 microseconds, 2.7 ns a pixel
//! (`benches/README.md`), which needs the vector units.

mod exact;
mod normals;

use multiversion::multiversion;

use self::{exact::exact, normals::box_muller};
use crate::random::{Stream, philox_blocks};

/// Pixels that are drawn together.
pub const GROUP: usize = 64;
const PAIRS: usize = GROUP / 2;
/// Means that the common path draws.
const COMMON_MEANS: std::ops::RangeInclusive<f64> = 10.0..=1e8;
/// Pairs whose radius comes from a uniform below this many steps of 2^-23 get more bits.
const TAIL: u32 = 1 << 13;

/// Draws the counts of pixels `GROUP * group ..` of a stream. A mean that is zero, negative or NaN gives 0.
pub fn draw(stream: &Stream, group: u64, means: &[f64; GROUP], counts: &mut [f64; GROUP]) {
    let mut draws = GroupDraws::default();
    common(stream, group, means, counts, &mut draws);
    if draws.any_rare {
        for i in 0..GROUP {
            if draws.rare[i] != 0 {
                counts[i] = exact(stream, group * GROUP as u64 + i as u64, means[i], &draws, i);
            }
        }
    }
}

/// The draws of the common path, from which the exact one continues.
struct GroupDraws {
    normal: [f32; GROUP],
    /// The first eight bits of U, as an integer.
    uniform: [f32; GROUP],
    radius_bits: [u32; PAIRS],
    /// 1 for pixels that the common path could not decide.
    rare: [u32; GROUP],
    any_rare: bool,
}

impl Default for GroupDraws {
    fn default() -> Self {
        Self { normal: [0.0; GROUP], uniform: [0.0; GROUP], radius_bits: [0; PAIRS], rare: [0; GROUP], any_rare: false }
    }
}

#[multiversion(targets = "simd")]
#[allow(clippy::needless_range_loop, reason = "lanes of several arrays, for the vectoriser")]
fn common(stream: &Stream, group: u64, means: &[f64; GROUP], counts: &mut [f64; GROUP], draws: &mut GroupDraws) {
    let words = philox_blocks(stream, group * PAIRS as u64 / 2);
    let (words_a, words_b) = words.as_flattened().split_at(PAIRS);
    for i in 0..PAIRS {
        let (a, b) = (words_a[i], words_b[i]);
        draws.radius_bits[i] = a >> 9;
        let (x, y) = box_muller(a >> 9, b >> 8);
        draws.normal[i] = x;
        draws.normal[i + PAIRS] = y;
        draws.uniform[i] = (a & 255) as f32;
        draws.uniform[i + PAIRS] = (b & 255) as f32;
    }
    // Each loop has numbers of one width only, so that it is vectorised.
    let (mut floor, mut fraction, mut mu) = ([0.0_f64; GROUP], [0.0_f32; GROUP], [0.0_f32; GROUP]);
    for i in 0..GROUP {
        floor[i] = means[i].floor();
        fraction[i] = (means[i] - floor[i]) as f32;
        mu[i] = means[i] as f32;
    }
    let mut step = [0.0_f32; GROUP];
    for i in 0..GROUP {
        step[i] = draws.normal[i].mul_add(mu[i].sqrt(), fraction[i]).floor();
    }
    let (low, high) = (*COMMON_MEANS.start() as f32, *COMMON_MEANS.end() as f32);
    let mut any = 0;
    for half in [0, PAIRS] {
        for i in 0..PAIRS {
            let (mu, fraction, step) = (mu[half + i], fraction[half + i], step[half + i]);
            let below = fraction - step;
            let accepted = (step >= (fraction - 1.1484).floor())
                | (below * below * below <= mu * mu * (draws.uniform[half + i] * (6.0 / 256.0)));
            let common = accepted & (mu >= low) & (mu <= high) & (draws.radius_bits[i] >= TAIL);
            let rare = u32::from(!common);
            draws.rare[half + i] = rare;
            any |= rare;
        }
    }
    for i in 0..GROUP {
        counts[i] = floor[i] + f64::from(step[i]);
    }
    draws.any_rare = any != 0;
}

#[cfg(test)]
mod tests {
    use super::{exact::probability, *};

    fn sample(mean: f64, n: usize) -> Vec<f64> {
        let stream = Stream::new(11, "object", "fit");
        let mut counts = [0.0; GROUP];
        let mut all = Vec::with_capacity(n);
        for group in 0..(n / GROUP) as u64 {
            draw(&stream, group, &[mean; GROUP], &mut counts);
            all.extend_from_slice(&counts);
        }
        all
    }

    fn probability_of(mean: f64, k: f64) -> f64 {
        if k < 0.0 {
            return 0.0;
        }
        let (px, py) = probability(mean, k);
        py * px.exp()
    }

    /// Chi-square over bins of `width` counts, in standard deviations from its expectation (Wilson & Hilferty).
    fn misfit(mean: f64, counts: &[f64], width: f64) -> f64 {
        let n = counts.len() as f64;
        let low = (mean - 6.0 * mean.sqrt()).max(0.0).floor();
        let bins = ((mean + 6.0 * mean.sqrt() + 6.0 - low) / width).ceil() as usize;
        let mut seen = vec![0.0; bins];
        for count in counts {
            seen[(((count - low) / width).max(0.0) as usize).min(bins - 1)] += 1.0;
        }
        let (mut chi2, mut degrees, mut pool_seen, mut pool_expected) = (0.0, -1.0, 0.0, 0.0);
        for (bin, seen) in seen.iter().enumerate() {
            let first = low + bin as f64 * width;
            pool_seen += seen;
            pool_expected += n * (0..width as usize).map(|i| probability_of(mean, first + i as f64)).sum::<f64>();
            if pool_expected >= 20.0 {
                chi2 += (pool_seen - pool_expected) * (pool_seen - pool_expected) / pool_expected;
                degrees += 1.0;
                (pool_seen, pool_expected) = (0.0, 0.0);
            }
        }
        let spread = 2.0 / (9.0 * degrees);
        ((chi2 / degrees).cbrt() - (1.0 - spread)) / f64::sqrt(spread)
    }

    #[test]
    fn counts_follow_the_poisson_distribution() {
        for (mean, width) in [
            (0.5, 1.0),
            (5.0, 1.0),
            (9.99, 1.0),
            (10.0, 1.0),
            (12.3, 1.0),
            (50.0, 1.0),
            (2e3, 2.0),
            (1e5, 10.0),
            (2e7, 200.0),
        ] {
            let misfit = misfit(mean, &sample(mean, 400_000), width);
            assert!(misfit.abs() < 4.0, "mean {mean}: {misfit} sigma");
        }
    }

    #[test]
    fn counts_are_those_of_every_earlier_version() {
        // FNV-1a over counts whose common, tail, quotient, rejection and inversion paths all occur.
        let digest = |mean: f64| {
            let bytes = sample(mean, 60_000).into_iter().flat_map(|count| (count as u64).to_le_bytes());
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        };
        for (mean, expected) in [
            (0.5, 0x6065_c048_8cf9_1685),
            (9.99, 0x7d1a_858e_7d40_cfa2),
            (10.0, 0xf2a1_e26d_853e_fa41),
            // A fraction of 0.2 tells the bound of 1.1484 from larger ones.
            (10.2, 0xe6e9_c1dc_672a_d59e),
            (12.3, 0x9d8a_1857_c53f_2956),
            (577.0, 0xcd84_4e71_ad67_d867),
            (1e5, 0x104b_c75b_41a4_0610),
            (2e9, 0x0141_0a9b_e297_8267),
        ] {
            assert_eq!(digest(mean), expected, "mean {mean}");
        }
    }

    #[test]
    fn means_without_a_distribution_give_no_counts() {
        let mut counts = [f64::NAN; GROUP];
        let mut means = [0.0; GROUP];
        (means[0], means[1], means[2]) = (-3.0, f64::NAN, f64::INFINITY);
        draw(&Stream::new(1, "object", "sky"), 0, &means, &mut counts);
        assert_eq!(counts[..4], [0.0, 0.0, f64::INFINITY, 0.0]);
    }

    #[test]
    fn a_count_does_not_depend_on_the_other_means_of_its_group() {
        let stream = Stream::new(1, "object", "sky");
        let (mut alone, mut together) = ([0.0; GROUP], [0.0; GROUP]);
        let means: [f64; GROUP] = std::array::from_fn(|i| [3.0, 30.0, 3e4][i % 3]);
        draw(&stream, 5, &means, &mut together);
        for mean in [3.0, 30.0, 3e4] {
            draw(&stream, 5, &[mean; GROUP], &mut alone);
            assert!((0..GROUP).all(|i| means[i] != mean || alone[i] == together[i]), "mean {mean}");
        }
    }
}
