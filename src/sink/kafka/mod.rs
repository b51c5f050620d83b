//! `kafka`: rows as messages of a topic, and as a Parquet table.
//!
//! A row is sent after the commit that holds it, at least once: what was sent is noted in the folder of the table (`_sent.json`) after the
//! brokers have acknowledged it, and a run that is killed in between sends these rows again. The key of a message is the `object_id`, so
//! that rows of an object are in one partition, and consumers can drop what they have. Rows that no commit holds are never sent.
//!
//! Findings, if they have a topic, are sent the same way after the rows of their commit; each has its number in the run.
//!
//! The table is that of the sink `parquet`: what is sent is read from it, so that queries see what consumers see.

mod finding;
mod message;
mod sent;

use std::{path::Path, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    message::{Encoder, avro_schema, check_columns},
    sent::{Sent, UnsentPart},
};
use super::unknown_column;
use crate::{
    batch::{OBJECT_ID, tensor_shape},
    error::{Code, Diagnostic, Error, Result},
    io::parquet::{self as parquet_file, Batches},
    kafka::{Connection, NoSchema, Producer, Registry},
    run::{self, Finding},
    stage::{ColumnRef, RunContext, Settings, Sink, TablePart},
    table::{TableWriter, WriteOptions},
};

/// Rows of a batch that is read to be sent.
const BATCH_ROWS: usize = 1024;

/// Sends the rows to a topic of Kafka, each at least once and only after the commit that holds it, and keeps them in Parquet. The key is the
/// `object_id`. A run that is killed may send the rows of its last commit again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kafka {
    /// The brokers.
    #[serde(flatten)]
    pub connection: Connection,
    /// The topic, which has to exist.
    pub topic: String,
    /// How a row is written.
    #[serde(default)]
    pub format: MessageFormat,
    /// The schema registry for `format: avro`, where the schema of the rows is registered as `<topic>-value`.
    #[serde(default)]
    pub registry: Option<Registry>,
    /// A topic for the findings of all monitors, in the same format: `number`, from 0, `monitor` and `message`. The key is the label of
    /// the monitor. Each is sent at least once, after the commit that holds it.
    #[serde(default)]
    pub findings: Option<String>,
    /// The columns to send, without images; by default all but images and latents.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
}

/// How a row is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageFormat {
    /// An object of JSON; numbers that are not finite are null.
    #[default]
    Json,
    /// Avro in Confluent's framing.
    Avro,
}

impl Settings<dyn Sink> for Kafka {
    const NAME: &'static str = "kafka";

    fn examples() -> &'static [&'static str] {
        &[
            "servers: localhost:9092
topic: scores
",
            "servers: localhost:9092
topic: scores
format: avro
registry: { url: \"https://registry.example.org\" }
columns: [object_id, label, da_y10_class, da_y10_probability]
findings: findings
",
        ]
    }

    fn build(self, _label: &str) -> Result<Box<dyn Sink>, Vec<Diagnostic>> {
        let mut diagnostics = self.connection.mistakes();
        diagnostics.extend(self.registry.iter().flat_map(Registry::mistakes));
        let mut refuse = |key: &str, message: &str, help: &str| {
            diagnostics.push(Diagnostic::at(key, Code::Conflict, message).help(help));
        };
        match (self.format, &self.registry) {
            (MessageFormat::Avro, None) => {
                refuse("format", "`format: avro` needs a registry for its schema", "set `registry: { url: ... }`");
            }
            (MessageFormat::Json, Some(_)) => {
                refuse("registry", "`registry` has no effect without `format: avro`", "set `format: avro`");
            }
            _ => {}
        }
        if self.topic.is_empty() {
            refuse("topic", "`topic` is empty", "name the topic to send to");
        }
        if self.findings.as_ref().is_some_and(|findings| findings.is_empty() || *findings == self.topic) {
            refuse("findings", "`findings` is empty or the topic of the rows", "name another topic, or leave it out");
        }
        if diagnostics.is_empty() { Ok(Box::new(KafkaSink::new(self))) } else { Err(diagnostics) }
    }
}

struct KafkaSink {
    settings: Kafka,
    schema: SchemaRef,
    writer: Option<TableWriter>,
    /// Connected when something is to be sent.
    outbox: Option<Outbox>,
}

/// What sends rows and findings.
struct Outbox {
    producer: Producer,
    rows: Encoder,
    findings: Encoder,
}

impl KafkaSink {
    fn new(settings: Kafka) -> Self {
        Self { settings, schema: Arc::new(Schema::empty()), writer: None, outbox: None }
    }

