//! Alert packets: container files and messages.

use super::{FuzzTarget, seeds::files};
use crate::avro::{Container, FieldPaths, Payload, WriterSchema, test_packets};

pub(super) const CONTAINER: FuzzTarget = FuzzTarget {
    name: "alert_container",
    run: container,
    seeds: || files(&["tests/golden/alerts/packets"], &[".avro"]),
    words: &[
        "Obj\u{1}",
        "avro.schema",
        "avro.codec",
        "deflate",
        "snappy",
        "zstandard",
        "bzip2",
        "null",
        "\"record\"",
        "\"array\"",
    ],
    max_bytes: 16 << 10,
    mutations: 20_000,
};

pub(super) const MESSAGE: FuzzTarget = FuzzTarget {
    name: "alert_message",
    run: one_message,
    seeds: || vec![test_packets::framed(900, &test_packets::TestPacket::default())],
    words: &["\0\0\0\u{3}"],
    max_bytes: 4 << 10,
    mutations: 100_000,
};

/// Paths of all fields of a schema, and of one that it does not have.
fn all_fields(schema: &WriterSchema) -> FieldPaths {
    let names = schema.field_type("no such field").err().map(|unknown| unknown.others).unwrap_or_default();
    for name in &names {
        // Types of any depth are found.
        let _ = schema.field_type(name);
    }
    FieldPaths::new(names.iter().map(String::as_str).chain(["no such field"]))
}

fn container(bytes: &[u8]) {
    let Ok(mut file) = Container::open(bytes) else { return };
    let Ok(schema) = WriterSchema::parse(file.schema_json()) else { return };
    let paths = all_fields(&schema);
    while let Ok(Some(block)) = file.next_block() {
        let mut rest = block.bytes.as_slice();
        for _ in 0..block.count.min(rest.len() as u64) {
            let Ok((_, after)) = paths.read(&schema, rest) else { break };
            assert!(after.len() <= rest.len(), "what is left is the end of the block");
            rest = after;
        }
    }
}

fn one_message(bytes: &[u8]) {
    let Ok(Payload::Framed(message)) = Payload::of(bytes) else { return };
    let schema = WriterSchema::parse(test_packets::SCHEMA).expect("a schema");
    if let Ok((values, rest)) = all_fields(&schema).read(&schema, message.record) {
        assert!(!values.is_empty() && message.record.ends_with(rest));
    }
}
