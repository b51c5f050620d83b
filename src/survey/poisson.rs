//! Poisson counts, exact and fast: Ahrens & Dieter (1982), "Computer generation of Poisson deviates from modified
//! normal distributions" (their algorithm PD), with its common cases worked out for 64 pixels at a time.
//!
//! A normal deviate T (Box-Muller) gives K = floor(mu + sqrt(mu) T). K is taken at once where it is at least mu - 1.1484,
//! or where a uniform U is at least (mu - K)^3 / (6 mu^2); that leaves under one pixel in a hundred at the means of a
//! survey, which are done one by one in double precision, as are pixels in the far tail of T, whose uniform gets more
//! bits. Means below 10 are drawn by inversion. The common cases are in single precision relative to floor(mu), which
//! moves the edge of a count by less than 1e-4 of it at any mean that a detector can hold.
//!
//! Pixel `i` of a stream always uses the same counters: its count does not depend on what is drawn with it.

use multiversion::multiversion;

use crate::random::{Stream, ln, philox_blocks};

/// Pixels that are drawn together.
pub const GROUP: usize = 64;
const PAIRS: usize = GROUP / 2;
/// Means that the fast path takes.
const FAST: std::ops::RangeInclusive<f64> = 10.0..=1e8;
/// Pairs whose radius comes from a uniform below this many steps of 2^-23 get more bits.
const TAIL: u32 = 1 << 13;
/// Counters of the draws beyond the first: of a pair's tail, and of a pixel.
const PAIR_EXTRA: u64 = 1 << 63;
const PIXEL_EXTRA: u64 = 1 << 62;

/// Draws the counts of pixels `GROUP * group ..` of a stream; `counts` may be shorter than a group. A mean that is zero,
/// negative or no number gives 0.
pub fn draw(stream: &Stream, group: u64, means: &[f64; GROUP], counts: &mut [f64; GROUP]) {
    let mut draws = Draws::default();
    common(stream, group, means, counts, &mut draws);
    if draws.any {
        for i in 0..GROUP {
            if draws.rare[i] != 0 {
                counts[i] = rare(stream, group * GROUP as u64 + i as u64, means[i], &draws, i);
            }
        }
    }
}

/// What the common path drew, for the rare one to go on with.
struct Draws {
    normal: [f32; GROUP],
    /// First eight bits of U.
    uniform: [f32; GROUP],
    radius_bits: [u32; PAIRS],
    rare: [u32; GROUP],
    any: bool,
}

impl Default for Draws {
    fn default() -> Self {
        Self { normal: [0.0; GROUP], uniform: [0.0; GROUP], radius_bits: [0; PAIRS], rare: [0; GROUP], any: false }
    }
}

#[multiversion(targets = "simd")]
#[allow(clippy::needless_range_loop, reason = "lanes of several arrays, for the vectoriser")]
fn common(stream: &Stream, group: u64, means: &[f64; GROUP], counts: &mut [f64; GROUP], draws: &mut Draws) {
    let words = philox_blocks(stream, group * PAIRS as u64 / 2);
    let (words_a, words_b) = words.as_flattened().split_at(PAIRS);
    for i in 0..PAIRS {
        let (a, b) = (words_a[i], words_b[i]);
        draws.radius_bits[i] = a >> 9;
        let (x, y) = normals(a >> 9, b >> 8);
        draws.normal[i] = x;
        draws.normal[i + PAIRS] = y;
        draws.uniform[i] = (a & 255) as f32;
        draws.uniform[i + PAIRS] = (b & 255) as f32;
    }
    // Loops of one width of number each: so they are vectorised.
    let (mut whole, mut fraction, mut mu) = ([0.0_f64; GROUP], [0.0_f32; GROUP], [0.0_f32; GROUP]);
    for i in 0..GROUP {
        whole[i] = means[i].floor();
        fraction[i] = (means[i] - whole[i]) as f32;
        mu[i] = means[i] as f32;
    }
    let mut step = [0.0_f32; GROUP];
    for i in 0..GROUP {
        step[i] = draws.normal[i].mul_add(mu[i].sqrt(), fraction[i]).floor();
    }
    let (low, high) = (*FAST.start() as f32, *FAST.end() as f32);
    let mut all = 0;
    for half in [0, PAIRS] {
        for i in 0..PAIRS {
            let (mu, fraction, step) = (mu[half + i], fraction[half + i], step[half + i]);
            let below = fraction - step;
            let accepted = (step >= (fraction - 1.1484).floor())
                | (below * below * below <= mu * mu * (draws.uniform[half + i] * (6.0 / 256.0)));
            let common = accepted & (mu >= low) & (mu <= high) & (draws.radius_bits[i] >= TAIL);
            let rare = u32::from(!common);
            draws.rare[half + i] = rare;
            all |= rare;
        }
    }
    for i in 0..GROUP {
        counts[i] = whole[i] + f64::from(step[i]);
    }
    draws.any = all != 0;
}

impl Stream {
    /// The normals of pixels `GROUP * group ..` of a stream, in single precision.
    pub fn normals(&self, group: u64) -> [f32; GROUP] {
        let mut normals = [0.0; GROUP];
        fill_normals(self, group, &mut normals);
        normals
    }
}

#[multiversion(targets = "simd")]
fn fill_normals(stream: &Stream, group: u64, out: &mut [f32; GROUP]) {
    let words = philox_blocks(stream, group * PAIRS as u64 / 2);
    let (words_a, words_b) = words.as_flattened().split_at(PAIRS);
    for i in 0..PAIRS {
        (out[i], out[i + PAIRS]) = normals(words_a[i] >> 9, words_b[i] >> 8);
    }
}

