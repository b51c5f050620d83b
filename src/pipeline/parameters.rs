//! Fills `${name}` into the scalars of a document, and puts the settings of the command line over those of the text.
//!
//! A scalar that is nothing but `${name}` becomes the parameter's value, whatever it is. Inside other text the value is
//! written out and the whole is read again, so `"${n}e3"` can be a number. `$${` is a plain `${`.

use super::{
    diagnostic::{SpannedDiagnostic, Texts},
    settings::repeated,
    tree::{self, Entry, Node, Span, Value},
};
use crate::error::Code;

/// How messages call the text of `--set` and `-c`.
pub(super) const COMMAND_LINE: &str = "the command line";

/// A setting of the command line: `--set name=value`, or `-c label:key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    /// The parameter's name, or `label:key`.
    pub name: String,
    /// The value as written; it is read as YAML.
    pub value: String,
}

/// Reads the value of an argument, shown in messages as `--set name=value`.
pub(super) fn argument(
    flag: &str,
    argument: &Argument,
    texts: &mut Texts,
    flaws: &mut Vec<SpannedDiagnostic>,
) -> Option<(Span, Node)> {
    let written = format!("{flag} {}={}", argument.name, argument.value);
    let text = texts.add(COMMAND_LINE, &written);
    let at = Span { text, line: 1, column: flag.len() + 2, length: argument.name.chars().count() };
    let value_at = Span { column: at.column + at.length + 1, length: argument.value.chars().count().max(1), ..at };
    match tree::parse(&argument.value, text) {
        Ok(node) => Some((at, Node { filled: Some(argument.value.clone()), ..node.moved(value_at) })),
        Err(error) => {
            flaws.push(SpannedDiagnostic::new(value_at, Code::Syntax, error.message));
            None
        }
    }
}

/// The parameters of a document, those of the command line put over them; a parameter may use those above it.
pub(super) fn parameters(
    section: Option<&Entry>,
    set: &[Argument],
    texts: &mut Texts,
    flaws: &mut Vec<SpannedDiagnostic>,
) -> Vec<Entry> {
    let declared = section.map_or(&[][..], |section| section.node.entries());
    if let Some(section) = section.filter(|section| !matches!(section.node.value, Value::Map(_) | Value::Null)) {
        let message = format!("`parameters` takes a map of names and values, found {}", section.node.kind_of_value());
        flaws.push(SpannedDiagnostic::new(section.key_at, Code::WrongType, message));
    }
    flaws.extend(repeated(declared));
    let mut given = Vec::new();
    for one in set {
        let Some((at, node)) = argument("--set", one, texts, flaws) else { continue };
        if declared.iter().any(|entry| entry.key == one.name) {
            given.push(Entry { key: one.name.clone(), key_at: at, node });
        } else {
            let known: Vec<&str> = declared.iter().map(|entry| entry.key.as_str()).collect();
            let flaw =
                SpannedDiagnostic::new(at, Code::UnknownKey, format!("the document has no parameter `{}`", one.name));
            flaws.push(flaw.suggest(&one.name, &known, "parameters"));
        }
    }
    let mut known: Vec<Entry> = Vec::new();
    for entry in declared {
        let mut entry = given.iter().rev().find(|given| given.key == entry.key).unwrap_or(entry).clone();
        fill(&mut entry.node, &known, flaws);
        known.push(entry);
    }
    known
}

/// Fills the parameters into all scalars below a node.
pub(super) fn fill(node: &mut Node, parameters: &[Entry], flaws: &mut Vec<SpannedDiagnostic>) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| fill(item, parameters, flaws)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| fill(&mut entry.node, parameters, flaws)),
        Value::Text(text) if text.contains("${") => {
            let text = std::mem::take(text);
            *node = filled(&text, node.at, parameters, flaws);
        }
        _ => {}
    }
}

