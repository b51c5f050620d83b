//! How far a source is behind what has arrived, split by split. The source thread writes it, the status of the run shows it.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use crate::{stage::Split, sync::Mutex};

/// The lags that are known, by split. Clones share them.
#[derive(Clone, Default)]
pub(super) struct SourceLag(Arc<Mutex<BTreeMap<usize, u64>>>);

impl SourceLag {
    /// Notes the lag of a split.
    pub(super) fn set(&self, split: usize, lag: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(split, lag);
    }

    /// The lags with the ids of their splits, in the order of these.
    pub(super) fn by_id(&self, splits: &[Split]) -> Vec<(String, u64)> {
        let lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lags.iter().filter_map(|(split, lag)| Some((splits.get(*split)?.id.clone(), *lag))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_lag_of_every_split_is_shown_by_its_id() {
        let lag = SourceLag::default();
        assert_eq!(lag.by_id(&[]), []);
        let writer = lag.clone();
        [(1, 7), (0, 3), (1, 5), (9, 1)].into_iter().for_each(|(split, number)| writer.set(split, number));
        let splits = ["t/0", "t/1", "t/2"].map(|id| Split::new(id, None));
        assert_eq!(lag.by_id(&splits), [("t/0".to_owned(), 3), ("t/1".to_owned(), 5)]);
    }
}
