//! Lifetimes of columns: each is dropped after the last step that reads it, because images fill the memory of a run.

use std::collections::BTreeSet;

use crate::batch::{OBJECT_ID, ORIGIN, ROW};

/// The columns that a step reads and makes.
#[derive(Debug, Clone, Default)]
pub(super) struct ColumnUse {
    pub reads: Vec<String>,
    pub makes: Vec<String>,
}

/// The columns to drop after each step: those that no later step reads and that are not among the final columns. A source column
/// that no step reads is dropped after the first step. The columns that identify a row stay, because rejects need them.
pub(super) fn columns_to_drop(
    source: &[String],
    steps: &[ColumnUse],
    final_columns: &BTreeSet<String>,
) -> Vec<Vec<String>> {
    let mut dropped = vec![Vec::new(); steps.len()];
    let made = steps.iter().enumerate().flat_map(|(index, step)| step.makes.iter().map(move |name| (index, name)));
    for (index, name) in source.iter().map(|name| (0, name)).chain(made) {
        if final_columns.contains(name) || [ROW, OBJECT_ID, ORIGIN].contains(&name.as_str()) {
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

    fn column_use(reads: &[&str], makes: &[&str]) -> ColumnUse {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ColumnUse { reads: owned(reads), makes: owned(makes) }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_column_is_dropped_after_its_last_reader() {
        let steps =
            [column_use(&["image"], &["sky"]), column_use(&["image"], &["other"]), column_use(&["sky"], &["y10"])];
        let end = BTreeSet::from(["y10".to_owned(), "label".to_owned()]);
        let source = names(&["_row", "object_id", "origin", "label", "image"]);
        assert_eq!(columns_to_drop(&source, &steps, &end), [names(&[]), names(&["image", "other"]), names(&["sky"])]);
    }

    #[test]
    fn a_column_that_no_step_reads_is_dropped_at_once() {
        let steps = [column_use(&["image"], &["a", "_hidden"]), column_use(&["a"], &["b"])];
        let end = BTreeSet::from(["b".to_owned()]);
        let source = names(&["_row", "ra", "image"]);
        assert_eq!(columns_to_drop(&source, &steps, &end), [names(&["ra", "image", "_hidden"]), names(&["a"])]);
    }

    #[test]
    fn drops_nothing_without_steps() {
        assert!(columns_to_drop(&names(&["image"]), &[], &BTreeSet::new()).is_empty());
    }
}
