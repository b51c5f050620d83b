//! Quantities whose bands and columns are known, and their values in a batch.

use std::ops::RangeInclusive;

use arrow::{
    array::{Array, AsArray, Float64Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Schema},
};

use super::{BandQuantity, Quantity};
use crate::{
    batch::column_of,
    error::{Code, Diagnostic, Result},
    transform::diagnostics::band_not_in_image,
};

/// What a quantity may be, and what it is when it is not set.
#[derive(Debug, Clone)]
pub(crate) struct QuantityRules<'a> {
    /// The key of the setting.
    pub(crate) key: &'a str,
    /// The bands of the image, in order.
    pub(crate) bands: &'a [String],
    /// The number of each band when the setting does not give it; NaN when it must.
    pub(crate) default: Vec<f64>,
    /// The number that `off` means; `None` when the quantity cannot be switched off.
    pub(crate) off: Option<f64>,
    /// The range of valid numbers.
    pub(crate) range: RangeInclusive<f64>,
}

/// A quantity that was checked against an image and the columns of the stream: one term per band.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoundQuantity {
    key: String,
    range: RangeInclusive<f64>,
    terms: Vec<BandTerm>,
}

/// Where the number of a band comes from.
#[derive(Debug, Clone, PartialEq)]
enum BandTerm {
    Constant(f64),
    Column(String),
}

impl QuantityRules<'_> {
    /// Checks a quantity (`None` when it is not set) against these rules and the columns of the stream.
    /// Returns all mistakes at once.
    pub(crate) fn bind(&self, quantity: Option<&Quantity>, input: &Schema) -> Result<BoundQuantity, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let terms = self.terms(quantity, &mut mistakes);
        for required in quantity.map(|quantity| quantity.required_columns(self.key)).unwrap_or_default() {
            // A column that is missing altogether is reported by the planner.
            if let Ok(field) = input.field_with_name(&required.column)
                && !field.data_type().is_numeric()
            {
                let message = format!("column `{}` holds {}; expected numbers", required.column, field.data_type());
                mistakes.push(Diagnostic::at(&required.key, Code::WrongColumn, message));
            }
        }
        if mistakes.is_empty() {
            Ok(BoundQuantity { key: self.key.to_owned(), range: self.range.clone(), terms })
        } else {
            Err(mistakes)
        }
    }

    fn terms(&self, quantity: Option<&Quantity>, mistakes: &mut Vec<Diagnostic>) -> Vec<BandTerm> {
        let defaults = || self.default.iter().copied().map(BandTerm::Constant).collect::<Vec<_>>();
        let same = |term| vec![term; self.bands.len()];
        match quantity {
            None => defaults(),
            Some(Quantity::Value(value)) => same(self.constant(self.key, *value, mistakes)),
            Some(Quantity::Column(name)) => same(BandTerm::Column(name.column.clone())),
            Some(Quantity::Off(_)) => {
                if let Some(value) = self.off {
                    return same(BandTerm::Constant(value));
                }
                let message = format!("`{}` cannot be `off`", self.key);
                mistakes.push(Diagnostic::at(self.key, Code::WrongType, message));
                defaults()
            }
            Some(Quantity::Bands(by_band)) => {
                let mut terms = defaults();
                for (band, quantity) in by_band {
                    let key = format!("{}.{band}", self.key);
                    let term = match quantity {
                        BandQuantity::Value(value) => self.constant(&key, *value, mistakes),
                        BandQuantity::Column(name) => BandTerm::Column(name.column.clone()),
                    };
                    match self.bands.iter().position(|known| known == band) {
                        Some(index) => terms[index] = term,
                        None => mistakes.push(band_not_in_image(&key, band, self.bands)),
                    }
                }
                for (band, term) in self.bands.iter().zip(&terms) {
                    if matches!(term, BandTerm::Constant(value) if value.is_nan()) {
                        let message = format!("`{}` has no value for band `{band}`", self.key);
                        mistakes.push(Diagnostic::at(self.key, Code::MissingKey, message));
                    }
                }
                terms
            }
        }
    }

    fn constant(&self, key: &str, value: f64, mistakes: &mut Vec<Diagnostic>) -> BandTerm {
        if !self.range.contains(&value) {
            let message = format!("`{value}` is out of range; expected {}", describe(&self.range));
            mistakes.push(Diagnostic::at(key, Code::OutOfRange, message));
        }
        BandTerm::Constant(value)
    }
}

