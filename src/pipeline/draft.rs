//! A pipeline as declared, by a document or in code: built steps with their labels, not yet bound to each other.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::{
    flaw::{Flaw, Texts},
    tree::{Node, Span, Value},
};
use crate::{
    engine::EngineSettings,
    error::{Code, Mistake},
    stage::{Monitor, Need, Scorer, Sink, Source, Transform},
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
}

/// A step and where it was declared.
pub(super) struct Declared<T: ?Sized> {
    pub label: String,
    pub kind: String,
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
    pub(super) fn flaw(&self, mistake: Mistake) -> Flaw {
        let at = self.at(&mistake.path, |item| mistake.message.contains(&format!("`{item}`")));
        Flaw { at, mistake, related: None }
    }

    /// A mistake at the setting that names a column.
    pub(super) fn need(&self, need: &Need, message: String) -> Flaw {
        let mistake = Mistake::at(&need.key, Code::UnknownColumn, message);
        let at = self.at(&mistake.path, |item| need.column.starts_with(item));
        Flaw { at, mistake, related: None }
    }

    /// A mistake of the label.
    pub(super) fn of_label(&self, code: Code, message: String) -> Flaw {
        Flaw { at: self.label, mistake: Mistake::at("", code, message), related: None }
    }

    /// The word that names a column in the settings: `da_y1` of the column `da_y1_class`.
    pub(super) fn word(&self, need: &Need) -> Option<String> {
        let mut node = self.settings.as_ref()?;
        for key in need.key.split('.').filter(|key| !key.is_empty()) {
            node = &node.get(key)?.node;
        }
        let words = node.items().iter().chain([node]).filter_map(Node::scalar_text);
        words.filter(|word| need.column.starts_with(word.as_str())).max_by_key(String::len)
    }

    /// The place of a path; of a list there the item that is meant.
    fn at(&self, path: &[String], is_meant: impl Fn(&str) -> bool) -> Option<Span> {
        let own = self.kind.or(self.label)?;
        let Some(settings) = &self.settings else { return Some(own) };
        if path.is_empty() {
            return Some(own);
        }
        let mut node = Some(settings);
        for key in path {
            node = node.and_then(|node| node.get(key)).map(|entry| &entry.node);
        }
        let items = node.map_or(&[][..], Node::items);
        let item = items.iter().find(|item| matches!(&item.value, Value::Text(text) if is_meant(text)));
        Some(item.map_or_else(|| settings.place_of(path, own), |item| item.at))
    }
}
