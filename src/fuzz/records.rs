//! Records and snapshots of run directories.

use std::path::Path;

use serde_json::Value;

use super::{FuzzTarget, seeds::files};
use crate::{
    error::{Error, Result},
    run::{CommitRecord, RunRecord, sealed, snapshot},
};

const WORDS: &[&str] = &[
    "\"format\":2",
    "\"format\":1",
    "\"commit\":1",
    "\"checkpoint\":true",
    "\"tables\":{}",
    "\"source\":{}",
    "\"offsets\":{}",
    "\"checksums\":\"\"",
    "null",
    "[]",
    "{}",
    "\\u0000",
    "1e308",
    "-0",
    "\"monitors\":{}",
    "\"sinks\":{}",
    "../",
];

pub(super) const COMMIT: FuzzTarget = FuzzTarget {
    name: "commit_record",
    run: |bytes| each_form(bytes, CommitRecord::parse, CommitRecord::to_bytes),
    seeds: || unsealed(&["tests/golden/runs"], "000000"),
    words: WORDS,
    max_bytes: 8 << 10,
    mutations: 20_000,
};

pub(super) const RUN: FuzzTarget = FuzzTarget {
    name: "run_record",
    run: |bytes| {
        each_form(bytes, RunRecord::parse, |record| {
            for family in ["source", "transform", "score", "monitor", "sink"] {
                for label in record.labels(family, "onnx") {
                    let _ = (record.settings(family, label), record.rows(label));
                }
            }
            record.to_bytes()
        });
    },
    seeds: || unsealed(&["tests/golden/runs"], "run.json"),
    words: WORDS,
    max_bytes: 20 << 10,
    mutations: 10_000,
};

pub(super) const SNAPSHOT: FuzzTarget = FuzzTarget {
    name: "snapshot",
    run: read_snapshot,
    seeds: || files(&["tests/golden/runs"], &[".state"]),
    words: &["\"format\":1", "\"kind\":\"accuracy\"", "\"state\":{}", "\"state\":null", "\n", "ARROW1", "\\u0000"],
    max_bytes: 16 << 10,
    mutations: 10_000,
};

/// The records of a folder whose paths contain a word, without their checksums, which no mutation would meet.
fn unsealed(folders: &[&str], word: &str) -> Vec<Vec<u8>> {
    let records = files(folders, &[".json"]);
    let is_run = |record: &[u8]| record.windows(9).any(|window| window == b"\"lucarne\"");
    let records = records.into_iter().filter(|record| is_run(record) == (word == "run.json"));
    let compact = records.filter_map(|record| {
        let mut value: Value = serde_json::from_slice(&record).ok()?;
        value.as_object_mut()?.remove("checksum");
        Some(serde_json::to_vec(&value).expect("JSON"))
    });
    compact.collect()
}

/// Reads a record as it is and with a checksum. What can be read is written, and read again, to the same record.
fn each_form<T>(bytes: &[u8], parse: fn(&Path, &[u8]) -> Result<T>, write: impl Fn(&T) -> Result<Vec<u8>>) {
    let path = Path::new("record.json");
    for bytes in [bytes.to_vec(), sealed(bytes.to_vec())] {
        match parse(path, &bytes) {
            Ok(record) => {
                let written = write(&record).expect("a record that was read can be written");
                let again = parse(path, &written).expect("a record that was written can be read");
                assert_eq!(write(&again).expect("written"), written);
            }
            Err(error) => assert!(matches!(error, Error::Data { .. }) && !error.report().is_empty(), "{error:?}"),
        }
    }
}

/// Reads the header of a snapshot as any JSON, and its body as rows.
fn read_snapshot(bytes: &[u8]) {
    for kind in ["accuracy", "latent_drift", "one_pixel"] {
        if let Ok((state, body)) = snapshot::decode::<Value>(kind, bytes) {
            let again = snapshot::encode(kind, &state, body).expect("a snapshot that was read can be written");
            let (same, rest) =
                snapshot::decode::<Value>(kind, &again).expect("a snapshot that was written can be read");
            assert!(same == state && rest == body);
            let _ = snapshot::decode_rows(body);
        }
    }
}