/// Checks several quantities, each against its own rules. All mistakes at once.
pub(crate) fn bind_all(
    settings: &[(Option<&Quantity>, QuantityRules)],
    input: &Schema,
) -> Result<Vec<BoundQuantity>, Vec<Diagnostic>> {
    let (mut bound, mut mistakes) = (Vec::new(), Vec::new());
    for (quantity, rules) in settings {
        match rules.bind(*quantity, input) {
            Ok(quantity) => bound.push(quantity),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(bound) } else { Err(mistakes) }
}

fn describe(range: &RangeInclusive<f64>) -> String {
    let low = match *range.start() {
        low if low == f64::MIN_POSITIVE => "a number above 0".to_owned(),
        low if low == f64::MIN => "a number".to_owned(),
        low => format!("at least {low}"),
    };
    if *range.end() == f64::MAX { low } else { format!("{low} and at most {}", range.end()) }
}

impl BoundQuantity {
    /// The number of each band, when it is the same for all rows.
    pub(crate) fn constant(&self) -> Option<Vec<f64>> {
        self.terms
            .iter()
            .map(|term| match term {
                BandTerm::Constant(value) => Some(*value),
                BandTerm::Column(_) => None,
            })
            .collect()
    }

    /// The values in a batch.
    pub(crate) fn read(&self, batch: &RecordBatch) -> Result<QuantityValues<'_>> {
        let columns = self.terms.iter().map(|term| match term {
            BandTerm::Constant(_) => Ok(None),
            BandTerm::Column(name) => {
                let numbers = cast(column_of(batch, name)?, &DataType::Float64)?;
                Ok(Some(numbers.as_primitive::<Float64Type>().clone()))
            }
        });
        Ok(QuantityValues { quantity: self, columns: columns.collect::<Result<_>>()? })
    }
}

/// The values of a quantity in a batch.
#[derive(Debug)]
pub(crate) struct QuantityValues<'a> {
    quantity: &'a BoundQuantity,
    columns: Vec<Option<Float64Array>>,
}

impl QuantityValues<'_> {
    /// The number of a row and band, or why the row is rejected: the column is null or out of range.
    pub(crate) fn get(&self, row: usize, band: usize) -> Result<f64, String> {
        match (&self.quantity.terms[band], &self.columns[band]) {
            (BandTerm::Constant(value), _) => Ok(*value),
            (BandTerm::Column(name), Some(column)) => {
                let value = if column.is_valid(row) { column.value(row) } else { f64::NAN };
                if self.quantity.range.contains(&value) {
                    return Ok(value);
                }
                let found = if column.is_valid(row) { value.to_string() } else { "null".to_owned() };
                let (key, range) = (&self.quantity.key, describe(&self.quantity.range));
                Err(format!("column `{name}` for `{key}` is {found}; expected {range}"))
            }
            (BandTerm::Column(name), None) => Err(format!("column `{name}` was not read")),
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

    fn rules(bands: &[String]) -> QuantityRules<'_> {
        QuantityRules { key: "airmass", bands, default: vec![1.2; bands.len()], off: None, range: 1.0..=10.0 }
    }

    fn parse(json: &str) -> Quantity {
        serde_json::from_str(json).expect("a quantity")
    }

    #[test]
    fn bands_that_are_not_named_keep_the_default() {
        let bands = ["g".to_owned(), "r".to_owned()];
        let bound = rules(&bands).bind(Some(&parse(r#"{"r":1.5}"#)), &Schema::empty()).expect("bound");
        assert_eq!(bound.constant(), Some(vec![1.2, 1.5]));
        let default = rules(&bands).bind(None, &Schema::empty()).expect("bound");
        assert_eq!(default.constant(), Some(vec![1.2, 1.2]));
    }

    #[test]
    fn reports_every_mistake_at_its_key() {
        let bands = ["g".to_owned(), "r".to_owned()];
        let schema = Schema::new(vec![Field::new("name", DataType::Utf8, false)]);
        let wrong = parse(r#"{"g":0.5,"i":2.0,"r":{"column":"name"}}"#);
        let mistakes = rules(&bands).bind(Some(&wrong), &schema).expect_err("three mistakes");
        let mut keys: Vec<String> = mistakes.iter().map(|mistake| mistake.path.join(".")).collect();
        keys.sort();
        assert_eq!(keys, ["airmass.g", "airmass.i", "airmass.r.column"]);
        assert!(rules(&bands).bind(Some(&Quantity::OFF), &schema).is_err());
    }

    #[test]
    fn a_column_yields_the_number_of_the_row_or_the_reason_to_reject_it() {
        let bands = ["g".to_owned()];
        let batch = RecordBatch::try_from_iter(vec![
            ("x", Arc::new(Int32Array::from(vec![Some(2), None, Some(-3)])) as ArrayRef),
            ("t", Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef),
        ])
        .expect("a batch");
        let bound = rules(&bands).bind(Some(&Quantity::column("x")), &batch.schema()).expect("bound");
        assert_eq!(bound.constant(), None);
        let values = bound.read(&batch).expect("values");
        assert_eq!(values.get(0, 0), Ok(2.0));
        assert!(values.get(1, 0).expect_err("null").contains("is null; expected at least 1"));
        assert!(values.get(2, 0).expect_err("negative").contains("is -3"));
    }
}
