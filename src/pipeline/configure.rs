//! Applies the settings of the command line (`-c label:key=value`) to a document.

use super::{
    diagnostic::{SpannedDiagnostic, Texts},
    parameters::{Argument, argument},
    tree::{Entry, Node, Span, Value},
};
use crate::error::Code;

/// Applies `-c label:key=value` to the settings of a step. `source` and `engine` are labels too.
pub(super) fn configure(root: &mut Node, one: &Argument, texts: &mut Texts, diagnostics: &mut Vec<SpannedDiagnostic>) {
    let (at, node) = argument("-c", one, texts);
    let Some((label, path)) = one.name.split_once(':') else {
        let diagnostic =
            SpannedDiagnostic::new(at, Code::Syntax, format!("`{}` does not name a setting of a step", one.name));
        return diagnostics.push(diagnostic.help("write `-c label:key=value`"));
    };
    let label_at = Span { length: label.chars().count(), ..at };
    let path_at = Span { column: at.column + label_at.length + 1, length: path.chars().count().max(1), ..at };
    let mut labels = Vec::new();
    let mut found = None;
    let Value::Map(sections) = &mut root.value else { return };
    if label == "engine" && sections.iter().all(|section| section.key != label) {
        // All of its keys have defaults, so a document may omit the section.
        let node = Node::new(Value::Map(Vec::new()), label_at);
        sections.push(Entry { key: label.to_owned(), key_at: label_at, node });
    }
    for section in sections {
        match section.key.as_str() {
            "source" | "engine" => {
                labels.push(section.key.clone());
                if section.key == label {
                    // The section `source` holds a kind, as a step does; `engine` holds its settings directly.
                    let own = section.key == "engine";
                    found = if own { Some(&mut section.node) } else { settings(&mut section.node) };
                }
            }
            "transform" | "score" | "monitor" | "sink" => {
                let Value::Map(steps) = &mut section.node.value else { continue };
                for step in steps {
                    labels.push(step.key.clone());
                    if step.key == label {
                        found = settings(&mut step.node);
                    }
                }
            }
            _ => {}
        }
    }
    let Some(target) = found else {
        let known: Vec<&str> = labels.iter().map(String::as_str).collect();
        let diagnostic = SpannedDiagnostic::new(label_at, Code::UnknownKey, format!("no step has the label `{label}`"));
        return diagnostics.push(diagnostic.suggest(label, &known, "labels"));
    };
    if let Err(message) = put(target, path.split('.'), path_at, node) {
        diagnostics.push(SpannedDiagnostic::new(path_at, Code::WrongType, message));
    }
}

/// The settings in `{ kind: settings }`.
fn settings(step: &mut Node) -> Option<&mut Node> {
    if let Value::Map(kinds) = &mut step.value { kinds.first_mut().map(|kind| &mut kind.node) } else { None }
}

fn put<'a>(target: &mut Node, mut path: impl Iterator<Item = &'a str>, at: Span, value: Node) -> Result<(), String> {
    let Some(key) = path.next() else {
        *target = value;
        return Ok(());
    };
    if let Value::List(items) = &mut target.value {
        let count = items.len();
        let item = key.parse::<usize>().ok().and_then(|index| items.get_mut(index));
        return put(
            item.ok_or_else(|| format!("`{key}` is not an index of a list of {count} items"))?,
            path,
            at,
            value,
        );
    }
    if !matches!(target.value, Value::Map(_)) {
        target.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut target.value else { return Ok(()) };
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        entries.push(Entry { key: key.to_owned(), key_at: at, node: Node::new(Value::Null, at) });
        entries.len() - 1
    });
    put(&mut entries[index].node, path, at, value)
}
