//! Pipelines: the document as written, the checked plan, and the builder.
//!
//! The front page of the crate has examples.
//!
//! A document has three forms: a tree with positions (what was written), a draft of built steps, and a plan in which every step
//! is bound to the columns before it. Each form collects its mistakes and continues, so that all are reported at once.

mod builder;
mod diagnostic;
mod document;
mod draft;
mod drops;
mod explain;
mod kinds;
mod outline;
mod parameters;
mod plan;
mod render;
mod settings;
mod tree;
mod whole;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub use self::{
    builder::{Builder, IntoStage},
    explain::{mermaid, text},
    kinds::{Family, kinds},
    outline::{Outline, OutlineMonitor, OutlineStep},
    render::{Paint, render},
    whole::schema,
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
    error::{Code, Diagnostic, Error, Result},
};

/// A pipeline, from a document or from a [`Builder`], not yet checked.
pub struct Pipeline {
    origin: Origin,
    changes: Changes,
    control: Control,
}

/// Receives the progress of a run.
type ProgressFunction = Box<dyn FnMut(&Status<'_>)>;

/// How to run it into a directory.
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

/// What the caller sets in place of the document.
#[derive(Debug, Clone, Default)]
struct Changes {
    run: Option<PathBuf>,
    seed: Option<u64>,
    threads: Option<usize>,
    batch_rows: Option<usize>,
    limit: Option<u64>,
}

impl Pipeline {
    /// A pipeline of a document. Its mistakes are told by [`check`](Self::check).
    pub fn from_yaml(yaml: impl Into<String>) -> Self {
        Self::document("pipeline".into(), yaml.into())
    }

    /// A pipeline of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not UTF-8.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let yaml = fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read the pipeline `{}`: {error}", path.display());
            Error::Pipeline(vec![Diagnostic::at("", Code::MissingFile, message)])
        })?;
        Ok(Self::document(path.display().to_string(), yaml))
    }

    /// Begins a pipeline in code.
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

    fn of_draft(draft: Draft, flaws: Vec<SpannedDiagnostic>) -> Self {
        Self {
            origin: Origin::Code(Box::new((draft, flaws))),
            changes: Changes::default(),
            control: Control::default(),
        }
    }

    /// Gives a parameter of the document a value, which is read as YAML. A pipeline built in code has none.
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

    /// Gives one setting of one step a value: `configure("y1_sky:years", "2")`; `source` and `engine` are labels too.
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

    /// The run directory, in place of the document's.
    #[must_use]
    pub fn run_dir(mut self, run_dir: impl Into<PathBuf>) -> Self {
        self.changes.run = Some(run_dir.into());
        self
    }

    /// The seed of every draw, in place of the document's.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.changes.seed = Some(seed);
        self
    }

    /// Worker threads; 0 takes one for every core.
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.changes.threads = Some(threads);
        self
    }

    /// The most rows of a batch.
    #[must_use]
    pub const fn batch_rows(mut self, rows: usize) -> Self {
        self.changes.batch_rows = Some(rows);
        self
    }

    /// The most rows to take from the source.
    #[must_use]
    pub const fn limit(mut self, rows: u64) -> Self {
        self.changes.limit = Some(rows);
        self
    }

    /// What to do if the run directory already holds a run; refuses to touch it by default.
    #[must_use]
    pub const fn existing(mut self, existing: Existing) -> Self {
        self.control.existing = existing;
        self
    }

    /// Continues the run in the directory after its last commit; begins if there is none.
    #[must_use]
    pub const fn resume(self) -> Self {
        self.existing(Existing::Resume)
    }

    /// Removes the tables of the run in the directory and begins again.
    #[must_use]
    pub const fn overwrite(self) -> Self {
        self.existing(Existing::Overwrite)
    }

    /// A flag that ends the run after a commit once it is requested, from any thread.
    #[must_use]
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.control.stop = stop.clone();
        self
    }

    /// A function that [`run`](Self::run) calls with the progress of the run, on its own thread: after every batch and commit, and
    /// about twenty times a second while the run waits.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(&Status<'_>) + 'static) -> Self {
        self.control.progress = Some(Box::new(progress));
        self
    }

    /// Finds every mistake at once, or returns the plan. Reads cards, footers and headers, never pixels.
    ///
    /// # Errors
    /// [`Error::Pipeline`] with all mistakes, each with its place where there is a document.
    pub fn check(self) -> Result<Plan> {
        self.plan(Purpose::Run)
    }

    /// Runs it into a directory and returns when it is finished.
    ///
    /// # Errors
    /// Mistakes, and whatever ends a run; [`Error::Interrupted`] after [`stop`](Self::stop).
    pub fn run(mut self, run_dir: impl Into<PathBuf>) -> Result<Summary> {
        let Control { existing, stop, progress } = std::mem::take(&mut self.control);
        let mut progress = progress.unwrap_or_else(|| Box::new(|_| {}));
        self.run_dir(run_dir).check()?.run(&RunOptions { existing }, &stop, &mut progress)
    }

    /// Scored batches, to be pulled. With sinks declared they hold the columns that the sinks keep, else all; no table is
    /// written, and monitors do not run.
    ///
    /// # Errors
    /// Mistakes, and stages that cannot start.
    pub fn stream(self) -> Result<Stream> {
        self.pull(Purpose::Stream)
    }

    /// Some image columns before any model sees them, to be pulled; without names, those that `asinh_stretch` steps read. Only
    /// the steps that they need are done, so that stretch constants can be measured before there are any.
    ///
    /// # Errors
    /// Mistakes, and stages that cannot start.
    pub fn images(self, columns: &[String]) -> Result<Stream> {
        self.pull(Purpose::Images(columns.to_vec()))
    }

    fn pull(self, purpose: Purpose) -> Result<Stream> {
        let mut job = self.plan(purpose)?.job;
        job.run_dir = None;
        engine::stream(job)
    }

    fn plan(self, purpose: Purpose) -> Result<Plan> {
        let (mut draft, flaws) = match self.origin {
            Origin::Document { name, yaml, arguments } => document::read(&name, &yaml, &arguments, Kinds::ALL),
            Origin::Code(code) => *code,
        };
        let Changes { run, seed, threads, batch_rows, limit } = self.changes;
        draft.run = run.or(draft.run);
        draft.seed = seed.unwrap_or(draft.seed);
        draft.engine.threads = threads.unwrap_or(draft.engine.threads);
        draft.engine.batch_rows = batch_rows.unwrap_or(draft.engine.batch_rows);
        draft.limit = limit;
        let (job, outline) = plan(draft, purpose, flaws)?;
        Ok(Plan { job, outline })
    }
}

/// A checked pipeline.
pub struct Plan {
    job: Job,
    outline: Outline,
}

impl Plan {
    /// The graph, for [`text`] and [`mermaid`].
    pub const fn outline(&self) -> &Outline {
        &self.outline
    }

    /// The run directory, where the document or the caller names one.
    pub fn run_dir(&self) -> Option<&Path> {
        self.job.run_dir.as_deref()
    }

    /// Runs it. `progress` is called after every batch and commit, and now and then while nothing comes, on this thread.
    ///
    /// # Errors
    /// A mistake when there is no run directory; else whatever ends a run.
    pub fn run(self, options: &RunOptions, stop: &Stop, progress: &mut dyn FnMut(&Status<'_>)) -> Result<Summary> {
        if self.job.run_dir.is_none() {
            let mistake = Diagnostic::at("", Code::MissingKey, "the pipeline names no run directory");
            return Err(Error::Pipeline(vec![
                mistake.help("add `run: DIR` to the document, or give it with `-o DIR`"),
            ]));
        }
        engine::run(self.job, options, stop, progress)
    }
}
