//! Lucarne streams galaxy cutouts through simulated survey observations and ONNX models into Parquet, and monitors how robust
//! the scores are. This page is for programs that embed it; the README is about the command.
//!
//! # Ten types to know
//!
//! | type | what it is |
//! |---|---|
//! | [`Pipeline`](pipeline::Pipeline) | a pipeline from YAML or from code: check, run, stream |
//! | [`Builder`](pipeline::Builder) | builds a pipeline in code |
//! | [`Summary`](engine::Summary) | a finished run: counts, tables, findings |
//! | [`Stream`](engine::Stream) | scored batches that the caller pulls, an Arrow `RecordBatchReader` |
//! | [`Run`](query::Run) | SQL over a run directory |
//! | [`Error`](error::Error) | why a run ended: the domain and the cause |
//! | [`Diagnostic`](error::Diagnostic) | a mistake in a pipeline, with its code, place and help |
//! | [`Source`](stage::Source), [`Transform`](stage::Transform), [`Monitor`](stage::Monitor) | the contracts of custom stages |
//!
//! # A pipeline from YAML, and SQL over its tables
//!
//! ```
//! use lucarne::prelude::*;
//!
//! # fn main() -> Result<()> {
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let run_dir = folder.path().join("run");
//! let yaml = "{ parameters: { n: 5 }, source: { simulated: { count: '${n}' } }, sink: { objects: { parquet: {} } } }";
//! let summary = Pipeline::from_yaml(yaml).set("n", "20").run(&run_dir)?;
//! assert_eq!(summary.counts.written, 20);
//!
//! let run = lucarne::query::Run::open(&run_dir)?;
//! let batches = run.query("select label, count(*) as n from objects group by label")?;
//! for batch in batches {
//!     println!("{:?}", batch?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # A pipeline in code, pulled batch by batch
//!
//! ```
//! use lucarne::{prelude::*, source::simulated::Simulated, transform::crop::Crop};
//!
//! # fn main() -> Result<()> {
//! let pipeline = Pipeline::builder()
//!     .source(Simulated { count: 20, ..Simulated::default() })
//!     .transform("centre", Crop { size: Some(32), ..Crop::new("image") })
//!     .build();
//! let mut stream = pipeline.stream()?;
//! while let Some(batch) = stream.next_batch()? {
//!     assert!(batch.column_by_name("centre").is_some());
//! }
//! assert_eq!(stream.counts().written, 20);
//! # Ok(())
//! # }
//! ```
//!
//! # A custom stage
//!
//! Anything boxed that implements a contract of [`stage`] is a stage.
//!
//! ```
//! use lucarne::{
//!     arrow::{array::RecordBatch, datatypes::{Field, Schema}},
//!     batch::row_number,
//!     prelude::*,
//!     source::simulated::Simulated,
//! };
//!
//! /// Keeps every second row.
//! struct Half;
//!
//! impl Transform for Half {
//!     fn required_columns(&self) -> Vec<ColumnRef> {
//!         Vec::new()
//!     }
//!     fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
//!         Ok(Vec::new())
//!     }
//!     fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
//!         let keep = (0..batch.num_rows()).map(|row| Ok(row_number(&batch, row)? % 2 == 0)).collect::<Result<_>>()?;
//!         rejects.filter(&batch, keep)
//!     }
//!     fn fork(&self) -> Box<dyn Transform> {
//!         Box::new(Half)
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let half: Box<dyn Transform> = Box::new(Half);
//! let mut stream = Pipeline::builder().source(Simulated { count: 20, ..Simulated::default() }).transform("half", half).build().stream()?;
//! while stream.next_batch()?.is_some() {}
//! assert_eq!((stream.counts().written, stream.counts().filtered), (10, 10));
//! # Ok(())
//! # }
//! ```
//!
//! A process that scores loads ONNX Runtime, which from 1.29 on reports models and machines to its makers: set
//! `ORT_DISABLE_TELEMETRY=1` before it starts, as the command does for itself.

// Hidden modules are public for the tests, benches, and the command of this crate alone.
#[cfg(feature = "alerts")]
mod avro;
pub mod batch;
pub mod card;
#[cfg(feature = "cli")]
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the command line is the one place that prints")]
#[doc(hidden)]
pub mod cli;
pub mod engine;
pub mod error;
#[cfg(feature = "fits")]
#[doc(hidden)]
pub mod fits;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod image;
#[doc(hidden)]
pub mod io;
#[cfg(feature = "kafka")]
#[doc(hidden)]
pub mod kafka;
pub mod monitor;
#[doc(hidden)]
pub mod morphology;
mod onnx;
pub mod pipeline;
pub mod prelude;
#[cfg(feature = "sql")]
pub mod query;
pub mod random;
#[cfg(feature = "report")]
pub mod report;
pub mod run;
pub mod score;
pub mod sink;
pub mod source;
pub mod stage;
#[doc(hidden)]
pub mod stats;
#[doc(hidden)]
pub mod survey;
mod sync;
#[doc(hidden)]
pub mod table;
pub mod transform;
#[cfg(feature = "fits")]
#[doc(hidden)]
pub mod wcs;

/// The version of Arrow whose batches and schemas are in the signatures here.
pub use arrow;
