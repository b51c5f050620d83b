//! Percentiles of a stream of float32 in bounded memory.
//!
//! Numbers are counted in bins that follow the float32 format: the sign, the exponent and the first 15 bits of the
//! fraction. A percentile is that of `numpy.percentile` (linear interpolation between ranks) with each of its two ranks at
//! the middle of its bin, so it is within [`RELATIVE_ERROR`] of the greater of the two in size. Counts do not depend on the
//! order of the numbers nor on how they came in batches, and two streams merge by adding.

/// The bound of the error of a percentile, relative to the ranks that it lies between (for sizes above 1e-38).
pub const RELATIVE_ERROR: f64 = 1.0 / 65_536.0;

/// Bits of a float32 that a bin does not tell apart.
const DROPPED: u32 = 8;
/// Bins of a page; pages are made when a number first falls into them.
const PAGE: usize = 4096;
/// Pages of all float32: the most that there can be, 128 MiB.
const PAGES: usize = 1 << (32 - DROPPED as usize - PAGE.ilog2() as usize);

/// Counts of float32 numbers, from which any percentile can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantiles {
    pages: Vec<Option<Box<[u64; PAGE]>>>,
    count: u64,
    skipped: u64,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self { pages: vec![None; PAGES], count: 0, skipped: 0 }
    }
}

impl Quantiles {
    /// Counts numbers. NaN and infinities are left out, and counted apart.
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

    /// A percentile (0 to 100) of the finite numbers; `None` when there were none.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let place = self.count.checked_sub(1)? as f64 * (percent / 100.0).clamp(0.0, 1.0);
        let rank = place as u64;
        let (low, high) = (self.rank(rank)?, self.rank((rank + 1).min(self.count - 1))?);
        Some(low + (high - low) * (place - rank as f64))
    }

    /// The middle of the bin of the number of a rank; 0 is the least.
    fn rank(&self, rank: u64) -> Option<f64> {
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

/// The bits of a float32, so laid that they sort as the numbers do; -0 is 0.
fn ordered(number: f32) -> u32 {
    let bits = (number + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn number(ordered: u32) -> f64 {
    f64::from(f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered }))
}

/// The middle of a bin: halfway between its least and its greatest number.
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

    use super::*;

    fn exact(numbers: &[f32], percent: f64) -> (f64, f64) {
        let mut sorted: Vec<f64> = numbers.iter().map(|x| f64::from(*x)).collect();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() - 1) as f64 * percent / 100.0;
        let (low, high) = (sorted[place as usize], sorted[(place as usize + 1).min(sorted.len() - 1)]);
        (low + (high - low) * (place - place.floor()), low.abs().max(high.abs()))
    }

    #[test]
    fn numbers_keep_their_order_in_bits() {
        let numbers = [f32::MIN, -1.0, -1e-40, 0.0, 1e-40, 1.0, 1.5, f32::MAX];
        assert!(numbers.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
        assert_eq!(ordered(-0.0), ordered(0.0));
        assert!(numbers.iter().all(|x| number(ordered(*x)) == f64::from(*x)));
    }

    #[test]
    fn no_number_has_no_percentile_and_a_constant_has_itself() {
        let mut quantiles = Quantiles::default();
        quantiles.add(&[f32::NAN, f32::INFINITY]);
        assert_eq!((quantiles.percentile(50.0), quantiles.count(), quantiles.skipped()), (None, 0, 2));
        quantiles.add(&[0.0, -0.0, 0.0]);
        assert_eq!(quantiles.percentile(99.9), Some(0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn percentiles_are_within_the_bound_of_the_exact_ones(
            numbers in proptest::collection::vec(-1e5f32..1e6, 1..2000), percent in 0.0f64..100.0,
        ) {
            let mut quantiles = Quantiles::default();
            quantiles.add(&numbers);
            for percent in [0.0, 0.1, percent, 99.9, 100.0] {
                let (want, size) = exact(&numbers, percent);
                let found = quantiles.percentile(percent).expect("numbers");
                prop_assert!((found - want).abs() <= RELATIVE_ERROR * size, "{percent}: {found} {want}");
            }
        }

        #[test]
        fn batches_and_their_order_do_not_matter(
            numbers in proptest::collection::vec(-1e3f32..1e3, 2..500), cut in 0.0f64..1.0,
        ) {
            let (a, b) = numbers.split_at((numbers.len() as f64 * cut) as usize);
            let (mut whole, mut first, mut second) = (Quantiles::default(), Quantiles::default(), Quantiles::default());
            whole.add(&numbers);
            first.add(a);
            second.add(b);
            second.merge(&first);
            prop_assert!(whole == second);
        }
    }
}
