//! Records, container files and messages, whole and damaged.

use std::borrow::Cow;

use super::{
    Container, ContainerError, FieldPaths, FieldType, SchemaFolder, Value, WriterSchema,
    message::{Message, message},
    test_packets::{SCHEMA, TestPacket, TestSource, container, framed, record, stamp_bytes::StampBytes},
};

fn source(number: i64) -> TestSource {
    TestSource {
        diaSourceId: number,
        visit: 2_025_090_500_225,
        detector: 93,
        ra: 10.5,
        dec: -45.25,
        snr: Some(5.5),
        band: Some("i".into()),
        psfFlux: None,
        isDipole: Some(true),
    }
}

fn packet(number: i64) -> TestPacket {
    TestPacket {
        diaSourceId: number,
        diaSource: source(number),
        prvDiaSources: Some(vec![source(1), TestSource { snr: None, ..source(2) }]),
        cutoutScience: Some(StampBytes(vec![7; 300])),
        ..TestPacket::default()
    }
}

fn schema() -> WriterSchema {
    WriterSchema::parse(SCHEMA).expect("a schema")
}

const PATHS: [&str; 6] = [
    "diaSource.diaSourceId",
    "prvDiaSources.snr",
    "cutoutScience",
    "diaSource.band",
    "diaSource.psfFlux",
    "diaSourceId",
];

#[test]
fn fields_are_taken_by_path_and_others_skipped() {
    let bytes = record(&packet(7_912_941_781_254_298));
    let paths = FieldPaths::new(PATHS);
    let (values, rest) = paths.read(&schema(), &bytes).expect("a record");
    assert!(rest.is_empty());
    assert_eq!(values[0], Value::Integer(7_912_941_781_254_298));
    assert_eq!(values[1], Value::List(vec![Value::Real(5.5), Value::Null]));
    assert_eq!(values[2], Value::Bytes(Cow::Owned(vec![7; 300])));
    assert!(matches!(&values[2], Value::Bytes(Cow::Borrowed(_))), "stamps are not copied");
    assert_eq!(values[3], Value::Text("i".into()));
    assert_eq!(values[4], Value::Null);
    assert_eq!(values[5], values[0]);
    let (values, _) = FieldPaths::new(["prvDiaSources"]).read(&schema(), &bytes).expect("a record");
    let Value::List(sources) = &values[0] else { panic!("{values:?}") };
    let Value::Record(first) = &sources[0] else { panic!("{sources:?}") };
    assert_eq!(first[2], Value::Integer(93));
    // A field whole and in parts, in any order.
    for paths in
        [["diaSource", "diaSource.visit", "prvDiaSources.snr"], ["diaSource.visit", "diaSource", "diaSource.snr"]]
    {
        let (values, rest) = FieldPaths::new(paths).read(&schema(), &bytes).expect("a record");
        let whole = paths.iter().position(|path| *path == "diaSource").expect("a path");
        let Value::Record(fields) = &values[whole] else { panic!("{values:?}") };
        assert_eq!(values[1 - whole], fields[1]);
        assert!(values[2] != Value::Null && rest.is_empty());
    }
}

