//! What most programs with lucarne need: `use lucarne::prelude::*`.

pub use crate::{
    batch::{ImageLayout, Unit},
    engine::{Existing, Status, Stop, Stream, Summary},
    error::{Diagnostic, Error, Result},
    pipeline::Pipeline,
    stage::{
        ColumnRef, Finding, Monitor, MonitorOutput, Progress, Read, Reader, Reject, Rejects, RowsOut, RunContext,
        Scorer, Scorers, Sink, Source, Split, TablePart, Transform, UpstreamSchemas,
    },
};
