//! Merges small parts, because a run that commits often writes many.

use std::{collections::BTreeMap, path::Path};

use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::run_dir::{RecoveredState, RunDir};
use crate::{
    error::{Error, Result},
    io::{self, disk},
    run::{CommitRecord, TablePart},
    table::{PartFile, WriteOptions, part_number},
};

/// The result of a compaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compaction {
    /// The number of parts before.
    pub parts_before: usize,
    /// The number of parts after.
    pub parts_after: usize,
}

/// Merges neighbouring parts of the Parquet tables of a run into parts of about `part_bytes`, under the run's lock and
/// through a commit record, so that the tables stay intact if it is killed at any time. Keeps the order of rows.
///
/// # Errors
/// When the folder is not a run directory or is in use, or the disk is full.
pub fn compact(run_dir: &Path, part_bytes: u64) -> Result<Compaction> {
    let (dir, past) = RunDir::open_existing(run_dir)?;
    let Some(past) = past else { return Ok(Compaction::default()) };
    dir.recover(&past)?;
    let RecoveredState { last, tables: old, findings, .. } = past;
    let commit = last.commit + 1;
    let mut done = Compaction::default();
    let mut tables = BTreeMap::new();
    for (table, parts) in &old {
        let mut merged = Vec::new();
        for group in groups(parts, part_bytes) {
            match group {
                [only] => merged.push(only.clone()),
                several => merged.push(merge(&dir, table, several, commit)?),
            }
        }
        done.parts_before += parts.len();
        done.parts_after += merged.len();
        tables.insert(table.clone(), merged);
    }
    if done.parts_before == done.parts_after {
        return Ok(done);
    }
    // The record keeps the format of the run, because the snapshots that it names are unchanged.
    let record = CommitRecord { commit, checkpoint: true, tables, findings, ..last };
    dir.write_record(&record)?;
    dir.publish(&record.tables)?;
    dir.forget(&record)?;
    dir.remove_staging()?;
    Ok(done)
}

/// Groups neighbouring parts to merge. Parts that are large enough and files that are not Parquet are not grouped.
fn groups(parts: &[TablePart], part_bytes: u64) -> Vec<&[TablePart]> {
    let mut groups = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (index, part) in parts.iter().enumerate() {
        let alone = part.bytes >= part_bytes || part_number(&part.file).is_none();
        if index > begin && (alone || bytes + part.bytes > part_bytes) {
            groups.push(&parts[begin..index]);
            (begin, bytes) = (index, 0);
        }
        bytes += if alone { part_bytes } else { part.bytes };
    }
    if begin < parts.len() {
        groups.push(&parts[begin..]);
    }
    groups
}

/// Merges several parts into one. It gets the number of the last, so that names stay in the order of the rows.
fn merge(dir: &RunDir, table: &str, parts: &[TablePart], commit: u64) -> Result<TablePart> {
    let staging = dir.staging(table);
    disk::create_folder(&staging)?;
    let number = parts.last().and_then(|part| part_number(&part.file)).unwrap_or(0);
    let open = |part: &TablePart| io::parquet::open_checked(&dir.table(table).join(&part.file), &part.checksums);
    let first = open(&parts[0])?.1;
    let properties = WriteOptions::default().properties(first.schema())?;
    let name = format!("part-{number:08}-{commit}.parquet");
    let mut part = PartFile::create(&staging, name, first.schema().clone(), properties)?;
    for old in parts {
        let path = dir.table(table).join(&old.file);
        let (file, footer) = open(old)?;
        // Also what Parquet skips. A damaged part is not written on.
        file.check_all()?;
        let rows = batch_rows(&footer);
        for batch in io::parquet::batches(&path, file, footer, rows)? {
            part.write(&batch?)?;
        }
    }
    let part = part.finish()?;
    let expected: u64 = parts.iter().map(|part| part.rows).sum();
    if part.rows != expected {
        return Err(Error::data(format!(
            "the parts of `{table}` have {} rows, expected {expected} from the commit records",
            part.rows
        )));
    }
    disk::sync_folder(&staging)?;
    Ok(part)
}

/// Rows that take about 8 MiB.
fn batch_rows(footer: &ArrowReaderMetadata) -> usize {
    let groups = footer.metadata().row_groups();
    let bytes: i64 = groups.iter().map(parquet::file::metadata::RowGroupMetaData::total_byte_size).sum();
    let rows: i64 = groups.iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).sum();
    let row = bytes / rows.max(1);
    usize::try_from((8 << 20) / row.max(1)).unwrap_or(1).clamp(1, 8192)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_grouped_up_to_the_size_of_a_part_and_large_ones_stay_alone() {
        let part = |number: u64, bytes: u64| TablePart::new(format!("part-{number:08}.parquet"), 1, bytes);
        let parts: Vec<TablePart> =
            [10, 20, 100, 30, 60, 20, 5].iter().zip(1..).map(|(bytes, n)| part(n, *bytes)).collect();
        let sizes = |group: &&[TablePart]| group.iter().map(|part| part.bytes).collect::<Vec<_>>();
        let groups: Vec<Vec<u64>> = groups(&parts, 100).iter().map(sizes).collect();
        assert_eq!(groups, [vec![10, 20], vec![100], vec![30, 60], vec![20, 5]]);
    }

    #[test]
    fn a_group_may_have_exactly_the_size_of_a_part_and_no_parts_make_no_group() {
        let parts = [40, 60, 1].map(|bytes| TablePart::new("part-00000001.parquet", 1, bytes));
        let sizes: Vec<usize> = groups(&parts, 100).iter().map(|group| group.len()).collect();
        assert_eq!(sizes, [2, 1]);
        assert!(groups(&[], 100).is_empty());
    }

    #[test]
    fn files_that_are_no_parts_are_never_merged() {
        let cutout = |name: &str| TablePart::new(name, 1, 1);
        assert_eq!(groups(&[cutout("a.fits"), cutout("b.fits")], 100).len(), 2);
    }
}
