//! A consumer of partitions that are assigned by hand.
//!
//! The messages of all its partitions arrive in one queue, in an order that depends on timing. Here they are put into a buffer for each
//! partition, from which they are taken in the order of their offsets.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    statistics::Statistics,
};

use super::{
    Connection,
    failure::{Failure, failure_of},
};
use crate::error::{Diagnostic, Error, Result};

/// The most bytes of messages that wait in the buffers. What is above waits in librdkafka, or at the broker.
const MAX_BUFFERED_BYTES: usize = 64 << 20;
/// How long a question to a broker may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How often a broker that does not answer is reported.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicPartition {
    pub(crate) topic: String,
    pub(crate) partition: i32,
}

impl TopicPartition {
    /// `topic/partition`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.topic, self.partition)
    }

    /// Reads a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('/')?;
        Some(Self { topic: topic.to_owned(), partition: partition.parse().ok()? })
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) offset: u64,
    /// Empty for a tombstone.
    pub(crate) payload: Vec<u8>,
}

/// Messages of a partition.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) messages: Vec<Message>,
    /// Whether the partition has nothing behind them now.
    pub(crate) is_at_end: bool,
}

/// What librdkafka reports beside messages: lines for the log, and once a second how far partitions go.
#[derive(Default)]
pub(super) struct ConsumerEvents {
    /// The offset after the last message of each partition.
    ends: Mutex<BTreeMap<TopicPartition, u64>>,
}

impl ClientContext for ConsumerEvents {
    fn stats(&self, statistics: Statistics) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, of_topic) in statistics.topics {
            for (partition, found) in of_topic.partitions {
                if let Ok(end) = u64::try_from(found.hi_offset) {
                    ends.insert(TopicPartition { topic: topic.clone(), partition }, end);
                }
            }
        }
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Errors come back from calls, with more of their context.
        match level {
            RDKafkaLogLevel::Debug => tracing::trace!("librdkafka: {facility} {message}"),
            _ => tracing::debug!("librdkafka: {facility} {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
    }
}

impl ConsumerContext for ConsumerEvents {}

/// A consumer.
pub(crate) struct Consumer {
    pub(super) client: BaseConsumer<ConsumerEvents>,
    servers: String,
    timeout: Duration,
    state: Mutex<ConsumerState>,
}

#[derive(Default)]
struct ConsumerState {
    buffers: BTreeMap<TopicPartition, PartitionBuffer>,
    bytes: usize,
    /// Since when no broker has answered.
    unreachable_since: Option<Instant>,
    reported: Option<Instant>,
    /// An error that was not returned yet.
    failure: Option<Error>,
}

#[derive(Default)]
struct PartitionBuffer {
    messages: VecDeque<Message>,
    is_at_end: bool,
}

impl Consumer {
    /// Prepares a client. Nothing is sent yet.
    ///
    /// # Errors
    /// Options that librdkafka does not have, files that cannot be read, variables that are not set.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Diagnostic> {
        let mut config = connection.client_config()?;
        for (option, value) in [
            // Assigning partitions needs a name, though no group is joined.
            ("group.id", "lucarne"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("statistics.interval.ms", "1000"),
        ] {
            config.set(option, value);
        }
        // A partition that has nothing more is left after that: of a bounded replay there may be a hundred.
        if config.get("fetch.wait.max.ms").is_none() {
            config.set("fetch.wait.max.ms", "50");
        }
        if config.get("queued.max.messages.kbytes").is_none() {
            config.set("queued.max.messages.kbytes", "32768");
        }
        let client = config.create_with_context(ConsumerEvents::default()).map_err(|error| {
            let key = if connection.options.is_empty() { "servers" } else { "options" };
            Diagnostic::at(key, crate::error::Code::OutOfRange, format!("librdkafka refuses the settings: {error}"))
        })?;
        let timeout = Duration::from_secs_f64(connection.timeout_seconds.clamp(0.1, 86_400.0));
        Ok(Self { client, servers: connection.servers.clone(), timeout, state: Mutex::default() })
    }

