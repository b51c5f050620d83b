//! Replaces `${name}` in the scalars of a document.
//!
//! A scalar that is only `${name}` becomes the value of the parameter, of any type. Inside other text the value is inserted as text
//! and the result is parsed again, so `"${n}e3"` can be a number. `$${` is a literal `${`.

use super::{
    diagnostic::{SpannedDiagnostic, Texts},
    settings::repeated,
    tree::{self, Entry, Node, Span, Value},
};
use crate::error::{Code, nearest};

/// The name of the texts of `--set` and `-c` in messages.
pub(super) const COMMAND_LINE: &str = "the command line";

/// An argument of the command line: `--set name=value`, or `-c label:key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    /// The parameter's name, or `label:key`.
    pub name: String,
    /// The value as written, in YAML.
    pub value: String,
}

/// The value of an argument. Messages show the argument as `--set name=value`.
pub(super) fn argument(flag: &str, argument: &Argument, texts: &mut Texts) -> (Span, Node) {
    let written = format!("{flag} {}={}", argument.name, argument.value);
    let text = texts.add(COMMAND_LINE, &written);
    let at = Span { text, line: 1, column: flag.len() + 2, length: argument.name.chars().count() };
    let value_at = Span { column: at.column + at.length + 1, length: argument.value.chars().count().max(1), ..at };
    (at, as_typed(&argument.value).moved(value_at))
}

/// A value of the command line, by one rule: text as typed for a setting that takes text, and read as YAML for all others. So `*.parquet`,
/// `#1` and `a: b` are text, `[g, r]` is a list where a list is taken, and text in quotes is text everywhere: `"5"`.
fn as_typed(written: &str) -> Node {
    let whole = Node {
        filled: Some(written.to_owned()),
        ..Node::new(Value::Text(written.to_owned()), Span { line: 1, column: 1, length: 1, text: 0 })
    };
    // What is not YAML is text.
    let Ok(node) = tree::parse(written, 0) else { return whole };
    let trimmed = written.trim();
    match node.value {
        Value::Text(_) if trimmed.starts_with(['"', '\'']) => node,
        // A comment or an anchor alone.
        Value::Null if !["", "~", "null", "Null", "NULL"].contains(&trimmed) => whole,
        value => Node { value, ..whole },
    }
}

/// The parameters of a document with the values of the command line. A parameter may use those above it.
pub(super) fn parameters(
    section: Option<&Entry>,
    set: &[Argument],
    texts: &mut Texts,
    diagnostics: &mut Vec<SpannedDiagnostic>,
) -> Parameters {
    let declared = section.map_or(&[][..], |section| section.node.entries());
    if let Some(section) = section.filter(|section| !matches!(section.node.value, Value::Map(_) | Value::Null)) {
        let message = format!("`parameters` takes a map of names and values, found {}", section.node.kind_of_value());
        diagnostics.push(SpannedDiagnostic::new(section.key_at, Code::WrongType, message));
    }
    diagnostics.extend(repeated(declared));
    let mut given = Vec::new();
    for one in set {
        let (at, node) = argument("--set", one, texts);
        if declared.iter().any(|entry| entry.key == one.name) {
            given.push(Entry { key: one.name.clone(), key_at: at, node });
        } else {
            let known: Vec<&str> = declared.iter().map(|entry| entry.key.as_str()).collect();
            let diagnostic =
                SpannedDiagnostic::new(at, Code::UnknownKey, format!("the document has no parameter `{}`", one.name));
            diagnostics.push(if known.is_empty() {
                diagnostic.help(format!("declare it: `parameters: {{ {}: ... }}`", one.name))
            } else {
                diagnostic.suggest(&one.name, &known, "parameters")
            });
        }
    }
    let names = declared.iter().map(|entry| (entry.key.clone(), entry.key_at)).collect();
    let mut known = Parameters { entries: Vec::new(), declared: names, room: MAX_INSERTED };
    for entry in declared {
        let mut entry = given.iter().rev().find(|given| given.key == entry.key).unwrap_or(entry).clone();
        known.fill(&mut entry.node, diagnostics);
        known.entries.push(entry);
    }
    known
}

/// The most that the values of parameters may add to a document: bytes of text, and [`VALUE_BYTES`] for each value. Parameters that use
/// each other can grow without bound: ten that each insert the one before ten times would add 10^10 values.
const MAX_INSERTED: usize = 1 << 20;
const VALUE_BYTES: usize = 16;

