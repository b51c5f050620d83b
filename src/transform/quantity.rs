//! A number of a setting that may be the same for all rows, differ by band, come from a column, or be switched off.

use std::{collections::BTreeMap, ops::RangeInclusive};

use arrow::{
    array::{Array, AsArray, Float64Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::column_of,
    error::{Code, Diagnostic, Result},
    stage::ColumnRef,
};

/// A number, `off`, `{ column: NAME }`, or one of these per band: `{ g: 0.8, r: { column: seeing_r } }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Quantity {
    /// One number for all rows and bands.
    Value(f64),
    /// Without it.
    Off(Off),
    /// The number that a column has for the row.
    Column(ColumnName),
    /// By band; bands that are not named keep the default.
    Bands(BTreeMap<String, BandQuantity>),
}

/// The number of one band: a number, or `{ column: NAME }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BandQuantity {
    /// One number for all rows.
    Value(f64),
    /// The number that a column has for the row.
    Column(ColumnName),
}

/// A column by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnName {
    /// The column, of numbers.
    pub column: String,
}

/// Switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Off {
    /// Without it.
    #[serde(rename = "off")]
    Off,
}

impl From<f64> for Quantity {
    fn from(value: f64) -> Self {
        Self::Value(value)
    }
}

impl Quantity {
    /// Without it.
    pub const OFF: Self = Self::Off(Off::Off);

    /// The number of a column.
    pub fn column(name: impl Into<String>) -> Self {
        Self::Column(ColumnName { column: name.into() })
    }

    /// The columns it reads, as needs of a setting.
    pub fn required_columns(&self, key: &str) -> Vec<ColumnRef> {
        match self {
            Self::Value(_) | Self::Off(_) => Vec::new(),
            Self::Column(name) => vec![ColumnRef::new(&format!("{key}.column"), &name.column)],
            Self::Bands(bands) => bands
                .iter()
                .filter_map(|(band, quantity)| match quantity {
                    BandQuantity::Value(_) => None,
                    BandQuantity::Column(name) => Some(ColumnRef::new(&format!("{key}.{band}.column"), &name.column)),
                })
                .collect(),
        }
    }
}

/// What a quantity may be and is when nothing is said.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// The key of the setting.
    pub key: &'a str,
    /// The bands of the image, in order.
    pub bands: &'a [String],
    /// The number of each band when the setting does not give it; NaN when it has to.
    pub default: Vec<f64>,
    /// The number that stands for `off`; `None` when it cannot be switched off.
    pub off: Option<f64>,
    /// Numbers that make sense.
    pub range: RangeInclusive<f64>,
}

/// A quantity of known columns: one term per band.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    key: String,
    range: RangeInclusive<f64>,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Constant(f64),
    Column(String),
}

/// Checks a quantity against its rules and the columns there are. All mistakes at once.
pub fn bind(quantity: Option<&Quantity>, rules: &Rules, input: &Schema) -> Result<Bound, Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    let number = |key: &str, value: f64, mistakes: &mut Vec<Diagnostic>| {
        if !rules.range.contains(&value) {
            mistakes.push(Diagnostic::at(
                key,
                Code::OutOfRange,
                format!("`{value}` is out of range; expected {}", spoken(&rules.range)),
            ));
        }
        Term::Constant(value)
    };
    let defaults = || rules.default.iter().copied().map(Term::Constant).collect::<Vec<_>>();
    let key = rules.key;
    let terms = match quantity {
        None => defaults(),
        Some(Quantity::Value(value)) => vec![number(key, *value, &mut mistakes); rules.bands.len()],
        Some(Quantity::Column(name)) => vec![Term::Column(name.column.clone()); rules.bands.len()],
        Some(Quantity::Off(_)) => match rules.off {
            Some(value) => vec![Term::Constant(value); rules.bands.len()],
            None => {
                mistakes.push(Diagnostic::at(key, Code::WrongType, "this cannot be switched off"));
                defaults()
            }
        },
        Some(Quantity::Bands(bands)) => {
            let mut terms = defaults();
            for (band, quantity) in bands {
                let at = format!("{key}.{band}");
                let term = match quantity {
                    BandQuantity::Value(value) => number(&at, *value, &mut mistakes),
                    BandQuantity::Column(name) => Term::Column(name.column.clone()),
                };
                match rules.bands.iter().position(|known| known == band) {
                    Some(index) => terms[index] = term,
                    None => mistakes.push(unknown_band(&at, band, rules.bands)),
                }
            }
            for (band, term) in rules.bands.iter().zip(&terms) {
                if matches!(term, Term::Constant(value) if value.is_nan()) {
                    mistakes.push(Diagnostic::at(key, Code::MissingKey, format!("band `{band}` is missing")));
                }
            }
            terms
        }
    };
    for need in quantity.map(|quantity| quantity.required_columns(key)).unwrap_or_default() {
        if let Ok(field) = input.field_with_name(&need.column)
            && !field.data_type().is_numeric()
        {
            let found = field.data_type();
            mistakes.push(Diagnostic::at(
                &need.key,
                Code::WrongColumn,
                format!("column `{}` is {found}; expected numbers", need.column),
            ));
        }
    }
    if mistakes.is_empty() {
        Ok(Bound { key: key.to_owned(), range: rules.range.clone(), terms })
    } else {
        Err(mistakes)
    }
}

/// Checks several quantities, each against its own rules. All mistakes at once.
pub(crate) fn bind_all(each: &[(Option<&Quantity>, Rules)], input: &Schema) -> Result<Vec<Bound>, Vec<Diagnostic>> {
    let (mut bounds, mut mistakes) = (Vec::new(), Vec::new());
    for (quantity, rules) in each {
        match bind(*quantity, rules, input) {
            Ok(bound) => bounds.push(bound),
            Err(wrong) => mistakes.extend(wrong),
        }
    }
    if mistakes.is_empty() { Ok(bounds) } else { Err(mistakes) }
}

