//! Checks a part of a document against the JSON Schema of a kind's settings, and says all that is wrong at its place.
//!
//! It knows the part of JSON Schema that `schemars` makes of Rust types: objects, lists, tuples, scalars with ranges,
//! options, and enums (`"cpu"` or `{ model: {...} }`). A general validator would say that no branch of a `oneOf` fits;
//! this one says which key of which variant is misspelt.

use serde_json::{Number, Value as Json};

use super::{
    flaw::{Flaw, list, meant},
    parameters::UNSET,
    tree::{Entry, Node, Span, Value},
};
use crate::error::Code;

/// Checks nodes against parts of one schema.
pub(super) struct Check<'a> {
    root: &'a Json,
    /// What was found.
    pub flaws: Vec<Flaw>,
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

    fn node(&mut self, node: &mut Node, schema: &'a Json, name: &str, own: Span) {
        if node.filled.as_deref() == Some(UNSET) {
            return;
        }
        let schema = self.resolve(schema);
        if let Some(branches) = branches(schema) {
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
            let flaw = Flaw::new(place(node, own), Code::WrongType, message);
            let item = node.scalar_text().filter(|_| schema["type"] == "array");
            self.flaws.push(if let Some(item) = item { flaw.help(format!("write `{name}: [{item}]`")) } else { flaw });
            return;
        }
        match &mut node.value {
            Value::Number(number) => {
                if let Some(wrong) = out_of_range(number, schema) {
                    self.flaws.push(Flaw::new(
                        node.at,
                        Code::OutOfRange,
                        format!("`{name}` is {number}, expected {wrong}"),
                    ));
                }
            }
            Value::Text(text) => {
                let least = schema["minLength"].as_u64().unwrap_or(0);
                if (text.chars().count() as u64) < least {
                    self.flaws.push(Flaw::new(node.at, Code::OutOfRange, format!("`{name}` is empty")));
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
            self.flaws.push(Flaw::new(
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
                    let flaw = Flaw::new(entry.key_at, Code::UnknownKey, format!("`{name}` has no key `{key}`"));
                    self.flaws.push(flaw.help(meant(&key, &known, "its keys")));
                }
            }
        }
        let given = |key: &str| entries.iter().any(|entry| entry.key == key);
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        for key in required.filter(|key| !given(key)) {
            let mut flaw = Flaw::new(own, Code::MissingKey, format!("`{name}` needs the key `{key}`"));
            if let Some(text) = properties.and_then(|all| self.resolve_description(&all[key])) {
                flaw = flaw.help(format!("`{key}`: {text}"));
            }
            self.flaws.push(flaw);
        }
    }

    /// One of several forms: an option, an enum, or types that exclude each other.
    fn one_of(&mut self, node: &mut Node, branches: &'a [Json], name: &str, own: Span) {
        let branches: Vec<&'a Json> = branches.iter().map(|branch| self.resolve(branch)).collect();
        if node.value == Value::Null && branches.iter().any(|branch| branch["type"] == "null") {
            return;
        }
        let mut branches: Vec<&'a Json> = branches.into_iter().filter(|branch| branch["type"] != "null").collect();
        if let [only] = branches.as_slice() {
            return self.node(node, only, name, own);
        }
        // An enum may hold another list of forms (its plain words, told one by one).
        while let Some(index) = branches.iter().position(|branch| self::branches(branch).is_some()) {
            let inner = branches.remove(index);
            branches.extend(self::branches(inner).into_iter().flatten().map(|branch| self.resolve(branch)));
        }
        let words: Vec<&'a str> = branches.iter().filter_map(|branch| self.strings(branch)).flatten().collect();
        let variants: Vec<(&'a str, &'a Json)> = branches.iter().filter_map(|branch| variant(branch)).collect();
        let plain =
            branches.iter().filter(|branch| self.strings(branch).is_none() && variant(branch).is_none()).count();
        if plain == 0 {
            return self.variant_of(node, &words, &variants, name, own);
        }
        // Forms of different types: the one that the value has, so that its own mistakes are told.
        let fitting: Vec<&'a Json> = branches.iter().copied().filter(|branch| fit(&mut node.clone(), branch)).collect();
        // A word that is none of the words may have been meant as one of the other forms.
        let is_word = |branch: &Json| self.strings(branch).is_some();
        if let Some(only) = fitting.first().filter(|only| fitting.len() == 1 && !is_word(only)) {
            return self.node(node, only, name, own);
        }
        for branch in fitting {
            let mut copy = node.clone();
            let mut check = Check::new(self.root);
            check.node(&mut copy, branch, name, own);
            if check.flaws.is_empty() {
                *node = copy;
                return;
            }
        }
        let expected: Vec<String> = branches.iter().map(|branch| self.expected(branch)).collect();
        let message = format!("`{name}` takes {}, found {}", expected.join(" or "), found(node));
        self.flaws.push(Flaw::new(place(node, own), Code::WrongType, message));
    }

    /// An enum: a word, or a map of one key with what belongs to it.
    fn variant_of(
        &mut self,
        node: &mut Node,
        words: &[&'a str],
        variants: &[(&'a str, &'a Json)],
        name: &str,
        own: Span,
    ) {
        if variants.is_empty() {
            return self.choice(node, words, name);
        }
        let known: Vec<&str> = words.iter().copied().chain(variants.iter().map(|(key, _)| *key)).collect();
        let Value::Map(entries) = &mut node.value else {
            let text = node.scalar_text().unwrap_or_default();
            if matches!(node.value, Value::Text(_)) && words.contains(&text.as_str()) {
                return;
            }
            let flaw = if variants.iter().any(|(key, _)| *key == text) {
                Flaw::new(place(node, own), Code::WrongType, format!("`{text}` needs settings of its own"))
                    .help(format!("write `{name}: {{ {text}: ... }}`"))
            } else if matches!(node.value, Value::Text(_)) {
                Flaw::new(place(node, own), Code::OutOfRange, format!("`{name}` cannot be `{text}`")).help(meant(
                    &text,
                    &known,
                    "it can be",
                ))
            } else {
                let message = format!("`{name}` takes one of {}, found {}", list(&known), found(node));
                Flaw::new(place(node, own), Code::WrongType, message)
            };
            self.flaws.push(flaw);
            return;
        };
        for entry in &mut *entries {
            let key = entry.key.clone();
            match variants.iter().find(|(variant, _)| *variant == key) {
                Some((_, part)) => {
                    if entry.node.value == Value::Null && self.resolve(part)["type"] == "object" {
                        entry.node.value = Value::Map(Vec::new());
                    }
                    self.node(&mut entry.node, part, &key, entry.key_at);
                }
                None => {
                    let flaw = Flaw::new(entry.key_at, Code::UnknownKey, format!("`{name}` has no form `{key}`"));
                    self.flaws.push(flaw.help(meant(&key, &known, "its forms")));
                }
            }
        }
        match entries.as_slice() {
            [] => self.flaws.push(Flaw::new(own, Code::MissingKey, format!("`{name}` needs one of {}", list(&known)))),
            [_] => {}
            [first, second, ..] => {
                let message = format!("`{name}` takes one form, not `{}` and `{}`", first.key, second.key);
                self.flaws.push(Flaw::new(second.key_at, Code::Conflict, message).related(first.key_at, "the first"));
            }
        }
    }

    /// A word out of a few.
    fn choice(&mut self, node: &mut Node, known: &[&str], name: &str) {
        let flaw = match (&node.value, node.filled.clone()) {
            (Value::Text(text), _) if known.contains(&text.as_str()) => return,
            (Value::Text(text), _) => Flaw::new(node.at, Code::OutOfRange, format!("`{name}` cannot be `{text}`"))
                .help(meant(text, known, "it can be")),
            (_, Some(text)) if known.contains(&text.as_str()) => {
                node.value = Value::Text(text);
                return;
            }
            _ => Flaw::new(
                node.at,
                Code::WrongType,
                format!("`{name}` takes one of {}, found {}", list(known), found(node)),
            ),
        };
        self.flaws.push(flaw);
    }

    fn resolve(&self, schema: &'a Json) -> &'a Json {
        let mut schema = schema;
        // References of schemars never go in circles without a type between; the bound only says so.
        for _ in 0..16 {
            let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) else { break };
            schema = &self.root["$defs"][name];
        }
        schema
    }

    /// The first paragraph of a description, as one sentence.
    fn resolve_description(&self, schema: &'a Json) -> Option<String> {
        let own = schema["description"].as_str().or_else(|| self.resolve(schema)["description"].as_str())?;
        let first = own.split("\n\n").next()?.replace('\n', " ");
        Some(first.trim_end_matches('.').to_owned())
    }

    /// The words of an enum whose variants are all plain.
    fn strings(&self, schema: &'a Json) -> Option<Vec<&'a str>> {
        if let Some(word) = schema["const"].as_str() {
            return Some(vec![word]);
        }
        schema["enum"].as_array().map(|words| words.iter().filter_map(Json::as_str).collect())
    }

    /// What a schema takes, in words.
    fn expected(&self, schema: &'a Json) -> String {
        let schema = self.resolve(schema);
        if let Some(branches) = branches(schema) {
            let parts: Vec<String> =
                branches.iter().filter(|branch| branch["type"] != "null").map(|branch| self.expected(branch)).collect();
            return parts.join(" or ");
        }
        if let Some(words) = self.strings(schema) {
            return if words.len() == 1 { list(&words) } else { format!("one of {}", list(&words)) };
        }
        if let Some((key, _)) = variant(schema) {
            return format!("`{{ {key}: ... }}`");
        }
        let names = types(schema).into_iter().filter(|name| *name != "null").map(|name| match name {
            "integer" => "a whole number".to_owned(),
            "number" => "a number".to_owned(),
            "string" => "text".to_owned(),
            "boolean" => "`true` or `false`".to_owned(),
            "array" => match schema.get("items").map(|items| self.expected(items)) {
                Some(items) if !items.is_empty() => format!("a list of {}", plural(&items)),
                _ => "a list".to_owned(),
            },
            _ => "a map".to_owned(),
        });
        names.collect::<Vec<_>>().join(" or ")
    }
}

/// `a number` as it stands after `a list of`.
fn plural(one: &str) -> String {
    one.strip_prefix("a ").map_or_else(|| one.to_owned(), |noun| format!("{noun}s"))
}

/// Keys that stand twice in a map.
pub(super) fn repeated(entries: &[Entry]) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(first) = entries[..index].iter().find(|first| first.key == entry.key) {
            let flaw = Flaw::new(entry.key_at, Code::DuplicateKey, format!("the key `{}` is there already", entry.key));
            flaws.push(flaw.related(first.key_at, "first here"));
        }
    }
    flaws
}

/// The alternatives of a schema, if it has some.
fn branches(schema: &Json) -> Option<&Vec<Json>> {
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())
}

