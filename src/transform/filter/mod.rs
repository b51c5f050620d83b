//! `filter`: keeps the rows that meet every condition; the others are counted, not rejected.
//!
//! A condition is `column OP value` with one of `<`, `<=`, `>`, `>=`, `==`, `!=`; `column in [value, ...]`;
//! `column not in [value, ...]`; `column is null`; or `column is not null`. A value is a number, `true`, `false` or a text,
//! with quotes where it holds blanks or signs; a column of an odd name stands in backticks. A null and a NaN meet no
//! condition but `is null`. Texts are compared for equality only. Numbers are compared exactly: integers as integers, and
//! with a float32 column the value is rounded to float32 first, so that `x <= 22.1` holds for a stored 22.1.

mod condition;
mod grammar;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use condition::Condition;

use crate::{
    batch::column_of,
    error::{Code, Diagnostic, Result},
    stage::{ColumnRef, Rejects, Settings, Transform},
};

/// Keeps the rows that meet every condition. Makes no column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The conditions, for instance `r_magnitude < 22`, `label in [spiral, merger]`, `visit is not null`.
    #[schemars(length(min = 1))]
    pub keep: Vec<String>,
}

impl Settings<dyn Transform> for Filter {
    const NAME: &'static str = "filter";

    fn build(self, _: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let parsed = self.keep.iter().enumerate().map(|(i, text)| {
            Condition::parse(text).map_err(|reason| {
                Diagnostic::at(&format!("keep.{i}"), Code::WrongType, format!("`{text}` is no condition: {reason}"))
                    .help("write `column < 3`, `column == text`, `column in [a, b]` or `column is not null`")
            })
        });
        let (mut conditions, mut mistakes) = (Vec::new(), Vec::new());
        for parsed in parsed {
            match parsed {
                Ok(condition) => conditions.push(condition),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if self.keep.is_empty() {
            mistakes.push(Diagnostic::at("keep", Code::MissingKey, "`keep` has no condition"));
        }
        if mistakes.is_empty() { Ok(Box::new(Filtering { conditions })) } else { Err(mistakes) }
    }
}

/// The transform.
#[derive(Debug, Clone)]
struct Filtering {
    conditions: Vec<Condition>,
}

impl Transform for Filtering {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let numbered = self.conditions.iter().enumerate();
        numbered.map(|(i, condition)| ColumnRef::new(&format!("keep.{i}"), &condition.column)).collect()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let numbered = self.conditions.iter().enumerate();
        let mistakes = numbered.filter_map(|(i, condition)| {
            let key = format!("keep.{i}");
            let field = match super::column(input, &key, &condition.column) {
                Ok(field) => field,
                Err(mistake) => return Some(mistake),
            };
            condition.fits(&key, field.data_type()).err()
        });
        let mistakes: Vec<Diagnostic> = mistakes.collect();
        if mistakes.is_empty() { Ok(Vec::new()) } else { Err(mistakes) }
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let mut keep = vec![true; batch.num_rows()];
        for condition in &self.conditions {
            condition.mark(column_of(&batch, &condition.column)?, &mut keep)?;
        }
        rejects.filter(&batch, keep)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::contract::{batch, bound};

    #[test]
    fn all_mistakes_are_found_at_their_conditions() {
        let build = |keep: &[&str]| {
            let settings = serde_json::json!({ "keep": keep });
            let mistakes = bound("filter", settings, &batch(1).schema()).err().unwrap_or_default();
            mistakes.into_iter().map(|mistake| (mistake.path.join("."), mistake.code)).collect::<Vec<_>>()
        };
        assert_eq!(build(&["magnitude < 3", "label == spiral"]), []);
        assert_eq!(
            build(&["magnitude <", "label", "label == a"]),
            [("keep.0".into(), Code::WrongType), ("keep.1".into(), Code::WrongType)]
        );
        assert_eq!(
            build(&["magnitud < 3", "magnitude < faint", "label < 3", "image == 0", "small > 0"]),
            [
                ("keep.0".into(), Code::UnknownColumn),
                ("keep.1".into(), Code::WrongType),
                ("keep.2".into(), Code::WrongColumn),
                ("keep.3".into(), Code::WrongColumn)
            ]
        );
        assert_eq!(build(&[]), [("keep".into(), Code::MissingKey)]);
    }

    #[test]
    fn rows_left_out_are_counted_and_not_rejected() {
        let settings = serde_json::json!({ "keep": ["small >= 2", "label in [spiral, merger]"] });
        let batch = batch(7);
        let mut filter = bound("filter", settings, &batch.schema()).expect("bound");
        let mut rejects = Rejects::default();
        // Labels go spiral, elliptical, merger, and that of row 6 is null.
        let out = filter.apply(batch, &mut rejects).expect("filtered");
        let rows: Vec<u64> =
            (0..out.num_rows()).map(|i| crate::batch::row_number(&out, i).expect("a number")).collect();
        assert_eq!((rows, rejects.filtered, rejects.rejected.len()), (vec![2, 3, 5], 4, 0));
    }
}