/// The parameters of a document, with their values.
pub(super) struct Parameters {
    entries: Vec<Entry>,
    /// The names of all, with those whose values are not known yet: a parameter may use those above it.
    declared: Vec<(String, Span)>,
    /// What may still be inserted.
    room: usize,
}

impl Parameters {
    /// Replaces the parameters in all scalars below a node.
    pub(super) fn fill(&mut self, node: &mut Node, diagnostics: &mut Vec<SpannedDiagnostic>) {
        self.fill_at(0, node, diagnostics);
    }

    fn fill_at(&mut self, depth: usize, node: &mut Node, diagnostics: &mut Vec<SpannedDiagnostic>) {
        // Text as typed of what is not text: only a setting of text would use it.
        if !matches!(node.value, Value::Text(_)) && node.filled.as_ref().is_some_and(|text| text.contains("${")) {
            node.filled = None;
        }
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.fill_at(depth + 1, item, diagnostics)),
            Value::Map(entries) => {
                entries.iter_mut().for_each(|entry| self.fill_at(depth + 1, &mut entry.node, diagnostics));
            }
            Value::Text(text) if text.contains("${") => {
                // On the command line the text as typed, which YAML may have shortened.
                let text = node.filled.take().unwrap_or_else(|| std::mem::take(text));
                *node = self.filled(&text, node.at, diagnostics);
                self.check(depth, node, diagnostics);
            }
            _ => {}
        }
    }

    /// Refuses a value that makes the document too large or too deep.
    fn check(&mut self, depth: usize, node: &mut Node, diagnostics: &mut Vec<SpannedDiagnostic>) {
        let (bytes, levels) = size(node);
        let message = if bytes > self.room {
            format!("the values of parameters take more than {MAX_INSERTED} bytes")
        } else if depth + levels > tree::MAX_DEPTH {
            format!("the value of a parameter makes the document deeper than {} levels", tree::MAX_DEPTH)
        } else {
            self.room -= bytes;
            return;
        };
        // One is enough: all that follow would not fit either.
        if self.room > 0 {
            diagnostics.push(SpannedDiagnostic::new(node.at, Code::OutOfRange, message));
        }
        self.room = 0;
        *node = Node { filled: Some(UNSET.to_owned()), ..Node::new(Value::Text(String::new()), node.at) };
    }

    /// The node that a text with parameters stands for.
    fn filled(&self, text: &str, at: Span, diagnostics: &mut Vec<SpannedDiagnostic>) -> Node {
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
                let diagnostic =
                    SpannedDiagnostic::new(at, Code::Syntax, format!("`{}` is not closed", &rest[start..]));
                diagnostics.push(diagnostic.help("close it with `}`, or write `$${` for a literal `${`"));
                return Node::new(Value::Text(text.to_owned()), at);
            };
            let name = rest[start + 2..start + end].trim();
            match self.value(name, at) {
                Ok(node) => {
                    from = from.or(node.from).or(Some(node.at));
                    whole = (start == 0 && start + end + 1 == text.len()).then(|| node.clone());
                    match node.filled.clone().or_else(|| node.scalar_text()) {
                        Some(value) => written.push_str(&value),
                        None if whole.is_some() => {}
                        None => {
                            let message =
                                format!("`{name}` is {}, which cannot be inserted into text", node.kind_of_value());
                            diagnostics.push(
                                SpannedDiagnostic::new(at, Code::WrongType, message)
                                    .help(format!("use `${{{name}}}` alone")),
                            );
                        }
                    }
                }
                Err(diagnostic) => {
                    diagnostics.push(*diagnostic);
                    let value = Value::Text(text.to_owned());
                    return Node { filled: Some(UNSET.to_owned()), ..Node::new(value, at) };
                }
            }
            rest = &rest[start + end + 1..];
            if written.len() > MAX_INSERTED {
                // It is refused.
                break;
            }
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

    /// The value of a parameter.
    fn value(&self, name: &str, at: Span) -> Result<&Node, Box<SpannedDiagnostic>> {
        match self.entries.iter().rev().find(|entry| entry.key == name) {
            None => Err(Box::new(self.unknown(name, at))),
            Some(entry) if entry.node.value == Value::Null => {
                let diagnostic =
                    SpannedDiagnostic::new(at, Code::UnsetParameter, format!("the parameter `{name}` has no value"));
                let diagnostic = diagnostic.related(entry.key_at, "declared here");
                let is_tilde = entry.node.filled.as_deref().is_some_and(|typed| typed.trim() == "~");
                Err(Box::new(diagnostic.help(if is_tilde {
                    "`~` alone is null; the home folder is `~/`".to_owned()
                } else {
                    format!("set it with `--set {name}=...`")
                })))
            }
            Some(entry) => Ok(&entry.node),
        }
    }

    fn unknown(&self, name: &str, at: Span) -> SpannedDiagnostic {
        if let Some((_, declared_at)) = self.declared.iter().find(|(declared, _)| declared == name) {
            let message = format!("the parameter `{name}` has no value yet");
            let diagnostic = SpannedDiagnostic::new(at, Code::UnsetParameter, message);
            return diagnostic.related(*declared_at, "declared here").help("a parameter may use those above it");
        }
        let diagnostic = SpannedDiagnostic::new(at, Code::UnsetParameter, format!("unknown parameter `{name}`"));
        let known: Vec<&str> = self.declared.iter().map(|(name, _)| name.as_str()).collect();
        let is_variable = name.contains(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if nearest(name, known.iter().copied()).is_some() {
            return diagnostic.suggest(name, &known, "parameters");
        }
        if is_variable {
            // The whole text, so that it can be copied.
            let set = format!("--set {name}=\"${name}\"");
            return diagnostic.help(format!(
                "environment variables are not read: declare `parameters: {{ {name}: ~ }}` and set it with `{set}`"
            ));
        }
        if known.is_empty() {
            return diagnostic.help(format!(
                "the document has no parameters: declare it with `parameters: {{ {name}: ... }}`, or write `$${{` for `${{`"
            ));
        }
        diagnostic.suggest(name, &known, "parameters")
    }
}

