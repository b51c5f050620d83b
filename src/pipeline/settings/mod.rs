//! Checks a part of a document against the JSON Schema of a kind's settings, and says all that is wrong at its place.
//!
//! It knows the part of JSON Schema that `schemars` makes of Rust types: objects, lists, tuples, scalars with ranges,
//! options, and enums (`"cpu"` or `{ model: {...} }`). A general validator would say that no branch of a `oneOf` fits;
//! this one says which key of which variant is misspelt.

mod forms;
mod takes;

use serde_json::Value as Json;

use self::takes::{alternatives, fit, out_of_range};
use super::{
    diagnostic::{GIVEN, SpannedDiagnostic},
    parameters::UNSET,
    tree::{Entry, Node, Span, Value},
};
use crate::error::Code;

/// Checks nodes against parts of one schema.
pub(super) struct Check<'a> {
    root: &'a Json,
    /// What was found.
    pub flaws: Vec<SpannedDiagnostic>,
}

impl<'a> Check<'a> {
    /// For a schema, to whose definitions its references point.
    pub(super) const fn new(root: &'a Json) -> Self {
        Self { root, flaws: Vec::new() }
    }

    /// Checks the settings of `name`, whose key stands at `own`. Numbers and texts that a parameter gave are turned into
    /// what the schema takes.
    pub(super) fn settings(&mut self, node: &mut Node, name: &str, own: Span) {
        if node.value == Value::Null {
            node.value = Value::Map(Vec::new());
        }
        let root = self.root;
        self.node(node, root, name, own);
    }

    /// Checks one value against a schema that is not that of a kind.
    pub(super) fn part(&mut self, node: &mut Node, name: &str, own: Span) {
        let root = self.root;
        self.node(node, root, name, own);
    }

    /// Checks a value. What is wrong with one that a parameter gave is told with the place that gave it.
    fn node(&mut self, node: &mut Node, schema: &'a Json, name: &str, own: Span) {
        let before = self.flaws.len();
        self.value(node, schema, name, own);
        let Some(from) = node.from else { return };
        for flaw in self.flaws[before..].iter_mut().filter(|flaw| flaw.at == Some(node.at)) {
            flaw.related.get_or_insert((from, GIVEN));
        }
    }

    fn value(&mut self, node: &mut Node, schema: &'a Json, name: &str, own: Span) {
        if node.filled.as_deref() == Some(UNSET) {
            return;
        }
        let schema = self.resolve(schema);
        if let Some(branches) = alternatives(schema) {
            return self.one_of(node, branches, name, own);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.node(node, part, name, own);
        }
        if let Some(known) = self.strings(schema) {
            return self.choice(node, &known, name);
        }
        if !fit(node, schema) {
            let message = format!("`{name}` takes {}, found {}", self.expected(schema), found(node));
            let flaw = SpannedDiagnostic::new(place(node, own), Code::WrongType, message);
            let item = node.scalar_text().filter(|_| schema["type"] == "array");
            self.flaws.push(if let Some(item) = item { flaw.help(format!("write `{name}: [{item}]`")) } else { flaw });
            return;
        }
        match &mut node.value {
            Value::Number(number) => {
                if let Some(wrong) = out_of_range(number, schema) {
                    self.flaws.push(SpannedDiagnostic::new(
                        node.at,
                        Code::OutOfRange,
                        format!("`{name}` is {number}, expected {wrong}"),
                    ));
                }
            }
            Value::Text(text) => {
                let least = schema["minLength"].as_u64().unwrap_or(0);
                if (text.chars().count() as u64) < least {
                    self.flaws.push(SpannedDiagnostic::new(node.at, Code::OutOfRange, format!("`{name}` is empty")));
                }
            }
            Value::List(_) => self.list(node, schema, name, own),
            Value::Map(entries) => self.map(entries, schema, name, own),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn list(&mut self, node: &mut Node, schema: &'a Json, name: &str, own: Span) {
        let Value::List(items) = &mut node.value else { return };
        let count = items.len() as u64;
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
        if !(least..=most).contains(&count) {
            let expected = match (least, most) {
                (least, most) if least == most => least.to_string(),
                (least, u64::MAX) => format!("at least {least}"),
                (least, most) => format!("{least} to {most}"),
            };
            self.flaws.push(SpannedDiagnostic::new(
                own,
                Code::OutOfRange,
                format!("`{name}` has {count} items, expected {expected}"),
            ));
        }
        let tuple = schema["prefixItems"].as_array();
        for (index, item) in items.iter_mut().enumerate() {
            let part = tuple.and_then(|tuple| tuple.get(index)).or_else(|| schema.get("items"));
            let at = item.at;
            if let Some(part) = part {
                self.node(item, part, name, at);
            }
        }
    }

    fn map(&mut self, entries: &mut [Entry], schema: &'a Json, name: &str, own: Span) {
        self.flaws.extend(repeated(entries));
        let properties = schema["properties"].as_object();
        let known: Vec<&str> = properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let others = schema.get("additionalProperties").filter(|others| **others != Json::Bool(false));
        let open = others.is_some() || properties.is_none();
        for entry in &mut *entries {
            let key = entry.key.clone();
            match properties.and_then(|properties| properties.get(&key)).or(others) {
                Some(part) => self.node(&mut entry.node, part, &key, entry.key_at),
                None if open => {}
                None => {
                    let flaw =
                        SpannedDiagnostic::new(entry.key_at, Code::UnknownKey, format!("`{name}` has no key `{key}`"));
                    self.flaws.push(flaw.suggest(&key, &known, "keys"));
                }
            }
        }
        let given = |key: &str| entries.iter().any(|entry| entry.key == key);
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        for key in required.filter(|key| !given(key)) {
            let mut flaw = SpannedDiagnostic::new(own, Code::MissingKey, format!("`{name}` needs the key `{key}`"));
            if let Some(text) = properties.and_then(|all| self.resolve_description(&all[key])) {
                flaw = flaw.help(format!("`{key}`: {text}"));
            }
            self.flaws.push(flaw);
        }
    }
}

/// Keys that stand twice in a map.
pub(super) fn repeated(entries: &[Entry]) -> Vec<SpannedDiagnostic> {
    let mut flaws = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(first) = entries[..index].iter().find(|first| first.key == entry.key) {
            let flaw = SpannedDiagnostic::new(
                entry.key_at,
                Code::DuplicateKey,
                format!("the key `{}` is there already", entry.key),
            );
            flaws.push(flaw.related(first.key_at, "first here"));
        }
    }
    flaws
}

/// A scalar is meant itself; of a list or a map its key.
fn place(node: &Node, own: Span) -> Span {
    node.place_of(&[], own)
}

fn found(node: &Node) -> String {
    match (&node.value, node.scalar_text()) {
        (Value::Number(_) | Value::Bool(_), Some(text)) => format!("`{text}`"),
        (Value::Text(_), Some(text)) => format!("the text `{text}`"),
        _ => node.kind_of_value().to_owned(),
    }
}
