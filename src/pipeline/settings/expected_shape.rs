//! The shape of a value that a JSON Schema expects: in words for messages, and as a check of one value.

use serde_json::{Number, Value as Json};

use super::{
    super::tree::{Node, Value},
    Check,
};
use crate::error::quoted_list;

impl<'a> Check<'a> {
    pub(super) fn resolve(&self, schema: &'a Json) -> &'a Json {
        let mut schema = schema;
        // schemars never emits a cycle of bare references; the bound makes the loop finite anyway.
        for _ in 0..16 {
            let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) else { break };
            schema = &self.root["$defs"][name];
        }
        schema
    }

    /// The first paragraph of a description, without its final stop.
    pub(super) fn resolve_description(&self, schema: &'a Json) -> Option<String> {
        let own = schema["description"].as_str().or_else(|| self.resolve(schema)["description"].as_str())?;
        let first = own.split("\n\n").next()?.replace('\n', " ");
        Some(first.trim_end_matches('.').to_owned())
    }

    /// The values of an enum whose variants carry no settings.
    pub(super) fn strings(&self, schema: &'a Json) -> Option<Vec<&'a str>> {
        if let Some(word) = schema["const"].as_str() {
            return Some(vec![word]);
        }
        schema["enum"].as_array().map(|words| words.iter().filter_map(Json::as_str).collect())
    }

    /// What a schema expects, in words.
    pub(super) fn expected(&self, schema: &'a Json) -> String {
        let schema = self.resolve(schema);
        if let Some(branches) = alternatives(schema) {
            let parts: Vec<String> =
                branches.iter().filter(|branch| branch["type"] != "null").map(|branch| self.expected(branch)).collect();
            return parts.join(" or ");
        }
        if let Some(words) = self.strings(schema) {
            return if words.len() == 1 { quoted_list(&words) } else { format!("one of {}", quoted_list(&words)) };
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

/// The plural of `a number`, for `a list of numbers`.
fn plural(one: &str) -> String {
    one.strip_prefix("a ").map_or_else(|| one.to_owned(), |noun| format!("{noun}s"))
}

/// The alternatives of a schema with `oneOf` or `anyOf`.
pub(super) fn alternatives(schema: &Json) -> Option<&Vec<Json>> {
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())
}

/// The key and the content of an externally tagged variant.
pub(super) fn variant(schema: &Json) -> Option<(&str, &Json)> {
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

/// Whether a value has a type that the schema accepts. Converts it if that loses nothing: `1e4` to an integer, and a value from a
/// parameter or the command line to the text as written.
pub(super) fn coerce(node: &mut Node, schema: &Json) -> bool {
    let types = types(schema);
    if types.is_empty() {
        return true;
    }
    let accepts = |name: &str| types.contains(&name);
    let own = match &node.value {
        Value::Null => accepts("null"),
        Value::Bool(_) => accepts("boolean"),
        Value::Number(number) if number.is_f64() => {
            if accepts("number") {
                true
            } else if let Some(integer) = as_integer(number).filter(|_| accepts("integer")) {
                node.value = Value::Number(integer);
                true
            } else {
                false
            }
        }
        Value::Number(_) => accepts("integer") || accepts("number"),
        Value::Text(_) => accepts("string"),
        Value::List(_) => accepts("array"),
        Value::Map(_) => accepts("object"),
    };
    let is_text = matches!(node.value, Value::Text(_));
    match &node.filled {
        _ if own && !is_text => true,
        None => own,
        Some(text) if accepts("string") => {
            node.value = Value::Text(text.clone());
            true
        }
        _ => false,
    }
}

/// The integer that a number such as `1e4` equals.
fn as_integer(number: &Number) -> Option<Number> {
    let value = number.as_f64()?;
    (value.fract() == 0.0 && value.abs() < 9e15).then(|| Number::from(value as i64))
}

/// The expected range of a number that is outside it.
pub(super) fn out_of_range(number: &Number, schema: &Json) -> Option<String> {
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

/// A bound, without `.0` if it is an integer.
fn show(bound: &Number) -> String {
    as_integer(bound).unwrap_or_else(|| bound.clone()).to_string()
}
