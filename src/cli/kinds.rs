//! `lucarne kinds`: the reference of the kinds, generated from the schemas of their settings.

use std::fmt::Write;

use clap::Args;
use serde_json::Value as Json;

use super::{Exit, terminal};
use crate::{
    error::{Code, Diagnostic, Result, did_you_mean},
    pipeline::{Family, kinds, schema},
};

/// List the kinds, or print the reference of one
#[derive(Args)]
pub(super) struct Kinds {
    /// The kind, or `family.kind` if two families have a kind of this name
    name: Option<String>,
    /// Print the JSON Schema of the settings of a kind, or of pipeline documents
    #[arg(long)]
    schema: bool,
}

impl Kinds {
    pub(super) fn run(&self) -> Result<Exit> {
        let Some(name) = &self.name else {
            terminal::result(&if self.schema { pretty(&schema()) } else { list() })?;
            return Ok(Exit::Done);
        };
        let found = find(name)?;
        let mut out = String::new();
        for (index, (family, name, schema)) in found.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            out.push_str(&if self.schema { pretty(schema) } else { reference(*family, name, schema) });
        }
        terminal::result(&out)?;
        Ok(Exit::Done)
    }
}

fn pretty(schema: &Json) -> String {
    format!("{schema:#}\n")
}

fn all() -> impl Iterator<Item = (Family, &'static str, Json)> {
    Family::ALL
        .into_iter()
        .flat_map(|family| kinds(family).into_iter().map(move |(name, schema)| (family, name, schema)))
}

fn find(wanted: &str) -> Result<Vec<(Family, &'static str, Json)>> {
    let found: Vec<_> =
        all().filter(|(family, name, _)| *name == wanted || wanted == format!("{}.{name}", family.name())).collect();
    if found.is_empty() {
        let names: Vec<&str> = all().map(|(_, name, _)| name).collect();
        let mistake = Diagnostic::at("", Code::UnknownKind, format!("unknown kind `{wanted}`"));
        let help = did_you_mean(wanted, names);
        return Err(vec![mistake.help(help.unwrap_or_else(|| "run `lucarne kinds` to list all kinds".into()))].into());
    }
    Ok(found)
}

fn list() -> String {
    let mut out = String::new();
    for family in Family::ALL {
        let _ = writeln!(out, "{}: {}", family.name(), family.about());
        for (name, schema) in kinds(family) {
            let _ = writeln!(out, "  {name:<16} {}", first_sentence(&schema));
        }
        out.push('\n');
    }
    out.push_str("`lucarne kinds NAME` prints the reference of one.\n");
    out
}

fn first_sentence(schema: &Json) -> String {
    let text = prose(schema);
    let text = text.split("\n\n").next().unwrap_or_default();
    text.split_inclusive(". ").next().unwrap_or(text).trim().to_owned()
}

/// A description without its line breaks, paragraph by paragraph.
fn prose(schema: &Json) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

fn reference(family: Family, name: &str, schema: &Json) -> String {
    let mut out = format!("{} {name}\n\n", family.name());
    paragraphs(&mut out, &prose(schema), 0);
    out.push('\n');
    Reference { root: schema, printed: Vec::new() }.settings(&mut out, schema, 0);
    out
}

/// Text wrapped at 100 columns.
fn paragraphs(out: &mut String, text: &str, indent: usize) {
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let mut line = " ".repeat(indent);
        for word in paragraph.split_whitespace() {
            if line.trim().is_empty() {
                line.push_str(word);
            } else if line.chars().count() + 1 + word.chars().count() > 100 {
                let _ = writeln!(out, "{line}");
                line = format!("{}{word}", " ".repeat(indent));
            } else {
                let _ = write!(line, " {word}");
            }
        }
        let _ = writeln!(out, "{line}");
    }
}

struct Reference<'a> {
    root: &'a Json,
    /// The definitions whose variants were printed. Many settings share a definition; it is printed once.
    printed: Vec<&'a str>,
}

