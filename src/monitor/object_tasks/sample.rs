//! Which objects of a stream are sampled: those whose hash is below a fraction, or those with the smallest hashes.
//!
//! The hash depends only on the seed of the run and the object id, so the monitors of two models sample the same galaxies.

use crate::random::rank;

/// How objects are sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::monitor) struct Sample {
    /// The fraction of the objects to sample.
    pub(in crate::monitor) fraction: Option<f64>,
    /// The most objects of the stream to sample; which ones is known only at its end.
    pub(in crate::monitor) limit: Option<usize>,
}

impl Sample {
    /// The key of an object that is row `number` of the stream; `None` if the fraction leaves it out.
    pub(super) fn key(&self, seed: u64, object_id: &str, number: u64) -> Option<SampleKey> {
        let hash = rank(seed, object_id);
        // Hashes are not negative, so their bits are ordered as the numbers are.
        (hash < self.fraction.unwrap_or(1.0)).then(|| SampleKey {
            hash: hash.to_bits(),
            object_id: object_id.to_owned(),
            number,
        })
    }
}

/// The key of an object in a sample: by hash, then by id. Of objects with one id the earlier is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SampleKey {
    hash: u64,
    object_id: String,
    /// The row of the stream.
    pub(super) number: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::kit::bottom_k::BottomK;

    fn sampled(ids: impl Iterator<Item = u64>, sample: Sample) -> Vec<u64> {
        let mut smallest = BottomK::new(sample.limit.unwrap_or(usize::MAX));
        for id in ids {
            if let Some(key) = sample.key(7, &format!("object-{id}"), id)
                && smallest.accepts(&key)
            {
                smallest.insert(key, ());
            }
        }
        let mut ids: Vec<u64> = smallest.iter().map(|(key, ())| key.number).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_sample_does_not_depend_on_the_order_of_the_stream() {
        let sample = Sample { fraction: None, limit: Some(20) };
        let forwards = sampled(0..500, sample);
        assert_eq!(forwards.len(), 20);
        assert_eq!(sampled((0..500).rev(), sample), forwards);
    }

    #[test]
    fn a_fraction_samples_about_that_many_and_a_smaller_one_a_subset() {
        let of = |fraction| sampled(0..4000, Sample { fraction: Some(fraction), limit: None });
        let (quarter, half) = (of(0.25), of(0.5));
        assert!((quarter.len() as f64 - 1000.0).abs() < 4.0 * 27.4, "{}", quarter.len());
        assert!(quarter.iter().all(|id| half.contains(id)));
    }
}
