//! Checks a part of a document against the JSON Schema of a kind's settings, and reports every mistake with its place.
//!
//! It supports the part of JSON Schema that `schemars` generates for Rust types: objects, lists, tuples, scalars with ranges,
//! options, and enums (`"cpu"` or `{ model: {...} }`). A general validator would report that no branch of a `oneOf` matches;
//! this one reports which key of which variant is misspelt.

mod expected_shape;
mod paths;
mod variants;

use serde_json::Value as Json;

use self::expected_shape::{alternatives, coerce, out_of_range};
pub(super) use self::paths::{NULL_PATH, PATH};
use super::{
    diagnostic::{GIVEN, SpannedDiagnostic},
    parameters::UNSET,
    tree::{Entry, Node, Span, Value},
};
use crate::error::Code;

/// Checks nodes against parts of one schema.
pub(super) struct Check<'a> {
    root: &'a Json,
    /// The mistakes found so far.
    pub diagnostics: Vec<SpannedDiagnostic>,
}

impl<'a> Check<'a> {
    /// A check against a schema and the definitions in it.
    pub(super) const fn new(root: &'a Json) -> Self {
        Self { root, diagnostics: Vec::new() }
    }

    /// Checks the settings of `name`, whose key is at `own`. Values that come from a parameter are converted to the type that the
    /// schema expects.
    pub(super) fn settings(&mut self, node: &mut Node, name: &str, own: Span) {
        if node.value == Value::Null {
            node.value = Value::Map(Vec::new());
        }
        let root = self.root;
        self.node(node, root, name, own);
    }

    /// Checks one value against the schema, which is not that of a kind.
    pub(super) fn part(&mut self, node: &mut Node, name: &str, own: Span) {
        let root = self.root;
        self.node(node, root, name, own);
    }

    /// Checks a value. A mistake in a value that comes from a parameter also points at the parameter.
    fn node(&mut self, node: &mut Node, schema: &'a Json, name: &str, own: Span) {
        let before = self.diagnostics.len();
        self.value(node, schema, name, own);
        if schema["format"] == PATH {
            self.paths(node, name);
            for missing in
                self.diagnostics[before..].iter_mut().filter(|one| one.mistake.message.ends_with("found nothing"))
            {
                missing.mistake.help.get_or_insert_with(|| NULL_PATH.to_owned());
            }
        }
        let Some(from) = node.from else { return };
        for diagnostic in self.diagnostics[before..].iter_mut().filter(|diagnostic| diagnostic.at == Some(node.at)) {
            diagnostic.related.get_or_insert((from, GIVEN));
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
        if !coerce(node, schema) {
            let message = format!("`{name}` takes {}, found {}", self.expected(schema), found(node));
            let diagnostic = SpannedDiagnostic::new(place(node, own), Code::WrongType, message);
            let item = node.scalar_text().filter(|_| schema["type"] == "array");
            self.diagnostics.push(if let Some(item) = item {
                diagnostic.help(format!("write `{name}: [{item}]`"))
            } else {
                diagnostic
            });
            return;
        }
        match &mut node.value {
            Value::Number(number) => {
                if let Some(wrong) = out_of_range(number, schema) {
                    self.diagnostics.push(SpannedDiagnostic::new(
                        node.at,
                        Code::OutOfRange,
                        format!("`{name}` is {number}, expected {wrong}"),
                    ));
                }
            }
            Value::Text(text) => {
                let least = schema["minLength"].as_u64().unwrap_or(0);
                if (text.chars().count() as u64) < least {
                    self.diagnostics.push(SpannedDiagnostic::new(
                        node.at,
                        Code::OutOfRange,
                        format!("`{name}` is empty"),
                    ));
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
            self.diagnostics.push(SpannedDiagnostic::new(
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
        self.diagnostics.extend(repeated(entries));
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
                    let diagnostic =
                        SpannedDiagnostic::new(entry.key_at, Code::UnknownKey, format!("`{name}` has no key `{key}`"));
                    self.diagnostics.push(diagnostic.suggest(&key, &known, "keys"));
                }
            }
        }
        let given = |key: &str| entries.iter().any(|entry| entry.key == key);
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        for key in required.filter(|key| !given(key)) {
            let mut diagnostic =
                SpannedDiagnostic::new(own, Code::MissingKey, format!("`{name}` needs the key `{key}`"));
            if let Some(text) = properties.and_then(|all| self.resolve_description(&all[key])) {
                diagnostic = diagnostic.help(format!("`{key}`: {text}"));
            }
            self.diagnostics.push(diagnostic);
        }
    }
}

/// Reports keys that occur twice in a map.
pub(super) fn repeated(entries: &[Entry]) -> Vec<SpannedDiagnostic> {
    let mut diagnostics = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(first) = entries[..index].iter().find(|first| first.key == entry.key) {
            let diagnostic =
                SpannedDiagnostic::new(entry.key_at, Code::DuplicateKey, format!("duplicate key `{}`", entry.key));
            diagnostics.push(diagnostic.related(first.key_at, "first used here"));
        }
    }
    diagnostics
}

/// The place to underline: a scalar itself, or the key of a list or a map.
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
