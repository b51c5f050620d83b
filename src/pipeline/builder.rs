//! Pipelines built in code, from the settings of kinds or from the caller's own stages.

use serde_json::{Value as Json, json};

use super::{
    Pipeline,
    diagnostic::SpannedDiagnostic,
    document::bad_label,
    draft::{Declared, Draft, Place},
    kinds::Family,
};
use crate::{
    engine::EngineSettings,
    error::{Code, Diagnostic},
    stage::{Monitor, Scorer, Settings, Sink, Source, Transform},
};

/// What a [`Builder`] accepts as a stage: the settings of a kind, or a boxed stage.
pub trait IntoStage<T: ?Sized> {
    /// Builds the stage of a label.
    ///
    /// # Errors
    /// Mistakes in the settings.
    fn into_stage(self, label: &str) -> Result<BuiltStage<T>, Vec<Diagnostic>>;
}

/// A stage, and what identifies it in the run record.
pub struct BuiltStage<T: ?Sized> {
    /// The name of its kind; `custom` for a boxed stage.
    pub kind: &'static str,
    /// Whether it is the caller's own code: its failures are then reported as [`Error::Stage`](crate::error::Error::Stage).
    pub custom: bool,
    /// Its settings or its digest, which a resume compares. `None` if it has neither.
    pub identity: Option<Json>,
    /// The stage.
    pub stage: Box<T>,
}

impl<T: ?Sized, S: Settings<T>> IntoStage<T> for S {
    fn into_stage(self, label: &str) -> Result<BuiltStage<T>, Vec<Diagnostic>> {
        let identity = serde_json::to_value(&self).map_err(|error| {
            vec![Diagnostic::at("", Code::WrongType, format!("the settings cannot be written as JSON: {error}"))]
        })?;
        let custom = !std::any::type_name::<S>().starts_with(concat!(env!("CARGO_PKG_NAME"), "::"));
        Ok(BuiltStage { kind: S::NAME, custom, identity: Some(identity), stage: self.build(label)? })
    }
}

macro_rules! boxed_stages {
    ($($family:ident),*) => { $(
        impl IntoStage<dyn $family> for Box<dyn $family> {
            fn into_stage(self, _label: &str) -> Result<BuiltStage<dyn $family>, Vec<Diagnostic>> {
                let identity = self.digest().map(|digest| json!({ "digest": digest }));
                Ok(BuiltStage { kind: "custom", custom: true, identity, stage: self })
            }
        }
    )* };
}
boxed_stages!(Source, Transform, Scorer, Monitor, Sink);

/// Builds a pipeline; made by [`Pipeline::builder`]. Collects mistakes, which `check`, `run` and `stream` report.
#[derive(Default)]
pub struct Builder {
    draft: Draft,
    diagnostics: Vec<SpannedDiagnostic>,
    labels: Vec<String>,
}

impl Builder {
    /// Sets the source.
    #[must_use]
    pub fn source(mut self, source: impl IntoStage<dyn Source>) -> Self {
        let declared = self.declare(Family::Source, "source", source);
        self.draft.source = Some(declared);
        self
    }

    /// Adds a transform after those so far. The label is the column that it makes, or the prefix of several.
    #[must_use]
    pub fn transform(mut self, label: &str, transform: impl IntoStage<dyn Transform>) -> Self {
        let declared = self.declare(Family::Transform, label, transform);
        self.draft.transforms.push(declared);
        self
    }

    /// Adds a score. The label is the prefix of its columns.
    #[must_use]
    pub fn score(mut self, label: &str, score: impl IntoStage<dyn Scorer>) -> Self {
        let declared = self.declare(Family::Score, label, score);
        self.draft.scores.push(declared);
        self
    }

    /// Adds a monitor. The label is its table.
    #[must_use]
    pub fn monitor(mut self, label: &str, monitor: impl IntoStage<dyn Monitor>) -> Self {
        let declared = self.declare(Family::Monitor, label, monitor);
        self.draft.monitors.push(declared);
        self
    }

    /// Adds a sink. The label is its table.
    #[must_use]
    pub fn sink(mut self, label: &str, sink: impl IntoStage<dyn Sink>) -> Self {
        let declared = self.declare(Family::Sink, label, sink);
        self.draft.sinks.push(declared);
        self
    }

    /// Sets the seed of all random draws.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.draft.seed = seed;
        self
    }

    /// Sets the engine settings: threads, batch sizes, memory, commits.
    #[must_use]
    pub fn engine(mut self, engine: EngineSettings) -> Self {
        self.draft.engine = engine;
        self
    }

    /// Returns the pipeline, not yet checked.
    pub fn build(self) -> Pipeline {
        Pipeline::from_draft(self.draft, self.diagnostics)
    }

    fn declare<T: ?Sized>(&mut self, family: Family, label: &str, stage: impl IntoStage<T>) -> Declared<T> {
        let mut diagnostic =
            |mistake: Diagnostic| self.diagnostics.push(SpannedDiagnostic { at: None, mistake, related: None });
        if let Some((message, help)) = (family != Family::Source).then(|| bad_label(family, label)).flatten() {
            diagnostic(Diagnostic::at("", Code::BadLabel, message).help(help));
        }
        if self.labels.iter().any(|taken| taken == label) {
            diagnostic(Diagnostic::at("", Code::DuplicateLabel, format!("the label `{label}` is already used")));
        }
        self.labels.push(label.to_owned());
        match stage.into_stage(label) {
            Ok(BuiltStage { kind, custom, identity, stage }) => {
                self.record(family, label, kind, identity.as_ref());
                Declared { label: label.into(), kind: kind.into(), custom, place: Place::default(), stage: Some(stage) }
            }
            Err(mistakes) => {
                for mut mistake in mistakes {
                    mistake.path.insert(0, label.to_owned());
                    diagnostic(mistake);
                }
                Declared {
                    label: label.into(),
                    kind: String::new(),
                    custom: false,
                    place: Place::default(),
                    stage: None,
                }
            }
        }
    }

    /// Adds a stage to the run record, in the form that a document has there.
    fn record(&mut self, family: Family, label: &str, kind: &str, identity: Option<&Json>) {
        if identity.is_none() {
            self.draft.undigested.push(label.to_owned());
        }
        let step = json!({ kind: identity });
        if family == Family::Source {
            self.draft.record.insert("source".into(), step);
            return;
        }
        let section = self.draft.record.entry(family.name()).or_insert_with(|| json!({}));
        if let Some(section) = section.as_object_mut() {
            section.insert(label.to_owned(), step);
        }
    }
}
