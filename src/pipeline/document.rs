//! Reads a document into a draft, and reports every mistake that can be found without the columns of the source.

use std::{collections::HashMap, path::PathBuf};

use serde_json::{Map, Value as Json, json};

use super::{
    configure::configure,
    diagnostic::SpannedDiagnostic,
    draft::{Declared, Draft, Place},
    kinds::{Family, Kinds, feature_of},
    parameters::{self, Argument},
    settings::{Check, NULL_PATH, repeated},
    tree::{self, Entry, Node, Span, Value},
};
use crate::{
    batch::RESERVED,
    engine::EngineSettings,
    error::{Code, quoted_list},
    stage::{Kind, Source},
};

/// The keys of a document.
pub(super) const KEYS: [&str; 10] =
    ["description", "parameters", "run", "seed", "engine", "source", "transform", "score", "monitor", "sink"];

/// The command-line arguments that change a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Arguments {
    /// `--set name=value`.
    pub set: Vec<Argument>,
    /// `-c label:key=value`.
    pub configure: Vec<Argument>,
}

/// Reads a document. The draft holds what could be read even if there are mistakes, so that planning can find more of them.
pub(super) fn read(origin: &str, yaml: &str, arguments: &Arguments, kinds: Kinds) -> (Draft, Vec<SpannedDiagnostic>) {
    let mut draft = Draft::default();
    let mut diagnostics = Vec::new();
    draft.texts.add(origin, yaml);
    let mut root = match tree::parse(yaml, 0) {
        Ok(root) => root,
        Err(error) => {
            let diagnostic = SpannedDiagnostic::new(error.at, Code::Syntax, error.message);
            diagnostics.push(match error.help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            draft.unparsed = true;
            return (draft, diagnostics);
        }
    };
    if !matches!(root.value, Value::Map(_)) {
        let message = format!("a pipeline is a map of sections; found {}", root.kind_of_value());
        diagnostics.push(
            SpannedDiagnostic::new(root.at, Code::WrongType, message)
                .help(format!("available keys: {}", quoted_list(&KEYS))),
        );
        draft.unparsed = true;
        return (draft, diagnostics);
    }
    diagnostics.extend(repeated(root.entries()));
    for entry in root.entries().iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
        let diagnostic =
            SpannedDiagnostic::new(entry.key_at, Code::UnknownKey, format!("a pipeline has no key `{}`", entry.key));
        diagnostics.push(diagnostic.suggest(&entry.key, &KEYS, "keys"));
    }
    for one in &arguments.configure {
        configure(&mut root, one, &mut draft.texts, &mut diagnostics);
    }
    let mut known = parameters::parameters(root.get("parameters"), &arguments.set, &mut draft.texts, &mut diagnostics);
    if let Value::Map(entries) = &mut root.value {
        for entry in entries.iter_mut().filter(|entry| !["description", "parameters"].contains(&entry.key.as_str())) {
            known.fill(&mut entry.node, &mut diagnostics);
        }
    }
    Reader { root: &root, diagnostics: &mut diagnostics, labels: HashMap::new() }.read(&mut draft, kinds);
    (draft, diagnostics)
}

/// Reads the sections of a document.
struct Reader<'a> {
    root: &'a Node,
    diagnostics: &'a mut Vec<SpannedDiagnostic>,
    labels: HashMap<String, Span>,
}

