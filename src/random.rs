//! Reproducible random draws: every draw depends on (run seed, object id, label) alone.
//!
//! # What a stream promises
//!
//! - **Reproducible.** Equal seed, object id and label give the same draws, bit for bit, on every machine. The sequence is part
//!   of the results of a run: a test pins it, and changing it is a breaking change.
//! - **Independent.** Streams that differ in seed, id or label are independent. Drawing from one never moves another, so results
//!   do not depend on threads, batches, restarts, or on which other steps a pipeline has.
//! - **Cheap to make.** [`Stream::new`] takes about 0.2 microseconds: make one for each object, keep none between rows.
//! - **Not secret.** The draws are for simulation, not for cryptography.
//!
//! A stage draws with the label of its step. If it draws for two purposes it makes two streams, `{label}` and
//! `{label}/readout`, so that a change to one purpose leaves the other alone.
//!
//! # How
//!
//! A stream is the counter-based generator Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
//! 1, 2, 3"). Its 64-bit key and the upper 64 bits of its 128-bit counter are the first sixteen bytes of
//! SHA-256(seed as 8 bytes | length of the id as 8 bytes | id | label), numbers little-endian; the lower 64 bits count
//! blocks of four 32-bit words. Any block can therefore be made alone, in any order, on any thread. The draws are the same bits
//! everywhere because they use exactly rounded operations only, and a logarithm made of them: the one of the system's
//! mathematical library differs between machines.

use sha2::{Digest, Sha256};

/// A reproducible sequence of draws; see the [module](self) for what it promises.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    high: [u32; 2],
    next_block: u64,
    words: [u32; 4],
    used: usize,
    spare_normal: Option<f64>,
}

impl Stream {
    /// The stream of an object under a label, which is that of the step or monitor that draws. For draws that belong to no
    /// object the id is empty.
    pub fn new(seed: u64, object_id: &str, label: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update((object_id.len() as u64).to_le_bytes());
        hash.update(object_id);
        hash.update(label);
        let digest = hash.finalize();
        let word = |i: usize| u32::from_le_bytes([digest[i], digest[i + 1], digest[i + 2], digest[i + 3]]);
        Self {
            key: [word(0), word(4)],
            high: [word(8), word(12)],
            next_block: 0,
            words: [0; 4],
            used: 4,
            spare_normal: None,
        }
    }

