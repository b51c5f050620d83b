//! Kafka: connections, topics, partitions and schema registries. What messages mean is not known here.
//!
//! Partitions are assigned by hand, from offsets that a run keeps itself: no consumer group takes part, so nothing is rebalanced, and no
//! offset is committed to a broker. `rdkafka` is used through its synchronous consumer.

mod connection;
mod consumer;
mod failure;
mod producer;
mod registry;
mod topics;

pub use self::{
    connection::{Connection, Mechanism, OptionValue, Protocol, Security},
    registry::Registry,
};
pub(crate) use self::{
    consumer::{Consumer, TopicPartition},
    producer::Producer,
    registry::{NoSchema, RegisteredSchema},
    topics::{Bounds, TopicList},
};
