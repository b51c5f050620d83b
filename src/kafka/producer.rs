//! A producer: messages that the brokers have acknowledged.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::MetadataTopic,
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use super::{Connection, consumer::PATIENCE};
use crate::error::{Code, Diagnostic, Error, Result};

/// The option for the largest message.
const LARGEST: &str = "message.max.bytes";

/// Notes the first message that was not delivered.
#[derive(Default)]
struct DeliveryContext {
    failure: Mutex<Option<Undelivered>>,
}

/// A message that was not delivered.
#[derive(Clone)]
struct Undelivered {
    error: KafkaError,
    topic: String,
    key: String,
    bytes: usize,
}

impl Undelivered {
    fn is_too_large(&self) -> bool {
        self.error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka: {facility} {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            tracing::debug!("a message to `{}` was not delivered: {error}", message.topic());
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Undelivered {
                error: error.clone(),
                topic: message.topic().to_owned(),
                key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
                bytes: message.payload_len(),
            });
        }
    }
}

/// A producer.
pub(crate) struct Producer {
    client: BaseProducer<DeliveryContext>,
    servers: String,
    timeout: Duration,
}

impl Producer {
    /// Prepares a client. Nothing is sent yet.
    ///
    /// # Errors
    /// Options that librdkafka does not have, files that cannot be read, variables that are not set.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Diagnostic> {
        let mut config = connection.client_config()?;
        let timeout = Duration::from_secs_f64(connection.timeout_seconds.clamp(0.1, 86_400.0));
        // All replicas have a message, once and in order, before it counts as sent.
        config.set("enable.idempotence", "true").set("acks", "all");
        config.set("message.timeout.ms", timeout.as_millis().to_string());
        // How large a message may be is for the topic to say (`max.message.bytes`), not for the client.
        if !connection.options.contains_key(LARGEST) {
            config.set(LARGEST, "1000000000");
        }
        let client = config.create_with_context(DeliveryContext::default()).map_err(|error| {
            let key = if connection.options.is_empty() { "servers" } else { "options" };
            Diagnostic::at(key, Code::OutOfRange, format!("librdkafka refuses the settings: {error}"))
        })?;
        Ok(Self { client, servers: connection.servers.clone(), timeout })
    }

    /// Asks once whether the brokers have topics, each with the key that names it.
    ///
    /// # Errors
    /// Topics that are not there; [`Code::Unreachable`] if no broker answers.
    pub(crate) fn check_topics(&self, topics: &[(&str, &str)]) -> Result<(), Vec<Diagnostic>> {
        let servers = &self.servers;
        let metadata = self.client.client().fetch_metadata(None, PATIENCE).map_err(|error| {
            let message = format!("the brokers `{servers}` do not answer: {error}");
            let diagnostic = Diagnostic::at("servers", Code::Unreachable, message);
            vec![diagnostic.help("check the address, and that the brokers run")]
        })?;
        let is_there = |topic| metadata.topics().iter().any(|found| found.name() == topic && found.error().is_none());
        let names = || metadata.topics().iter().map(MetadataTopic::name).filter(|name| !name.starts_with("__"));
        let missing = topics.iter().filter(|(_, topic)| !is_there(*topic)).map(|(key, topic)| {
            let message = format!("the brokers have no topic `{}`", topic.escape_debug());
            Diagnostic::at(key, Code::MissingFile, message).suggest(topic, names(), "topics")
        });
        let missing: Vec<Diagnostic> = missing.collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Sends a message, or waits until there is room for it.
    ///
    /// # Errors
    /// [`Error::Environment`] when an earlier message was not delivered, or this one is refused.
    pub(crate) fn send(&self, topic: &str, key: &str, payload: &[u8]) -> Result<()> {
        let begun = Instant::now();
        let mut record = BaseRecord::to(topic).key(key).payload(payload);
        loop {
            match self.client.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again))
                    if begun.elapsed() < self.timeout =>
                {
                    record = again;
                    self.client.poll(Duration::from_millis(50));
                }
                Err((error, _)) => {
                    let (topic, key) = (topic.to_owned(), key.to_owned());
                    return Err(self.undelivered(&Undelivered { error, topic, key, bytes: payload.len() }));
                }
            }
        }
        self.client.poll(Duration::ZERO);
        self.check()
    }

    /// Waits until all messages are acknowledged.
    ///
    /// # Errors
    /// [`Error::Environment`] when one is not.
    pub(crate) fn flush(&self) -> Result<()> {
        let flushed = self.client.flush(self.timeout + PATIENCE);
        self.check()?;
        flushed.map_err(|error| self.unsent(&error))
    }

    fn check(&self) -> Result<()> {
        let failure = self.client.context().failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failure.map_or(Ok(()), |error| Err(self.undelivered(&error)))
    }

    fn undelivered(&self, message: &Undelivered) -> Error {
        if !message.is_too_large() {
            return self.unsent(&message.error);
        }
        let (servers, Undelivered { topic, key, bytes, .. }) = (&self.servers, message);
        Error::environment(format!(
            "rows are committed but not sent to the brokers `{servers}`: the message of `{}` has {bytes} bytes, more than \
             `{}` takes; raise `max.message.bytes` of the topic (and `options: {{ {LARGEST}: ... }}`, if it is set), and \
             resume",
            key.escape_debug(),
            topic.escape_debug()
        ))
    }

    fn unsent(&self, error: &KafkaError) -> Error {
        let servers = &self.servers;
        Error::environment(format!(
            "rows are committed but not sent to the brokers `{servers}`: {error}; a resume sends them"
        ))
    }
}
