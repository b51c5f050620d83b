//! Pipelines: documents, the builder, and checked plans.
//!
//! The front page of the crate has examples.
//!
//! A document passes three stages: a tree with positions, a draft of built steps, and a plan in which every step is bound to the
//! columns before it. Each stage collects its mistakes and continues, so that all are reported at once.

mod builder;
mod column_lifetimes;
mod configure;
#[cfg(test)]
#[cfg(feature = "fits")]
mod crash_tests;
mod diagnostic;
mod document;
mod draft;
mod explain;
mod json_schema;
mod kinds;
mod logical_plan;
mod parameters;
mod plan;
mod render;
mod settings;
mod syntax_error;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub use self::{
    builder::{Builder, IntoStage},
    explain::{mermaid, text},
    json_schema::schema,
    kinds::{Family, kinds},
    logical_plan::{LogicalMonitor, LogicalPlan, LogicalSink, LogicalStep},
    render::{Paint, render},
};
use self::{
    diagnostic::SpannedDiagnostic,
    document::Arguments,
    draft::Draft,
    kinds::Kinds,
    parameters::Argument,
    plan::{Purpose, plan},
};
use crate::{
    engine::{self, Existing, Job, RunOptions, Status, Stop, Stream, Summary},
    error::{Code, Diagnostic, Error, Location, Result},
    io::text::{self as text_file, NotText},
};

/// A pipeline, from a document or from a [`Builder`], not yet checked.
pub struct Pipeline {
    origin: Origin,
    changes: Changes,
    control: Control,
}

