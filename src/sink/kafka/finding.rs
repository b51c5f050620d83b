//! Findings as messages.

use serde::Serialize;
use serde_json::json;

use super::message::Encoder;
use crate::{error::Result, run::Finding};

/// The schema of findings, as JSON.
pub(super) fn avro_schema() -> String {
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let fields = [field("number", "long"), field("monitor", "string"), field("message", "string")];
    json!({ "type": "record", "name": "finding", "namespace": "lucarne", "fields": fields }).to_string()
}

/// A finding, and its number in the run: one that comes again has the same.
#[derive(Serialize)]
struct FindingMessage<'a> {
    number: i64,
    monitor: &'a str,
    message: &'a str,
}

/// Calls `send` with the key, which is the label of the monitor, and the message of every finding from one on.
pub(super) fn each_from(
    first: u64,
    findings: &[Finding],
    encoder: &Encoder,
    mut send: impl FnMut(&str, &[u8]) -> Result<()>,
) -> Result<()> {
    for (number, Finding { monitor, message }) in
        (0_i64..).zip(findings).skip(usize::try_from(first).unwrap_or(usize::MAX))
    {
        send(monitor, &encoder.encode(&FindingMessage { number, monitor, message })?)?;
    }
    Ok(())
}
