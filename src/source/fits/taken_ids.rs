//! No two rows of a run have one id, as draws, splits and parts of images go by it.
//!
//! The first row with an id keeps it; a later one has the name of its file in its id too. Rows are asked in their order in the run,
//! so ids depend on the headers of the rows before only: not on how many files are looked at first, not on batches, and not on files
//! that are appended. A resume reads the headers of the files before it again.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use super::identity::RowIdentity;
use crate::io::digest;

/// Digests of the ids of rows.
#[derive(Debug, Default)]
pub(super) struct TakenIds {
    digests: HashSet<u128>,
    has_repeated: bool,
}

/// The id of a row in a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UniqueId {
    pub id: String,
    /// Whether it is the first one that an earlier row had.
    pub is_first_repeat: bool,
}

impl TakenIds {
    /// The id of the next row.
    pub(super) fn claim(&mut self, row: &RowIdentity) -> UniqueId {
        let mut id = row.id.clone();
        let mut repeats = false;
        while !self.digests.insert(digest::wide_number_of(&[id.as_bytes()])) {
            repeats = true;
            id = format!("{id}@{}", row.by_file);
        }
        let is_first_repeat = repeats && !self.has_repeated;
        self.has_repeated |= repeats;
        UniqueId { id, is_first_repeat }
    }
}

/// The ids of the files before a split, passed on from the reader of a split to that of the next one.
#[derive(Debug, Default)]
pub(super) struct IdsBefore(Mutex<Option<(usize, TakenIds)>>);

impl IdsBefore {
    /// The ids of the files before one, if they were just read.
    pub(super) fn take(&self, file: usize) -> Option<TakenIds> {
        if file == 0 {
            return Some(TakenIds::default());
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take().filter(|(end, _)| *end == file).map(|(_, ids)| ids)
    }

    /// Keeps the ids of the files before one.
    pub(super) fn put(&self, file: usize, ids: TakenIds) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((file, ids));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, by_file: &str) -> RowIdentity {
        RowIdentity { id: id.into(), by_file: by_file.into(), origin: String::new(), by_header: id != by_file }
    }

    #[test]
    fn later_rows_have_their_file_in_their_id() {
        let mut taken = TakenIds::default();
        let rows = [("a", "1"), ("b", "2"), ("a", "3"), ("4", "4"), ("4", "5"), ("a@3", "6"), ("a", "7")];
        let ids = rows.map(|(id, by_file)| taken.claim(&row(id, by_file)));
        assert_eq!(ids.each_ref().map(|row| row.id.as_str()), ["a", "b", "a@3", "4", "4@5", "a@3@6", "a@7"]);
        assert_eq!(ids.map(|row| row.is_first_repeat), [false, false, true, false, false, false, false]);
    }

    #[test]
    fn ids_are_kept_for_the_next_split_alone() {
        let ids = IdsBefore::default();
        assert!(ids.take(0).is_some() && ids.take(64).is_none());
        ids.put(64, TakenIds::default());
        assert!(ids.take(64).is_some() && ids.take(64).is_none());
        ids.put(64, TakenIds::default());
        assert!(ids.take(128).is_none());
    }
}
