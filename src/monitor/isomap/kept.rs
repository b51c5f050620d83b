//! The objects of a stream that are drawn: those with the smallest ranks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An object, as far as it is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) object_id: String,
    pub(super) origin: String,
    pub(super) truth: Option<String>,
    /// The class of every latent.
    pub(super) classes: Vec<Option<String>>,
    /// One after the other. A snapshot has them apart.
    #[serde(skip)]
    pub(super) latents: Vec<f32>,
}

/// The order of objects: by rank, then as they came.
pub(super) type Place = (u64, u64);

/// At most so many objects, those with the smallest ranks: who is kept does not depend on the order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    most: usize,
    objects: BTreeMap<Place, Object>,
}

impl Kept {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, objects: BTreeMap::new() }
    }

    /// Whether an object at this place would be kept now.
    pub(super) fn wants(&self, place: &Place) -> bool {
        let is_before = self.objects.last_key_value().is_some_and(|(last, _)| place < last);
        self.objects.len() < self.most || is_before
    }

    pub(super) fn put(&mut self, place: Place, object: Object) {
        self.objects.insert(place, object);
        if self.objects.len() > self.most {
            self.objects.pop_last();
        }
    }

    /// In their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// What a snapshot says of them, without latents.
    pub(super) fn named(&self) -> Vec<(Place, Object)> {
        let bare = |object: &Object| Object { latents: Vec::new(), ..object.clone() };
        self.objects.iter().map(|(place, object)| (*place, bare(object))).collect()
    }

    /// The latents for a snapshot.
    pub(super) fn latents(&self) -> impl Iterator<Item = f32> {
        self.iter().flat_map(|object| object.latents.iter().copied())
    }

    /// Goes on from a snapshot, whose latents have so many numbers for every object; `None` when they have not.
    pub(super) fn read(most: usize, named: Vec<(Place, Object)>, latents: &[f32], length: usize) -> Option<Self> {
        if named.len() > most || latents.len() != named.len() * length {
            return None;
        }
        let with = |(i, (place, object)): (usize, (Place, Object))| {
            (place, Object { latents: latents[i * length..][..length].to_vec(), ..object })
        };
        Some(Self { most, objects: named.into_iter().enumerate().map(with).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(i: u64) -> Object {
        let latents = vec![i as f32, f32::NAN];
        Object { object_id: format!("o{i}"), origin: String::new(), truth: None, classes: vec![None], latents }
    }

    fn kept(numbers: impl Iterator<Item = u64>) -> Kept {
        let mut kept = Kept::new(3);
        for i in numbers {
            let place = (i * 7 % 10, i);
            if kept.wants(&place) {
                kept.put(place, object(i));
            }
        }
        kept
    }

    fn ids(kept: &Kept) -> Vec<&str> {
        kept.iter().map(|object| object.object_id.as_str()).collect()
    }

    #[test]
    fn the_smallest_ranks_are_kept_in_any_order() {
        assert_eq!(ids(&kept(0..10)), ["o0", "o3", "o6"]);
        assert_eq!(ids(&kept((0..10).rev())), ["o0", "o3", "o6"]);
        assert!(!Kept::new(0).wants(&(0, 0)));
    }

    #[test]
    fn latents_of_any_bits_survive_a_snapshot() {
        let before = kept(0..10);
        let latents: Vec<f32> = before.latents().collect();
        let after = Kept::read(3, before.named(), &latents, 2).expect("read");
        assert_eq!((ids(&after), after.latents().map(f32::to_bits).collect::<Vec<_>>()), {
            (ids(&before), before.latents().map(f32::to_bits).collect())
        });
        assert_eq!(Kept::read(2, before.named(), &latents, 2), None);
        assert_eq!(Kept::read(3, before.named(), &latents[1..], 2), None);
    }
}
