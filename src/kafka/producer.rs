//! A producer: messages that the brokers have acknowledged.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use super::{Connection, consumer::PATIENCE};
use crate::error::{Code, Diagnostic, Error, Result};

/// Notes the first message that was not delivered.
#[derive(Default)]
struct DeliveryContext {
    failure: Mutex<Option<KafkaError>>,
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
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
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
        let client = config.create_with_context(DeliveryContext::default()).map_err(|error| {
            let key = if connection.options.is_empty() { "servers" } else { "options" };
            Diagnostic::at(key, Code::OutOfRange, format!("librdkafka refuses the settings: {error}"))
        })?;
        Ok(Self { client, servers: connection.servers.clone(), timeout })
    }

    /// Asks whether the brokers have a topic. The error has the setting that is wrong.
    ///
    /// # Errors
    /// Why a topic cannot be sent to.
    pub(crate) fn check_topic(&self, topic: &str) -> Result<(), (&'static str, String)> {
        let servers = &self.servers;
        let metadata = self.client.client().fetch_metadata(None, PATIENCE);
        let metadata =
            metadata.map_err(|error| ("servers", format!("the brokers `{servers}` do not answer: {error}")))?;
        let is_there = metadata.topics().iter().any(|found| found.name() == topic && found.error().is_none());
        if is_there { Ok(()) } else { Err(("topic", format!("the brokers have no topic `{}`", topic.escape_debug()))) }
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
                Err((error, _)) => return Err(self.undelivered(&error)),
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
        flushed.map_err(|error| self.undelivered(&error))
    }

    fn check(&self) -> Result<()> {
        let failure = self.client.context().failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failure.map_or(Ok(()), |error| Err(self.undelivered(&error)))
    }

    fn undelivered(&self, error: &KafkaError) -> Error {
        let servers = &self.servers;
        Error::environment(format!(
            "rows are committed but not sent to the brokers `{servers}`: {error}; a resume sends them"
        ))
    }
}