/// The key and the content of an externally tagged variant.
fn variant(schema: &Json) -> Option<(&str, &Json)> {
    let properties = schema["properties"].as_object()?;
    let required = schema["required"].as_array()?;
    match (properties.len(), required.as_slice(), &schema["additionalProperties"]) {
        (1, [key], Json::Bool(false)) => {
            properties.get_key_value(key.as_str()?).map(|(key, part)| (key.as_str(), part))
        }
        _ => None,
    }
}

fn types(schema: &Json) -> Vec<&str> {
    match &schema["type"] {
        Json::String(name) => vec![name],
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether a value has a type that the schema takes; turns it into it where nothing is lost.
fn fit(node: &mut Node, schema: &Json) -> bool {
    let types = types(schema);
    if types.is_empty() {
        return true;
    }
    let takes = |name: &str| types.contains(&name);
    let own = match &node.value {
        Value::Null => takes("null"),
        Value::Bool(_) => takes("boolean"),
        Value::Number(number) if number.is_f64() => {
            if takes("number") {
                true
            } else if let Some(whole) = whole(number).filter(|_| takes("integer")) {
                node.value = Value::Number(whole);
                true
            } else {
                false
            }
        }
        Value::Number(_) => takes("integer") || takes("number"),
        Value::Text(_) => takes("string"),
        Value::List(_) => takes("array"),
        Value::Map(_) => takes("object"),
    };
    match &node.filled {
        _ if own => true,
        Some(text) if takes("string") => {
            node.value = Value::Text(text.clone());
            true
        }
        _ => false,
    }
}

/// `1e4` as the whole number that it is.
fn whole(number: &Number) -> Option<Number> {
    let value = number.as_f64()?;
    (value.fract() == 0.0 && value.abs() < 9e15).then(|| Number::from(value as i64))
}

/// What was expected of a number that is outside of its range.
fn out_of_range(number: &Number, schema: &Json) -> Option<String> {
    let value = number.as_f64()?;
    let bound = |key: &str| schema[key].as_f64();
    let shown = |key: &str| schema[key].as_number().map_or_else(String::new, show);
    if bound("minimum").is_some_and(|least| value < least) {
        return Some(match bound("maximum") {
            Some(_) => format!("{} to {}", shown("minimum"), shown("maximum")),
            None => format!("at least {}", shown("minimum")),
        });
    }
    if bound("maximum").is_some_and(|most| value > most) {
        return Some(match bound("minimum") {
            Some(_) => format!("{} to {}", shown("minimum"), shown("maximum")),
            None => format!("at most {}", shown("maximum")),
        });
    }
    if bound("exclusiveMinimum").is_some_and(|least| value <= least) {
        return Some(format!("more than {}", shown("exclusiveMinimum")));
    }
    if bound("exclusiveMaximum").is_some_and(|most| value >= most) {
        return Some(format!("less than {}", shown("exclusiveMaximum")));
    }
    let (least, most) = match schema["format"].as_str()? {
        "uint8" => (0.0, f64::from(u8::MAX)),
        "uint16" => (0.0, f64::from(u16::MAX)),
        "uint32" => (0.0, f64::from(u32::MAX)),
        "int32" => (f64::from(i32::MIN), f64::from(i32::MAX)),
        "uint64" | "uint" => (0.0, u64::MAX as f64),
        _ => return None,
    };
    (value < least || value > most).then(|| format!("{least} to {most}"))
}

/// A bound without a needless `.0`.
fn show(bound: &Number) -> String {
    whole(bound).unwrap_or_else(|| bound.clone()).to_string()
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
