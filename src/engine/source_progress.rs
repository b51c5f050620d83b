//! The progress of the source, from which source checkpoints are made and with which they are compared.

use crate::{
    error::{Error, Result},
    io::digest::NamesDigest,
    run::{SourceCheckpoint, SplitBounds},
    stage::Split,
};

/// An offset in a split, by the index of the split in the source's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SplitOffset {
    pub(super) split: usize,
    pub(super) offset: u64,
    /// What the split holds up to there, as its reader says.
    pub(super) contents: Option<u128>,
}

/// What was read of a split.
#[derive(Debug, Clone, Copy, Default)]
struct ReadSoFar {
    offset: u64,
    contents: Option<u128>,
}

/// Follows the source through its splits.
pub(super) struct SourceProgress {
    live: bool,
    /// The split being read by a sequential source.
    current: usize,
    /// What was read of every split; of a sequential source only the current split counts.
    read: Vec<ReadSoFar>,
    /// The ids of the splits before the current one.
    finished: NamesDigest,
}

impl SourceProgress {
    /// Starts at the beginning.
    pub(super) fn new(splits: &[Split], live: bool) -> Self {
        let read = splits.iter().map(|split| ReadSoFar { offset: split.start, contents: None }).collect();
        Self { live, current: 0, read, finished: NamesDigest::default() }
    }

    /// Starts at a checkpoint.
    ///
    /// # Errors
    /// [`Error::Data`] if the splits of the source differ from those of the checkpoint.
    pub(super) fn resume(splits: &[Split], live: bool, checkpoint: &SourceCheckpoint) -> Result<Self> {
        let mut progress = Self::new(splits, live);
        let contents = |id: &str| {
            let text = checkpoint.contents.get(id)?;
            u128::from_str_radix(text, 16).ok()
        };
        if live {
            for (id, offset) in &checkpoint.offsets {
                let split = splits.iter().position(|split| split.id == *id).ok_or_else(|| {
                    Error::data(format!(
                        "the source has changed: the split `{id}`, which the run has read up to offset {offset}, is missing; restore it, or begin again with overwrite"
                    ))
                })?;
                progress.read[split] = ReadSoFar { offset: *offset, contents: contents(id) };
            }
        } else {
            let start = splits.get(checkpoint.finished_splits).map_or(0, |split| split.start);
            let (offset, contents) =
                checkpoint.offsets.iter().next().map_or((start, None), |(id, offset)| (*offset, contents(id)));
            progress.advance(splits, SplitOffset { split: checkpoint.finished_splits, offset, contents });
        }
        let complete = if live { checkpoint.finished_splits == 0 } else { progress.checkpoint(splits) == *checkpoint };
        if complete {
            return Ok(progress);
        }
        let id = checkpoint.offsets.keys().next().map_or("none", String::as_str);
        Err(Error::data(format!(
            "the source has changed: its splits up to `{id}`, which the run has reached, are not what they were; restore them, or begin again with overwrite"
        )))
    }

    /// Moves to an offset.
    pub(super) fn advance(&mut self, splits: &[Split], to: SplitOffset) {
        if !self.live {
            splits.iter().take(to.split).skip(self.current).for_each(|split| self.finished.push(&split.id));
            self.current = to.split;
        }
        if let Some(read) = self.read.get_mut(to.split) {
            *read = ReadSoFar { offset: to.offset, contents: to.contents };
        }
    }

    /// The current checkpoint.
    pub(super) fn checkpoint(&self, splits: &[Split]) -> SourceCheckpoint {
        let open = splits.iter().zip(&self.read).enumerate();
        let open: Vec<(&String, &ReadSoFar)> = open
            .filter(|(index, _)| self.live || *index == self.current)
            .map(|(_, (split, read))| (&split.id, read))
            .collect();
        let contents = |(id, read): &(&String, &ReadSoFar)| Some(((*id).clone(), format!("{:032x}", read.contents?)));
        SourceCheckpoint {
            finished_splits: self.current,
            finished_digest: self.finished.hex(),
            offsets: open.iter().map(|(id, read)| ((*id).clone(), read.offset)).collect(),
            contents: open.iter().filter_map(contents).collect(),
            bounds: splits.iter().filter_map(bounds_of).collect(),
        }
    }

    /// The splits that are left to read, in order, and the offset in each.
    pub(super) fn remaining(&self) -> Vec<SplitOffset> {
        let first = if self.live { 0 } else { self.current };
        let start = |split: usize| {
            let ReadSoFar { offset, contents } = self.read[split];
            SplitOffset { split, offset, contents }
        };
        (first..self.read.len()).map(start).collect()
    }
}

/// Where a split begins and ends, if that was decided when the run began.
fn bounds_of(split: &Split) -> Option<(String, SplitBounds)> {
    let bounds = SplitBounds { start: split.start, end: split.end };
    (bounds != SplitBounds::default()).then(|| (split.id.clone(), bounds))
}

/// Gives the splits of a restarted source the bounds that they had when the run began. A live source may have new splits, which begin at
/// their beginning; what a bounded one has more than then is not part of the run.
pub(super) fn restore_bounds(splits: &mut Vec<Split>, live: bool, checkpoint: &SourceCheckpoint) {
    let is_bounded = checkpoint.bounds.values().any(|bounds| bounds.end.is_some());
    if is_bounded {
        splits.retain(|split| checkpoint.bounds.contains_key(&split.id));
    }
    for split in splits {
        match checkpoint.bounds.get(&split.id) {
            Some(bounds) => (split.start, split.end) = (bounds.start, bounds.end),
            None if live => (split.start, split.end) = (0, None),
            None => {}
        }
    }
}