    /// Begins to read a partition at an offset.
    ///
    /// # Errors
    /// [`Error::Environment`] when librdkafka refuses it.
    pub(crate) fn assign(&self, partition: &TopicPartition, offset: u64) -> Result<()> {
        self.state().buffers.insert(partition.clone(), PartitionBuffer::default());
        let list = list(partition, offset).and_then(|list| self.client.incremental_assign(&list));
        list.map_err(|error| self.refused(&format!("cannot read `{}`", partition.name()), &error))
    }

    /// Ends the reading of a partition.
    pub(crate) fn unassign(&self, partition: &TopicPartition) {
        let mut state = self.state();
        if let Some(buffer) = state.buffers.remove(partition) {
            state.bytes -= buffer.messages.iter().map(|message| message.payload.len()).sum::<usize>();
            drop(state);
            // It may be gone already.
            let _ = list(partition, 0).and_then(|list| self.client.incremental_unassign(&list));
            // An end that is still in the queue must not be taken for that of another topic's partition of the same number. Messages of
            // others go into their buffers; the next `take` returns an error.
            if let Err(error) = self.poll(Duration::ZERO) {
                self.state().failure.get_or_insert(error);
            }
        }
    }

    /// Takes messages of a partition: as soon as `most` are there, or all that it has, or what has arrived by the deadline. At the end of
    /// the partition it waits for the first one, unless `stop_at_end` is set.
    ///
    /// # Errors
    /// [`Error::Data`] when messages are lost; [`Error::Environment`] when brokers refuse, or none answers for too long.
    pub(crate) fn take(
        &self,
        partition: &TopicPartition,
        most: usize,
        deadline: Instant,
        stop_at_end: bool,
    ) -> Result<Taken> {
        loop {
            let mut state = self.state();
            if let Some(error) = state.failure.take() {
                return Err(error);
            }
            let is_full = state.bytes >= MAX_BUFFERED_BYTES;
            let buffer = state.buffers.entry(partition.clone()).or_default();
            let now = Instant::now();
            let has_all = buffer.is_at_end && (stop_at_end || !buffer.messages.is_empty());
            if buffer.messages.len() >= most || has_all || is_full || now >= deadline {
                let count = buffer.messages.len().min(most);
                let messages: Vec<Message> = buffer.messages.drain(..count).collect();
                let is_at_end = buffer.is_at_end && buffer.messages.is_empty();
                state.bytes -= messages.iter().map(|message| message.payload.len()).sum::<usize>();
                drop(state);
                // What has arrived meanwhile, also of other partitions, without waiting for it.
                if messages.is_empty() && !is_full {
                    self.poll(Duration::ZERO)?;
                }
                return Ok(Taken { messages, is_at_end });
            }
            drop(state);
            self.poll(deadline - now)?;
        }
    }

    /// How many messages a partition has from an offset on, as of the last second; `None` if that is not known yet.
    pub(crate) fn behind(&self, partition: &TopicPartition, next: u64) -> Option<u64> {
        let ends = self.client.context().ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(partition).map(|end| end.saturating_sub(next))
    }

    /// Puts the next message, if one arrives in time, into its buffer, and those that are there behind it.
    fn poll(&self, wait: Duration) -> Result<()> {
        let mut wait = wait.min(Duration::from_millis(100));
        while let Some(polled) = self.client.poll(wait) {
            wait = Duration::ZERO;
            match polled {
                Ok(message) => {
                    let partition =
                        TopicPartition { topic: message.topic().to_owned(), partition: message.partition() };
                    let payload = message.payload().unwrap_or_default().to_vec();
                    let offset = u64::try_from(message.offset()).unwrap_or(0);
                    let mut state = self.state();
                    state.unreachable_since = None;
                    // A partition that is not read any more may still have messages on their way.
                    if let Some(buffer) = state.buffers.get_mut(&partition) {
                        buffer.is_at_end = false;
                        let bytes = payload.len();
                        buffer.messages.push_back(Message { offset, payload });
                        state.bytes += bytes;
                    }
                    if state.bytes >= MAX_BUFFERED_BYTES {
                        return Ok(());
                    }
                }
                Err(KafkaError::PartitionEOF(number)) => self.reached_end(number),
                Err(error) => return self.failed(&error),
            }
        }
        self.check_reachable()
    }