#[test]
fn types_and_missing_fields_are_those_of_the_schema() {
    let schema = schema();
    assert_eq!(schema.name(), "lsst.v9_0.alert");
    assert_eq!(schema.field_type("diaSource.detector"), Ok(FieldType::Int32));
    assert_eq!(schema.field_type("prvDiaSources.snr"), Ok(FieldType::List(Box::new(FieldType::Float32))));
    assert_eq!(schema.field_type("cutoutScience"), Ok(FieldType::Bytes));
    let unknown = schema.field_type("diaSource.sNr").expect_err("no such field");
    assert_eq!(unknown.message(), "`diaSource` has no field `sNr`");
    assert!(unknown.others.contains(&"snr".to_owned()));
    let message = |path| schema.field_type(path).expect_err("no such field").message();
    assert_eq!(message("dia"), "packets have no field `dia`");
    assert_eq!(message("diaSourceId.x"), "`diaSourceId` is not a record, and has no field `x`");
    assert!(WriterSchema::parse("{}").is_err());
    let odd = r#"{"type": "record", "name": "r", "fields": [
        {"name": "several", "type": ["int", "string"]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
        {"name": "again", "type": ["null", "r"]},
        {"name": "when", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
    let odd = WriterSchema::parse(odd).expect("a schema");
    assert_eq!(odd.field_type("several"), Ok(FieldType::Unsupported("has one of 2 types".into())));
    assert_eq!(odd.field_type("price"), Ok(FieldType::Unsupported("is a decimal".into())));
    assert_eq!(odd.field_type("again.again.when"), Ok(FieldType::TimestampMillis));
    assert!(matches!(odd.field_type("again"), Ok(FieldType::Record(_))), "nesting ends");
}

#[test]
fn a_cut_off_record_is_an_error_and_bytes_after_it_are_returned() {
    let bytes = record(&packet(3));
    let paths = FieldPaths::new(PATHS);
    for length in 0..bytes.len() {
        assert!(paths.read(&schema(), &bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
    let longer = [&bytes[..], b"xyz"].concat();
    assert_eq!(paths.read(&schema(), &longer).expect("a record").1, b"xyz");
}

#[test]
fn container_files_are_read_block_by_block() {
    let packets: Vec<TestPacket> = (0..40).map(packet).collect();
    let bytes = container(&packets);
    let mut file = Container::open(&*bytes).expect("a file");
    let schema = WriterSchema::parse(file.schema_json()).expect("a schema");
    let paths = FieldPaths::new(["diaSourceId"]);
    let (mut ids, mut blocks) = (Vec::new(), 0);
    while let Some(block) = file.next_block().expect("a block") {
        blocks += 1;
        let mut rest = block.bytes.as_slice();
        for _ in 0..block.count {
            let (values, after) = paths.read(&schema, rest).expect("a record");
            let Value::Integer(id) = values[0] else { panic!("{values:?}") };
            ids.push(id);
            rest = after;
        }
        assert!(rest.is_empty());
    }
    assert!(blocks > 1);
    assert_eq!(ids, (0..40).collect::<Vec<i64>>());
}

#[test]
fn damaged_container_files_are_errors() {
    let bytes = container(&[packet(1), packet(2)]);
    let read = |bytes: &[u8]| -> Result<u64, ContainerError> {
        let mut file = Container::open(bytes)?;
        let mut count = 0;
        while let Some(block) = file.next_block()? {
            count += block.count;
        }
        Ok(count)
    };
    assert_eq!(read(&bytes).expect("a file"), 2);
    for length in 0..bytes.len() {
        match read(&bytes[..length]) {
            Err(ContainerError::Damaged(reason)) => assert_eq!(reason, "is cut off"),
            // A file that ends with its header has no packets.
            Ok(0) => {}
            other => panic!("{length}: {other:?}"),
        }
    }
    let mut other_mark = bytes.clone();
    *other_mark.last_mut().expect("a byte") ^= 1;
    assert!(matches!(read(&other_mark), Err(ContainerError::Damaged(reason)) if reason.contains("mark of the file")));
    assert!(matches!(read(b"Obj\x02"), Err(ContainerError::Damaged(_))));
    // A length of 2^62 bytes asks for no memory.
    let huge = [&b"Obj\x01\x02\x08"[..], b"avro", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
    assert!(matches!(read(&huge), Err(ContainerError::Damaged(_))));
}

#[test]
fn messages_name_their_schema_and_a_folder_has_it() {
    let framed = framed(900, &packet(5));
    let Message { schema_id, record: found } = message(&framed).expect("a message");
    assert_eq!((schema_id, found), (900, &record(&packet(5))[..]));
    for (bytes, expected) in [
        (&b""[..], "is empty: a message without a value (a tombstone)"),
        (&b"\0\0\0"[..], "has 3 bytes"),
        (&b"Obj\x01xx"[..], "begins with the byte 79"),
    ] {
        let reason = message(bytes).expect_err("not a message");
        assert!(reason.starts_with(expected), "{reason}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("9")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    assert!(SchemaFolder::open(folder.path()).is_err());
    // As Rubin publishes them: records are named, and stand in files beside.
    let part = r#"{"type": "record", "name": "diaSource", "namespace": "lsst.v9_0", "fields": [{"name": "visit", "type": "long"}]}"#;
    let whole = r#"{"type": "record", "name": "alert", "namespace": "lsst.v9_0", "fields": [
        {"name": "diaSource", "type": "lsst.v9_0.diaSource"}]}"#;
    write("9/lsst.v9_0.diaSource.avsc", part);
    write("9/lsst.v9_0.alert.avsc", whole);
    write("7.avsc", SCHEMA);
    let schemas = SchemaFolder::open(folder.path()).expect("schemas");
    assert_eq!(schemas.schema(900).expect("a schema").field_type("diaSource.visit"), Ok(FieldType::Int64));
    assert_eq!(schemas.schema(7).expect("a schema").name(), "lsst.v9_0.alert");
    let reason = schemas.schema(901).err().expect("no such schema");
    assert!(reason.contains("has the schema 901") && reason.contains("lsst.v9_1.alert.avsc"), "{reason}");
}

/// Flips and drops bytes: whatever comes is read or refused.
#[test]
fn mutated_records_never_panic() {
    let bytes = record(&packet(11));
    let (schema, paths) = (schema(), FieldPaths::new(PATHS));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut read = 0;
    for _ in 0..20_000 {
        let mut mutated = bytes.clone();
        for _ in 0..1 + next() % 3 {
            let place = (next() % mutated.len() as u64) as usize;
            mutated[place] = next() as u8;
        }
        mutated.truncate(mutated.len() - (next() % 4) as usize);
        read += usize::from(paths.read(&schema, &mutated).is_ok());
    }
    assert!((1..20_000).contains(&read));
}