/// The bytes that a node takes, and its levels.
fn size(node: &Node) -> (usize, usize) {
    let text = match &node.value {
        Value::Text(text) => text.len(),
        _ => 0,
    };
    let own = VALUE_BYTES + text + node.filled.as_ref().map_or(0, String::len);
    let entries = node.entries().iter().map(|entry| (entry.key.len(), &entry.node));
    let inner = node.items().iter().map(|item| (0, item)).chain(entries);
    inner.fold((own, 1), |(bytes, levels), (key, node)| {
        let (more, below) = size(node);
        (bytes + key + more, levels.max(below + 1))
    })
}

/// Marks an unknown value, so that it causes no further diagnostics.
pub(super) const UNSET: &str = "\0unset";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::configure::configure, *};

    fn read(yaml: &str) -> Node {
        tree::parse(yaml, 0).expect("a tree")
    }

    fn set(name: &str, value: &str) -> Argument {
        Argument { name: name.into(), value: value.into() }
    }

    /// A document after substitution, and the messages.
    fn run(yaml: &str, sets: &[Argument]) -> (serde_json::Value, Vec<String>) {
        let (mut root, mut texts, mut diagnostics) = (read(yaml), Texts::default(), Vec::new());
        texts.add("test.yaml", yaml);
        let mut known = parameters(root.get("parameters"), sets, &mut texts, &mut diagnostics);
        let Value::Map(entries) = &mut root.value else { panic!("a map") };
        let entry = entries.iter_mut().find(|entry| entry.key == "a").expect("a");
        known.fill(&mut entry.node, &mut diagnostics);
        (entry.node.json(), diagnostics.into_iter().map(|diagnostic| diagnostic.mistake.message).collect())
    }

    #[test]
    fn a_scalar_that_is_only_a_parameter_keeps_its_type_and_other_text_is_parsed_again() {
        let yaml =
            "parameters: { n: 12, dir: data, list: [g, r] }\na: [\"${n}\", \"${dir}/*.fits\", \"${n}e2\", \"${list}\"]";
        assert_eq!(run(yaml, &[]).0, json!([12, "data/*.fits", 1200.0, ["g", "r"]]));
    }

    #[test]
    fn the_command_line_overrides_the_document() {
        let (value, diagnostics) = run("parameters: { n: 12 }\na: \"${n}\"", &[set("n", "7")]);
        assert_eq!((value, diagnostics.len()), (json!(7), 0));
    }

    #[test]
    fn a_parameter_may_use_those_above_it() {
        let (value, _) = run("parameters: { root: data, cut: \"${root}/c\" }\na: \"${cut}\"", &[set("root", "else")]);
        assert_eq!(value, json!("else/c"));
    }

    #[test]
    fn reports_unknown_parameters_and_parameters_without_value() {
        let (_, diagnostics) = run("parameters: { n: ~ }\na: \"${n}\"", &[set("m", "7")]);
        assert_eq!(diagnostics, ["the document has no parameter `m`", "the parameter `n` has no value"]);
    }

    #[test]
    fn parameters_that_multiply_each_other_are_refused() {
        let tenfold =
            |name: char, quote: &str| format!("[{}]", vec![format!("{quote}${{{name}}}{quote}"); 10].join(", "));
        let mut lists = "parameters:\n  a: [1]\n".to_owned();
        let mut texts = "parameters:\n  a: x\n".to_owned();
        let mut deep = "parameters:\n  a: [1]\n".to_owned();
        for (name, above) in ('b'..='k').zip('a'..) {
            lists.push_str(&format!("  {name}: {}\n", tenfold(above, "\"")));
            texts.push_str(&format!("  {name}: \"{}\"\n", format!("${{{above}}}").repeat(10)));
            deep.push_str(&format!("  {name}: {}\"${{{above}}}\"{}\n", "[".repeat(30), "]".repeat(30)));
        }
        for (yaml, expected) in [
            (lists, "the values of parameters take more than 1048576 bytes"),
            (texts, "the values of parameters take more than 1048576 bytes"),
            (deep, "the value of a parameter makes the document deeper than 64 levels"),
        ] {
            let (_, diagnostics) = run(&format!("{yaml}a: \"${{k}}\""), &[]);
            assert_eq!(diagnostics, [expected]);
        }
    }

    #[test]
    fn a_doubled_dollar_is_a_literal_dollar() {
        assert_eq!(run("parameters: {}\na: \"$${HOME}\"", &[]).0, json!("${HOME}"));
    }

    #[test]
    fn overrides_nested_settings_of_a_step() {
        let yaml = "source: { simulated: { count: 5 } }\ntransform:\n  y1: { asinh: { constants: { domain: y1 } } }\n";
        let (mut root, mut texts, mut diagnostics) = (read(yaml), Texts::default(), Vec::new());
        let engine = set("engine:commit_rows", "50");
        for one in [set("y1:constants.domain", "y10"), set("source:count", "9"), set("y1:seen", "true"), engine] {
            configure(&mut root, &one, &mut texts, &mut diagnostics);
        }
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let json = root.json();
        assert_eq!(json["transform"]["y1"]["asinh"], json!({ "constants": { "domain": "y10" }, "seen": true }));
        assert_eq!(json["source"]["simulated"]["count"], 9);
        assert_eq!(json["engine"], json!({ "commit_rows": 50 }));
    }

    #[test]
    fn an_unknown_label_suggests_the_nearest_one() {
        let mut root = read("transform:\n  y1_sky: { observe: {} }\n");
        let (mut texts, mut diagnostics) = (Texts::default(), Vec::new());
        configure(&mut root, &set("y1_sk:years", "1"), &mut texts, &mut diagnostics);
        assert_eq!(diagnostics[0].mistake.help.as_deref(), Some("did you mean `y1_sky`?"));
    }

    /// A value of the command line for a setting of some schema.
    fn typed(value: &str, schema: &serde_json::Value) -> Result<serde_json::Value, String> {
        let mut texts = Texts::default();
        let (at, mut node) = argument("-c", &set("step:key", value), &mut texts);
        let mut check = super::super::settings::Check::new(schema);
        check.part(&mut node, "key", at);
        check.diagnostics.pop().map_or_else(|| Ok(node.json()), |diagnostic| Err(diagnostic.mistake.message))
    }

    #[test]
    fn a_setting_of_text_gets_the_command_line_as_typed() {
        for text in [
            "*.parquet",
            "#x",
            "a #b",
            "&a",
            "&a b",
            "!x",
            "!x y",
            "!!null x",
            "a: b",
            "a:",
            "{",
            "}",
            "[",
            "{a",
            "[a, b]",
            "{a: b}",
            "- a",
            "? a",
            "| a",
            "> a",
            "%x",
            "@x",
            "`x`",
            "'a",
            "a'b",
            "\"a\" b",
            " a ",
            "a\n",
            "5",
            "007",
            "1e3",
            ".nan",
            "true",
            "0x10",
        ] {
            assert_eq!(typed(text, &json!({ "type": "string" })), Ok(json!(text)));
            let (value, diagnostics) = run("parameters: { p: ~ }\na: \"x${p}\"", &[set("p", text)]);
            assert_eq!((value.to_string(), diagnostics), (json!(format!("x{text}")).to_string(), Vec::new()));
        }
        for (quoted, text) in [("\"5\"", "5"), ("'#x'", "#x"), (" ' a '", " a ")] {
            assert_eq!(typed(quoted, &json!({ "type": "string" })), Ok(json!(text)));
        }
    }

    #[test]
    fn other_settings_read_the_command_line_as_yaml() {
        let list = json!({ "type": "array", "items": { "type": "string" } });
        let one_or_many = json!({ "anyOf": [{ "type": "string" }, list] });
        assert_eq!(typed("[g, r]", &list), Ok(json!(["g", "r"])));
        assert_eq!(typed("[g, r]", &one_or_many), Ok(json!(["g", "r"])));
        assert_eq!(typed("g #r", &one_or_many), Ok(json!("g #r")));
        assert_eq!(typed(" 5 ", &json!({ "type": "integer" })), Ok(json!(5)));
        assert_eq!(typed("5 # five", &json!({ "type": "integer" })), Ok(json!(5)));
        assert_eq!(typed("true", &json!({ "type": "boolean" })), Ok(json!(true)));
        assert_eq!(typed("a: 1", &json!({ "type": "object" })), Ok(json!({ "a": 1 })));
        assert_eq!(typed("~", &json!({ "type": ["string", "null"] })), Ok(json!(null)));
        assert_eq!(typed("#", &json!({ "type": ["string", "null"] })), Ok(json!("#")));
        assert_eq!(typed(" cpu ", &json!({ "enum": ["cpu", "cuda"] })), Ok(json!("cpu")));
        let wrong = |text: &str| typed(text, &json!({ "type": "integer" }));
        assert_eq!(wrong("{"), Err("`key` takes a whole number, found the text `{`".into()));
        assert_eq!(wrong("\"5\""), Err("`key` takes a whole number, found the text `5`".into()));
        assert_eq!(typed("[g, r", &list), Err("`key` takes a list of text, found the text `[g, r`".into()));
    }

    #[test]
    fn parameters_in_a_value_of_the_command_line_are_inserted_into_the_text_as_typed() {
        let mut root = read("parameters: { d: data }\nsource: { parquet: { paths: [a, b] } }\n");
        let (mut texts, mut diagnostics) = (Texts::default(), Vec::new());
        for one in [set("source:paths.0", "*.${d} #1"), set("source:paths.1", "{ a: \"${d}\" }")] {
            configure(&mut root, &one, &mut texts, &mut diagnostics);
        }
        let mut known = parameters(root.get("parameters"), &[], &mut texts, &mut diagnostics);
        known.fill(&mut root, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let paths = &root.json()["source"]["parquet"]["paths"];
        assert_eq!(paths[0], "*.data #1");
        // It is a map: its text as typed would have `${d}` in it.
        assert!(paths[1].is_object());
    }

    #[test]
    fn a_parameter_that_is_not_known_yet_and_a_variable_of_the_environment_have_help() {
        let help = |yaml: &str| {
            let (root, mut diagnostics) = (read(yaml), Vec::new());
            let mut known = parameters(root.get("parameters"), &[], &mut Texts::default(), &mut diagnostics);
            known.fill(&mut root.get("a").expect("a").node.clone(), &mut diagnostics);
            diagnostics[0].mistake.help.clone().unwrap_or_default()
        };
        assert_eq!(help("parameters: { p: \"${p}\" }\na: 1"), "a parameter may use those above it");
        assert_eq!(help("parameters: { p: \"${q}\", q: 1 }\na: 1"), "a parameter may use those above it");
        assert!(help("a: \"${HOME}\"").starts_with("environment variables are not read: declare"));
        assert!(help("a: \"${home}\"").starts_with("the document has no parameters: declare it with"));
        assert_eq!(help("parameters: { DATA: 1 }\na: \"${DATE}\""), "did you mean `DATA`?");
    }
}
