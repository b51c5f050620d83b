//! Values with several variants: options, enums (`"cpu"` or `{ model: {...} }`), and types that exclude each other.

use serde_json::Value as Json;

use super::{
    super::{
        diagnostic::SpannedDiagnostic,
        tree::{Node, Span, Value},
    },
    Check,
    expected_shape::{alternatives, coerce, variant},
    found, place,
};
use crate::error::{Code, quoted_list};

impl<'a> Check<'a> {
    /// Checks a value with several variants: an option, an enum, or types that exclude each other.
    pub(super) fn one_of(&mut self, node: &mut Node, branches: &'a [Json], name: &str, own: Span) {
        let branches: Vec<&'a Json> = branches.iter().map(|branch| self.resolve(branch)).collect();
        if node.value == Value::Null && branches.iter().any(|branch| branch["type"] == "null") {
            return;
        }
        let mut branches: Vec<&'a Json> = branches.into_iter().filter(|branch| branch["type"] != "null").collect();
        if let [only] = branches.as_slice() {
            return self.node(node, only, name, own);
        }
        // schemars nests the variants without settings in a `oneOf` of their own; flatten it.
        while let Some(index) = branches.iter().position(|branch| alternatives(branch).is_some()) {
            let inner = branches.remove(index);
            branches.extend(alternatives(inner).into_iter().flatten().map(|branch| self.resolve(branch)));
        }
        let words: Vec<&'a str> = branches.iter().filter_map(|branch| self.strings(branch)).flatten().collect();
        let variants: Vec<(&'a str, &'a Json)> = branches.iter().filter_map(|branch| variant(branch)).collect();
        let plain =
            branches.iter().filter(|branch| self.strings(branch).is_none() && variant(branch).is_none()).count();
        if plain == 0 {
            return self.variant_of(node, &words, &variants, name, own);
        }
        // Variants of different types: check the one whose type the value has, so that mistakes inside it are reported. A value of the command
        // line is text only where it has the type of no variant: `[g, r]` stays a list.
        let of_type = |node: &Node| -> Vec<&'a Json> {
            branches.iter().copied().filter(|branch| coerce(&mut node.clone(), branch)).collect()
        };
        let mut fitting = of_type(&Node { filled: None, ..node.clone() });
        if fitting.is_empty() {
            fitting = of_type(node);
        }
        // A text that matches no word may be a misspelt value of another variant: then all variants are listed.
        let is_word = |branch: &Json| self.strings(branch).is_some();
        if let Some(only) = fitting.first().filter(|only| fitting.len() == 1 && !is_word(only)) {
            return self.node(node, only, name, own);
        }
        for branch in fitting {
            let mut copy = node.clone();
            let mut check = Check::new(self.root);
            check.node(&mut copy, branch, name, own);
            if check.diagnostics.is_empty() {
                *node = copy;
                return;
            }
        }
        let expected: Vec<String> = branches.iter().map(|branch| self.expected(branch)).collect();
        let message = format!("`{name}` takes {}, found {}", expected.join(" or "), found(node));
        self.diagnostics.push(SpannedDiagnostic::new(place(node, own), Code::WrongType, message));
    }

    /// Checks an enum: a word, or a map with one key, whose value has the settings of the variant.
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
            let diagnostic = if variants.iter().any(|(key, _)| *key == text) {
                SpannedDiagnostic::new(place(node, own), Code::WrongType, format!("`{text}` needs settings"))
                    .help(format!("write `{name}: {{ {text}: ... }}`"))
            } else if matches!(node.value, Value::Text(_)) {
                SpannedDiagnostic::new(place(node, own), Code::OutOfRange, format!("`{name}` cannot be `{text}`"))
                    .suggest(&text, &known, "values")
            } else {
                let message = format!("`{name}` takes one of {}, found {}", quoted_list(&known), found(node));
                SpannedDiagnostic::new(place(node, own), Code::WrongType, message)
            };
            self.diagnostics.push(diagnostic);
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
                    let diagnostic = SpannedDiagnostic::new(
                        entry.key_at,
                        Code::UnknownKey,
                        format!("`{name}` has no variant `{key}`"),
                    );
                    self.diagnostics.push(diagnostic.suggest(&key, &known, "variants"));
                }
            }
        }
        match entries.as_slice() {
            [] => self.diagnostics.push(SpannedDiagnostic::new(
                own,
                Code::MissingKey,
                format!("`{name}` needs one of {}", quoted_list(&known)),
            )),
            [_] => {}
            [first, second, ..] => {
                let message = format!("`{name}` takes one variant, found `{}` and `{}`", first.key, second.key);
                self.diagnostics.push(
                    SpannedDiagnostic::new(second.key_at, Code::Conflict, message).related(first.key_at, "the first"),
                );
            }
        }
    }

    /// Checks a text that must be one of the known words.
    pub(super) fn choice(&mut self, node: &mut Node, known: &[&str], name: &str) {
        let diagnostic = match (&node.value, node.filled.clone()) {
            (Value::Text(text), _) if known.contains(&text.as_str()) => return,
            (Value::Text(text), _) => {
                SpannedDiagnostic::new(node.at, Code::OutOfRange, format!("`{name}` cannot be `{text}`"))
                    .suggest(text, known, "values")
            }
            (_, Some(text)) if known.contains(&text.as_str()) => {
                node.value = Value::Text(text);
                return;
            }
            _ => SpannedDiagnostic::new(
                node.at,
                Code::WrongType,
                format!("`{name}` takes one of {}, found {}", quoted_list(known), found(node)),
            ),
        };
        self.diagnostics.push(diagnostic);
    }
}