impl Reader<'_> {
    fn read(&mut self, draft: &mut Draft, kinds: Kinds) {
        draft.description = self.text("description");
        draft.run = self.path("run").map(PathBuf::from);
        draft.seed = self.seed();
        draft.engine = self.engine();
        let mut record = Map::new();
        self.source(draft, kinds.source, &mut record);
        draft.transforms = self.steps(Family::Transform, kinds.transform, &mut record);
        draft.scores = self.steps(Family::Score, kinds.score, &mut record);
        draft.monitors = self.steps(Family::Monitor, kinds.monitor, &mut record);
        draft.sinks = self.steps(Family::Sink, kinds.sink, &mut record);
        draft.record = record;
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let entry = self.root.get(key)?;
        let text = match (&entry.node.value, &entry.node.filled) {
            (Value::Text(text), None) => Some(text.clone()),
            (Value::Text(_), Some(text)) if text == parameters::UNSET => return None,
            (_, Some(text)) => Some(text.clone()),
            _ => None,
        };
        if text.is_none() {
            let at = entry.node.place_of(&[], entry.key_at);
            let message = format!("`{key}` takes text, found {}", entry.node.kind_of_value());
            self.diagnostics.push(SpannedDiagnostic::new(at, Code::WrongType, message));
        }
        text
    }

    fn path(&mut self, key: &str) -> Option<String> {
        let before = self.diagnostics.len();
        let text = self.text(key);
        for missing in self.diagnostics[before..].iter_mut().filter(|one| one.mistake.message.ends_with("nothing")) {
            missing.mistake.help = Some(NULL_PATH.into());
        }
        let at = self.root.get(key)?.node.at;
        let mut node = Node::new(Value::Text(text?), at);
        let schema = json!({});
        let mut check = Check::new(&schema);
        check.paths(&mut node, key);
        self.diagnostics.append(&mut check.diagnostics);
        node.scalar_text()
    }

    fn seed(&mut self) -> u64 {
        let Some(entry) = self.root.get("seed") else { return 0 };
        let schema = json!({ "type": "integer", "minimum": 0 });
        let mut node = entry.node.clone();
        let mut check = Check::new(&schema);
        check.part(&mut node, "seed", entry.key_at);
        self.diagnostics.append(&mut check.diagnostics);
        node.json().as_u64().unwrap_or(0)
    }

    fn engine(&mut self) -> EngineSettings {
        let Some(entry) = self.root.get("engine") else { return EngineSettings::default() };
        let schema = schemars::schema_for!(EngineSettings).to_value();
        let mut node = entry.node.clone();
        let mut check = Check::new(&schema);
        check.settings(&mut node, "engine", entry.key_at);
        if !check.diagnostics.is_empty() {
            self.diagnostics.append(&mut check.diagnostics);
            return EngineSettings::default();
        }
        serde_json::from_value(node.json()).unwrap_or_else(|error| {
            self.diagnostics.push(SpannedDiagnostic::new(entry.key_at, Code::WrongType, error.to_string()));
            EngineSettings::default()
        })
    }

    fn source(&mut self, draft: &mut Draft, kinds: &[Kind<dyn Source>], record: &mut Map<String, Json>) {
        let Some(entry) = self.root.get("source") else {
            let at = Span { line: 1, column: 1, length: 1, text: 0 };
            let diagnostic = SpannedDiagnostic::new(at, Code::MissingKey, "a pipeline needs a `source`");
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
            self.diagnostics.push(diagnostic.help(format!("available source kinds: {}", quoted_list(&names))));
            return;
        };
        let declared = self.step(Family::Source, "source", entry, kinds, |kind, settings| {
            record.insert("source".into(), json!({ kind: settings }));
        });
        draft.source = Some(declared);
    }

    fn steps<T: ?Sized>(
        &mut self,
        family: Family,
        kinds: &[Kind<T>],
        record: &mut Map<String, Json>,
    ) -> Vec<Declared<T>> {
        let section = family.name();
        let Some(entry) = self.root.get(section) else { return Vec::new() };
        if !matches!(entry.node.value, Value::Map(_) | Value::Null) {
            let message = format!("`{section}` takes a map of labels and steps, found {}", entry.node.kind_of_value());
            let diagnostic = SpannedDiagnostic::new(entry.node.place_of(&[], entry.key_at), Code::WrongType, message);
            self.diagnostics.push(diagnostic.help(format!("write `{section}: {{ label: {{ kind: {{ ... }} }} }}`")));
            return Vec::new();
        }
        let mut all = Map::new();
        let mut steps = Vec::new();
        for entry in entry.node.entries() {
            let label = entry.key.as_str();
            let is_label_valid = self.label(family, entry);
            let mut step = self.step(family, label, entry, kinds, |kind, settings| {
                all.insert(label.to_owned(), json!({ kind: settings }));
            });
            // A second step with the same label is read only to report its mistakes.
            let Some(is_label_valid) = is_label_valid else { continue };
            if !is_label_valid {
                step.stage = None;
            }
            steps.push(step);
        }
        record.insert(section.into(), all.into());
        steps
    }

    /// Whether a label is valid; `None` if another step has it.
    fn label(&mut self, family: Family, entry: &Entry) -> Option<bool> {
        let label = entry.key.as_str();
        if let Some(first) = self.labels.get(label) {
            let diagnostic = SpannedDiagnostic::new(
                entry.key_at,
                Code::DuplicateLabel,
                format!("the label `{label}` is already used"),
            );
            self.diagnostics.push(
                diagnostic.related(*first, "first used here").help("a label names what one step makes; choose another"),
            );
            return None;
        }
        self.labels.insert(label.to_owned(), entry.key_at);
        if let Some((message, help)) = bad_label(family, label) {
            self.diagnostics.push(SpannedDiagnostic::new(entry.key_at, Code::BadLabel, message).help(help));
            return Some(false);
        }
        Some(true)
    }

    /// Reads a step `{ kind: settings }`, and builds its stage if the settings are right.
    fn step<T: ?Sized>(
        &mut self,
        family: Family,
        label: &str,
        entry: &Entry,
        kinds: &[Kind<T>],
        record: impl FnOnce(&str, Json),
    ) -> Declared<T> {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        let place = Place { label: Some(entry.key_at), kind: Some(entry.key_at), settings: None };
        let broken = |kind: &str, place: Place| Declared {
            label: label.into(),
            kind: kind.into(),
            custom: false,
            place,
            stage: None,
        };
        let [one] = entry.node.entries() else {
            let diagnostic = match entry.node.entries() {
                [] => {
                    let at = entry.node.place_of(&[], entry.key_at);
                    let message =
                        format!("`{label}` takes a kind with its settings, found {}", entry.node.kind_of_value());
                    let word = entry.node.scalar_text().filter(|word| names.contains(&word.as_str()));
                    let word = word.unwrap_or_else(|| "kind".into());
                    SpannedDiagnostic::new(at, Code::WrongType, message)
                        .help(format!("write `{}: {{ {word}: {{ ... }} }}`", entry.key))
                }
                [first, second, ..] => {
                    let message = format!("`{label}` takes one kind, found `{}` and `{}`", first.key, second.key);
                    SpannedDiagnostic::new(second.key_at, Code::Conflict, message).related(first.key_at, "the first")
                }
                [_] => unreachable!("the pattern above matches one kind"),
            };
            self.diagnostics.push(diagnostic);
            return broken("", place);
        };
        let Some(kind) = kinds.iter().find(|kind| kind.name == one.key) else {
            let message = format!("unknown {} `{}`", family.name(), one.key);
            let what = format!("{} kinds", family.name());
            let diagnostic = SpannedDiagnostic::new(one.key_at, Code::UnknownKind, message);
            self.diagnostics.push(match feature_of(family, &one.key) {
                Some(feature) => diagnostic.help(format!("this build lacks the cargo feature `{feature}`")),
                None => diagnostic.suggest(&one.key, &names, &what),
            });
            return broken(&one.key, place);
        };
        let schema = (kind.schema)().to_value();
        let mut settings = one.node.clone();
        let mut check = Check::new(&schema);
        check.settings(&mut settings, kind.name, one.key_at);
        let json = settings.json();
        let is_valid = check.diagnostics.is_empty() && !settings.is_unset();
        self.diagnostics.append(&mut check.diagnostics);
        let place = Place { label: Some(entry.key_at), kind: Some(one.key_at), settings: Some(settings) };
        record(kind.name, json.clone());
        if !is_valid {
            return broken(kind.name, place);
        }
        match (kind.build)(label, json) {
            Ok(stage) => {
                Declared { label: label.into(), kind: kind.name.into(), custom: false, place, stage: Some(stage) }
            }
            Err(mistakes) => {
                self.diagnostics.extend(mistakes.into_iter().map(|mistake| place.diagnostic(mistake)));
                broken(kind.name, place)
            }
        }
    }
}

/// Why a label is invalid, and what to do about it.
pub(super) fn bad_label(family: Family, label: &str) -> Option<(String, &'static str)> {
    let mut chars = label.chars();
    let starts = chars.next().is_some_and(|first| first.is_ascii_alphabetic());
    if label.starts_with('_') {
        return Some((
            format!("the label `{label}` begins with `_`"),
            "such names are reserved for the steps that the planner adds",
        ));
    }
    if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Some((
            format!("the label `{label}` is not an identifier"),
            "use letters, digits and `_`, beginning with a letter",
        ));
    }
    // A sink may make the table `objects`.
    if RESERVED.contains(&label) && !(family == Family::Sink && label == "objects") {
        return Some((
            format!("the label `{label}` is reserved"),
            "every run may have a column or table with this name",
        ));
    }
    None
}
