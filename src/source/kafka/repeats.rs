//! Packets that a producer sent again: those with the identity of an earlier message of their partition.

use std::collections::{HashMap, VecDeque};

use crate::io::digest;

/// The identities of the last messages of a partition.
pub(super) struct RecentIds {
    /// How many offsets an identity is remembered for.
    window: u64,
    /// Offsets and digests of identities, oldest first.
    order: VecDeque<(u64, u128)>,
    /// The last offset of each.
    last: HashMap<u128, u64>,
}

impl RecentIds {
    pub(super) fn new(window: u64) -> Self {
        Self { window, order: VecDeque::new(), last: HashMap::new() }
    }

    /// Notes the identity of a message. Returns the offset of the last message before it that has the same, within the window.
    pub(super) fn note(&mut self, offset: u64, id: &str) -> Option<u64> {
        while let Some((oldest, digest)) =
            self.order.front().copied().filter(|(oldest, _)| oldest + self.window < offset)
        {
            self.order.pop_front();
            if self.last.get(&digest) == Some(&oldest) {
                self.last.remove(&digest);
            }
        }
        let digest = digest::wide_number_of(&[id.as_bytes()]);
        self.order.push_back((offset, digest));
        self.last.insert(digest, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_remembered_for_a_window_of_offsets() {
        let mut recent = RecentIds::new(10);
        assert_eq!(recent.note(0, "a"), None);
        assert_eq!(recent.note(3, "b"), None);
        assert_eq!(recent.note(10, "a"), Some(0));
        assert_eq!(recent.note(14, "b"), None, "11 offsets later");
        assert_eq!(recent.note(20, "a"), Some(10), "since it was seen last");
        assert_eq!(recent.note(31, "a"), None);
        assert!(recent.order.len() <= 3 && recent.last.len() <= 3);
    }

    #[test]
    fn what_is_remembered_does_not_depend_on_where_reading_began() {
        let ids: Vec<String> = (0..200_u64).map(|offset| (offset * offset % 37).to_string()).collect();
        let read = |begin: u64| -> Vec<Option<u64>> {
            let mut recent = RecentIds::new(12);
            (begin..200).map(|offset| recent.note(offset, &ids[offset as usize])).collect()
        };
        let all = read(0);
        for begin in 12..100 {
            assert_eq!(read(begin - 12)[12..], all[begin as usize..], "{begin}");
        }
    }
}
