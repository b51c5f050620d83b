//! The draft: steps built from a document or in code, with their labels, not yet bound to each other.

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

/// A pipeline before planning.
#[derive(Default)]
pub(super) struct Draft {
    /// The document and the arguments, which diagnostics quote; empty for a pipeline built in code.
    pub texts: Texts,
    /// Whether the text could not be parsed, so that no further check is possible.
    pub unparsed: bool,
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
    /// The steps and their settings, for the run record.
    pub record: Map<String, Json>,
    /// Labels of stages built in code that have no digest: a run with them cannot be resumed.
    pub undigested: Vec<String>,
}

/// A step, and the place of its declaration.
pub(super) struct Declared<T: ?Sized> {
    pub label: String,
    pub kind: String,
    /// Whether the stage is the caller's own code.
    pub custom: bool,
    pub place: Place,
    /// `None` if its settings are wrong. Steps that depend on it are then not checked.
    pub stage: Option<Box<T>>,
}

/// The place of a step in its document; empty if it was built in code.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub label: Option<Span>,
    pub kind: Option<Span>,
    pub settings: Option<Node>,
}

impl Place {
    /// A mistake that a stage reports, at the setting that it names.
    pub(super) fn diagnostic(&self, mistake: Diagnostic) -> SpannedDiagnostic {
        let (at, from) = self.at(&mistake.path, |item| mistake.message.contains(&format!("`{item}`")));
        SpannedDiagnostic { at, mistake, related: from.map(|from| (from, GIVEN)) }
    }

    /// An unknown column, at the setting that names it.
    pub(super) fn unknown_column(&self, column: &ColumnRef, message: String) -> SpannedDiagnostic {
        let mistake = Diagnostic::at(&column.key, Code::UnknownColumn, message);
        let word = self.word(column);
        let (at, from) = self.at(&mistake.path, |item| word.as_deref() == Some(item));
        SpannedDiagnostic { at, mistake, related: from.map(|from| (from, GIVEN)) }
    }

    /// A mistake in the label.
    pub(super) fn of_label(&self, code: Code, message: String) -> SpannedDiagnostic {
        SpannedDiagnostic { at: self.label, mistake: Diagnostic::at("", code, message), related: None }
    }

    /// The word in the settings that names a column: `da_y1` for the column `da_y1_class`.
    pub(super) fn word(&self, column: &ColumnRef) -> Option<String> {
        let node = self.settings.as_ref()?.find(&Diagnostic::at(&column.key, Code::UnknownColumn, "").path)?;
        let words = node.items().iter().chain([node]).filter_map(Node::scalar_text);
        words.filter(|word| column.column.starts_with(word.as_str())).max_by_key(String::len)
    }

    /// The place of the setting under a path, and that of the parameter that its value comes from. Of a list, it is the item that
    /// `is_meant` selects.
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