impl<'a> Reference<'a> {
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        match schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            Some(name) => &self.root["$defs"][name],
            None => schema,
        }
    }

    /// Prints the keys of a map.
    fn settings(&mut self, out: &mut String, schema: &'a Json, indent: usize) {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for (key, part) in schema["properties"].as_object().into_iter().flatten() {
            let mut facts = vec![self.expected(part)];
            facts.extend(range(part));
            if required.contains(&key.as_str()) {
                facts.push("required".into());
            } else if let Some(default) = part.get("default").filter(|default| !default.is_null()) {
                facts.push(format!("default {default}"));
            }
            let _ = writeln!(out, "{}{key}: {}", " ".repeat(indent), facts.join(", "));
            let own = if part["description"].is_string() { part } else { self.resolve(part) };
            paragraphs(out, &prose(own), indent + 4);
            self.variants(out, part, indent + 4);
        }
    }

    /// Prints what a setting consists of: the variants of an enum, or the keys of a map.
    fn variants(&mut self, out: &mut String, schema: &'a Json, indent: usize) {
        if let Some(name) = schema["$ref"].as_str() {
            if self.printed.contains(&name) {
                return;
            }
            self.printed.push(name);
        }
        let schema = self.resolve(schema);
        if schema["type"] == "array" {
            return self.variants(out, &schema["items"], indent);
        }
        let branches = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
        let Some(branches) = branches else { return self.settings(out, schema, indent) };
        for branch in branches.iter().filter(|branch| branch["type"] != "null") {
            if let Some(word) = branch["const"].as_str() {
                let _ = writeln!(out, "{}`{word}`: {}", " ".repeat(indent), prose(branch));
            } else if let Some((key, part)) = self.variant(branch) {
                let _ = writeln!(out, "{}{key}: {}", " ".repeat(indent), self.expected(part));
                paragraphs(out, &prose(branch), indent + 4);
                self.variants(out, part, indent + 4);
            } else {
                self.variants(out, branch, indent);
            }
        }
    }

    /// The key and the schema of a variant that is a map with one key.
    fn variant(&self, schema: &'a Json) -> Option<(&'a str, &'a Json)> {
        let properties = schema["properties"].as_object().filter(|properties| properties.len() == 1)?;
        properties.iter().next().map(|(key, part)| (key.as_str(), part))
    }

    /// What a setting expects, in words.
    fn expected(&self, schema: &'a Json) -> String {
        let schema = self.resolve(schema);
        if let Some(words) = schema["enum"].as_array() {
            return words
                .iter()
                .map(|word| format!("`{}`", word.as_str().unwrap_or_default()))
                .collect::<Vec<_>>()
                .join(" or ");
        }
        if let Some(branches) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            let mut parts: Vec<String> = Vec::new();
            for part in branches.iter().filter(|branch| branch["type"] != "null").map(|branch| self.expected(branch)) {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            return parts.join(" or ");
        }
        if let Some(word) = schema["const"].as_str() {
            return format!("`{word}`");
        }
        let names = match &schema["type"] {
            Json::String(name) => vec![name.as_str()],
            Json::Array(names) => names.iter().filter_map(Json::as_str).filter(|name| *name != "null").collect(),
            _ => return "anything".into(),
        };
        let words = names.iter().map(|name| match *name {
            "integer" => "whole number".to_owned(),
            "number" => "number".to_owned(),
            "string" => "text".to_owned(),
            "boolean" => "`true` or `false`".to_owned(),
            "array" => format!("list of {}", self.expected(&schema["items"])),
            _ => "map".to_owned(),
        });
        words.collect::<Vec<_>>().join(" or ")
    }
}

fn range(schema: &Json) -> Option<String> {
    let bound = |key: &str| schema[key].as_number().map(|bound| bound.to_string().trim_end_matches(".0").to_owned());
    match (bound("minimum"), bound("maximum"), bound("exclusiveMinimum"), bound("exclusiveMaximum")) {
        (Some(least), Some(most), ..) => Some(format!("{least} to {most}")),
        (_, Some(most), Some(above), _) => Some(format!("more than {above}, at most {most}")),
        (_, _, Some(above), Some(below)) => Some(format!("more than {above}, less than {below}")),
        (Some(least), ..) if least != "0" || schema["type"] == "number" => Some(format!("at least {least}")),
        (_, Some(most), ..) => Some(format!("at most {most}")),
        (_, _, Some(above), _) => Some(format!("more than {above}")),
        (_, _, _, Some(below)) => Some(format!("less than {below}")),
        _ => None,
    }
}
