//! The partitions of topics, and where they begin and end.

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError};

use super::consumer::{Consumer, PATIENCE, TopicPartition};

/// The topics of a broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicList {
    /// Names, and the numbers of the partitions.
    pub(crate) topics: Vec<(String, Vec<i32>)>,
}

impl TopicList {
    /// The partitions of a topic.
    pub(crate) fn partitions(&self, topic: &str) -> Option<Vec<TopicPartition>> {
        let (_, partitions) = self.topics.iter().find(|(name, _)| name == topic)?;
        let partition = |partition: &i32| TopicPartition { topic: topic.to_owned(), partition: *partition };
        Some(partitions.iter().map(partition).collect())
    }
}

/// The first offset of a partition, and the one after its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Consumer {
    /// All topics, with their partitions in order.
    ///
    /// # Errors
    /// Why no broker answers.
    pub(crate) fn topics(&self) -> Result<TopicList, String> {
        let metadata = self.client.fetch_metadata(None, PATIENCE).map_err(|error| self.unanswered(&error))?;
        let mut topics: Vec<(String, Vec<i32>)> = (metadata.topics().iter())
            .filter(|topic| topic.error().is_none() && !topic.name().starts_with("__"))
            .map(|topic| {
                let mut partitions: Vec<i32> =
                    topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
                partitions.sort_unstable();
                (topic.name().to_owned(), partitions)
            })
            .collect();
        topics.sort();
        Ok(TopicList { topics })
    }

    /// Where a partition begins and ends now.
    ///
    /// # Errors
    /// Why no broker answers.
    pub(crate) fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, String> {
        let found = self.client.fetch_watermarks(&partition.topic, partition.partition, PATIENCE);
        let (low, high) = found.map_err(|error| self.unanswered(&error))?;
        let offset = |offset: i64| u64::try_from(offset).unwrap_or(0);
        Ok(Bounds { low: offset(low), high: offset(high) })
    }

    /// The first offset of a partition at or after a time, milliseconds since 1970; `None` if all messages are older.
    ///
    /// # Errors
    /// Why no broker answers.
    pub(crate) fn offset_at(&self, partition: &TopicPartition, milliseconds: i64) -> Result<Option<u64>, String> {
        let mut times = TopicPartitionList::new();
        let time = Offset::Offset(milliseconds);
        let found = times.add_partition_offset(&partition.topic, partition.partition, time);
        let found = found.and_then(|()| self.client.offsets_for_times(times, PATIENCE));
        let found = found.map_err(|error| self.unanswered(&error))?;
        let offset = found.find_partition(&partition.topic, partition.partition).map(|found| found.offset());
        Ok(match offset {
            Some(Offset::Offset(offset)) => u64::try_from(offset).ok(),
            _ => None,
        })
    }

    fn unanswered(&self, error: &KafkaError) -> String {
        format!("the brokers `{}` do not answer: {error}", self.servers())
    }
}
