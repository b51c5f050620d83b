//! `kafka`: alert packets from the topics of a broker, each exactly once.
//!
//! A split is a partition of a topic. Where a partition was read to is in the commit records of the run, together with everything that its
//! messages caused; no consumer group takes part. So each message counts once, however often the process is killed, and a message that
//! its broker has removed before it was read ends the run instead of being skipped.
//!
//! Without `until` the source is live: all partitions are read in turn, in batches of one partition each, in the order of its offsets. How
//! batches of partitions follow each other depends on timing. With `until` partitions are read one after the other up to an offset that is
//! decided when the run begins: the same rows in the same order at every reading, whatever has arrived since.

mod positions;
mod reader;
mod repeats;
mod settings;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::datatypes::SchemaRef;

use self::{
    positions::Resolved,
    reader::{KafkaReader, ReadFrom},
};
pub use self::{
    positions::{From, Until},
    settings::{Kafka, Repeats},
};
use super::alerts::{
    plan::{FirstPacket, NoPlan, PacketPlan},
    schemas::{self, SchemaOfNumber},
    stamps::DecodeStamps,
};
use crate::{
    avro::{SchemaFolder, WriterSchema},
    error::{Code, Diagnostic, Error, Result},
    kafka::{Bounds, Consumer, NoSchema, RegisteredSchema, TopicList, TopicPartition},
    stage::{Reader, Source, Split, Transform},
};

/// How many messages of a partition are looked at for a first packet.
const FIRST_MESSAGES: usize = 256;
/// How long a first message is waited for.
const FIRST_WAIT: Duration = Duration::from_secs(5);

struct KafkaSource {
    settings: Kafka,
    bound: Option<BoundTopics>,
}

/// The partitions, and how their messages are read.
struct BoundTopics {
    consumer: Arc<Consumer>,
    partitions: Vec<TopicPartition>,
    schemas: SchemaOfNumber,
    schema_files: Vec<PathBuf>,
    plan: Arc<PacketPlan>,
}

impl KafkaSource {
    fn new(settings: Kafka) -> Self {
        Self { settings, bound: None }
    }

    fn bound(&self) -> Result<&BoundTopics> {
        self.bound.as_ref().ok_or_else(|| Error::bug("the source `kafka` is read before it is bound"))
    }

    /// The partitions of the topics.
    fn partitions(&self, known: &TopicList) -> Result<Vec<TopicPartition>, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let mut diagnostics = Vec::new();
        let names: Vec<&str> = known.topics.iter().map(|(name, _)| name.as_str()).collect();
        for (index, topic) in self.settings.topics.iter().enumerate() {
            let at = format!("topics.{index}");
            if topic.contains(['*', '?', '[']) {
                // `Kafka::build` has parsed it.
                let Ok(pattern) = glob::Pattern::new(topic) else { continue };
                let of_pattern: Vec<&&str> = names.iter().filter(|name| pattern.matches(name)).collect();
                if of_pattern.is_empty() {
                    let message = format!("no topic matches `{}`", topic.escape_debug());
                    diagnostics.push(
                        Diagnostic::at(&at, Code::MissingFile, message)
                            .help(format!("the topics are {}", names.join(", "))),
                    );
                }
                found.extend(of_pattern.into_iter().filter_map(|name| known.partitions(name)).flatten());
                continue;
            }
            match known.partitions(topic) {
                Some(partitions) => found.extend(partitions),
                None => {
                    let message = format!("the brokers have no topic `{}`", topic.escape_debug());
                    let diagnostic = Diagnostic::at(&at, Code::MissingFile, message);
                    diagnostics.push(diagnostic.suggest(topic, names.iter().copied(), "topics"));
                }
            }
        }
        found.sort();
        found.dedup();
        if diagnostics.is_empty() { Ok(found) } else { Err(diagnostics) }
    }

    /// Where schemas of messages are found, and the files among them.
    fn schemas(&self) -> Result<(SchemaOfNumber, Vec<PathBuf>), Vec<Diagnostic>> {
        let folder = self.settings.packets.schema_folder()?;
        let Some(registry) = &self.settings.registry else {
            let files = folder.iter().flat_map(SchemaFolder::files).cloned().collect();
            return Ok((schemas::in_folder(folder), files));
        };
        let client = registry.client().map_err(|diagnostic| vec![diagnostic])?;
        let of_number = move |number| match client.schema(number) {
            Ok(RegisteredSchema { json, named }) => Ok(WriterSchema::parse_parts(&json, &named)),
            Err(NoSchema::Unknown(reason)) => Ok(Err(reason)),
            Err(NoSchema::Unanswered(reason)) => Err(Error::environment(reason)),
        };
        Ok((Arc::new(of_number), Vec::new()))
    }

    /// The plan by the first message that can be read; of topics without messages, by `schema_id`.
    fn plan(
        &self,
        consumer: &Consumer,
        partitions: &[TopicPartition],
        schemas: &SchemaOfNumber,
    ) -> Result<PacketPlan, Vec<Diagnostic>> {
        let packets = &self.settings.packets;
        let refuse = |key: &str, message: String| vec![Diagnostic::at(key, Code::MissingFile, message)];
        let outside = |key: &str, error: Error| {
            let is_environment = matches!(error, Error::Environment { .. });
            let code = if is_environment { Code::Unreachable } else { Code::MissingFile };
            vec![Diagnostic::at(key, code, error.report())]
        };
        if let Some(number) = self.settings.schema_id {
            let schema = schemas(number).map_err(|error| outside("registry", error))?;
            let schema = schema.map_err(|reason| refuse("schema_id", format!("`schema_id` {reason}")))?;
            let first = FirstPacket { origin: format!("schema {number}"), schema: &schema, record: None };
            return PacketPlan::new(packets.clone(), &first).map_err(|no_plan| match no_plan {
                NoPlan::BadStamps(diagnostics) | NoPlan::Mistakes(diagnostics) => diagnostics,
            });
        }
        let mut refused = None;
        for partition in partitions {
            let bounds = consumer.bounds(partition).map_err(Error::environment);
            let Bounds { low, high } = bounds.map_err(|error| outside("servers", error))?;
            if low == high {
                continue;
            }
            // What will be read, if something of it is there yet.
            let start = positions::resolve(&self.settings, consumer, partition).map_or(low, |resolved| resolved.start);
            let assigned = consumer.assign(partition, if start < high { start } else { low });
            let taken =
                assigned.and_then(|()| consumer.take(partition, FIRST_MESSAGES, Instant::now() + FIRST_WAIT, true));
            consumer.unassign(partition);
            for found in taken.map_err(|error| outside("servers", error))?.messages {
                let origin = format!("{}/{}", partition.name(), found.offset);
                let read = schemas::record_of(&found.payload, schemas);
                let read = read.map_err(|error| outside("registry", error))?;
                let (schema, record) = match read {
                    Ok(read) => read,
                    Err(reason) => {
                        refused.get_or_insert_with(|| {
                            refuse("topics", format!("no message can be read: `{origin}` {reason}"))
                        });
                        continue;
                    }
                };
                match PacketPlan::new(packets.clone(), &FirstPacket { origin, schema: &schema, record: Some(&record) })
                {
                    Ok(plan) => return Ok(plan),
                    Err(NoPlan::BadStamps(diagnostics)) => refused = refused.or(Some(diagnostics)),
                    Err(NoPlan::Mistakes(diagnostics)) => return Err(diagnostics),
                }
            }
        }
        Err(refused.unwrap_or_else(|| {
            let message = "the topics have no messages yet that would show the fields of a packet".to_owned();
            let diagnostic = Diagnostic::at("topics", Code::MissingKey, message);
            vec![diagnostic.help("set `schema_id` to the number of the schema that messages will have, and `size`")]
        }))
    }
}

