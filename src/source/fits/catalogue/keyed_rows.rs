//! Rows of a catalogue: the keys, and the columns that are used.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use arrow::{
    array::{ArrayRef, StringArray},
    datatypes::Field,
};

use super::Catalogue;
use crate::error::Diagnostic;

/// Rows of a catalogue: all of them, or a piece.
#[derive(Debug, Clone)]
pub(in crate::source) struct KeyedRows {
    /// Without blanks around them; a missing one is null.
    pub keys: StringArray,
    /// The new columns, by name.
    pub columns: Vec<(Field, ArrayRef)>,
}

/// A catalogue that is read in pieces.
pub(in crate::source) trait Pieces {
    /// Where a piece is.
    type Place;

    fn catalogue(&self) -> &Catalogue;

    /// Reads all rows once, in pieces of at most `rows` rows.
    fn each_piece(
        &self,
        rows: usize,
        take: &mut dyn FnMut(Self::Place, KeyedRows) -> Result<(), Vec<Diagnostic>>,
    ) -> Result<(), Vec<Diagnostic>>;

    /// The same, and checks that no key comes twice: in a second reading of all rows, where two keys have one hash.
    fn scan(
        &self,
        rows: usize,
        mut take: impl FnMut(Self::Place, KeyedRows) -> Result<(), Vec<Diagnostic>>,
    ) -> Result<(), Vec<Diagnostic>> {
        let mut hashes = KeyHashes::default();
        self.each_piece(rows, &mut |place, keyed| {
            hashes.add(&keyed.keys);
            take(place, keyed)
        })?;
        let mut repeated = hashes.repeated();
        if repeated.is_empty() {
            return Ok(());
        }
        self.each_piece(rows, &mut |_, keyed| match repeated.first_repeated(&keyed.keys) {
            Some(twice) => Err(vec![self.catalogue().twice(twice)]),
            None => Ok(()),
        })
    }
}

/// Whether keys of a catalogue come twice, with eight bytes per key. Keys of one hash are compared in a second pass.
#[derive(Default)]
pub(super) struct KeyHashes(Vec<u64>);

impl KeyHashes {
    pub(super) fn add(&mut self, keys: &StringArray) {
        self.0.extend(keys.iter().flatten().map(hash));
    }

    /// The hashes of several keys.
    pub(super) fn repeated(mut self) -> RepeatedHashes {
        self.0.sort_unstable();
        RepeatedHashes {
            hashes: self.0.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(|same| same[0]).collect(),
            seen: HashSet::new(),
        }
    }
}

/// The keys that have one hash.
pub(super) struct RepeatedHashes {
    hashes: HashSet<u64>,
    seen: HashSet<String>,
}

impl RepeatedHashes {
    /// Whether all keys have a hash of their own: none comes twice.
    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The first key that is among those before it.
    pub(super) fn first_repeated<'a>(&mut self, keys: &'a StringArray) -> Option<&'a str> {
        keys.iter().flatten().find(|key| self.hashes.contains(&hash(key)) && !self.seen.insert((*key).to_owned()))
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_hash_are_not_taken_for_one_key() {
        let keys = |keys: &[&str]| StringArray::from(keys.to_vec());
        let pieces = [keys(&["a", "b", "c"]), keys(&["d", "b", "a"])];
        let mut hashes = KeyHashes::default();
        pieces.iter().for_each(|keys| hashes.add(keys));
        let mut repeated = hashes.repeated();
        // As if `c` and `d` had the same hash.
        repeated.hashes.extend(["c", "d"].map(hash));
        assert_eq!(pieces.iter().find_map(|keys| repeated.first_repeated(keys)), Some("b"));

        let mut hashes = KeyHashes::default();
        hashes.add(&StringArray::from(vec![Some("a"), None, None, Some("b")]));
        assert!(hashes.repeated().is_empty());
    }
}