/// Refuses a source that lists one id twice, because the offsets of the two splits would be ambiguous.
pub(super) fn check_ids(splits: &[Split]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    let twice = splits.iter().find(|split| !seen.insert(split.id.as_str()));
    twice.map_or(Ok(()), |split| Err(Error::stage("source", format!("lists the split `{}` twice", split.id))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn splits(ids: &[&str]) -> Vec<Split> {
        ids.iter().map(|id| Split::new(*id, None)).collect()
    }

    fn at(split: usize, offset: u64) -> SplitOffset {
        SplitOffset { split, offset, contents: (offset > 0).then_some(u128::from(offset)) }
    }

    #[test]
    fn a_sequential_source_resumes_if_its_splits_up_to_there_are_the_same() {
        let abc = splits(&["a", "b", "c"]);
        let mut progress = SourceProgress::new(&abc, false);
        progress.advance(&abc, at(1, 7));
        let checkpoint = progress.checkpoint(&abc);
        assert_eq!(checkpoint.offsets, BTreeMap::from([("b".into(), 7)]));
        assert_eq!(checkpoint.contents, BTreeMap::from([("b".into(), format!("{:032x}", 7))]));
        let resumed = SourceProgress::resume(&abc, false, &checkpoint).expect("the same splits");
        assert_eq!(resumed.remaining(), [at(1, 7), at(2, 0)]);
        assert!(SourceProgress::resume(&splits(&["a", "b", "c", "d"]), false, &checkpoint).is_ok());
        for changed in [&["A", "b", "c"][..], &["a", "c"], &["a"], &["b", "a"]] {
            assert!(SourceProgress::resume(&splits(changed), false, &checkpoint).is_err(), "{changed:?}");
        }
        assert!(SourceProgress::resume(&abc, true, &checkpoint).is_err(), "a live source has no finished splits");
    }

    #[test]
    fn a_live_source_resumes_every_partition_and_begins_new_ones() {
        let two = splits(&["t/0", "t/1"]);
        let mut progress = SourceProgress::new(&two, true);
        progress.advance(&two, at(1, 5));
        progress.advance(&two, at(0, 3));
        let checkpoint = progress.checkpoint(&two);
        assert_eq!(checkpoint.offsets, BTreeMap::from([("t/0".into(), 3), ("t/1".into(), 5)]));
        let grown = SourceProgress::resume(&splits(&["t/2", "t/1", "t/0"]), true, &checkpoint).expect("all are there");
        assert_eq!(grown.remaining(), [at(0, 0), at(1, 5), at(2, 3)]);
        let error = SourceProgress::resume(&splits(&["t/0"]), true, &checkpoint).err().expect("a lost partition");
        assert!(error.to_string().contains("the split `t/1`, which the run has read up to offset 5, is missing"));
    }

    #[test]
    fn bounds_are_those_of_the_first_start() {
        let bounded = |ids: &[(&str, u64, u64)]| -> Vec<Split> {
            ids.iter().map(|(id, start, end)| Split::new(*id, None).within(*start, Some(*end))).collect()
        };
        let first = bounded(&[("t/0", 5, 9), ("t/1", 0, 7), ("t/2", 3, 3)]);
        let mut progress = SourceProgress::new(&first, false);
        assert_eq!(progress.remaining(), [at(0, 5), at(1, 0), at(2, 3)].map(|at| SplitOffset { contents: None, ..at }));
        progress.advance(&first, at(1, 2));
        let checkpoint = progress.checkpoint(&first);
        // More has arrived, and retention has removed the first messages.
        let mut later = bounded(&[("t/0", 8, 20), ("t/1", 1, 30), ("t/2", 4, 40), ("t/3", 0, 50)]);
        restore_bounds(&mut later, false, &checkpoint);
        assert_eq!(later, first);
        let resumed = SourceProgress::resume(&later, false, &checkpoint).expect("the same splits");
        assert_eq!(resumed.remaining(), [at(1, 2), SplitOffset { contents: None, ..at(2, 3) }]);
        // A live source: a split that is new begins at its beginning, wherever a first start would begin.
        let live = [Split::new("t/0", None).within(5, None)];
        let checkpoint = SourceProgress::new(&live, true).checkpoint(&live);
        let mut later = vec![Split::new("t/0", None).within(9, None), Split::new("t/1", None).within(9, None)];
        restore_bounds(&mut later, true, &checkpoint);
        let resumed = SourceProgress::resume(&later, true, &checkpoint).expect("all are there");
        assert_eq!(resumed.remaining().iter().map(|at| at.offset).collect::<Vec<_>>(), [5, 0]);
    }

    #[test]
    fn a_split_that_a_sequential_source_adds_begins_where_it_says() {
        let begin_at_4 = |ids: &[&str]| ids.iter().map(|id| Split::new(*id, None).within(4, None)).collect::<Vec<_>>();
        let checkpoint = SourceProgress::new(&begin_at_4(&["a"]), false).checkpoint(&begin_at_4(&["a"]));
        for (live, start) in [(false, 4), (true, 0)] {
            let mut later = begin_at_4(&["a", "b"]);
            restore_bounds(&mut later, live, &checkpoint);
            assert_eq!(later.iter().map(|split| split.start).collect::<Vec<_>>(), [4, start], "live: {live}");
        }
    }

    #[test]
    fn an_empty_source_resumes() {
        let checkpoint = SourceProgress::new(&[], false).checkpoint(&[]);
        assert!(SourceProgress::resume(&[], false, &checkpoint).expect("nothing").remaining().is_empty());
    }

    #[test]
    fn refuses_one_id_twice() {
        assert!(check_ids(&splits(&["a", "b"])).is_ok());
        assert!(check_ids(&splits(&["a", "b", "a"])).is_err());
    }
}