/// What a text with parameters in it stands for.
fn filled(text: &str, at: Span, parameters: &[Entry], flaws: &mut Vec<SpannedDiagnostic>) -> Node {
    let mut written = String::new();
    let mut rest = text;
    let mut whole = None;
    let mut from = None;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            written.push_str(&rest[..start]);
            written.push('{');
            rest = &rest[start + 2..];
            continue;
        }
        written.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('}') else {
            let flaw = SpannedDiagnostic::new(at, Code::Syntax, format!("`{}` has no end", &rest[start..]));
            flaws.push(flaw.help("close it with `}`, or write `$${` for a plain `${`"));
            return Node::new(Value::Text(text.to_owned()), at);
        };
        let name = rest[start + 2..start + end].trim();
        match value(name, at, parameters) {
            Ok(node) => {
                from = from.or(node.from).or(Some(node.at));
                whole = (start == 0 && start + end + 1 == text.len()).then(|| node.clone());
                match node.filled.clone().or_else(|| node.scalar_text()) {
                    Some(value) => written.push_str(&value),
                    None if whole.is_some() => {}
                    None => {
                        let message = format!("`{name}` is {}, which has no place inside text", node.kind_of_value());
                        flaws.push(
                            SpannedDiagnostic::new(at, Code::WrongType, message)
                                .help(format!("use `${{{name}}}` alone")),
                        );
                    }
                }
            }
            Err(flaw) => {
                flaws.push(*flaw);
                let value = Value::Text(text.to_owned());
                return Node { filled: Some(UNSET.to_owned()), ..Node::new(value, at) };
            }
        }
        rest = &rest[start + end + 1..];
    }
    written.push_str(rest);
    if let Some(node) = whole {
        let filled = node.filled.clone().or_else(|| node.scalar_text());
        return Node { filled, from, ..node.moved(at) };
    }
    if from.is_none() {
        return Node::new(Value::Text(written), at);
    }
    let value = match tree::parse(&written, 0) {
        Ok(Node { value: value @ (Value::Number(_) | Value::Bool(_)), .. }) => value,
        _ => Value::Text(written.clone()),
    };
    Node { value, at, filled: Some(written), from }
}

/// Stands for an unknown value, so that it causes no further diagnostics.
pub(super) const UNSET: &str = "\0unset";

fn value<'a>(name: &str, at: Span, parameters: &'a [Entry]) -> Result<&'a Node, Box<SpannedDiagnostic>> {
    let known: Vec<&str> = parameters.iter().map(|entry| entry.key.as_str()).collect();
    match parameters.iter().rev().find(|entry| entry.key == name) {
        None => {
            let flaw = SpannedDiagnostic::new(at, Code::UnsetParameter, format!("there is no parameter `{name}`"));
            Err(Box::new(flaw.suggest(name, &known, "parameters")))
        }
        Some(entry) if entry.node.value == Value::Null => {
            let flaw = SpannedDiagnostic::new(at, Code::UnsetParameter, format!("the parameter `{name}` has no value"));
            let flaw = flaw.related(entry.key_at, "declared here");
            Err(Box::new(flaw.help(format!("give it one with `--set {name}=...`"))))
        }
        Some(entry) => Ok(&entry.node),
    }
}

