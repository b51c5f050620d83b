//! The commit record: all that a run needs to go on after it was killed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Counts, Job, StageWork};
use crate::{
    error::{Error, Result},
    stage::{Finding, Split},
    table::{Link, TablePart},
};

/// One commit. Counts, positions and monitors are as of this commit; tables and findings are what it adds to the one before,
/// or everything when it is a checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) commit: u64,
    pub(super) checkpoint: bool,
    /// Digest of the pipeline, without what does not alter its results.
    pub(super) digest: String,
    pub(super) seed: u64,
    pub(super) limit: Option<u64>,
    /// Digests of the models, by label.
    pub(super) models: BTreeMap<String, String>,
    pub(super) position: Position,
    pub(super) counts: Counts,
    pub(super) stages: Vec<StageWork>,
    /// The states of the monitors, by label.
    pub(super) monitors: BTreeMap<String, State>,
    pub(super) tables: BTreeMap<String, Vec<TablePart>>,
    pub(super) findings: Vec<Finding>,
    pub(super) finished: bool,
}

/// Where the source stands: rows of the splits before this one, and of this one, are all done up to here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Index of the split.
    pub(super) split: usize,
    /// Its name, when there are splits.
    pub(super) id: Option<String>,
    /// Position in it.
    pub(super) row: u64,
    /// Digest of the names of the splits before it.
    pub(super) before: String,
}

/// The state of a monitor, in a file beside the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) file: String,
    pub(super) digest: String,
}

impl Link for Record {
    fn is_checkpoint(&self) -> bool {
        self.checkpoint
    }
}

/// Follows the source through its splits.
pub(super) struct Progression {
    split: usize,
    row: u64,
    names: Sha256,
}

impl Progression {
    pub(super) fn new() -> Self {
        Self { split: 0, row: 0, names: Sha256::new() }
    }

    /// Goes to a position.
    pub(super) fn advance(&mut self, splits: &[Split], (split, row): (usize, u64)) {
        for passed in splits.iter().take(split).skip(self.split) {
            self.names.update(passed.id.as_bytes());
            self.names.update([0]);
        }
        (self.split, self.row) = (split, row);
    }

    pub(super) fn position(&self, splits: &[Split]) -> Position {
        let id = splits.get(self.split).map(|split| split.id.clone());
        Position { split: self.split, id, row: self.row, before: hex(&self.names.clone().finalize()) }
    }

    /// Where a record left off, if the source still has the same splits before that.
    pub(super) fn resume(splits: &[Split], position: &Position) -> Result<Self> {
        let mut progression = Self::new();
        progression.advance(splits, (position.split, position.row));
        if progression.position(splits) == *position {
            return Ok(progression);
        }
        let id = position.id.as_deref().unwrap_or("none");
        Err(Error::data(format!(
            "the source has changed: its splits up to `{id}`, where the run had come to, are not what they were; restore them, or begin again with overwrite"
        )))
    }

    pub(super) const fn at(&self) -> (usize, u64) {
        (self.split, self.row)
    }
}

/// Refuses to go on with another pipeline than the run began with.
pub(super) fn check_same(last: &Record, job: &Job, digest: &str, before: Option<&Value>) -> Result<()> {
    let begin_again = "use the pipeline that the run began with, another run directory, or overwrite";
    if last.seed != job.seed {
        let (old, new) = (last.seed, job.seed);
        return Err(Error::data(format!(
            "cannot resume with seed {new}: the run began with seed {old}; {begin_again}"
        )));
    }
    if last.limit != job.limit {
        let say =
            |limit: Option<u64>| limit.map_or_else(|| "no limit".into(), |limit| format!("a limit of {limit} rows"));
        let (old, new) = (say(last.limit), say(job.limit));
        return Err(Error::data(format!("cannot resume with {new}: the run began with {old}; {begin_again}")));
    }
    if last.digest != digest {
        let places = before.map(|before| differences(&relevant(before), &relevant(&job.document))).unwrap_or_default();
        let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
        return Err(Error::data(format!(
            "cannot resume: the pipeline is not the one the run began with{places}; {begin_again}"
        )));
    }
    Ok(())
}

/// Refuses to go on with other models than the run began with.
pub(super) fn check_models(last: &Record, models: &BTreeMap<String, String>) -> Result<()> {
    let changed = models.iter().find(|(label, digest)| last.models.get(*label).is_some_and(|old| old != *digest));
    changed.map_or(Ok(()), |(label, _)| {
        Err(Error::data(format!("cannot resume: the model of `{label}` is not the file that the run began with")))
    })
}

/// The digest of a pipeline: equal for documents that give equal results.
pub(super) fn digest(document: &Value) -> String {
    hex(&Sha256::digest(relevant(document).to_string().as_bytes()))
}

/// SHA-256 of bytes, hexadecimal.
pub(super) fn digest_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The document without what alters no result: where it is written to, how it is described, how it is run.
fn relevant(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(top) = document.as_object_mut() {
        for key in ["description", "parameters", "run"] {
            top.shift_remove(key);
        }
        let engine = top.shift_remove("engine");
        let on_reject = engine.and_then(|engine| engine.get("on_reject").cloned());
        top.insert("on_reject".into(), on_reject.unwrap_or_else(|| "quarantine".into()));
    }
    document
}

/// The places where two documents differ, the first five.
fn differences(old: &Value, new: &Value) -> Vec<String> {
    let mut places = Vec::new();
    compare("", old, new, &mut places);
    places.truncate(5);
    places
}

fn compare(place: &str, old: &Value, new: &Value, places: &mut Vec<String>) {
    let inside = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            for key in keys {
                compare(
                    &inside(key),
                    old.get(key).unwrap_or(&Value::Null),
                    new.get(key).unwrap_or(&Value::Null),
                    places,
                );
            }
        }
        (old, new) if old != new => places.push(format!("`{place}` was {old}, is {new}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn threads_and_batches_do_not_alter_the_digest_of_a_pipeline() {
        let one = json!({ "run": "a", "seed": 1, "engine": { "threads": 1, "batch_rows": 16 }, "source": {} });
        let two = json!({ "run": "b", "seed": 1, "engine": { "threads": 4, "batch_rows": 64 }, "source": {} });
        let other = json!({ "run": "a", "seed": 1, "engine": { "on_reject": "fail" }, "source": {} });
        assert_eq!(digest(&one), digest(&two));
        assert_ne!(digest(&one), digest(&other));
    }

    #[test]
    fn a_refusal_names_the_setting_that_differs() {
        let old = json!({ "transform": { "y1": { "observe": { "years": 1 } } } });
        let new = json!({ "transform": { "y1": { "observe": { "years": 2 } } } });
        assert_eq!(differences(&old, &new), ["`transform.y1.observe.years` was 1, is 2"]);
    }

    #[test]
    fn a_source_whose_earlier_splits_changed_is_refused() {
        let split = |id: &str| Split { id: id.into(), rows: None };
        let mut progression = Progression::new();
        let splits = [split("a"), split("b"), split("c")];
        progression.advance(&splits, (1, 7));
        let position = progression.position(&splits);
        assert!(Progression::resume(&splits, &position).is_ok());
        assert!(Progression::resume(&[split("a"), split("b"), split("c"), split("d")], &position).is_ok());
        assert!(Progression::resume(&[split("A"), split("b"), split("c")], &position).is_err());
        assert!(Progression::resume(&[split("a"), split("c")], &position).is_err());
    }
}
