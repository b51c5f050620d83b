//! Percentiles of a stream of float32 in bounded memory.
//!
//! Numbers are counted in bins that follow the float32 format: the sign, the exponent and the first 15 bits of the
//! fraction. A percentile is that of `numpy.percentile` (linear interpolation between ranks) with each of its two ranks
//! at the middle of its bin, so its error is at most [`RELATIVE_ERROR`] of the larger of the two in size. Counts depend
//! neither on the order of the numbers nor on how they are cut into batches, and two streams merge by addition.

use super::quantile::Position;

/// The bound of the error of a percentile, relative to the two ranks around it (for sizes above 1e-38).
pub const RELATIVE_ERROR: f64 = 1.0 / 65_536.0;

/// Bits of a float32 that a bin ignores.
const DROPPED: u32 = 8;
/// Bins of a page. A page is allocated when the first number falls into it.
const PAGE: usize = 4096;
/// Pages for all float32: at most 128 MiB.
const PAGES: usize = 1 << (32 - DROPPED as usize - PAGE.ilog2() as usize);

/// Counts of float32 numbers, for any percentile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantileSketch {
    pages: Vec<Option<Box<[u64; PAGE]>>>,
    count: u64,
    skipped: u64,
}

impl Default for QuantileSketch {
    fn default() -> Self {
        Self { pages: vec![None; PAGES], count: 0, skipped: 0 }
    }
}

impl QuantileSketch {
    /// Counts numbers. NaN and infinities are skipped and counted separately.
    pub fn add(&mut self, numbers: &[f32]) {
        let mut skipped = 0;
        for number in numbers {
            if !number.is_finite() {
                skipped += 1;
                continue;
            }
            let bin = (ordered(*number) >> DROPPED) as usize;
            let page = self.pages[bin / PAGE].get_or_insert_with(|| Box::new([0; PAGE]));
            page[bin % PAGE] += 1;
        }
        self.skipped += skipped;
        self.count += numbers.len() as u64 - skipped;
    }

    /// Adds the counts of another stream.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.pages.iter_mut().zip(&other.pages) {
            if let Some(theirs) = theirs {
                let mine = mine.get_or_insert_with(|| Box::new([0; PAGE]));
                mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
            }
        }
        self.count += other.count;
        self.skipped += other.skipped;
    }

    /// How many finite numbers were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many numbers were NaN or infinite.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// A percentile (0 to 100) of the finite numbers; `None` if there are none.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let position = Position::of(self.count as usize, percent / 100.0)?;
        let rank = position.rank as u64;
        Some(position.between(self.at_rank(rank)?, self.at_rank((rank + 1).min(self.count - 1))?))
    }

    /// The middle of the bin that holds the number of a rank; 0 is the rank of the least.
    fn at_rank(&self, rank: u64) -> Option<f64> {
        let mut below = 0;
        for (number, page) in self.pages.iter().enumerate() {
            let Some(page) = page else { continue };
            for (bin, count) in page.iter().enumerate() {
                below += count;
                if below > rank {
                    return Some(middle((number * PAGE + bin) as u32));
                }
            }
        }
        None
    }
}

/// The bits of a float32, rearranged so that they sort as the numbers do; -0 becomes 0.
fn ordered(number: f32) -> u32 {
    let bits = (number + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The number whose rearranged bits these are.
fn number(ordered: u32) -> f64 {
    f64::from(f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered }))
}

/// The middle of a bin: halfway between its least and its greatest number. That of 0 is exact: empty sky stays 0.
fn middle(bin: u32) -> f64 {
    let least = bin << DROPPED;
    if least == ordered(0.0) {
        return 0.0;
    }
    f64::midpoint(number(least), number(least | ((1 << DROPPED) - 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::quantile::linear, *};

    /// The exact percentile, and the larger of its two ranks in size.
    fn exact(numbers: &[f32], percent: f64) -> (f64, f64) {
        let mut sorted: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = ((sorted.len() - 1) as f64 * percent / 100.0) as usize;
        let (low, high) = (sorted[rank], sorted[(rank + 1).min(sorted.len() - 1)]);
        (linear(&sorted, percent / 100.0).expect("numbers"), low.abs().max(high.abs()))
    }

    #[test]
    fn rearranged_bits_sort_as_the_numbers_do() {
        let numbers = [f32::MIN, -1.0, -1e-40, 0.0, 1e-40, 1.0, 1.5, f32::MAX];
        assert!(numbers.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
        assert_eq!(ordered(-0.0), ordered(0.0));
        assert!(numbers.iter().all(|x| number(ordered(*x)) == f64::from(*x)));
    }

    #[test]
    fn an_empty_stream_has_no_percentile_and_zeros_have_zero() {
        let mut sketch = QuantileSketch::default();
        sketch.add(&[f32::NAN, f32::INFINITY]);
        assert_eq!((sketch.percentile(50.0), sketch.count(), sketch.skipped()), (None, 0, 2));
        sketch.add(&[0.0, -0.0, 0.0]);
        assert_eq!((sketch.percentile(99.9), sketch.count(), sketch.skipped()), (Some(0.0), 3, 2));
    }

    #[test]
    fn counts_take_at_most_128_mib_and_percentiles_are_known_to_one_part_in_65536() {
        let pages = QuantileSketch::default().pages.len();
        assert_eq!(pages * size_of::<[u64; PAGE]>(), 128 << 20);
        // The last 8 pages would be those of infinity and NaN.
        assert_eq!((ordered(f32::MAX) >> DROPPED) as usize / PAGE, pages - 1 - 8);
        assert_eq!(RELATIVE_ERROR, 2f64.powi(-16));
    }

    #[test]
    fn merged_streams_skip_what_either_of_them_skips() {
        let of = |numbers: &[f32]| {
            let mut sketch = QuantileSketch::default();
            sketch.add(numbers);
            sketch
        };
        let mut merged = of(&[1.0, f32::NAN, f32::INFINITY]);
        merged.merge(&of(&[2.0, f32::NEG_INFINITY, f32::NAN, f32::NAN, 3.0]));
        assert_eq!((merged.count(), merged.skipped()), (3, 5));
        assert!(merged == of(&[f32::NAN, 1.0, 2.0, 3.0, f32::NAN, f32::NAN, f32::NAN, f32::NAN]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn percentiles_are_within_the_error_bound_of_the_exact_ones(
            numbers in proptest::collection::vec(-1e5f32..1e6, 1..2000), percent in 0.0f64..100.0,
        ) {
            let mut sketch = QuantileSketch::default();
            sketch.add(&numbers);
            for percent in [0.0, 0.1, percent, 99.9, 100.0] {
                let (expected, size) = exact(&numbers, percent);
                let found = sketch.percentile(percent).expect("numbers");
                prop_assert!((found - expected).abs() <= RELATIVE_ERROR * size, "{percent}: {found} {expected}");
            }
        }

        #[test]
        fn counts_depend_neither_on_batches_nor_on_their_order(
            numbers in proptest::collection::vec(-1e3f32..1e3, 2..500), cut in 0.0f64..1.0,
        ) {
            let (a, b) = numbers.split_at((numbers.len() as f64 * cut) as usize);
            let (mut once, mut first, mut second) =
                (QuantileSketch::default(), QuantileSketch::default(), QuantileSketch::default());
            once.add(&numbers);
            first.add(a);
            second.add(b);
            second.merge(&first);
            prop_assert!(once == second);
        }
    }
}
