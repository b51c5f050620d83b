//! Quantities: numbers of a setting that are the same for all rows, differ by band, come from a column, or are switched off.

mod bound;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::bound::{BoundQuantity, QuantityRules, QuantityValues, bind_all};
use crate::stage::ColumnRef;

/// A number, `off`, `{ column: NAME }`, or one of these per band: `{ g: 0.8, r: { column: seeing_r } }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Quantity {
    /// One number for all rows and bands.
    Value(f64),
    /// Switched off.
    Off(Off),
    /// The number in a column, row by row.
    Column(ColumnName),
    /// By band; bands that are not named keep the default.
    Bands(BTreeMap<String, BandQuantity>),
}

/// The quantity of one band: a number, or `{ column: NAME }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BandQuantity {
    /// One number for all rows.
    Value(f64),
    /// The number in a column, row by row.
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
    /// Switched off.
    #[serde(rename = "off")]
    Off,
}

impl From<f64> for Quantity {
    fn from(value: f64) -> Self {
        Self::Value(value)
    }
}

impl Quantity {
    /// Switched off.
    pub const OFF: Self = Self::Off(Off::Off);

    /// The number in a column.
    pub fn column(name: impl Into<String>) -> Self {
        Self::Column(ColumnName { column: name.into() })
    }

    /// The columns it reads as the value of a key.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling_and_writes_it_back() {
        for json in ["1.5", "\"off\"", r#"{"column":"x"}"#, r#"{"g":1.5,"r":{"column":"x"}}"#] {
            let quantity: Quantity = serde_json::from_str(json).expect("a quantity");
            assert_eq!(serde_json::to_string(&quantity).expect("json"), json);
        }
        assert!(serde_json::from_str::<Quantity>("\"on\"").is_err());
    }
}
