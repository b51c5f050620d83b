//! A YAML document as an ordered tree whose keys and values have spans.
//!
//! Keys keep their order and may repeat, so that a diagnostic can point at both occurrences of a repeated key.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::syntax_error;

/// The most levels of a document. A pipeline has six; the limit keeps a deeper document from overflowing the stack.
pub(super) const MAX_DEPTH: usize = 64;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    /// The number of the text: 0 is the document, higher numbers are arguments of the command line.
    pub text: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Length, in characters.
    pub length: usize,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    pub at: Span,
    /// The text after a parameter was inserted. The value was parsed from it; a setting that takes text uses the text instead.
    pub filled: Option<String>,
    /// The place where that parameter gets its value.
    pub from: Option<Span>,
}

impl Node {
    /// A value at a place.
    pub(super) const fn new(value: Value, at: Span) -> Self {
        Self { value, at, filled: None, from: None }
    }
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Span,
    pub node: Node,
}

/// Why a text is not valid YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub at: Span,
    pub message: String,
    pub help: Option<String>,
}

/// Parses text number `text`.
pub(super) fn parse(yaml: &str, text: usize) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        // Repeated keys are reported later, with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `y` is a band, not a boolean, and `007` is an identifier.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        // `!include` would be read as the name of the file.
        reject_unsupported_tags: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
    };
    let mut node = serde_saphyr::from_str_with_options::<Option<Node>>(yaml, options)
        .map_err(|error| {
            let (message, help) = syntax_error::described(&error);
            let at = error.location().map(span).unwrap_or(Span { line: 1, column: 1, length: 1, text });
            SyntaxError { at, message, help }
        })?
        .unwrap_or(Node::new(Value::Null, Span { line: 1, column: 1, length: 1, text }));
    node.set_text(text);
    Ok(node)
}

fn span(location: Location) -> Span {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).max(1);
    Span {
        text: 0,
        line: number(location.line()),
        column: number(location.column()),
        length: number(location.span().len()),
    }
}

impl Node {
    /// The entry of a key of a map; the last one if the key is repeated.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().rev().find(|entry| entry.key == key)
    }

    /// The entries of a map; empty for other values.
    pub(super) fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The node under a path of keys.
    pub(super) fn find(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key).map(|entry| &entry.node))
    }

    /// The items of a list; empty for other values.
    pub(super) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The value as JSON, without places.
    pub(super) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => serde_json::Value::Number(value.clone()),
            Value::Text(value) => value.as_str().into(),
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// Whether it contains a scalar whose parameter has no value.
    pub(super) fn is_unset(&self) -> bool {
        self.filled.as_deref() == Some(super::parameters::UNSET)
            || self.items().iter().any(Self::is_unset)
            || self.entries().iter().any(|entry| entry.node.is_unset())
    }

    /// A scalar as text; `None` for a list or a map.
    pub(super) fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Null => Some("null".into()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(value) => Some(value.to_string()),
            Value::Text(value) => Some(value.clone()),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The type of the value, for messages.
    pub(super) const fn kind_of_value(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The place to underline for a path: the value if it is a scalar, else its key. Stops where the path leaves the tree.
    pub(super) fn place_of(&self, path: &[String], own: Span) -> Span {
        let Some((first, rest)) = path.split_first() else {
            return if matches!(self.value, Value::List(_) | Value::Map(_) | Value::Null) { own } else { self.at };
        };
        if let Some(entry) = self.get(first) {
            return entry.node.place_of(rest, entry.key_at);
        }
        match first.parse::<usize>().ok().and_then(|index| self.items().get(index)) {
            Some(item) => item.place_of(rest, item.at),
            None => own,
        }
    }

    /// Sets the text number of all spans.
    fn set_text(&mut self, text: usize) {
        self.at.text = text;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.set_text(text)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key_at.text = text;
                    entry.node.set_text(text);
                }
            }
            _ => {}
        }
    }

    /// Sets all spans to one place: a mistake in a parameter is reported where the parameter is used.
    #[must_use]
    pub(super) fn moved(mut self, at: Span) -> Self {
        self.at = at;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| *item = item.clone().moved(at)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key_at = at;
                    entry.node = entry.node.clone().moved(at);
                }
            }
            _ => {}
        }
        self
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self::new(value, span(referenced)))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tree;
        impl<'de> Visitor<'de> for Tree {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scalar, a list or a map")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Number(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Number(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                // JSON has no infinities and NaN: they stay text, which no numeric setting accepts.
                Ok(Number::from_f64(value).map_or_else(|| Value::Text(value.to_string()), Value::Number))
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Value::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, node)) = map.next_entry::<Spanned<String>, Node>()? {
                    entries.push(Entry { key_at: span(key.referenced), key: key.value, node });
                }
                Ok(Value::Map(entries))
            }
        }
        deserializer.deserialize_any(Tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Node {
        parse(yaml, 0).expect("a tree")
    }

    #[test]
    fn keys_and_values_have_their_places() {
        let tree = read("a:\n  bb: { c: [1, two] }\n");
        let entry = tree.get("a").expect("a").node.get("bb").expect("bb");
        assert_eq!((entry.key_at.line, entry.key_at.column, entry.key_at.length), (2, 3, 2));
        let list = entry.node.get("c").expect("c");
        let two = &list.node.items()[1];
        assert_eq!((two.at.line, two.at.column, two.at.length), (2, 16, 3));
    }

    #[test]
    fn a_quoted_value_is_underlined_with_its_quotes() {
        let tree = read("a: \"b c\"\n");
        let at = tree.get("a").expect("a").node.at;
        assert_eq!((at.column, at.length), (4, 5));
    }

    #[test]
    fn keeps_both_entries_of_a_repeated_key() {
        let tree = read("a: 1\nb: 2\na: 3\n");
        let keys: Vec<_> = tree.entries().iter().map(|entry| (entry.key.as_str(), entry.key_at.line)).collect();
        assert_eq!(keys, [("a", 1), ("b", 2), ("a", 3)]);
    }

    #[test]
    fn bands_and_identifiers_stay_text() {
        let tree = read("[y, no, 007, 1_000, 7, 0.5, true, ~]");
        let json = tree.json();
        assert_eq!(json, serde_json::json!(["y", "no", "007", "1_000", 7, 0.5, true, null]));
    }

    #[test]
    fn an_alias_is_placed_where_it_is_used() {
        let tree = read("a: &x 5\nb: *x\n");
        assert_eq!(tree.get("b").expect("b").node.at.line, 2);
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let error = parse("a: [1, 2\nb: 3\n", 0).expect_err("no tree");
        assert!(error.at.line >= 1, "{error:?}");
        assert!(!error.message.contains("line"), "{error:?}");
    }

    #[test]
    fn rejects_a_very_deep_document() {
        assert!(parse(&"[".repeat(100_000), 0).is_err());
    }

    #[test]
    fn an_empty_document_is_null() {
        assert_eq!(read("").value, Value::Null);
        assert_eq!(read("# only a comment\n").value, Value::Null);
    }
}
