//! The truth of rows, for scores that tell some classes apart.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int32Type, Schema},
};

use super::columns::{class_column, classes_of, text};
use crate::{
    batch::column_of,
    error::{Code, Diagnostic, Error, Result},
};

/// What is known of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// Nothing: the truth is null or empty.
    Missing,
    /// A class that the model does not know.
    UnknownClass,
    /// A class of the model, by its number.
    Class(usize),
}

/// The classes that all scores tell apart, or what is wrong. `kind` is that of the monitor.
pub(super) fn common_classes(input: &Schema, scores: &[String], kind: &str) -> Result<Vec<String>, Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    let mut first: Option<(&str, Vec<String>)> = None;
    for score in scores {
        let classes = classes_of(input, score);
        match (&first, classes) {
            (_, None) => {
                let message = format!("no score `{score}` says its classes in a column `{}`", class_column(score));
                mistakes.push(Diagnostic::at("score", Code::WrongColumn, message));
            }
            (Some((other, known)), Some(classes)) if *known != classes => {
                let (known, classes) = (known.join(", "), classes.join(", "));
                let message = format!("`{other}` tells {known} apart, `{score}` {classes}");
                let help = format!("give each its own `{kind}` monitor");
                mistakes.push(Diagnostic::at("score", Code::Conflict, message).help(help));
            }
            (Some(_), Some(_)) => {}
            (None, Some(classes)) => first = Some((score, classes)),
        }
    }
    match first {
        Some((_, classes)) if mistakes.is_empty() => Ok(classes),
        _ => Err(mistakes),
    }
}

/// The truth of every row, and the first that is no class, cut to 64 characters.
pub(super) fn truths(batch: &RecordBatch, column: &str, classes: &[String]) -> Result<(Vec<Truth>, Option<String>)> {
    let names = text(column_of(batch, column)?)?;
    let mut unknown_class = None;
    let truth = |name: Option<&str>| match name.filter(|name| !name.is_empty()) {
        None => Truth::Missing,
        Some(name) => classes.iter().position(|class| class == name).map_or_else(
            || {
                unknown_class.get_or_insert_with(|| name.chars().take(64).collect());
                Truth::UnknownClass
            },
            Truth::Class,
        ),
    };
    Ok((names.iter().map(truth).collect(), unknown_class))
}

/// The class that a score gives every row, by its number; none where it is null.
pub(super) fn predictions(batch: &RecordBatch, score: &str, classes: &[String]) -> Result<Vec<Option<usize>>> {
    let name = class_column(score);
    let wrong = || Error::bug(format!("column `{name}` holds no class of the model"));
    let column = column_of(batch, &name)?.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
    let values = column.values().as_string_opt::<i32>().ok_or_else(wrong)?;
    let number = |name: &str| classes.iter().position(|class| class == name);
    let numbers: Vec<Option<usize>> = values.iter().map(|value| number(value?)).collect();
    let of_key = |key: i32| usize::try_from(key).ok().and_then(|key| numbers.get(key).copied().flatten());
    column.keys().iter().map(|key| key.map(|key| of_key(key).ok_or_else(wrong)).transpose()).collect()
}

/// Says that some rows have a truth that is no class.
pub(super) fn warn_unknown_classes(monitor: &str, name: Option<&str>, rows: u64) {
    if let Some(name) = name {
        tracing::warn!(monitor, rows, "rows have a truth that is no class of the model, such as `{name}`");
    }
}
