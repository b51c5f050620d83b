//! Where partitions are read from and to.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kafka;
use crate::{
    error::{Code, Diagnostic, Error, Result},
    kafka::{Bounds, Consumer, TopicPartition},
};

/// Where reading begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The first message that is there.
    #[default]
    Earliest,
    /// The first message after the run began.
    Latest,
    /// The first message at or after a time: `2026-11-28T01:00:00Z`.
    Timestamp(String),
    /// Offsets, by partition: `{ lsst-alerts-v11.1/0: 1200 }`. Other partitions are read from their beginning.
    Offsets(BTreeMap<String, u64>),
}

/// Where reading ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// What is there when the run begins.
    Now,
    /// The first message at or after a time: it is not read.
    Timestamp(String),
    /// Offsets, by partition: the first that is not read. Other partitions are not read.
    Offsets(BTreeMap<String, u64>),
}

/// The offsets of a partition.
pub(super) struct Resolved {
    pub(super) start: u64,
    pub(super) end: Option<u64>,
}

impl From {
    pub(super) fn mistakes(&self, key: &str) -> Vec<Diagnostic> {
        match self {
            Self::Timestamp(time) => mistakes_of_time(time, key),
            Self::Offsets(offsets) => mistakes_of_offsets(offsets, key),
            Self::Earliest | Self::Latest => Vec::new(),
        }
    }
}

impl Until {
    pub(super) fn mistakes(&self, key: &str) -> Vec<Diagnostic> {
        match self {
            Self::Timestamp(time) => mistakes_of_time(time, key),
            Self::Offsets(offsets) => mistakes_of_offsets(offsets, key),
            Self::Now => Vec::new(),
        }
    }
}

fn mistakes_of_time(time: &str, key: &str) -> Vec<Diagnostic> {
    let reason = milliseconds(time).err();
    let diagnostic = |reason| {
        let diagnostic = Diagnostic::at(&format!("{key}.timestamp"), Code::OutOfRange, reason);
        diagnostic.help("with its zone: `2026-11-28T01:00:00Z`")
    };
    reason.into_iter().map(diagnostic).collect()
}

fn mistakes_of_offsets(offsets: &BTreeMap<String, u64>, key: &str) -> Vec<Diagnostic> {
    let wrong = offsets.keys().filter(|name| TopicPartition::parse(name).is_none());
    let diagnostic = |name: &String| {
        let message = format!("`{}` is not a partition", name.escape_debug());
        Diagnostic::at(&format!("{key}.offsets"), Code::OutOfRange, message).help("`topic/0`")
    };
    wrong.map(diagnostic).collect()
}

/// Milliseconds since 1970 of a time with its zone.
fn milliseconds(time: &str) -> Result<i64, String> {
    let wrong = || format!("`{}` is not a time with its zone", time.escape_debug());
    let has_zone = time.ends_with(['Z', 'z']) || time.get(10..).is_some_and(|clock| clock.contains(['+', '-']));
    if !has_zone {
        return Err(wrong());
    }
    string_to_timestamp_nanos(time).map(|nanoseconds| nanoseconds.div_euclid(1_000_000)).map_err(|_| wrong())
}

/// Refuses offsets of partitions that are not read.
pub(super) fn check_partitions(settings: &Kafka, partitions: &[TopicPartition]) -> Result<(), Vec<Diagnostic>> {
    let known: Vec<String> = partitions.iter().map(TopicPartition::name).collect();
    let mut diagnostics = Vec::new();
    let from = if let From::Offsets(offsets) = &settings.from { Some(("from", offsets)) } else { None };
    let until = if let Some(Until::Offsets(offsets)) = &settings.until { Some(("until", offsets)) } else { None };
    for (key, offsets) in from.into_iter().chain(until) {
        for name in offsets.keys().filter(|name| !known.contains(name)) {
            let message = format!("the topics have no partition `{}`", name.escape_debug());
            let diagnostic = Diagnostic::at(&format!("{key}.offsets"), Code::MissingFile, message);
            diagnostics.push(diagnostic.suggest(name, known.iter().map(String::as_str), "partitions"));
        }
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
}

/// The offsets of a partition as the settings have them now.
///
/// # Errors
/// [`Error::Environment`] when no broker answers; [`Error::Data`] for offsets that the partition does not have.
pub(super) fn resolve(settings: &Kafka, consumer: &Consumer, partition: &TopicPartition) -> Result<Resolved> {
    let outside = Error::environment;
    let Bounds { low, high } = consumer.bounds(partition).map_err(outside)?;
    let at = |time: &str| {
        let milliseconds = milliseconds(time).map_err(Error::data)?;
        Ok::<u64, Error>(consumer.offset_at(partition, milliseconds).map_err(outside)?.unwrap_or(high))
    };
    let name = partition.name();
    let within = |offset: u64, what: &str| {
        if (low..=high).contains(&offset) {
            return Ok(offset);
        }
        Err(Error::data(format!(
            "`{what}` names the offset {offset} of `{name}`, which has the offsets {low} to {high}"
        )))
    };
    let start = match &settings.from {
        From::Earliest => low,
        From::Latest => high,
        From::Timestamp(time) => at(time)?,
        From::Offsets(offsets) => offsets.get(&name).map_or(Ok(low), |offset| within(*offset, "from"))?,
    };
    let end = match &settings.until {
        None => None,
        Some(Until::Now) => Some(high),
        Some(Until::Timestamp(time)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            if i128::from(milliseconds(time).map_err(Error::data)?) > now as i128 {
                let time = time.escape_debug();
                return Err(Error::data(format!(
                    "`until` is {time}, which lies ahead: messages up to then are not there yet"
                )));
            }
            Some(at(time)?)
        }
        Some(Until::Offsets(offsets)) => Some(offsets.get(&name).map_or(Ok(start), |offset| within(*offset, "until"))?),
    };
    Ok(Resolved { start, end: end.map(|end| end.max(start)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_zone() {
        assert_eq!(milliseconds("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(milliseconds("1970-01-01T01:00:00.5+01:00"), Ok(500));
        for wrong in ["2026-11-28", "2026-11-28T01:00:00", "now", "", "2026-13-01T00:00:00Z"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(From::Timestamp("x".into()).mistakes("from")[0].path, ["from", "timestamp"]);
        let offsets = || [("alerts".to_owned(), 3)].into();
        assert_eq!(From::Offsets(offsets()).mistakes("from").len(), 1);
        assert_eq!(Until::Offsets(offsets()).mistakes("until").len(), 1);
        assert!(Until::Offsets([("a/b/0".to_owned(), 3)].into()).mistakes("until").is_empty());
    }
}
