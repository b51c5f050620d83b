//! `filter`: keeps the rows that satisfy every condition; the others are counted, not rejected.
//!
//! A condition is `column OP value` with one of `<`, `<=`, `>`, `>=`, `==`, `!=`; `column in [value, ...]`;
//! `column not in [value, ...]`; `column is null`; or `column is not null`. A value is a number, `true`, `false` or a text, quoted if
//! it contains blanks or signs; a column name that contains them is written in backticks. Nulls and NaNs satisfy no condition except
//! `is null`. Texts are compared for equality only. Numbers are compared exactly: integers as integers, and with a float32 column the
//! value is rounded to float32 first, so that `x <= 22.1` holds for a stored 22.1.

mod condition;
mod grammar;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::condition::Condition;
use super::diagnostics::column;
use crate::{
    batch::column_of,
    error::{Code, Diagnostic, Result},
    stage::{ColumnRef, Rejects, Settings, Transform, TransformRole},
};

/// Keeps the rows that satisfy every condition. Makes no column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The conditions, for instance `magnitude_r < 22`, `label in [spiral, merger]`, `visit is not null`.
    #[schemars(length(min = 1))]
    pub keep: Vec<String>,
}

impl Filter {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(keep: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { keep: keep.into_iter().map(Into::into).collect() }
    }
}

impl Settings<dyn Transform> for Filter {
    const NAME: &'static str = "filter";

    fn examples() -> &'static [&'static str] {
        &[r#"{ keep: ["magnitude_r < 22", "label != merger"] }"#, r#"{ keep: ["label in [spiral, merger]"] }"#]
    }

    fn build(self, _: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let (mut conditions, mut mistakes) = (Vec::new(), Vec::new());
        for (i, text) in self.keep.iter().enumerate() {
            match Condition::parse(text) {
                Ok(condition) => conditions.push(condition),
                Err(reason) => {
                    let message = format!("`{text}` is not a condition: {reason}");
                    let mistake = Diagnostic::at(&format!("keep.{i}"), Code::WrongType, message);
                    let help = "write `column < 3`, `column == text`, `column in [a, b]` or `column is not null`";
                    mistakes.push(mistake.help(help));
                }
            }
        }
        if self.keep.is_empty() {
            mistakes.push(Diagnostic::at("keep", Code::MissingKey, "`keep` is empty; expected at least one condition"));
        }
        if mistakes.is_empty() { Ok(Box::new(FilterTransform { conditions })) } else { Err(mistakes) }
    }
}

#[derive(Debug, Clone)]
struct FilterTransform {
    conditions: Vec<Condition>,
}

impl Transform for FilterTransform {
    fn role(&self) -> TransformRole {
        TransformRole::Filter
    }

    fn required_columns(&self) -> Vec<ColumnRef> {
        let numbered = self.conditions.iter().enumerate();
        numbered.map(|(i, condition)| ColumnRef::new(&format!("keep.{i}"), &condition.column)).collect()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let numbered = self.conditions.iter().enumerate();
        let mistakes = numbered.filter_map(|(i, condition)| {
            let key = format!("keep.{i}");
            let field = column(input, &key, &condition.column);
            field.and_then(|field| condition.check_type(&key, field.data_type())).err()
        });
        let mistakes: Vec<Diagnostic> = mistakes.collect();
        if mistakes.is_empty() { Ok(Vec::new()) } else { Err(mistakes) }
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let mut keep = vec![true; batch.num_rows()];
        for condition in &self.conditions {
            condition.clear_unsatisfied(column_of(&batch, &condition.column)?, &mut keep)?;
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
    use crate::{
        batch::row_number,
        transform::fixtures::{bind_kind, test_rows},
    };

    #[test]
    fn reports_every_mistake_at_its_condition() {
        let mistakes = |keep: &[&str]| {
            let settings = serde_json::json!({ "keep": keep });
            let mistakes = bind_kind("filter", settings, &test_rows(1).schema()).err().unwrap_or_default();
            mistakes.into_iter().map(|mistake| (mistake.path.join("."), mistake.code)).collect::<Vec<_>>()
        };
        assert_eq!(mistakes(&["magnitude_r < 3", "label == spiral"]), []);
        assert_eq!(
            mistakes(&["magnitude_r <", "label", "label == a"]),
            [("keep.0".into(), Code::WrongType), ("keep.1".into(), Code::WrongType)]
        );
        assert_eq!(
            mistakes(&["magnitud < 3", "magnitude_r < faint", "label < 3", "image == 0", "small > 0"]),
            [
                ("keep.0".into(), Code::UnknownColumn),
                ("keep.1".into(), Code::WrongType),
                ("keep.2".into(), Code::WrongColumn),
                ("keep.3".into(), Code::WrongColumn)
            ]
        );
        assert_eq!(mistakes(&[]), [("keep".into(), Code::MissingKey)]);
    }

    #[test]
    fn counts_removed_rows_instead_of_rejecting_them() {
        let settings = serde_json::json!({ "keep": ["small >= 2", "label in [spiral, merger]"] });
        let batch = test_rows(7);
        let mut filter = bind_kind("filter", settings, &batch.schema()).expect("bound");
        let mut rejects = Rejects::default();
        // Labels go spiral, elliptical, merger, and that of row 6 is null.
        let out = filter.apply(batch, &mut rejects).expect("filtered");
        let rows: Vec<u64> = (0..out.num_rows()).map(|i| row_number(&out, i).expect("a number")).collect();
        assert_eq!((rows, rejects.filtered, rejects.rejected.len()), (vec![2, 3, 5], 4, 0));
    }
}
