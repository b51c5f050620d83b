//! The settings of `kafka`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{From, KafkaSource, Until};
use crate::{
    error::{Code, Diagnostic},
    kafka::{Connection, Registry},
    source::alerts::Packets,
    stage::{Settings, Source},
};

/// Alert packets from topics of Kafka, each exactly once: what was read is committed together with its rows, never to the broker. A message
/// that is not a packet is a reject; one that the broker has removed before it was read ends the run.
///
/// Without `until` a run ends when it is stopped. Then `--resume` continues it. The rows of two live runs are the same, their order is
/// not: batches follow each other as messages arrive. With `until` the order is that of (topic, partition, offset).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kafka {
    /// The brokers.
    #[serde(flatten)]
    pub connection: Connection,
    /// Topics, by name or by pattern (`lsst-alerts-v*`). Topics and partitions that appear later are read from the next start on, from
    /// their beginning.
    pub topics: Vec<String>,
    /// Where reading begins, when a run begins. Where a resumed run continues is in its commit records.
    #[serde(default)]
    pub from: From,
    /// Where reading ends, decided when a run begins.
    #[serde(default)]
    pub until: Option<Until>,
    /// The schema registry for messages in Confluent's framing, if schemas are not in a folder (`schemas`). Messages that are container files,
    /// as those of ZTF, have their schema with them.
    #[serde(default)]
    pub registry: Option<Registry>,
    /// The number of the schema of packets, where topics may have no messages yet when a run begins. By default the first message shows
    /// the fields; with it `size` has to be set too.
    #[serde(default)]
    pub schema_id: Option<u32>,
    /// What to do with a packet whose identity is that of an earlier message of its partition: the producer has sent it again.
    #[serde(default)]
    pub repeats: Repeats,
    /// For `repeats: reject`, how many offsets an identity is remembered for. A resumed run reads as many messages again, for their
    /// identities.
    #[serde(default = "hundred_thousand")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub repeats_window: u64,
    /// What is read from a packet.
    #[serde(flatten)]
    pub packets: Packets,
}

/// What to do with a packet that was sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// Keep it: `select count(*) - count(distinct object_id) from objects` counts them.
    #[default]
    Keep,
    /// Reject it, with the offset of the earlier message.
    Reject,
}

fn hundred_thousand() -> u64 {
    100_000
}

impl Settings<dyn Source> for Kafka {
    const NAME: &'static str = "kafka";

    fn examples() -> &'static [&'static str] {
        &[
            r#"servers: localhost:9092
topics: ["lsst-alerts-v*"]
from: latest
registry: { url: "https://registry.example.org", username_env: REGISTRY_USER, password_env: REGISTRY_PASSWORD }
security: { protocol: sasl_ssl, mechanism: SCRAM-SHA-512, username_env: KAFKA_USER, password_env: KAFKA_PASSWORD }
survey: lsst
size: 51
nan: fill
images: { stamps: [difference, science, template] }
"#,
            r#"servers: localhost:9092
topics: ["ztf_*_programid1"]
until: now
survey: ztf
size: 63
nan: fill
"#,
        ]
    }

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let mut diagnostics = self.connection.mistakes();
        diagnostics.extend(self.packets.fields().err().unwrap_or_default());
        diagnostics.extend(self.registry.iter().flat_map(Registry::mistakes));
        let mut refuse = |key: &str, code, message: String, help: &str| {
            diagnostics.push(Diagnostic::at(key, code, message).help(help));
        };
        if self.topics.is_empty() {
            refuse("topics", Code::MissingKey, "`topics` names no topic".into(), "`topics: [lsst-alerts-v11.1]`");
        }
        for (index, topic) in self.topics.iter().enumerate() {
            if let Err(error) = glob::Pattern::new(topic) {
                let message = format!("`{}` is not a pattern: {}", topic.escape_debug(), error.msg);
                refuse(&format!("topics.{index}"), Code::OutOfRange, message, "`*` stands for any letters");
            }
        }
        if self.registry.is_some() && self.packets.schemas.is_some() {
            let message = "schemas come from `registry` or from the folder `schemas`, not from both".to_owned();
            refuse("schemas", Code::Conflict, message, "leave one out");
        }
        if self.packets.size.is_none() && self.packets.fields().is_ok_and(|fields| !fields.images.is_empty()) {
            let message = "`size` is not set: stamps of a topic have many sizes".to_owned();
            refuse("size", Code::MissingKey, message, "`size: 51`, or `stamps: {}` for no images");
        }
        diagnostics.extend(self.from.mistakes("from"));
        diagnostics.extend(self.until.iter().flat_map(|until| until.mistakes("until")));
        if diagnostics.is_empty() { Ok(Box::new(KafkaSource::new(self))) } else { Err(diagnostics) }
    }
}