    /// Block `index` of the stream: four words. Does not move the stream.
    pub fn block(&self, index: u64) -> [u32; 4] {
        philox([index as u32, (index >> 32) as u32, self.high[0], self.high[1]], self.key)
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.block(self.next_block);
            self.next_block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// Uniform in [0, 1), in steps of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A uniform integer in `0..n`, without bias; 0 if `n` is 0.
    ///
    /// Multiplies 64 random bits by `n` and keeps the upper half (Lemire 2019, "Fast random integer generation in an interval");
    /// products that would favour some integers are drawn again.
    pub fn below(&mut self, n: u64) -> u64 {
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if n == 0 || product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// Normal with mean 0 and variance 1 (Marsaglia's polar method, which makes two: every second call returns the spare one).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                let scale = (-2.0 * ln(square) / square).sqrt();
                self.spare_normal = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -ln(1.0 - self.uniform())
    }
}

/// The sampling rank of an object: a number in [0, 1), fixed by the run seed and the id.
///
/// A fraction f of the objects is those of a rank below f; a sample of k objects is the k of the smallest rank (a bottom-k
/// sample, which does not depend on the order of the stream). All monitors of a run use the same rank, so their samples overlap
/// as far as their sizes allow.
pub fn rank(seed: u64, object_id: &str) -> f64 {
    Stream::new(seed, object_id, "rank").uniform()
}

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: u32 = 10;

/// Philox4x32-10: four words of a counter under a key.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let a = u64::from(counter[0]) * u64::from(MULTIPLIERS[0]);
        let b = u64::from(counter[2]) * u64::from(MULTIPLIERS[1]);
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// Sixteen consecutive blocks at once, starting with block `first`: `[word][block]`.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "lanes of several arrays, for the vectoriser")]
pub(crate) fn philox_blocks(stream: &Stream, first: u64) -> [[u32; 16]; 4] {
    let mut key = stream.key.map(u64::from);
    let mut c = [[0_u64; 16], [0; 16], [u64::from(stream.high[0]); 16], [u64::from(stream.high[1]); 16]];
    for i in 0..16 {
        let index = first + i as u64;
        c[0][i] = index & LOW;
        c[1][i] = index >> 32;
    }
    for _ in 0..ROUNDS {
        for i in 0..16 {
            // Only the lower halves are words; the upper ones hold leftovers of products.
            let a = (c[0][i] & LOW) * u64::from(MULTIPLIERS[0]);
            let b = (c[2][i] & LOW) * u64::from(MULTIPLIERS[1]);
            (c[0][i], c[2][i]) = ((b >> 32) ^ c[1][i] ^ key[0], (a >> 32) ^ c[3][i] ^ key[1]);
            (c[1][i], c[3][i]) = (b, a);
        }
        key = [key[0] + u64::from(WEYL[0]), key[1] + u64::from(WEYL[1])];
    }
    c.map(|words| words.map(|word| word as u32))
}

const LOW: u64 = 0xFFFF_FFFF;

/// The natural logarithm of a positive normal number, to about 2e-16, from exactly rounded operations only.
pub(crate) fn ln(x: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // x = 2^e m with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1)).
    let bits = x.to_bits().wrapping_add(0x3FF0_0000_0000_0000 - 0x3FE6_A09E_667F_3BCD);
    let exponent = ((bits >> 52) as i64 - 1023) as f64;
    let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) + 0x3FE6_A09E_667F_3BCD);
    let t = (m - 1.0) / (m + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    for n in (1..=10).rev() {
        sum = (sum + 1.0 / f64::from(2 * n + 1)) * square;
    }
    exponent * LN2_HIGH + (2.0 * t * (1.0 + sum) + exponent * LN2_LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_vectors() {
        // kat_vectors of Random123 1.14.
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn sixteen_blocks_equal_those_made_one_by_one() {
        let stream = Stream::new(5, "object", "blocks");
        for first in [0, 16, u64::from(u32::MAX) - 7] {
            let together = philox_blocks(&stream, first);
            for i in 0..16 {
                assert_eq!(together.map(|words| words[i]), stream.block(first + i as u64));
            }
        }
    }

    #[test]
    fn seed_object_and_label_each_change_the_stream() {
        let first = |seed, id, label| Stream::new(seed, id, label).next_u64();
        let all = [first(1, "a", "b"), first(2, "a", "b"), first(1, "ab", ""), first(1, "", "ab"), first(1, "a", "c")];
        let mut distinct = all.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(first(1, "a", "b"), all[0]);
    }

    #[test]
    fn the_logarithm_agrees_with_the_library() {
        let mut stream = Stream::new(0, "", "");
        for _ in 0..10_000 {
            let x = stream.uniform_in(1e-12, 1.0) * [1.0, 1e-9, 1e9][stream.below(3) as usize];
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * (1.0 + x.ln().abs()), "{x}");
        }
    }

    #[test]
    fn draws_are_those_of_every_earlier_version() {
        // The numbers of an independent implementation (Python: hashlib, Philox as published, math.log).
        let stream = || Stream::new(42, "galaxy-7", "attack");
        let mut words = stream();
        let first = [0x95a1_5d7f, 0x5534_4a44, 0x64d7_2b15, 0x57bc_4896, 0xb592_4ec2];
        assert_eq!([0; 5].map(|_| words.next_u32()), first);
        let mut draws = stream();
        assert_eq!(draws.next_u64(), 0x5534_4a44_95a1_5d7f);
        assert_eq!(draws.uniform(), 0.342_716_728_894_484_23);
        assert_eq!([0; 8].map(|_| draws.below(10)), [3, 2, 7, 9, 4, 4, 7, 7]);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        near(draws.normal(), -0.309_448_381_390_074_3);
        near(draws.normal(), 0.148_630_527_292_376_39);
        near(draws.normal(), 1.337_524_894_823_159_5);
        near(draws.exponential(), 1.112_011_721_958_459_8);
        // The third normal has a spare one, which is not part of the uniform draws.
        assert_eq!(draws.uniform(), 0.422_136_464_659_576_1);
        near(rank(42, "galaxy-7"), 0.810_516_994_895_066_6);
        let mut draws = stream();
        draws.next_u64();
        near(draws.uniform_in(-1.0, 3.0), -1.0 + 4.0 * 0.342_716_728_894_484_23);
    }

    #[test]
    fn products_that_would_favour_some_integers_are_drawn_again() {
        // About half of all products are rejected for this bound; here the third is. Numbers as above.
        let mut stream = Stream::new(42, "galaxy-7", "attack");
        let expected = [3_069_806_925_220_720_319, 3_161_003_893_847_725_450, 2_622_730_166_419_204_057];
        assert_eq!([0; 3].map(|_| stream.below((1 << 63) + 1)), expected);
        assert_eq!(stream.below(0), 0);
        assert_eq!([0; 3].map(|_| stream.below(1)), [0; 3]);
    }

    #[test]
    fn exponentials_have_mean_and_variance_one() {
        let mut stream = Stream::new(7, "object", "exponential");
        let draws: Vec<f64> = (0..100_000).map(|_| stream.exponential()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        // Five standard errors: 1 / sqrt(n) of the mean, sqrt(8 / n) of the variance.
        assert!((mean - 1.0).abs() < 5.0 * 1e-5_f64.sqrt(), "{mean}");
        assert!((variance - 1.0).abs() < 5.0 * 8e-5_f64.sqrt(), "{variance}");
        assert!(draws.iter().all(|x| *x >= 0.0));
    }

    #[test]
    fn uniforms_and_normals_have_their_moments() {
        let mut stream = Stream::new(7, "object", "moments");
        let n = 200_000;
        let mean = |values: &[f64], power| values.iter().map(|x| x.powi(power)).sum::<f64>() / f64::from(n);
        let uniform: Vec<f64> = (0..n).map(|_| stream.uniform()).collect();
        let normal: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let error = 5.0 / f64::from(n).sqrt();
        assert!((mean(&uniform, 1) - 0.5).abs() < 0.29 * error);
        assert!((mean(&uniform, 2) - 1.0 / 3.0).abs() < 0.3 * error);
        assert!(mean(&normal, 1).abs() < error);
        assert!((mean(&normal, 2) - 1.0).abs() < 1.42 * error);
        assert!((mean(&normal, 4) - 3.0).abs() < 9.8 * error);
    }

    #[test]
    fn integers_below_n_are_uniform_and_in_range() {
        let mut stream = Stream::new(3, "", "below");
        let mut counts = [0_f64; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1.0;
        }
        let chi2: f64 = counts.iter().map(|n| (n - 1e4) * (n - 1e4) / 1e4).sum();
        assert!(chi2 < 27.9, "{chi2}"); // 1e-4 of chi-square with 6 degrees of freedom
    }
}