impl Source for KafkaSource {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        let consumer = Consumer::new(&self.settings.connection).map_err(|diagnostic| vec![diagnostic])?;
        let topics = consumer.topics().map_err(|reason| {
            let help = "check the address, and that the brokers run; `security` for listeners with TLS or users";
            vec![Diagnostic::at("servers", Code::Unreachable, reason).help(help)]
        })?;
        let partitions = self.partitions(&topics)?;
        positions::check_partitions(&self.settings, &partitions)?;
        let (schemas, schema_files) = self.schemas()?;
        let plan = Arc::new(self.plan(&consumer, &partitions, &schemas)?);
        let schema = plan.schema.clone();
        self.bound = Some(BoundTopics { consumer: Arc::new(consumer), partitions, schemas, schema_files, plan });
        Ok(schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let BoundTopics { consumer, partitions, .. } = self.bound()?;
        let split = |partition: &TopicPartition| {
            let Resolved { start, end } = positions::resolve(&self.settings, consumer, partition)?;
            Ok(Split::new(partition.name(), None).within(start, end))
        };
        partitions.iter().map(split).collect()
    }

    fn is_live(&self) -> bool {
        self.settings.until.is_none()
    }

    fn offsets_count_rows(&self) -> bool {
        // Compaction and transactions leave gaps.
        false
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let BoundTopics { consumer, schemas, plan, .. } = self.bound()?;
        let partition = TopicPartition::parse(&split.id);
        let partition = partition.ok_or_else(|| Error::data(format!("`{}` is not a partition", split.id)))?;
        let from = ReadFrom { partition, start: split.start, offset, end: split.end };
        let window = (self.settings.repeats == Repeats::Reject).then_some(self.settings.repeats_window);
        Ok(Box::new(KafkaReader::open(plan.clone(), consumer.clone(), schemas.clone(), from, window)?))
    }

    fn input_files(&self) -> Vec<PathBuf> {
        self.bound.as_ref().map(|bound| bound.schema_files.clone()).unwrap_or_default()
    }

    fn input_files_may_grow(&self) -> bool {
        true
    }

    fn unidentifying(&self) -> &'static [&'static str] {
        &["servers", "security", "timeout_seconds", "options", "registry"]
    }

    fn decoder(&self) -> Option<Box<dyn Transform>> {
        let decoder = DecodeStamps::new(&self.bound.as_ref()?.plan)?;
        Some(Box::new(decoder))
    }
}
