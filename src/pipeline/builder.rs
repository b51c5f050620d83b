//! A pipeline put together in code: settings structs of the kinds, or stages of one's own.

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

/// What makes a stage: the settings of a kind, or a boxed stage that is made already.
pub trait IntoStage<T: ?Sized> {
    /// The stage of a label, and the name of its kind.
    ///
    /// # Errors
    /// The mistakes of the settings.
    fn into_stage(self, label: &str) -> Result<(&'static str, Box<T>), Vec<Diagnostic>>;
}

impl<T: ?Sized, S: Settings<T>> IntoStage<T> for S {
    fn into_stage(self, label: &str) -> Result<(&'static str, Box<T>), Vec<Diagnostic>> {
        Ok((S::NAME, self.build(label)?))
    }
}

macro_rules! boxed_stages {
    ($($family:ident),*) => { $(
        impl IntoStage<dyn $family> for Box<dyn $family> {
            fn into_stage(self, _label: &str) -> Result<(&'static str, Self), Vec<Diagnostic>> {
                Ok(("custom", self))
            }
        }
    )* };
}
boxed_stages!(Source, Transform, Scorer, Monitor, Sink);

/// Puts a pipeline together; made by [`Pipeline::builder`]. Mistakes are collected and told by `check`, `run` and `stream`.
#[derive(Default)]
pub struct Builder {
    draft: Draft,
    flaws: Vec<SpannedDiagnostic>,
    labels: Vec<String>,
}

impl Builder {
    /// Where rows come from.
    #[must_use]
    pub fn source(mut self, source: impl IntoStage<dyn Source>) -> Self {
        let declared = self.declare(None, "source", source);
        self.draft.source = Some(declared);
        self
    }

    /// Makes the column of a label, after all transforms so far.
    #[must_use]
    pub fn transform(mut self, label: &str, transform: impl IntoStage<dyn Transform>) -> Self {
        let declared = self.declare(Some(Family::Transform), label, transform);
        self.draft.transforms.push(declared);
        self
    }

    /// Scores images; the label is the prefix of the columns.
    #[must_use]
    pub fn score(mut self, label: &str, score: impl IntoStage<dyn Scorer>) -> Self {
        let declared = self.declare(Some(Family::Score), label, score);
        self.draft.scores.push(declared);
        self
    }

    /// Watches the stream; the label is the table.
    #[must_use]
    pub fn monitor(mut self, label: &str, monitor: impl IntoStage<dyn Monitor>) -> Self {
        let declared = self.declare(Some(Family::Monitor), label, monitor);
        self.draft.monitors.push(declared);
        self
    }

    /// Keeps rows; the label is the table.
    #[must_use]
    pub fn sink(mut self, label: &str, sink: impl IntoStage<dyn Sink>) -> Self {
        let declared = self.declare(Some(Family::Sink), label, sink);
        self.draft.sinks.push(declared);
        self
    }

    /// The seed of every draw.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.draft.seed = seed;
        self
    }

    /// How to run.
    #[must_use]
    pub fn engine(mut self, engine: EngineSettings) -> Self {
        self.draft.engine = engine;
        self
    }

    /// The pipeline.
    pub fn build(self) -> Pipeline {
        Pipeline::of_draft(self.draft, self.flaws)
    }

    fn declare<T: ?Sized>(&mut self, family: Option<Family>, label: &str, stage: impl IntoStage<T>) -> Declared<T> {
        let mut flaw = |mistake: Diagnostic| self.flaws.push(SpannedDiagnostic { at: None, mistake, related: None });
        if let Some((message, help)) = family.and_then(|family| bad_label(family, label)) {
            flaw(Diagnostic::at("", Code::BadLabel, message).help(help));
        }
        if self.labels.iter().any(|taken| taken == label) {
            flaw(Diagnostic::at("", Code::DuplicateLabel, format!("the label `{label}` is taken already")));
        }
        self.labels.push(label.to_owned());
        let (kind, stage) = match stage.into_stage(label) {
            Ok((kind, stage)) => (kind, Some(stage)),
            Err(mistakes) => {
                for mut mistake in mistakes {
                    mistake.path.insert(0, label.to_owned());
                    flaw(mistake);
                }
                ("", None)
            }
        };
        Declared { label: label.to_owned(), kind: kind.to_owned(), place: Place::default(), stage }
    }
}
