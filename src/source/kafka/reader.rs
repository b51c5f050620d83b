//! Reads the messages of a partition.

use std::{sync::Arc, time::Instant};

use super::repeats::RecentIds;
use crate::{
    error::{Error, Result},
    kafka::{Bounds, Consumer, TopicPartition},
    source::alerts::{
        plan::PacketPlan,
        rows::{PacketPlace, PacketRows, StampRoom, identity_of},
        schemas::{SchemaOfNumber, Schemas},
    },
    stage::{Read, Reader},
};

/// Where a partition is read.
pub(super) struct ReadFrom {
    pub(super) partition: TopicPartition,
    /// Where the run began to read it.
    pub(super) start: u64,
    pub(super) offset: u64,
    /// The first offset that is not read.
    pub(super) end: Option<u64>,
}

/// A reader of a partition.
pub(super) struct KafkaReader {
    plan: Arc<PacketPlan>,
    consumer: Arc<Consumer>,
    schemas: Schemas,
    partition: TopicPartition,
    /// The offset of the next message.
    next: u64,
    /// The first offset that is not read.
    end: Option<u64>,
    room: StampRoom,
    /// The identities of the last messages, if packets that were sent again are rejected.
    recent: Option<RecentIds>,
}

impl KafkaReader {
    /// Begins at an offset. With a window for identities, messages before it are read again for theirs.
    pub(super) fn open(
        plan: Arc<PacketPlan>,
        consumer: Arc<Consumer>,
        schemas: SchemaOfNumber,
        from: ReadFrom,
        window: Option<u64>,
    ) -> Result<Self> {
        let ReadFrom { partition, start, offset, end } = from;
        if end.is_none_or(|end| offset < end) {
            let mut begin = offset;
            if let Some(window) = window.filter(|_| offset > start) {
                let Bounds { low, .. } = consumer.bounds(&partition).map_err(Error::environment)?;
                // Identities that were removed are not known any more; messages to read that were removed are an error.
                begin = offset.saturating_sub(window).max(start).max(low).min(offset);
            }
            consumer.assign(&partition, begin)?;
        }
        let (schemas, recent) = (Schemas::new(schemas), window.map(RecentIds::new));
        Ok(Self { plan, consumer, schemas, partition, next: offset, end, room: StampRoom::default(), recent })
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.consumer.unassign(&self.partition);
    }
}

impl Reader for KafkaReader {
    fn next(&mut self, max_rows: usize, deadline: Instant) -> Result<Read> {
        if self.end.is_some_and(|end| self.next >= end) {
            return Ok(Read::End);
        }
        let taken = self.consumer.take(&self.partition, max_rows.max(1), deadline, self.end.is_some())?;
        let plan = self.plan.clone();
        let mut rows = PacketRows::new(&plan, taken.messages.len(), &self.room)?;
        for found in taken.messages {
            if self.end.is_some_and(|end| found.offset >= end) {
                self.next = self.end.unwrap_or(found.offset);
                break;
            }
            let is_read = found.offset < self.next;
            self.next = self.next.max(found.offset + 1);
            let origin = format!("{}/{}", self.partition.name(), found.offset);
            let place = PacketPlace { number: found.offset, origin: origin.clone() };
            let read = self.schemas.of_payload(&plan, &found.payload, &origin)?;
            match read {
                // Read again, for its identity.
                Ok((schema, record)) if is_read => {
                    let id = identity_of(&plan, &schema, &record);
                    if let (Some(id), Some(recent)) = (id, &mut self.recent) {
                        recent.note(found.offset, &id);
                    }
                }
                Ok((schema, record)) => {
                    let partition = &self.partition;
                    let mut accept =
                        |id: &str| match self.recent.as_mut().and_then(|recent| recent.note(found.offset, id)) {
                            Some(earlier) => Err(format!(
                                "was sent again: `{}/{earlier}` has the same identity (`repeats: keep` would keep it)",
                                partition.name()
                            )),
                            None => Ok(()),
                        };
                    rows.push_message(&schema, &record, place, &mut accept);
                }
                Err(_) if is_read => {}
                Err(reason) => rows.reject(place, None, reason),
            }
        }
        if let Some(end) = self.end.filter(|end| taken.is_at_end && self.next < *end) {
            // What is left are marks of transactions, if the broker has messages up to the end: one that has just become the leader may
            // lag behind.
            let Bounds { high, .. } = self.consumer.bounds(&self.partition).map_err(Error::environment)?;
            if high >= end {
                self.next = end;
            }
        }
        if rows.len() > 0 {
            self.room = rows.room();
        }
        match (rows.len(), self.end) {
            (0, Some(end)) if self.next >= end => Ok(Read::End),
            (0, _) => Ok(Read::Idle),
            _ => rows.into_read(),
        }
    }

    fn lag(&self) -> Option<u64> {
        let behind = self.consumer.behind(&self.partition, self.next)?;
        Some(self.end.map_or(behind, |end| end.saturating_sub(self.next)))
    }

    fn offset(&self) -> u64 {
        self.next
    }
}
