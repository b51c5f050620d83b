//! Packets for tests, in the form of Rubin's: written by `serde_avro_fast`, which reads them too. What other writers write is tested with
//! packets of fastavro (`tests/it/alerts.rs`).

use serde::Serialize;
use serde_avro_fast::{
    Schema,
    object_container_file_encoding::{Compression, WriterBuilder},
    ser::SerializerConfig,
};

/// A schema with names as Rubin's.
pub(crate) const SCHEMA: &str = r#"{"type": "record", "name": "lsst.v9_0.alert", "fields": [
    {"name": "diaSourceId", "type": "long"},
    {"name": "diaSource", "type": {"type": "record", "name": "lsst.v9_0.diaSource", "fields": [
        {"name": "diaSourceId", "type": "long"},
        {"name": "visit", "type": "long"},
        {"name": "detector", "type": "int"},
        {"name": "ra", "type": "double"},
        {"name": "dec", "type": "double"},
        {"name": "snr", "type": ["null", "float"]},
        {"name": "band", "type": ["null", "string"]},
        {"name": "psfFlux", "type": ["null", "float"]},
        {"name": "isDipole", "type": ["null", "boolean"]}]}},
    {"name": "prvDiaSources", "type": ["null", {"type": "array", "items": "lsst.v9_0.diaSource"}]},
    {"name": "cutoutDifference", "type": ["null", "bytes"]},
    {"name": "cutoutScience", "type": ["null", "bytes"]},
    {"name": "cutoutTemplate", "type": ["null", "bytes"]}]}"#;

#[derive(Debug, Clone, Default, Serialize)]
#[allow(non_snake_case, reason = "names of fields of the schema")]
pub(crate) struct TestPacket {
    pub(crate) diaSourceId: i64,
    pub(crate) diaSource: TestSource,
    pub(crate) prvDiaSources: Option<Vec<TestSource>>,
    pub(crate) cutoutDifference: Option<stamp_bytes::StampBytes>,
    pub(crate) cutoutScience: Option<stamp_bytes::StampBytes>,
    pub(crate) cutoutTemplate: Option<stamp_bytes::StampBytes>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[allow(non_snake_case, reason = "names of fields of the schema")]
pub(crate) struct TestSource {
    pub(crate) diaSourceId: i64,
    pub(crate) visit: i64,
    pub(crate) detector: i32,
    pub(crate) ra: f64,
    pub(crate) dec: f64,
    pub(crate) snr: Option<f32>,
    pub(crate) band: Option<String>,
    pub(crate) psfFlux: Option<f32>,
    pub(crate) isDipole: Option<bool>,
}

/// Bytes that serde writes as bytes, not as a list of numbers.
pub(crate) mod stamp_bytes {
    /// The bytes of a stamp.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct StampBytes(pub(crate) Vec<u8>);

    impl serde::Serialize for StampBytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }
}

/// A container file.
pub(crate) fn container(packets: &[TestPacket]) -> Vec<u8> {
    let schema: Schema = SCHEMA.parse().expect("a schema");
    let mut config = SerializerConfig::new(&schema);
    let mut writer = WriterBuilder::new(&mut config)
        .compression(Compression::Null)
        .approx_block_size(4096)
        .build(Vec::new())
        .expect("a header");
    writer.serialize_all(packets).expect("packets of the schema");
    writer.into_inner().expect("a file")
}

/// The record of a packet.
pub(crate) fn record(packet: &TestPacket) -> Vec<u8> {
    let schema: Schema = SCHEMA.parse().expect("a schema");
    serde_avro_fast::to_datum_vec(packet, &mut SerializerConfig::new(&schema)).expect("a packet of the schema")
}

/// A message as a broker sends it.
pub(crate) fn framed(schema_id: u32, packet: &TestPacket) -> Vec<u8> {
    [&[0][..], &schema_id.to_be_bytes(), &record(packet)].concat()
}
