//! A mock broker of Kafka with alert packets, to try the source `kafka` without a cluster: `cargo run --example kafka_broker`.
//!
//! It is the mock cluster of librdkafka: it listens on 127.0.0.1 for any client, keeps the last 5 MiB of each partition in memory, and is
//! gone when the process ends. A folder with other messages, one in each file, may be named.

#![allow(clippy::print_stdout)]

use std::{error::Error, fs, path::PathBuf, time::Duration};

use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};

const TOPIC: &str = "alerts";
const PARTITIONS: i32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "pipelines/alerts/messages".into());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let cluster: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1)?;
    cluster.create_topic(TOPIC, PARTITIONS, 1)?;
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create()?;
    for (file, partition) in files.iter().zip((0..PARTITIONS).cycle()) {
        let message = fs::read(file)?;
        let record = BaseRecord::<[u8], [u8]>::to(TOPIC).partition(partition).payload(&message);
        producer.send(record).map_err(|(error, _)| error)?;
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(30))?;
    let servers = cluster.bootstrap_servers();
    println!("a mock broker at {servers} has {} messages of `{folder}` in the topic `{TOPIC}`; try:", files.len());
    println!("lucarne run pipelines/09_kafka.yaml --set servers={servers}");
    println!("Ctrl-C ends it");
    loop {
        std::thread::park();
    }
}
