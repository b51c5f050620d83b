//! When a column is dropped: after the last step that reads it, so that images do not travel further than they must.

use std::collections::BTreeSet;

use crate::batch::{OBJECT_ID, ORIGIN, ROW};

/// What a step does with columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    pub reads: Vec<String>,
    pub makes: Vec<String>,
}

/// The columns to drop after each step: those that neither a later step reads nor the end keeps. A column of the source that
/// nothing reads goes after the first step. Rejects need to know which row they were, so its names stay.
pub(super) fn drops(source: &[String], steps: &[Life], at_end: &BTreeSet<String>) -> Vec<Vec<String>> {
    let mut dropped = vec![Vec::new(); steps.len()];
    let made = steps.iter().enumerate().flat_map(|(index, step)| step.makes.iter().map(move |name| (index, name)));
    for (index, name) in source.iter().map(|name| (0, name)).chain(made) {
        if at_end.contains(name) || [ROW, OBJECT_ID, ORIGIN].contains(&name.as_str()) {
            continue;
        }
        let last_read = steps.iter().rposition(|step| step.reads.contains(name)).unwrap_or(0);
        if let Some(after) = dropped.get_mut(last_read.max(index)) {
            after.push(name.clone());
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(reads: &[&str], makes: &[&str]) -> Life {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Life { reads: owned(reads), makes: owned(makes) }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_column_is_dropped_after_its_last_reader() {
        let steps = [life(&["image"], &["sky"]), life(&["image"], &["other"]), life(&["sky"], &["y10"])];
        let end = BTreeSet::from(["y10".to_owned(), "label".to_owned()]);
        let source = names(&["_row", "object_id", "origin", "label", "image"]);
        assert_eq!(drops(&source, &steps, &end), [names(&[]), names(&["image", "other"]), names(&["sky"])]);
    }

    #[test]
    fn a_column_that_nothing_reads_goes_at_once() {
        let steps = [life(&["image"], &["a", "_hidden"]), life(&["a"], &["b"])];
        let end = BTreeSet::from(["b".to_owned()]);
        let source = names(&["_row", "ra", "image"]);
        assert_eq!(drops(&source, &steps, &end), [names(&["ra", "image", "_hidden"]), names(&["a"])]);
    }

    #[test]
    fn without_steps_nothing_can_be_dropped() {
        assert!(drops(&names(&["image"]), &[], &BTreeSet::new()).is_empty());
    }
}