/// Puts `-c label:key=value` over the settings of one step. `source`, and the keys of `engine`, are reached by those words.
pub(super) fn configure(root: &mut Node, one: &Argument, texts: &mut Texts, flaws: &mut Vec<SpannedDiagnostic>) {
    let Some((at, node)) = argument("-c", one, texts, flaws) else { return };
    let Some((label, path)) = one.name.split_once(':') else {
        let flaw = SpannedDiagnostic::new(at, Code::Syntax, format!("`{}` names no setting of a step", one.name));
        return flaws.push(flaw.help("write `-c label:key=value`"));
    };
    let label_at = Span { length: label.chars().count(), ..at };
    let path_at = Span { column: at.column + label_at.length + 1, length: path.chars().count().max(1), ..at };
    let mut labels = Vec::new();
    let mut found = None;
    let Value::Map(sections) = &mut root.value else { return };
    if label == "engine" && sections.iter().all(|section| section.key != label) {
        // All of it has defaults, so a document need not have it.
        let node = Node::new(Value::Map(Vec::new()), label_at);
        sections.push(Entry { key: label.to_owned(), key_at: label_at, node });
    }
    for section in sections {
        match section.key.as_str() {
            "source" | "engine" => {
                labels.push(section.key.clone());
                if section.key == label {
                    // The source is one kind in a map, like a step; `engine` holds its settings itself.
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
        let flaw = SpannedDiagnostic::new(label_at, Code::UnknownKey, format!("no step has the label `{label}`"));
        return flaws.push(flaw.suggest(label, &known, "labels"));
    };
    if let Err(message) = put(target, path.split('.'), path_at, node) {
        flaws.push(SpannedDiagnostic::new(path_at, Code::WrongType, message));
    }
}

/// The settings below `{ kind: settings }`.
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
        return put(item.ok_or_else(|| format!("`{key}` is no index of a list of {count} items"))?, path, at, value);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(yaml: &str) -> Node {
        tree::parse(yaml, 0).expect("a tree")
    }

    fn set(name: &str, value: &str) -> Argument {
        Argument { name: name.into(), value: value.into() }
    }

    /// A document after substitution, and the messages.
    fn run(yaml: &str, sets: &[Argument]) -> (serde_json::Value, Vec<String>) {
        let (mut root, mut texts, mut flaws) = (read(yaml), Texts::default(), Vec::new());
        texts.add("test.yaml", yaml);
        let known = parameters(root.get("parameters"), sets, &mut texts, &mut flaws);
        let Value::Map(entries) = &mut root.value else { panic!("a map") };
        let entry = entries.iter_mut().find(|entry| entry.key == "a").expect("a");
        fill(&mut entry.node, &known, &mut flaws);
        (entry.node.json(), flaws.into_iter().map(|flaw| flaw.mistake.message).collect())
    }

    #[test]
    fn a_whole_parameter_keeps_its_type_and_inner_ones_are_read_again() {
        let yaml =
            "parameters: { n: 12, dir: data, list: [g, r] }\na: [\"${n}\", \"${dir}/*.fits\", \"${n}e2\", \"${list}\"]";
        assert_eq!(run(yaml, &[]).0, json!([12, "data/*.fits", 1200.0, ["g", "r"]]));
    }

    #[test]
    fn what_is_set_wins_over_what_is_declared() {
        let (value, flaws) = run("parameters: { n: 12 }\na: \"${n}\"", &[set("n", "7")]);
        assert_eq!((value, flaws.len()), (json!(7), 0));
    }

    #[test]
    fn a_parameter_may_use_those_above_it() {
        let (value, _) = run("parameters: { root: data, cut: \"${root}/c\" }\na: \"${cut}\"", &[set("root", "else")]);
        assert_eq!(value, json!("else/c"));
    }

    #[test]
    fn an_unknown_set_and_a_parameter_without_value_are_both_told() {
        let (_, flaws) = run("parameters: { n: ~ }\na: \"${n}\"", &[set("m", "7")]);
        assert_eq!(flaws, ["the document has no parameter `m`", "the parameter `n` has no value"]);
    }

    #[test]
    fn a_doubled_dollar_is_a_plain_one() {
        assert_eq!(run("parameters: {}\na: \"$${HOME}\"", &[]).0, json!("${HOME}"));
    }

    #[test]
    fn one_nested_setting_of_one_step_is_put_over() {
        let yaml = "source: { simulated: { count: 5 } }\ntransform:\n  y1: { asinh: { constants: { domain: y1 } } }\n";
        let (mut root, mut texts, mut flaws) = (read(yaml), Texts::default(), Vec::new());
        let engine = set("engine:commit_rows", "50");
        for one in [set("y1:constants.domain", "y10"), set("source:count", "9"), set("y1:seen", "true"), engine] {
            configure(&mut root, &one, &mut texts, &mut flaws);
        }
        assert!(flaws.is_empty(), "{flaws:?}");
        let json = root.json();
        assert_eq!(json["transform"]["y1"]["asinh"], json!({ "constants": { "domain": "y10" }, "seen": true }));
        assert_eq!(json["source"]["simulated"]["count"], 9);
        assert_eq!(json["engine"], json!({ "commit_rows": 50 }));
    }

    #[test]
    fn a_label_that_no_step_has_is_a_mistake_with_the_nearest_one() {
        let mut root = read("transform:\n  y1_sky: { observe: {} }\n");
        let (mut texts, mut flaws) = (Texts::default(), Vec::new());
        configure(&mut root, &set("y1_sk:years", "1"), &mut texts, &mut flaws);
        assert_eq!(flaws[0].mistake.help.as_deref(), Some("did you mean `y1_sky`?"));
    }
}