/// Receives the progress of a run.
type ProgressFunction = Box<dyn FnMut(&Status<'_>)>;

/// How to run a pipeline into a directory.
#[derive(Default)]
struct Control {
    existing: Existing,
    stop: Stop,
    progress: Option<ProgressFunction>,
}

enum Origin {
    Document { name: String, yaml: String, arguments: Arguments },
    Code(Box<(Draft, Vec<SpannedDiagnostic>)>),
}

/// Settings of the caller, which override the document.
#[derive(Debug, Clone, Default)]
struct Changes {
    run: Option<PathBuf>,
    seed: Option<u64>,
    threads: Option<usize>,
    batch_rows: Option<usize>,
    limit: Option<u64>,
}

impl Pipeline {
    /// Creates a pipeline from a document. [`check`](Self::check) reports its mistakes.
    pub fn from_yaml(yaml: impl Into<String>) -> Self {
        Self::document("pipeline".into(), yaml.into())
    }

    /// Creates a pipeline from a file.
    ///
    /// # Errors
    /// If the file cannot be read or is not UTF-8.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| {
            let message = format!("cannot read the pipeline `{}`: {error}", path.display());
            Error::Pipeline(vec![Diagnostic::at("", Code::MissingFile, message)])
        })?;
        let origin = path.display().to_string();
        let yaml = text_file::decode(bytes).map_err(|not_text| {
            let NotText { message, help, line, column, source } = not_text;
            let place = Location { origin: origin.clone(), line, column, length: 1, source, related: None };
            let mistake = Diagnostic::at("", Code::Syntax, format!("the pipeline {message}")).help(help);
            Error::Pipeline(vec![Diagnostic { location: Some(Box::new(place)), ..mistake }])
        })?;
        Ok(Self::document(origin, yaml))
    }

    /// Starts a pipeline in code.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn document(name: String, yaml: String) -> Self {
        Self {
            origin: Origin::Document { name, yaml, arguments: Arguments::default() },
            changes: Changes::default(),
            control: Control::default(),
        }
    }

    fn from_draft(draft: Draft, diagnostics: Vec<SpannedDiagnostic>) -> Self {
        Self {
            origin: Origin::Code(Box::new((draft, diagnostics))),
            changes: Changes::default(),
            control: Control::default(),
        }
    }

    /// Sets a parameter of the document to a value in YAML. A pipeline built in code has no parameters.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let argument = Argument { name: name.into(), value: value.into() };
        match &mut self.origin {
            Origin::Document { arguments, .. } => arguments.set.push(argument),
            Origin::Code(code) => {
                let message = format!("a pipeline built in code has no parameter `{}`", argument.name);
                let mistake = Diagnostic::at("", Code::UnknownKey, message);
                code.1.push(SpannedDiagnostic { at: None, mistake, related: None });
            }
        }
        self
    }

    /// Sets one setting of one step: `configure("y1_sky:years", "2")`. `source` and `engine` are labels too.
    #[must_use]
    pub fn configure(mut self, setting: impl Into<String>, value: impl Into<String>) -> Self {
        let argument = Argument { name: setting.into(), value: value.into() };
        match &mut self.origin {
            Origin::Document { arguments, .. } => arguments.configure.push(argument),
            Origin::Code(code) => {
                let message = format!("`{}`: the settings of a pipeline built in code are fixed", argument.name);
                let mistake = Diagnostic::at("", Code::UnknownKey, message);
                code.1.push(SpannedDiagnostic { at: None, mistake, related: None });
            }
        }
        self
    }

    /// Sets the run directory, overriding the document.
    #[must_use]
    pub fn run_dir(mut self, run_dir: impl Into<PathBuf>) -> Self {
        self.changes.run = Some(run_dir.into());
        self
    }

    /// Sets the seed of all random draws, overriding the document.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.changes.seed = Some(seed);
        self
    }

    /// Sets the number of worker threads; 0 means one per core.
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.changes.threads = Some(threads);
        self
    }

    /// Sets the maximum number of rows in a batch.
    #[must_use]
    pub const fn batch_rows(mut self, rows: usize) -> Self {
        self.changes.batch_rows = Some(rows);
        self
    }

    /// Sets the maximum number of rows to read from the source.
    #[must_use]
    pub const fn limit(mut self, rows: u64) -> Self {
        self.changes.limit = Some(rows);
        self
    }

    /// Sets what to do if the run directory already holds a run. By default the pipeline refuses to run.
    #[must_use]
    pub const fn existing(mut self, existing: Existing) -> Self {
        self.control.existing = existing;
        self
    }

    /// Continues the run in the directory after its last commit, or starts one if there is none.
    #[must_use]
    pub const fn resume(self) -> Self {
        self.existing(Existing::Resume)
    }

    /// Removes the tables of the run in the directory and starts again.
    #[must_use]
    pub const fn overwrite(self) -> Self {
        self.existing(Existing::Overwrite)
    }

    /// Sets a flag through which any thread can end the run after a commit.
    #[must_use]
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.control.stop = stop.clone();
        self
    }

    /// Sets a function that [`run`](Self::run) calls with the progress of the run, on the thread that called `run`: after every batch
    /// and commit, and about twenty times a second while the run waits.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(&Status<'_>) + 'static) -> Self {
        self.control.progress = Some(Box::new(progress));
        self
    }

    /// Checks the pipeline and returns its plan. Reads cards, footers and headers, never pixels.
    ///
    /// # Errors
    /// [`Error::Pipeline`] with all mistakes; those in a document have a place.
    pub fn check(self) -> Result<Plan> {
        self.plan(Purpose::Run)
    }

    /// Runs the pipeline into a directory and returns when it has finished.
    ///
    /// # Errors
    /// Mistakes, and errors that end a run; [`Error::Interrupted`] after [`stop`](Self::stop).
    pub fn run(mut self, run_dir: impl Into<PathBuf>) -> Result<Summary> {
        let Control { existing, stop, progress } = std::mem::take(&mut self.control);
        let mut progress = progress.unwrap_or_else(|| Box::new(|_| {}));
        self.run_dir(run_dir).check()?.run(&RunOptions { existing }, &stop, &mut progress)
    }

    /// Returns an iterator over scored batches. They have the columns that the sinks keep, or all columns without a sink. No
    /// table is written, and monitors do not run.
    ///
    /// # Errors
    /// Mistakes, and stages that fail to start.
    pub fn stream(self) -> Result<Stream> {
        self.pull(Purpose::Stream)
    }

    /// Returns an iterator over image columns; without names, those that `asinh_stretch` steps read. Only the steps that these columns
    /// need are run, so that stretch constants can be measured before a step has constants.
    ///
    /// # Errors
    /// Mistakes, and stages that fail to start.
    pub fn images(self, columns: &[String]) -> Result<Stream> {
        let has_limit = self.changes.limit.is_some();
        let job = self.plan(Purpose::Images(columns.to_vec()))?.job;
        if job.source.stage.is_live() && !has_limit {
            let message = "the source is live: its rows do not end, so they cannot all be measured";
            let mistake = Diagnostic::at("", Code::Conflict, message);
            return Err(Error::Pipeline(vec![mistake.help("set `--limit N`, or where the source ends: `until: now`")]));
        }
        Self::stream_of(job)
    }

    fn pull(self, purpose: Purpose) -> Result<Stream> {
        Self::stream_of(self.plan(purpose)?.job)
    }

    fn stream_of(mut job: Job) -> Result<Stream> {
        job.run_dir = None;
        engine::stream(job)
    }

    fn plan(self, purpose: Purpose) -> Result<Plan> {
        let (mut draft, mut diagnostics) = match self.origin {
            Origin::Document { name, yaml, arguments } => document::read(&name, &yaml, &arguments, Kinds::ALL),
            Origin::Code(code) => *code,
        };
        let Changes { run, seed, threads, batch_rows, limit } = self.changes;
        if run.as_ref().is_some_and(|run| run.to_string_lossy().contains('\0')) {
            let message = "the run directory has a NUL character, which no path can have";
            let mistake = Diagnostic::at("", Code::OutOfRange, message);
            diagnostics.push(SpannedDiagnostic { at: None, mistake, related: None });
        }
        draft.run = run.or(draft.run);
        draft.seed = seed.unwrap_or(draft.seed);
        draft.engine.threads = threads.unwrap_or(draft.engine.threads);
        draft.engine.batch_rows = batch_rows.unwrap_or(draft.engine.batch_rows);
        draft.limit = limit;
        let (job, logical_plan) = plan(draft, purpose, diagnostics)?;
        Ok(Plan { job, logical_plan })
    }
}

/// A checked pipeline.
pub struct Plan {
    job: Job,
    logical_plan: LogicalPlan,
}

impl Plan {
    /// The checked graph, for [`text`] and [`mermaid`].
    pub const fn logical_plan(&self) -> &LogicalPlan {
        &self.logical_plan
    }

    /// The run directory, if the document or the caller sets one.
    pub fn run_dir(&self) -> Option<&Path> {
        self.job.run_dir.as_deref()
    }

    /// Runs the plan. Calls `progress` on this thread: after every batch and commit, and about twenty times a second while the run waits.
    ///
    /// # Errors
    /// A mistake if the run directory is missing, and errors that end a run.
    pub fn run(self, options: &RunOptions, stop: &Stop, progress: &mut dyn FnMut(&Status<'_>)) -> Result<Summary> {
        if self.job.run_dir.is_none() {
            let mistake = Diagnostic::at("", Code::MissingKey, "the pipeline has no run directory");
            return Err(Error::Pipeline(vec![mistake.help("add `run: DIR` to the document, or set it with `-o DIR`")]));
        }
        engine::run(self.job, options, stop, progress)
    }
}