    /// Marks the partitions of a number that are at their end. The error does not name the topic.
    fn reached_end(&self, number: i32) {
        let mut state = self.state();
        state.unreachable_since = None;
        let mut of_number: Vec<_> = state.buffers.iter_mut().filter(|(own, _)| own.partition == number).collect();
        if let [(_, buffer)] = of_number.as_mut_slice() {
            buffer.is_at_end = true;
        }
    }

    fn failed(&self, error: &KafkaError) -> Result<()> {
        match failure_of(error) {
            Failure::Passing => Ok(()),
            Failure::Unreachable => {
                let mut state = self.state();
                let now = Instant::now();
                state.unreachable_since.get_or_insert(now);
                if state.reported.is_none_or(|reported| now - reported >= REPORT_EVERY) {
                    state.reported = Some(now);
                    tracing::warn!("brokers `{}`: {error}; trying again", self.servers);
                }
                drop(state);
                self.check_reachable()
            }
            Failure::Lost => Err(Error::data(format!(
                "messages are lost: {}; they were removed at the brokers `{}` before they were read (retention). Nothing is skipped: \
                 begin again with overwrite",
                self.lost_in_words(),
                self.servers
            ))),
            Failure::Missing => Err(self.refused("a topic or a partition is missing", error)),
            Failure::Refused => Err(self.refused("cannot read", error)),
        }
    }

    /// Ends the run when no broker has answered for too long.
    fn check_reachable(&self) -> Result<()> {
        let since = self.state().unreachable_since;
        if since.is_none_or(|since| since.elapsed() < self.timeout) {
            return Ok(());
        }
        // An idle topic sends nothing that would show that a broker is back.
        let answer = self.client.fetch_metadata(None, PATIENCE);
        if let Err(error) = answer {
            let seconds = self.timeout.as_secs_f64();
            let servers = &self.servers;
            return Err(Error::environment(format!(
                "no broker of `{servers}` has answered for {seconds} seconds (`timeout_seconds`): {error}; resume when one does"
            )));
        }
        self.state().unreachable_since = None;
        Ok(())
    }

    /// Which partitions have fewer messages than are needed.
    fn lost_in_words(&self) -> String {
        let positions = self.client.position().map(|list| list.to_topic_map()).unwrap_or_default();
        let assigned = self.client.assignment().map(|list| list.to_topic_map()).unwrap_or_default();
        let mut lost = Vec::new();
        for ((topic, partition), begin) in assigned {
            let position = positions.get(&(topic.clone(), partition)).copied();
            let next = match (position, begin) {
                (Some(Offset::Offset(next)), _) | (_, Offset::Offset(next)) => next,
                _ => continue,
            };
            if let Ok((low, high)) = self.client.fetch_watermarks(&topic, partition, PATIENCE)
                && !(low..=high).contains(&next)
            {
                lost.push(format!("`{topic}/{partition}` has the offsets {low} to {high}, expected {next}"));
            }
        }
        lost.sort();
        if lost.is_empty() { "an offset is out of range".to_owned() } else { lost.join("; ") }
    }

    fn refused(&self, what: &str, error: &KafkaError) -> Error {
        Error::environment(format!("{what} at the brokers `{}`: {error}", self.servers))
    }

    pub(super) fn servers(&self) -> &str {
        &self.servers
    }

    fn state(&self) -> MutexGuard<'_, ConsumerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(partition: &TopicPartition, offset: u64) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
    list.add_partition_offset(&partition.topic, partition.partition, offset)?;
    Ok(list)
}
