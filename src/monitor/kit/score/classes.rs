//! The classes that scores share, and the classes that they predict.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int32Type, Schema},
};

use super::columns::{class_column, classes_of};
use crate::{
    batch::column_of,
    card::class_mistake,
    error::{Code, Diagnostic, Error, Result},
};

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
            (None, Some(classes)) => {
                // Cards are checked; the classes of an embedder's scorer are not.
                if let Some(reason) = class_mistake(&classes) {
                    let message = format!("the classes of `{score}` cannot be used: {reason}");
                    diagnostics.push(Diagnostic::at("score", Code::WrongColumn, message));
                }
                first = Some((score, classes));
            }
        }
    }
    match first {
        Some((_, classes)) if diagnostics.is_empty() => Ok(classes),
        _ => Err(diagnostics),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, DictionaryArray},
        datatypes::{DataType, Field},
    };

    use super::*;
    use crate::batch::metadata_list;

    fn classes() -> Vec<String> {
        ["spiral, late", "merger"].map(str::to_owned).to_vec()
    }

    #[test]
    fn predictions_are_indices_of_classes() {
        let of = |predicted: Vec<Option<&str>>| {
            let class: DictionaryArray<Int32Type> = predicted.into_iter().collect();
            let columns: [(&str, ArrayRef, bool); 1] = [("a_class", Arc::new(class), true)];
            let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("rows");
            predictions(&batch, "a", &classes())
        };
        let rows = vec![Some("spiral, late"), Some("merger"), None, Some("merger")];
        assert_eq!(of(rows).expect("predictions"), [Some(0), Some(1), None, Some(1)]);
        assert!(of(vec![Some("star")]).is_err());
    }

    #[test]
    fn scores_need_the_same_classes() {
        let field = |score: &str, classes: &[&str]| {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let metadata = [("classes".to_owned(), metadata_list(classes))].into();
            Field::new(class_column(score), dictionary, false).with_metadata(metadata)
        };
        let input = Schema::new(vec![
            field("a", &["spiral, late", "merger"]),
            field("b", &["spiral, late", "merger"]),
            field("c", &["star"]),
            field("e", &["star", "all"]),
        ]);
        let common = |scores: &[&str]| {
            let scores: Vec<String> = scores.iter().map(ToString::to_string).collect();
            common_classes(&input, &scores, "accuracy")
        };
        let why = |scores: &[&str]| -> Vec<String> {
            common(scores).expect_err("diagnostics").into_iter().map(|wrong| wrong.message).collect()
        };
        assert_eq!(common(&["a", "b"]), Ok(classes()));
        let messages = why(&["a", "d", "c"]);
        assert_eq!(messages[0], "no score `d` lists its classes in a column `d_class`");
        assert_eq!(messages[1], "`a` has the classes spiral, late, merger; `c` has star");
        assert!(why(&["e"])[0].starts_with("the classes of `e` cannot be used: a class is called `all`"));
    }
}
