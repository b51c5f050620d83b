//! Reads the value of a card, and names the key that does not fit.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::did_you_mean;

/// The most characters of a value in a message.
const MAX_SHOWN: usize = 60;
/// The most items among which the wrong one is looked for.
const MAX_ITEMS: usize = 1000;
/// What serde calls types, and their names in messages.
const TYPES: [(&str, &str); 7] = [
    ("expected f64", "expected a number"),
    ("expected usize", "expected a whole number from 0 on"),
    ("expected u32", "expected a whole number from 0 on"),
    ("expected a sequence", "expected a list"),
    ("expected struct Stretch", "expected `{ lo: LO, hi: HI }`"),
    ("expected struct Question", "expected `{ name: NAME, answers: [A, B] }`"),
    ("expected a map", "expected keys with values"),
];

/// Reads a value; else the key that does not fit, what it is, and what was expected.
pub(super) fn read_value<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    if !value.is_object() {
        let found = match value {
            Value::Null => "it is empty".to_owned(),
            Value::Array(_) => "it is a list".to_owned(),
            other => format!("it is {}", shown(other)),
        };
        return Err(format!("{found}, expected the keys of a card"));
    }
    let read = |value: Value| serde_json::from_value::<T>(value).map_err(|error| error.to_string());
    read(value.clone()).map_err(|error| {
        let mut pointer = String::new();
        while let Some(token) = culprit(&read, value, &pointer, &error) {
            pointer = format!("{pointer}/{token}");
        }
        message(value, &pointer, &error)
    })
}

/// The key or item of a part without which the error is another one. serde does not report it.
fn culprit<T>(read: &impl Fn(Value) -> Result<T, String>, value: &Value, pointer: &str, error: &str) -> Option<String> {
    let is_missing = |error: &str| error.starts_with("missing field");
    let is_cured = |token: &String| match read(without(value, pointer, token)) {
        Ok(_) => true,
        // What was left out is missing, or something else is wrong too.
        Err(other) => other != error && !(is_missing(error) && is_missing(&other)),
    };
    let mut tokens: Vec<String> = match value.pointer(pointer)? {
        Value::Object(keys) => keys.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect(),
        Value::Array(items) => (0..items.len()).map(|i| i.to_string()).collect(),
        _ => Vec::new(),
    };
    tokens.truncate(MAX_ITEMS);
    tokens.into_iter().find(is_cured)
}

/// The value without a key or an item of a part.
fn without(value: &Value, pointer: &str, token: &str) -> Value {
    let mut left = value.clone();
    match left.pointer_mut(pointer) {
        Some(Value::Object(keys)) => {
            keys.shift_remove(&unescaped(token));
        }
        Some(Value::Array(items)) => {
            let index = token.parse().unwrap_or(usize::MAX);
            if index < items.len() {
                items.remove(index);
            }
        }
        _ => {}
    }
    left
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// The message of serde with the key, and without the words of programmers.
fn message(value: &Value, pointer: &str, error: &str) -> String {
    let mut path = String::new();
    for token in pointer.split('/').skip(1) {
        match token.parse::<usize>() {
            Ok(index) => path = format!("{path}[{index}]"),
            Err(_) if path.is_empty() => path = unescaped(token),
            Err(_) => path = format!("{path}.{}", unescaped(token)),
        }
    }
    let in_ticks = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    if error.starts_with("missing field") {
        let key = in_ticks(error);
        return if path.is_empty() {
            format!("the key `{key}` is missing")
        } else {
            format!("`{path}` lacks the key `{key}`")
        };
    }
    let expected = error.find("expected ").map_or(error, |start| &error[start..]);
    let expected = TYPES.iter().fold(expected.to_owned(), |text, (of_serde, name)| text.replace(of_serde, name));
    if error.starts_with("unknown field") {
        return format!("unknown key `{path}`, {expected}");
    }
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let near = match value.pointer(pointer) {
        Some(Value::String(text)) if error.starts_with("unknown variant") => did_you_mean(text, known),
        _ => None,
    };
    let found = value.pointer(pointer).map(shown).unwrap_or_default();
    let near = near.map(|near| format!(": {near}")).unwrap_or_default();
    format!("`{path}` is {found}, {expected}{near}")
}

/// A value as written, if it is short.
fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}