/// Two independent normals of 23 and 24 random bits (Box-Muller).
#[inline(always)]
fn normals(radius_bits: u32, angle_bits: u32) -> (f32, f32) {
    let radius = (-2.0 * ln_f32((2 * radius_bits + 1) as f32 * (1.0 / (1 << 24) as f32))).sqrt();
    // Two bits for the quarter of the circle, 22 for the angle within -pi/4..pi/4.
    let x = ((angle_bits & 0x3F_FFFF) as f32 - 2_097_151.5) * (std::f32::consts::FRAC_PI_2 / 4_194_304.0);
    let square = x * x;
    let sin = square.mul_add(square.mul_add(-1.951_529_6e-4, 8.332_161e-3), -1.666_665_5e-1);
    let sin = (x * square).mul_add(sin, x);
    let cos = square.mul_add(square.mul_add(2.443_315_7e-5, -1.388_731_6e-3), 4.166_664_6e-2);
    let cos = (square * square).mul_add(cos, square.mul_add(-0.5, 1.0));
    let cos = f32::from_bits(cos.to_bits() ^ (angle_bits << 8 & 0x8000_0000));
    let swap = angle_bits & 0x40_0000 != 0;
    (radius * if swap { sin } else { cos }, radius * if swap { cos } else { sin })
}

/// Natural logarithm of a number in (0, 1), to about 1e-7 of itself.
#[inline(always)]
fn ln_f32(x: f32) -> f32 {
    let bits = x.to_bits().wrapping_sub(0x3F35_04F3);
    let exponent = (bits as i32 >> 23) as f32;
    let f = f32::from_bits((bits & 0x007F_FFFF) + 0x3F35_04F3) - 1.0;
    // The polynomial of Cephes' logf (Moshier) for ln(1 + f) on sqrt(1/2)..sqrt(2).
    let mut p = 7.037_683_6e-2_f32;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p.mul_add(f, c);
    }
    let square = f * f;
    let low = (square * f).mul_add(p, exponent * -2.121_944_4e-4);
    exponent.mul_add(0.693_359_4, square.mul_add(-0.5, low) + f)
}

/// A pixel that the common path leaves.
#[cold]
fn rare(stream: &Stream, pixel: u64, mean: f64, draws: &Draws, i: usize) -> f64 {
    if mean.is_nan() || mean <= 0.0 || mean > 1e300 {
        return mean.max(0.0);
    }
    let mut more = More { stream, next: PIXEL_EXTRA | pixel << 24 };
    if mean < *FAST.start() {
        return small(mean, more.uniform());
    }
    let mut normal = f64::from(draws.normal[i]);
    let bits = draws.radius_bits[i % PAIRS];
    if bits < TAIL {
        let pair = pixel / GROUP as u64 * PAIRS as u64 + (i % PAIRS) as u64;
        let fine = More { stream, next: PAIR_EXTRA | pair }.uniform();
        let step = 1.0 / f64::from(1 << 23);
        normal *= (ln((f64::from(bits) + fine).max(1e-9) * step) / ln((f64::from(bits) + 0.5) * step)).sqrt();
    }
    let uniform = (f64::from(draws.uniform[i]) + more.uniform()) / 256.0;
    ahrens_dieter(mean, normal, uniform, &mut more)
}

/// Further uniforms of a pixel.
struct More<'a> {
    stream: &'a Stream,
    next: u64,
}

impl More<'_> {
    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        let [a, b, ..] = self.stream.block(self.next);
        self.next += 1;
        ((u64::from(a) << 20 | u64::from(b) >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64)
    }
}

/// Inversion: the smallest count whose cumulative probability exceeds `uniform`.
fn small(mean: f64, uniform: f64) -> f64 {
    let mut probability = exp(-mean);
    let mut left = uniform;
    let mut count = 0.0;
    // 10 + 30 sigma: beyond it the probability is below what doubles resolve.
    while left >= probability && count < 110.0 {
        left -= probability;
        count += 1.0;
        probability *= mean * INVERSE[count as usize];
    }
    count
}

/// Algorithm PD from its normal deviate and its first uniform on, for means of at least 10.
fn ahrens_dieter(mu: f64, normal: f64, uniform: f64, more: &mut More) -> f64 {
    let s = mu.sqrt();
    let (b1, omega) = (1.0 / (24.0 * mu), 0.398_942_280_401_432_7 / s);
    let b2 = 0.3 * b1 * b1;
    let c3 = b1 * b2 / 7.0;
    let c2 = b2 - 15.0 * c3;
    let c1 = b1 - 6.0 * b2 + 45.0 * c3;
    let c0 = 1.0 - b1 + 3.0 * b2 - 15.0 * c3;
    // The Poisson probability py exp(px) of k, and the density fy exp(fx) of the normal that stands for it.
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
        let exponential = -ln(more.uniform());
        let u = 2.0 * more.uniform() - 1.0;
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

/// (px, py) with mu^k exp(-mu) / k! = py exp(px): by Stirling's series from 10 on.
fn probability(mu: f64, k: f64) -> (f64, f64) {
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

/// e to a power, to about 2e-16 of itself, from exact operations alone; 0 below -700.
fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    // To the nearest whole number: the sum with 1.5 2^52 has no digits behind the point.
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

    fn sample(mean: f64, n: usize, label: &str) -> Vec<f64> {
        let stream = Stream::new(11, "object", label);
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

    /// Chi-square over bins of `width` counts, in standard deviations of its own distribution (Wilson & Hilferty).
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
            let misfit = misfit(mean, &sample(mean, 400_000, "fit"), width);
            assert!(misfit.abs() < 4.0, "mean {mean}: {misfit} sigma");
        }
    }
}
