//! The tables of kinds of the five families, side by side.

use serde_json::Value as Json;

use crate::{
    monitor, score, sink, source,
    stage::{Kind, Monitor, Scorer, Sink, Source, Transform},
    transform,
};

/// The five words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Where rows come from.
    Source,
    /// What happens to them before a model sees them.
    Transform,
    /// Models that score them.
    Score,
    /// What watches the stream.
    Monitor,
    /// What is kept.
    Sink,
}

impl Family {
    /// All five, in the order of a pipeline.
    pub const ALL: [Self; 5] = [Self::Source, Self::Transform, Self::Score, Self::Monitor, Self::Sink];

    /// The section of a document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Transform => "transform",
            Self::Score => "score",
            Self::Monitor => "monitor",
            Self::Sink => "sink",
        }
    }

    /// What it is, in a sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Source => "where rows come from",
            Self::Transform => {
                "what happens to images and rows before a model sees them; its label is the column that it makes, or the prefix of several"
            }
            Self::Score => "models; the label is the prefix of the columns",
            Self::Monitor => "what watches the stream; the label is the table that it writes",
            Self::Sink => "what is kept of the rows; the label is the table",
        }
    }
}

/// The kinds that a document may use.
#[derive(Clone, Copy)]
pub(super) struct Kinds {
    pub source: &'static [Kind<dyn Source>],
    pub transform: &'static [Kind<dyn Transform>],
    pub score: &'static [Kind<dyn Scorer>],
    pub monitor: &'static [Kind<dyn Monitor>],
    pub sink: &'static [Kind<dyn Sink>],
}

impl Kinds {
    /// All that there are.
    pub(super) const ALL: Self = Self {
        source: source::KINDS,
        transform: transform::KINDS,
        score: score::KINDS,
        monitor: monitor::KINDS,
        sink: sink::KINDS,
    };

    /// The names of a family with the schemas of their settings.
    pub(super) fn of(&self, family: Family) -> Vec<(&'static str, Json)> {
        fn rows<T: ?Sized>(kinds: &'static [Kind<T>]) -> Vec<(&'static str, Json)> {
            kinds.iter().map(|kind| (kind.name, (kind.schema)().to_value())).collect()
        }
        match family {
            Family::Source => rows(self.source),
            Family::Transform => rows(self.transform),
            Family::Score => rows(self.score),
            Family::Monitor => rows(self.monitor),
            Family::Sink => rows(self.sink),
        }
    }
}

/// The kinds of a family: name and JSON Schema of the settings, in the order of the reference.
pub fn kinds(family: Family) -> Vec<(&'static str, Json)> {
    Kinds::ALL.of(family)
}