    fn chosen<'a>(&self, input: &'a Schema) -> Result<Vec<&'a Field>, Vec<Diagnostic>> {
        let fields =
            || input.fields().iter().map(AsRef::as_ref).filter(|field: &&Field| !field.name().starts_with('_'));
        let Some(names) = &self.settings.columns else {
            let is_sent = |field: &&Field| tensor_shape(field).is_none() && !field.name().ends_with("_latent");
            return Ok(fields().filter(is_sent).collect());
        };
        let find = |name: &String| {
            fields().find(|field| field.name() == name).ok_or_else(|| unknown_column("columns", name, input))
        };
        let (found, missing): (Vec<_>, Vec<_>) = names.iter().map(find).partition(Result::is_ok);
        let mut missing: Vec<Diagnostic> = missing.into_iter().filter_map(Result::err).collect();
        if !names.iter().any(|name| name == OBJECT_ID) {
            let message = format!("`columns` lacks `{OBJECT_ID}`, the key of the messages");
            missing.push(Diagnostic::at("columns", Code::MissingKey, message).help(format!("add `{OBJECT_ID}`")));
        }
        if missing.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(missing) }
    }

    fn writer(&mut self) -> Result<&mut TableWriter> {
        self.writer.as_mut().ok_or_else(|| Error::bug("the sink `kafka` is written to before it has started"))
    }

    /// Connects, and registers the schemas.
    fn connect(&self) -> Result<Outbox> {
        let Kafka { connection, topic, findings, .. } = &self.settings;
        let refused = |diagnostic: Diagnostic| Error::environment(diagnostic.message);
        let rows = self.encoder(topic, &avro_schema(topic, &self.schema))?;
        let findings = findings.as_ref().map(|topic| self.encoder(topic, &finding::avro_schema())).transpose()?;
        let findings = findings.unwrap_or_else(Encoder::json);
        Ok(Outbox { producer: Producer::new(connection).map_err(refused)?, rows, findings })
    }

    /// What writes the messages of a topic, whose schema is registered.
    fn encoder(&self, topic: &str, schema_json: &str) -> Result<Encoder> {
        let (MessageFormat::Avro, Some(registry)) = (self.settings.format, &self.settings.registry) else {
            return Ok(Encoder::json());
        };
        let client = registry.client().map_err(|diagnostic| Error::environment(diagnostic.message))?;
        let number = client.register(&format!("{topic}-value"), schema_json).map_err(|error| match error {
            NoSchema::Unknown(reason) | NoSchema::Unanswered(reason) => Error::environment(reason),
        })?;
        Encoder::avro(schema_json, number)
    }

    fn outbox(&mut self) -> Result<&Outbox> {
        if self.outbox.is_none() {
            self.outbox = Some(self.connect()?);
        }
        self.outbox.as_ref().ok_or_else(|| Error::bug("the sink `kafka` is not connected"))
    }

    fn send(&mut self, part: &UnsentPart) -> Result<()> {
        let topic = self.settings.topic.clone();
        let Outbox { producer, rows, .. } = self.outbox()?;
        let (file, footer) = parquet_file::open(&part.path)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer)
            .with_batch_size(BATCH_ROWS)
            .with_offset(usize::try_from(part.skip).unwrap_or(usize::MAX));
        for batch in Batches::of(&part.path, builder)? {
            rows.each(&batch?, |key, payload| producer.send(&topic, key, payload))?;
        }
        producer.flush()
    }

    /// Sends the findings of a run from one on.
    fn send_findings(&mut self, topic: &str, first: u64, all: &[Finding]) -> Result<()> {
        let Outbox { producer, findings, .. } = self.outbox()?;
        finding::each_from(first, all, findings, |key, payload| producer.send(topic, key, payload))?;
        producer.flush()
    }
}

impl Sink for KafkaSink {
    fn bind(&mut self, input: &Schema) -> Result<Vec<ColumnRef>, Vec<Diagnostic>> {
        let chosen = self.chosen(input)?;
        check_columns(&chosen)?;
        let schema = Arc::new(Schema::new(chosen.iter().map(|field| (*field).clone()).collect::<Vec<_>>()));
        let producer = Producer::new(&self.settings.connection).map_err(|diagnostic| vec![diagnostic])?;
        let findings = self.settings.findings.iter().map(|topic| ("findings", topic.as_str()));
        let topics: Vec<_> = [("topic", self.settings.topic.as_str())].into_iter().chain(findings).collect();
        producer.check_topics(&topics)?;
        let key = if self.settings.columns.is_some() { "columns" } else { "" };
        let columns = schema.fields().iter().map(|field| ColumnRef::new(key, field.name())).collect();
        self.schema = schema;
        Ok(columns)
    }

    fn start(&mut self, _run: &RunContext, staging: &Path, table: &Path) -> Result<()> {
        self.writer = Some(TableWriter::new(self.schema.clone(), staging, table, WriteOptions::default())?);
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer()?.write(batch)
    }

    fn prepare(&mut self) -> Result<Vec<TablePart>> {
        self.writer()?.prepare()
    }

    fn unidentifying(&self) -> &'static [&'static str] {
        &["servers", "security", "timeout_seconds", "options", "registry"]
    }

    fn deliver(&mut self, table: &Path) -> Result<()> {
        let (Some(run_dir), Some(name)) = (table.parent(), table.file_name().and_then(|name| name.to_str())) else {
            return Err(Error::bug("the table of the sink `kafka` has no name"));
        };
        let parts = run::tables(run_dir)?.remove(name).unwrap_or_default();
        let files = run::part_files(run_dir, name)?.unwrap_or_default();
        let parts = files.into_iter().zip(parts.iter().map(|part| part.rows)).collect();
        let mut sent = Sent::read(table)?;
        for part in sent.left(parts) {
            self.send(&part)?;
            sent.rows += part.rows - part.skip;
            sent.write(table)?;
        }
        if let Some(topic) = self.settings.findings.clone() {
            let findings = run::findings(run_dir)?;
            if findings.len() as u64 > sent.findings {
                self.send_findings(&topic, sent.findings, &findings)?;
                sent.findings = findings.len() as u64;
                sent.write(table)?;
            }
        }
        Ok(())
    }
}
