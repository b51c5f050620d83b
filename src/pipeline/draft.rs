//! A pipeline as declared, by a document or in code: built steps with their labels, not yet bound to each other.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::{
    diagnostic::{GIVEN, SpannedDiagnostic, Texts},
    tree::{Node, Span, Value},
};
use crate::{
    engine::EngineSettings,
    error::{Code, Diagnostic},
    stage::{ColumnRef, Monitor, Scorer, Sink, Source, Transform},
};

/// A pipeline before its plan.
#[derive(Default)]
pub(super) struct Draft {
    /// The document and the arguments, for carets; empty for a pipeline built in code.
    pub texts: Texts,
    /// The text is no document at all: nothing more can be said of it.
    pub unread: bool,
    pub description: Option<String>,
    pub run: Option<PathBuf>,
    pub seed: u64,
    pub limit: Option<u64>,
    pub engine: EngineSettings,
    pub source: Option<Declared<dyn Source>>,
    pub transforms: Vec<Declared<dyn Transform>>,
    pub scores: Vec<Declared<dyn Scorer>>,
    pub monitors: Vec<Declared<dyn Monitor>>,
    pub sinks: Vec<Declared<dyn Sink>>,
    /// The steps as they will run, for the run record.
    pub record: Map<String, Json>,
    /// Labels of stages built in code whose identity is unknown: a run with them cannot be resumed.
    pub undigested: Vec<String>,
}

/// A step and where it was declared.
pub(super) struct Declared<T: ?Sized> {
    pub label: String,
    pub kind: String,
    /// Whether the stage is the caller's own code.
    pub custom: bool,
    pub place: Place,
    /// `None` when its settings are wrong; what depends on it is then not judged.
    pub stage: Option<Box<T>>,
}

/// Where a step stands in its document; nowhere, when it was built in code.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub label: Option<Span>,
    pub kind: Option<Span>,
    pub settings: Option<Node>,
}

impl Place {
    /// A stage's mistake at the key that it names.
    pub(super) fn flaw(&self, mistake: Diagnostic) -> SpannedDiagnostic {
        let (at, from) = self.at(&mistake.path, |item| mistake.message.contains(&format!("`{item}`")));
        SpannedDiagnostic { at, mistake, related: from.map(|from| (from, GIVEN)) }
    }

    /// A mistake at the setting that names a column.
    pub(super) fn need(&self, need: &ColumnRef, message: String) -> SpannedDiagnostic {
        let mistake = Diagnostic::at(&need.key, Code::UnknownColumn, message);
        let word = self.word(need);
        let (at, from) = self.at(&mistake.path, |item| word.as_deref() == Some(item));
        SpannedDiagnostic { at, mistake, related: from.map(|from| (from, GIVEN)) }
    }

    /// A mistake of the label.
    pub(super) fn of_label(&self, code: Code, message: String) -> SpannedDiagnostic {
        SpannedDiagnostic { at: self.label, mistake: Diagnostic::at("", code, message), related: None }
    }

    /// The word that names a column in the settings: `da_y1` of the column `da_y1_class`.
    pub(super) fn word(&self, need: &ColumnRef) -> Option<String> {
        let node = self.settings.as_ref()?.find(&Diagnostic::at(&need.key, Code::UnknownColumn, "").path)?;
        let words = node.items().iter().chain([node]).filter_map(Node::scalar_text);
        words.filter(|word| need.column.starts_with(word.as_str())).max_by_key(String::len)
    }

    /// The place of a path (of a list there the item that is meant), and where a parameter gave its value.
    fn at(&self, path: &[String], is_meant: impl Fn(&str) -> bool) -> (Option<Span>, Option<Span>) {
        let own = self.kind.or(self.label);
        let (Some(own), Some(settings)) = (own, self.settings.as_ref().filter(|_| !path.is_empty())) else {
            return (own, None);
        };
        let node = settings.find(path);
        let mut items = node.map_or(&[][..], Node::items).iter();
        match items.find(|item| matches!(&item.value, Value::Text(text) if is_meant(text))) {
            Some(item) => (Some(item.at), item.from),
            None => (Some(settings.place_of(path, own)), node.and_then(|node| node.from)),
        }
    }
}
