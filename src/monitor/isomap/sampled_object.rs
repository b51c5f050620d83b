//! Sampled objects, and the sample in a snapshot.

use serde::{Deserialize, Serialize};

use crate::monitor::kit::bottom_k::{BottomK, SampleKey};

/// An object of the sample: its names, and what is drawn of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SampledObject {
    pub(super) object_id: String,
    pub(super) origin: String,
    pub(super) truth: Option<String>,
    /// The class of every latent.
    pub(super) classes: Vec<Option<String>>,
    /// The latents, concatenated. A snapshot stores them as bytes after its header.
    #[serde(skip)]
    pub(super) latents: Vec<f32>,
}

/// The objects with the smallest ranks.
pub(super) type ObjectSample = BottomK<SampleKey, SampledObject>;

/// The objects of a sample without their latents, for the header of a snapshot.
pub(super) fn without_latents(sample: &ObjectSample) -> Vec<(SampleKey, SampledObject)> {
    let bare = |object: &SampledObject| SampledObject { latents: Vec::new(), ..object.clone() };
    sample.sorted().into_iter().map(|(key, object)| (*key, bare(object))).collect()
}

/// The latents of a sample, in the order of [`without_latents`].
pub(super) fn latents_of(sample: &ObjectSample) -> impl Iterator<Item = f32> {
    sample.sorted().into_iter().flat_map(|(_, object)| object.latents.iter().copied())
}

/// A sample of at most `k` objects from both parts, with `length` numbers per object; `None` if their counts do not match.
pub(super) fn with_latents(
    k: usize,
    objects: Vec<(SampleKey, SampledObject)>,
    latents: &[f32],
    length: usize,
) -> Option<ObjectSample> {
    if latents.len() != objects.len() * length {
        return None;
    }
    let with = |(i, (key, object)): (usize, (SampleKey, SampledObject))| {
        (key, SampledObject { latents: latents[i * length..][..length].to_vec(), ..object })
    };
    BottomK::from_items(k, objects.into_iter().enumerate().map(with))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_survive_a_snapshot_bit_for_bit() {
        let mut before = BottomK::new(3);
        for i in 0..10 {
            let (object_id, latents) = (format!("o{i}"), vec![i as f32, f32::NAN]);
            let key = SampleKey::new(7, &object_id, i);
            before.insert(
                key,
                SampledObject { object_id, origin: String::new(), truth: None, classes: vec![None], latents },
            );
        }
        let bits = |sample: &ObjectSample| latents_of(sample).map(f32::to_bits).collect::<Vec<_>>();
        let ids = |sample: &ObjectSample| {
            sample.sorted().iter().map(|(_, object)| object.object_id.clone()).collect::<Vec<_>>()
        };
        let latents: Vec<f32> = latents_of(&before).collect();
        let header = serde_json::to_string(&without_latents(&before)).expect("JSON");
        let objects = || serde_json::from_str(&header).expect("objects");
        let after = with_latents(3, objects(), &latents, 2).expect("a sample");
        assert_eq!((ids(&after), bits(&after)), (ids(&before), bits(&before)));
        assert!(with_latents(2, objects(), &latents, 2).is_none());
        assert!(with_latents(3, objects(), &latents[1..], 2).is_none());
    }
}
