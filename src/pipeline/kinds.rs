//! The kinds of all five families.

use serde_json::Value as Json;

use crate::{
    monitor, score, sink, source,
    stage::{Kind, Monitor, Scorer, Sink, Source, Transform},
    transform,
};

/// The five families of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Where rows come from.
    Source,
    /// What happens to images and rows before a model scores them.
    Transform,
    /// Models that score images.
    Score,
    /// Tables and findings computed from the stream.
    Monitor,
    /// Which rows and columns are written.
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

    /// Its purpose and the meaning of its labels, in one sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Source => "where rows come from",
            Self::Transform => {
                "what happens to images and rows before a model scores them; the label is the column that it makes, or the prefix of several"
            }
            Self::Score => "models that score images; the label is the prefix of their columns",
            Self::Monitor => "tables and findings computed from the stream; the label is the table",
            Self::Sink => "which rows and columns are written; the label is the table",
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
    /// All kinds.
    pub(super) const ALL: Self = Self {
        source: source::KINDS,
        transform: transform::KINDS,
        score: score::KINDS,
        monitor: monitor::KINDS,
        sink: sink::KINDS,
    };

    /// The kinds of a family: name and JSON Schema of the settings.
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

/// The cargo feature that a kind needs, if it needs one.
pub(super) fn feature_of(family: Family, kind: &str) -> Option<&'static str> {
    match (family, kind) {
        (Family::Source | Family::Sink, "fits") | (Family::Source, "tiles") | (Family::Transform, "compress") => {
            Some("fits")
        }
        (Family::Source, "alerts") => Some("alerts"),
        (Family::Source | Family::Sink, "kafka") => Some("kafka"),
        (Family::Score, "onnx") => Some("onnx"),
        _ => None,
    }
}

/// The kinds of a family: name and JSON Schema of the settings, in the order of the reference.
pub fn kinds(family: Family) -> Vec<(&'static str, Json)> {
    Kinds::ALL.of(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_need_a_feature_are_those_behind_one() {
        let attributes = |module: &str| {
            // In the tables of kinds, the feature is on the line before the kind.
            let lines: Vec<&str> = module.lines().map(str::trim).collect();
            let of = |pair: &[&str]| {
                let feature = pair[0].strip_prefix("#[cfg(feature = \"")?.strip_suffix("\")]")?.to_owned();
                let kind = pair[1].strip_prefix("Kind::of::<")?.split("::").next()?.to_owned();
                Some((kind, feature))
            };
            lines.windows(2).filter_map(of).collect::<Vec<_>>()
        };
        for (family, module) in [
            (Family::Source, include_str!("../source/mod.rs")),
            (Family::Transform, include_str!("../transform/mod.rs")),
            (Family::Score, include_str!("../score/mod.rs")),
            (Family::Monitor, include_str!("../monitor/mod.rs")),
            (Family::Sink, include_str!("../sink/mod.rs")),
        ] {
            let behind = attributes(module);
            for (name, _) in kinds(family) {
                let feature = behind.iter().find(|(kind, _)| kind == name).map(|(_, feature)| feature.as_str());
                assert_eq!(feature_of(family, name), feature, "{} `{name}`", family.name());
            }
        }
    }
}