fn unknown_band(key: &str, band: &str, bands: &[String]) -> Diagnostic {
    let mistake = Diagnostic::at(
        key,
        Code::OutOfRange,
        format!("the image has no band `{band}`; its bands are `{}`", bands.join("`, `")),
    );
    mistake.suggest(band, bands.iter().map(String::as_str), "bands")
}

fn spoken(range: &RangeInclusive<f64>) -> String {
    let low = match *range.start() {
        low if low == f64::MIN_POSITIVE => "a number above 0".to_owned(),
        low if low == f64::MIN => "a number".to_owned(),
        low => format!("at least {low}"),
    };
    if *range.end() == f64::MAX { low } else { format!("{low} and at most {}", range.end()) }
}

impl Bound {
    /// The number of each band, when it is the same for all rows.
    pub fn constant(&self) -> Option<Vec<f64>> {
        self.terms
            .iter()
            .map(|term| match term {
                Term::Constant(value) => Some(*value),
                Term::Column(_) => None,
            })
            .collect()
    }

    /// The numbers of a batch.
    pub fn read(&self, batch: &RecordBatch) -> Result<Numbers<'_>> {
        let columns = self.terms.iter().map(|term| match term {
            Term::Constant(_) => Ok(None),
            Term::Column(name) => {
                let numbers = cast(column_of(batch, name)?, &DataType::Float64)?;
                Ok(Some(numbers.as_primitive::<Float64Type>().clone()))
            }
        });
        Ok(Numbers { bound: self, columns: columns.collect::<Result<_>>()? })
    }
}

/// The numbers that a quantity has in a batch.
#[derive(Debug)]
pub struct Numbers<'a> {
    bound: &'a Bound,
    columns: Vec<Option<Float64Array>>,
}

impl Numbers<'_> {
    /// The number of a row and band, or why the row has to be rejected.
    pub fn get(&self, row: usize, band: usize) -> Result<f64, String> {
        match (&self.bound.terms[band], &self.columns[band]) {
            (Term::Constant(value), _) => Ok(*value),
            (Term::Column(name), Some(column)) => {
                let value = if column.is_valid(row) { column.value(row) } else { f64::NAN };
                if self.bound.range.contains(&value) {
                    return Ok(value);
                }
                let found = if column.is_valid(row) { value.to_string() } else { "null".to_owned() };
                let (key, range) = (&self.bound.key, spoken(&self.bound.range));
                Err(format!("column `{name}` for `{key}` is {found}; expected {range}"))
            }
            (Term::Column(name), None) => Err(format!("column `{name}` was not read")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Int32Array, StringArray},
        datatypes::Field,
    };

    use super::*;

    fn rules(bands: &[String]) -> Rules<'_> {
        Rules { key: "airmass", bands, default: vec![1.2; bands.len()], off: None, range: 1.0..=10.0 }
    }

    fn parse(json: &str) -> Quantity {
        serde_json::from_str(json).expect("a quantity")
    }

    #[test]
    fn every_spelling_is_read_and_written_back() {
        for json in ["1.5", "\"off\"", r#"{"column":"x"}"#, r#"{"g":1.5,"r":{"column":"x"}}"#] {
            assert_eq!(serde_json::to_string(&parse(json)).expect("json"), json);
        }
        assert!(serde_json::from_str::<Quantity>("\"on\"").is_err());
    }

    #[test]
    fn bands_keep_the_default_where_they_are_not_named() {
        let bands = ["g".to_owned(), "r".to_owned()];
        let bound = bind(Some(&parse(r#"{"r":1.5}"#)), &rules(&bands), &Schema::empty()).expect("bound");
        assert_eq!(bound.constant(), Some(vec![1.2, 1.5]));
        assert_eq!(bind(None, &rules(&bands), &Schema::empty()).expect("bound").constant(), Some(vec![1.2, 1.2]));
    }

    #[test]
    fn all_mistakes_are_told_where_they_are() {
        let bands = ["g".to_owned(), "r".to_owned()];
        let schema = Schema::new(vec![Field::new("name", DataType::Utf8, false)]);
        let wrong = parse(r#"{"g":0.5,"i":2.0,"r":{"column":"name"}}"#);
        let mistakes = bind(Some(&wrong), &rules(&bands), &schema).expect_err("three mistakes");
        let mut told: Vec<String> = mistakes.iter().map(|mistake| mistake.path.join(".")).collect();
        told.sort();
        assert_eq!(told, ["airmass.g", "airmass.i", "airmass.r.column"]);
        assert!(bind(Some(&Quantity::OFF), &rules(&bands), &schema).is_err());
    }

    #[test]
    fn a_column_gives_the_number_of_the_row_or_the_reason_to_reject_it() {
        let bands = ["g".to_owned()];
        let batch = RecordBatch::try_from_iter(vec![
            ("x", Arc::new(Int32Array::from(vec![Some(2), None, Some(-3)])) as ArrayRef),
            ("t", Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef),
        ])
        .expect("a batch");
        let bound = bind(Some(&Quantity::column("x")), &rules(&bands), &batch.schema()).expect("bound");
        assert_eq!(bound.constant(), None);
        let numbers = bound.read(&batch).expect("numbers");
        assert_eq!(numbers.get(0, 0), Ok(2.0));
        assert!(numbers.get(1, 0).expect_err("null").contains("is null; expected at least 1"));
        assert!(numbers.get(2, 0).expect_err("negative").contains("is -3"));
    }
}
