//! `filter`: keeps the rows that meet every condition; the others are counted, not rejected.
//!
//! A condition is `column OP value` with one of `<`, `<=`, `>`, `>=`, `==`, `!=`; `column in [value, ...]`;
//! `column not in [value, ...]`; `column is null`; or `column is not null`. A value is a number, `true`, `false` or a text,
//! with quotes where it holds blanks or signs; a column of an odd name stands in backticks. A null and a NaN meet no
//! condition but `is null`. Texts are compared for equality only. Numbers are compared exactly: integers as integers, and
//! with a float32 column the value is rounded to float32 first, so that `x <= 22.1` holds for a stored 22.1.

use std::cmp::Ordering;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema, UInt64Type},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    batch::column_of,
    error::{Code, Mistake, Result},
    stage::{Need, Rejects, Settings, Transform},
};

/// Keeps the rows that meet every condition. Makes no column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The conditions, for instance `r_magnitude < 22`, `label in [spiral, merger]`, `visit is not null`.
    #[schemars(length(min = 1))]
    pub keep: Vec<String>,
}

impl Settings<dyn Transform> for Filter {
    const NAME: &'static str = "filter";

    fn build(self, _: &str) -> Result<Box<dyn Transform>, Vec<Mistake>> {
        let parsed = self.keep.iter().enumerate().map(|(i, text)| {
            Condition::parse(text).map_err(|reason| {
                Mistake::at(&format!("keep.{i}"), Code::WrongType, format!("`{text}` is no condition: {reason}"))
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
            mistakes.push(Mistake::at("keep", Code::MissingKey, "`keep` has no condition"));
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
    fn needs(&self) -> Vec<Need> {
        let numbered = self.conditions.iter().enumerate();
        numbered.map(|(i, condition)| Need::new(&format!("keep.{i}"), &condition.column)).collect()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Mistake>> {
        let numbered = self.conditions.iter().enumerate();
        let mistakes = numbered.filter_map(|(i, condition)| {
            let key = format!("keep.{i}");
            let field = match super::column(input, &key, &condition.column) {
                Ok(field) => field,
                Err(mistake) => return Some(mistake),
            };
            condition.fits(&key, field.data_type()).err()
        });
        let mistakes: Vec<Mistake> = mistakes.collect();
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

/// A condition on a column.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    column: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// Is null, or is not.
    Null(bool),
    /// Is one of some values, or is not.
    OneOf(bool, Vec<Value>),
    /// Is before or after a value, or equal to it where that is allowed.
    Ordered { side: Ordering, or_equal: bool, than: Value },
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
struct Value {
    text: String,
    number: Option<Number>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    fn real(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }
}

/// What columns hold, as far as conditions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Whole,
    Single,
    Double,
    Text,
    Bool,
    Other,
}

impl Family {
    fn of(kind: &DataType) -> Self {
        match kind {
            kind if kind.is_integer() => Self::Whole,
            DataType::Float16 | DataType::Float32 => Self::Single,
            DataType::Float64 => Self::Double,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Dictionary(_, values) if Self::of(values) == Self::Text => Self::Text,
            DataType::Boolean => Self::Bool,
            _ => Self::Other,
        }
    }
}

impl Test {
    fn values(&self) -> &[Value] {
        match self {
            Self::Null(_) => &[],
            Self::OneOf(_, values) => values,
            Self::Ordered { than, .. } => std::slice::from_ref(than),
        }
    }

    /// Whether a number that is no null meets the test; `compare` is how it stands to a value.
    fn met(&self, compare: impl Fn(&Value) -> Option<Ordering>) -> bool {
        match self {
            Self::Null(wanted) => !wanted,
            Self::OneOf(wanted, values) => {
                values.iter().any(|value| compare(value) == Some(Ordering::Equal)) == *wanted
            }
            Self::Ordered { side, or_equal, than } => {
                let order = compare(than);
                order == Some(*side) || (*or_equal && order == Some(Ordering::Equal))
            }
        }
    }
}

impl Condition {
    /// Whether a column of a type can be asked this.
    fn fits(&self, key: &str, kind: &DataType) -> Result<(), Mistake> {
        let column = &self.column;
        let wrong = |code, message: String| Err(Mistake::at(key, code, message));
        let family = Family::of(kind);
        if matches!(self.test, Test::Null(_)) {
            return Ok(());
        }
        if family == Family::Other {
            return wrong(Code::WrongColumn, format!("column `{column}` holds {kind}, which no condition compares"));
        }
        if matches!(family, Family::Text | Family::Bool) && matches!(self.test, Test::Ordered { .. }) {
            return wrong(
                Code::WrongColumn,
                format!("column `{column}` holds {kind}, which has no order; use `==` or `in`"),
            );
        }
        let fine = |value: &&Value| match family {
            Family::Text | Family::Other => true,
            Family::Bool => value.text == "true" || value.text == "false",
            Family::Whole | Family::Single | Family::Double => value.number.is_some(),
        };
        match self.test.values().iter().find(|value| !fine(value)) {
            Some(value) => wrong(
                Code::WrongType,
                format!("`{}` is compared with column `{column}`, which holds {kind}", value.text),
            ),
            None => Ok(()),
        }
    }

    /// Clears the rows that do not meet the condition.
    fn mark(&self, array: &ArrayRef, keep: &mut [bool]) -> Result<()> {
        let nulls = array.logical_nulls();
        let null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let test = &self.test;
        let mut each = |nan: &dyn Fn(usize) -> bool, met: &dyn Fn(usize) -> bool| {
            for (row, keep) in keep.iter_mut().enumerate().filter(|(_, keep)| **keep) {
                *keep = if null(row) || nan(row) { *test == Test::Null(true) } else { met(row) };
            }
        };
        match Family::of(array.data_type()) {
            Family::Whole if array.data_type().is_unsigned_integer() => {
                let array = cast(array, &DataType::UInt64)?;
                let values = array.as_primitive::<UInt64Type>().values();
                each(&|_| false, &|row| test.met(|value| order_whole(i128::from(values[row]), value)));
            }
            Family::Whole => {
                let array = cast(array, &DataType::Int64)?;
                let values = array.as_primitive::<Int64Type>().values();
                each(&|_| false, &|row| test.met(|value| order_whole(i128::from(values[row]), value)));
            }
            family @ (Family::Single | Family::Double) => {
                let array = cast(array, &DataType::Float64)?;
                let values = array.as_primitive::<Float64Type>().values();
                let stored = |number: f64| if family == Family::Single { f64::from(number as f32) } else { number };
                each(&|row| values[row].is_nan(), &|row| {
                    test.met(|value| values[row].partial_cmp(&stored(value.number?.real())))
                });
            }
            Family::Text | Family::Bool => {
                let array = cast(array, &DataType::Utf8)?;
                let values = array.as_string::<i32>();
                each(&|_| false, &|row| test.met(|value| Some(values.value(row).cmp(&value.text))));
            }
            Family::Other => each(&|_| false, &|_| test.met(|_| None)),
        }
        Ok(())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut tokens = tokens.iter();
        let column = match tokens.next() {
            Some(Token::Word(name) | Token::Name(name)) => name.clone(),
            _ => return Err("it does not begin with a column".into()),
        };
        let rest: Vec<&Token> = tokens.collect();
        let word = |token: &Token, word: &str| matches!(token, Token::Word(text) if text == word);
        let test = match rest.as_slice() {
            [Token::Sign(sign), value] => compare(sign, value)?,
            [is, null] if word(is, "is") && word(null, "null") => Test::Null(true),
            [is, not, null] if word(is, "is") && word(not, "not") && word(null, "null") => Test::Null(false),
            [within, list @ ..] if word(within, "in") => Test::OneOf(true, values(list)?),
            [not, within, list @ ..] if word(not, "not") && word(within, "in") => Test::OneOf(false, values(list)?),
            [Token::Sign(_)] => return Err("the value is missing".into()),
            [Token::Sign(_), ..] => return Err("more than one value; put a text with blanks in quotes".into()),
            _ => return Err(format!("`{column}` is followed by no comparison")),
        };
        Ok(Self { column, test })
    }
}

fn order_whole(number: i128, value: &Value) -> Option<Ordering> {
    match value.number? {
        Number::Whole(value) => Some(number.cmp(&value)),
        Number::Real(value) => (number as f64).partial_cmp(&value),
    }
}

fn compare(sign: &str, value: &Token) -> Result<Test, String> {
    let than = value.value().ok_or("the value is missing")?;
    let (side, or_equal) = match sign {
        "<" => (Ordering::Less, false),
        "<=" => (Ordering::Less, true),
        ">" => (Ordering::Greater, false),
        ">=" => (Ordering::Greater, true),
        "==" => return Ok(Test::OneOf(true, vec![than])),
        "!=" => return Ok(Test::OneOf(false, vec![than])),
        "=" => return Err("`=` compares nothing, write `==`".into()),
        sign => return Err(format!("`{sign}` is no comparison")),
    };
    Ok(Test::Ordered { side, or_equal, than })
}

fn values(list: &[&Token]) -> Result<Vec<Value>, String> {
    let sign = |token: &Token, sign: &str| matches!(token, Token::Sign(text) if text == sign);
    match list {
        [open, inner @ .., close] if sign(open, "[") && sign(close, "]") && !inner.is_empty() => {
            let parts = inner.split(|token| sign(token, ","));
            let value = |part: &[&Token]| if let [value] = part { value.value() } else { None };
            parts.map(value).collect::<Option<_>>().ok_or_else(|| "the list is not one of values with commas".into())
        }
        _ => Err("`in` is followed by no list: `[a, b]`".into()),
    }
}

/// A piece of a condition.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// Letters and digits.
    Word(String),
    /// In quotes.
    Text(String),
    /// In backticks.
    Name(String),
    /// `<=`, `[`, `,` and so on.
    Sign(String),
}

impl Token {
    fn value(&self) -> Option<Value> {
        match self {
            Self::Word(text) => {
                let whole = text.parse().map(Number::Whole).ok();
                let number = whole.or_else(|| text.parse().ok().filter(|x: &f64| !x.is_nan()).map(Number::Real));
                Some(Value { text: text.clone(), number })
            }
            Self::Text(text) => Some(Value { text: text.clone(), number: None }),
            Self::Name(_) | Self::Sign(_) => None,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => {
                let inner = &rest[1..];
                let end = inner.find(first).ok_or_else(|| format!("a {first} is not closed"))?;
                let inner = inner[..end].to_owned();
                tokens.push(if first == '`' { Token::Name(inner) } else { Token::Text(inner) });
                end + 2
            }
            '[' | ']' | ',' => {
                tokens.push(Token::Sign(first.into()));
                1
            }
            '<' | '>' | '=' | '!' => {
                let length = if rest[1..].starts_with('=') { 2 } else { 1 };
                tokens.push(Token::Sign(rest[..length].to_owned()));
                length
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || "'\"`[],<>=!".contains(c);
                let length = rest.find(ends).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..length].to_owned()));
                length
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{BooleanArray, DictionaryArray, Float32Array, Int64Array, StringArray, UInt8Array},
        datatypes::Int32Type,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::transform::contract::{batch, bound};

    /// Five rows of every sort of column.
    fn table() -> RecordBatch {
        let text = vec![Some("spiral"), Some("merger"), None, Some("a b"), Some("7")];
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("text", Arc::new(StringArray::from(text.clone()))),
            ("class", Arc::new(text.into_iter().collect::<DictionaryArray<Int32Type>>())),
            (
                "single",
                Arc::new(Float32Array::from(vec![Some(22.1), Some(-1.5), None, Some(f32::NAN), Some(f32::INFINITY)])),
            ),
            ("id", Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX - 1, -3, 0, 7]))),
            ("visits", Arc::new(UInt8Array::from(vec![Some(1), Some(2), Some(3), None, Some(255)]))),
            ("odd name", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(false)]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .expect("a batch")
    }

    fn kept(condition: &str) -> Vec<usize> {
        let mut keep = vec![true; 5];
        let condition = Condition::parse(condition).expect("a condition");
        let table = table();
        let array = column_of(&table, &condition.column).expect("a column");
        condition.fits("keep.0", array.data_type()).expect("fitting");
        condition.mark(array, &mut keep).expect("marked");
        (0..5).filter(|row| keep[*row]).collect()
    }

    #[test]
    fn conditions_keep_the_rows_they_name() {
        for (condition, rows) in [
            ("text == spiral", &[0][..]),
            ("text != merger", &[0, 3, 4]),
            ("text in [spiral, 'a b']", &[0, 3]),
            ("text not in [spiral, \"a b\"]", &[1, 4]),
            ("text == 7", &[4]),
            ("text is null", &[2]),
            ("class != spiral", &[1, 3, 4]),
            ("class is not null", &[0, 1, 3, 4]),
            ("single<=22.1", &[0, 1]),
            ("single < 22.1", &[1]),
            ("single == 22.1", &[0]),
            ("single != 22.1", &[1, 4]),
            ("single > -1e3", &[0, 1, 4]),
            ("single is null", &[2, 3]),
            ("single is not null", &[0, 1, 4]),
            ("id == 9223372036854775807", &[0]),
            ("id < 9223372036854775807", &[1, 2, 3, 4]),
            ("id >= -2.5", &[0, 1, 3, 4]),
            ("id in [-3, 7]", &[2, 4]),
            ("visits > 1", &[1, 2, 4]),
            ("visits not in [2]", &[0, 2, 4]),
            ("visits > -1", &[0, 1, 2, 4]),
            ("`odd name` == true", &[0, 3]),
            ("`odd name` != true", &[1, 4]),
        ] {
            assert_eq!(kept(condition), rows, "{condition}");
        }
    }

    #[test]
    fn what_is_no_condition_is_said_to_be_none() {
        for (text, reason) in [
            ("", "it does not begin with a column"),
            ("< 3", "it does not begin with a column"),
            ("a", "`a` is followed by no comparison"),
            ("a 3", "`a` is followed by no comparison"),
            ("a <", "the value is missing"),
            ("a = 3", "`=` compares nothing, write `==`"),
            ("a ! 3", "`!` is no comparison"),
            ("a == b c", "more than one value; put a text with blanks in quotes"),
            ("a in b", "`in` is followed by no list: `[a, b]`"),
            ("a in []", "`in` is followed by no list: `[a, b]`"),
            ("a in [b c]", "the list is not one of values with commas"),
            ("a in [b,]", "the list is not one of values with commas"),
            ("a == 'b", "a ' is not closed"),
        ] {
            assert_eq!(Condition::parse(text).expect_err(text), reason, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_condition_or_says_why_not(
            text in "([a-z]{1,4}|<|>=|==|=|!|in|not|is|null|\\[|\\]|,|'|\"|`|-?[0-9.]{1,4}|é| ){0,9}",
        ) {
            if let Err(reason) = Condition::parse(&text) {
                prop_assert!(!reason.is_empty());
            }
        }

        #[test]
        fn a_number_as_written_is_compared_as_it_is(number in any::<i64>()) {
            let condition = Condition::parse(&format!("id <= {number}")).expect("a condition");
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![number, number.saturating_add(1)]));
            let mut keep = vec![true; 2];
            condition.mark(&numbers, &mut keep).expect("marked");
            prop_assert_eq!(keep, [true, number == i64::MAX]);
        }
    }

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
