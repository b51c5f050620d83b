//! Reads the messages of a partition.

use std::{sync::Arc, time::Instant};

use crate::{
    avro::message,
    error::Result,
    kafka::{Consumer, TopicPartition},
    source::alerts::{
        plan::PacketPlan,
        rows::{PacketPlace, PacketRows, StampRoom},
        schemas::{SchemaOfNumber, Schemas},
    },
    stage::{Read, Reader},
};

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
}

impl KafkaReader {
    /// Begins at an offset.
    pub(super) fn open(
        plan: Arc<PacketPlan>,
        consumer: Arc<Consumer>,
        schemas: SchemaOfNumber,
        partition: TopicPartition,
        offset: u64,
        end: Option<u64>,
    ) -> Result<Self> {
        if end.is_none_or(|end| offset < end) {
            consumer.assign(&partition, offset)?;
        }
        Ok(Self {
            plan,
            consumer,
            schemas: Schemas::new(schemas),
            partition,
            next: offset,
            end,
            room: StampRoom::default(),
        })
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
            self.next = found.offset + 1;
            let origin = format!("{}/{}", self.partition.name(), found.offset);
            let place = PacketPlace { number: found.offset, origin: origin.clone() };
            let schema = match message(&found.payload) {
                Ok(framed) => {
                    let schema = self.schemas.of_number(&plan, framed.schema_id, &origin)?;
                    schema.map(|schema| (schema, framed.record))
                }
                Err(reason) => Err(reason),
            };
            match schema {
                Ok((schema, record)) => rows.push_message(&schema, record, place),
                Err(reason) => rows.reject(place, None, reason),
            }
        }
        if taken.is_at_end
            && let Some(end) = self.end
        {
            // What is left are marks of transactions.
            self.next = self.next.max(end);
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
