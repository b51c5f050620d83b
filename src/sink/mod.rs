//! The kinds of sinks: what is kept of the rows.
//!
//! Every kind keeps the contract of [`stage::Sink`](crate::stage::Sink); `conformance` checks it for every example of every kind.

#[cfg(all(test, feature = "fits"))]
mod conformance;
#[cfg(feature = "fits")]
pub mod fits;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod parquet;

use arrow::datatypes::Schema;

use crate::{
    error::{Code, Diagnostic},
    stage::{Kind, Sink},
};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Sink>] = &[
    #[cfg(feature = "fits")]
    Kind::of::<fits::Fits>(),
    #[cfg(feature = "kafka")]
    Kind::of::<kafka::Kafka>(),
    Kind::of::<parquet::Parquet>(),
];

/// The diagnostic for a column that does not exist. Internal columns (`_...`) are not suggested.
fn unknown_column(key: &str, name: &str, input: &Schema) -> Diagnostic {
    let names = input.fields().iter().map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
    Diagnostic::at(key, Code::UnknownColumn, format!("no column `{name}`")).suggest(name, names, "columns")
}
