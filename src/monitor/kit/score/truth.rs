//! Truth and predictions of rows, as indices of the classes of a model.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int32Type, Schema},
};

use super::columns::{class_column, classes_of, text};
use crate::{
    batch::column_of,
    error::{Code, Diagnostic, Error, Result},
};

/// The truth of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Null or empty.
    Missing,
    /// Not a class of the model.
    UnknownClass,
    /// The index of a class of the model.
    Class(usize),
}

/// The classes that all scores have, or diagnostics. `kind` is the kind of the monitor.
pub(crate) fn common_classes(input: &Schema, scores: &[String], kind: &str) -> Result<Vec<String>, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut first: Option<(&str, Vec<String>)> = None;
    for score in scores {
        let classes = classes_of(input, score);
        match (&first, classes) {
            (_, None) => {
                let message = format!("no score `{score}` lists its classes in a column `{}`", class_column(score));
                diagnostics.push(Diagnostic::at("score", Code::WrongColumn, message));
            }
            (Some((other, known)), Some(classes)) if *known != classes => {
                let (known, classes) = (known.join(", "), classes.join(", "));
                let message = format!("`{other}` has the classes {known}; `{score}` has {classes}");
                let help = format!("give each score its own `{kind}` monitor");
                diagnostics.push(Diagnostic::at("score", Code::Conflict, message).help(help));
            }
            (Some(_), Some(_)) => {}
            (None, Some(classes)) => first = Some((score, classes)),
        }
    }
    match first {
        Some((_, classes)) if diagnostics.is_empty() => Ok(classes),
        _ => Err(diagnostics),
    }
}

/// The truth of every row, and the first that is not a class, cut to 64 characters.
pub(crate) fn truths(batch: &RecordBatch, column: &str, classes: &[String]) -> Result<(Vec<Truth>, Option<String>)> {
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

/// The index of the class that a score predicts for every row; `None` for null.
pub(crate) fn predictions(batch: &RecordBatch, score: &str, classes: &[String]) -> Result<Vec<Option<usize>>> {
    let name = class_column(score);
    let wrong = || Error::bug(format!("column `{name}` holds a value that is not a class of the model"));
    let column = column_of(batch, &name)?.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
    let values = column.values().as_string_opt::<i32>().ok_or_else(wrong)?;
    let index = |name: &str| classes.iter().position(|class| class == name);
    let indices: Vec<Option<usize>> = values.iter().map(|value| index(value?)).collect();
    let of_key = |key: i32| usize::try_from(key).ok().and_then(|key| indices.get(key).copied().flatten());
    column.keys().iter().map(|key| key.map(|key| of_key(key).ok_or_else(wrong)).transpose()).collect()
}

/// Warns of rows whose truth is not a class of the model; `name` is one of them.
pub(crate) fn warn_unknown_classes(monitor: &str, name: Option<&str>, rows: u64) {
    if let Some(name) = name {
        tracing::warn!(monitor, rows, "the truth of some rows is not a class of the model, for example `{name}`");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, DictionaryArray, StringArray},
        datatypes::{DataType, Field},
    };

    use super::*;

    fn classes() -> Vec<String> {
        ["spiral", "merger"].map(str::to_owned).to_vec()
    }

    fn batch(truth: Vec<Option<&str>>, predicted: Vec<Option<&str>>) -> RecordBatch {
        let class: DictionaryArray<Int32Type> = predicted.into_iter().collect();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("label", Arc::new(StringArray::from(truth))), ("a_class", Arc::new(class))];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .expect("rows")
    }

    #[test]
    fn truth_and_predictions_are_indices_of_classes() {
        let long = "x".repeat(100);
        let rows = batch(
            vec![Some("merger"), None, Some(""), Some(&long), Some("star")],
            vec![Some("spiral"), Some("merger"), None, Some("spiral"), Some("merger")],
        );
        let (truth, unknown) = truths(&rows, "label", &classes()).expect("truths");
        use Truth::{Class, Missing, UnknownClass};
        assert_eq!(truth, [Class(1), Missing, Missing, UnknownClass, UnknownClass]);
        assert_eq!(unknown, Some("x".repeat(64)));
        let predicted = predictions(&rows, "a", &classes()).expect("predictions");
        assert_eq!(predicted, [Some(0), Some(1), None, Some(0), Some(1)]);
        let other = batch(vec![None], vec![Some("star")]);
        assert!(predictions(&other, "a", &classes()).is_err());
    }

    #[test]
    fn scores_need_the_same_classes() {
        let field = |score: &str, classes: &str| {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let metadata = [("classes".to_owned(), classes.to_owned())].into();
            Field::new(class_column(score), dictionary, false).with_metadata(metadata)
        };
        let input = Schema::new(vec![field("a", "spiral,merger"), field("b", "spiral,merger"), field("c", "star")]);
        let common = |scores: &[&str]| {
            let scores: Vec<String> = scores.iter().map(ToString::to_string).collect();
            common_classes(&input, &scores, "accuracy")
        };
        assert_eq!(common(&["a", "b"]), Ok(classes()));
        let messages: Vec<String> =
            common(&["a", "d", "c"]).expect_err("diagnostics").into_iter().map(|wrong| wrong.message).collect();
        assert_eq!(messages[0], "no score `d` lists its classes in a column `d_class`");
        assert_eq!(messages[1], "`a` has the classes spiral, merger; `c` has star");
    }
}
