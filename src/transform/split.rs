//! `split`: the part of every object (train, valid or test), by a hash of its identity.
//!
//! h = (the first 8 bytes of SHA-256 over `lucarne split`, a zero byte and the identity, big-endian, without the lowest 11
//! bits) / 2^53, in [0, 1). The part is `train` where h < train, `valid` where h < train + valid, `test` otherwise. It depends
//! on the identity alone, not on the seed of a run: an object stays in its part when others come or go, in any pipeline,
//! and its observed, flipped and perturbed versions stay with it.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    batch::{OBJECT_ID, text_column, with_columns},
    error::{Code, Diagnostic, Result},
    stage::{ColumnRef, Rejects, Settings, Transform},
};

/// Says which part an object is in: `train`, `valid` or `test`. The shares are expected ones, and add up to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Split {
    /// The text column that tells objects apart: name that of the galaxy where rows are several versions of one.
    pub by: String,
    /// Share that models learn from.
    #[schemars(range(min = 0, max = 1))]
    pub train: f64,
    /// Share that choices are made on: when to stop, which settings to take.
    #[schemars(range(min = 0, max = 1))]
    pub valid: f64,
    /// Share that nothing is chosen on.
    #[schemars(range(min = 0, max = 1))]
    pub test: f64,
}

impl Default for Split {
    fn default() -> Self {
        Self { by: OBJECT_ID.into(), train: 0.7, valid: 0.1, test: 0.2 }
    }
}

impl Settings<dyn Transform> for Split {
    const NAME: &'static str = "split";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let sum = self.train + self.valid + self.test;
        if (sum - 1.0).abs() > 1e-9 {
            let message = format!("`train`, `valid` and `test` add up to {sum}, expected 1");
            return Err(vec![Diagnostic::at("", Code::OutOfRange, message)]);
        }
        Ok(Box::new(Splitting { label: label.to_owned(), settings: self }))
    }
}

#[derive(Debug, Clone)]
struct Splitting {
    label: String,
    settings: Split,
}

impl Transform for Splitting {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("by", &self.settings.by)]
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let by = super::column(input, "by", &self.settings.by).map_err(|mistake| vec![mistake])?;
        if by.data_type() != &DataType::Utf8 {
            let message = format!("column `{}` holds {}, expected text", by.name(), by.data_type());
            return Err(vec![Diagnostic::at("by", Code::WrongColumn, message)]);
        }
        Ok(vec![self.field()])
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let Split { by, train, valid, .. } = &self.settings;
        let missing = text_column(&batch, by)?.iter().enumerate().filter(|(_, identity)| identity.is_none());
        let bad: Vec<_> = missing.map(|(row, _)| (row, format!("column `{by}` is null, and says the part"))).collect();
        let batch = rejects.take(batch, &self.label, &bad)?;
        let part = |identity: &str| match hash(identity) {
            hash if hash < *train => "train",
            hash if hash < train + valid => "valid",
            _ => "test",
        };
        let parts: StringArray = text_column(&batch, by)?.iter().map(|identity| identity.map(part)).collect();
        with_columns(&batch, [(self.field(), Arc::new(parts) as _)])
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}

impl Splitting {
    fn field(&self) -> Field {
        Field::new(&self.label, DataType::Utf8, false)
    }
}

/// A number in [0, 1) that depends on the identity alone.
fn hash(identity: &str) -> f64 {
    let digest = Sha256::new().chain_update(b"lucarne split\0").chain_update(identity).finalize();
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (first >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transform::contract::{batch, bound};

    #[test]
    fn the_hash_is_that_of_python() {
        // hashlib: (int.from_bytes(sha256(b"lucarne split\0" + id).digest()[:8], "big") >> 11) / 2**53
        let cases: [(&str, f64); 3] =
            [("object-0", 0.7861759639025164), ("NGC 4038", 0.24088972222252447), ("", 0.5718706145965253)];
        for (identity, expected) in cases {
            assert_eq!(hash(identity).to_bits(), expected.to_bits(), "{identity}");
        }
    }

    #[test]
    fn the_shares_are_those_asked_for_and_a_galaxy_stays_in_its_part() {
        let input = batch(4000);
        let mut halves =
            bound("split", json!({ "train": 0.5, "valid": 0.25, "test": 0.25 }), &input.schema()).expect("bound");
        let out = halves.apply(input.clone(), &mut Rejects::default()).expect("split");
        let parts = text_column(&out, "made").expect("parts");
        let share = |name: &str| parts.iter().filter(|part| *part == Some(name)).count() as f64 / 4000.0;
        for (name, expected) in [("train", 0.5), ("valid", 0.25), ("test", 0.25)] {
            // Three standard deviations of a share of 4000.
            assert!((share(name) - expected).abs() < 3.0 * (expected * (1.0 - expected) / 4000.0_f64).sqrt(), "{name}");
        }
        let few = halves.apply(input.slice(1000, 7), &mut Rejects::default()).expect("split");
        let again = text_column(&few, "made").expect("parts");
        assert!((0..7).all(|row| again.value(row) == parts.value(1000 + row)));
    }

    #[test]
    fn shares_that_do_not_add_up_are_a_mistake_and_so_is_a_column_without_text() {
        let schema = batch(1).schema();
        let told = |settings| bound("split", settings, &schema).err().expect("a mistake").remove(0);
        assert_eq!(told(json!({ "train": 0.9 })).code, Code::OutOfRange);
        assert_eq!(told(json!({ "by": "magnitude" })).code, Code::WrongColumn);
    }

    #[test]
    fn a_row_without_identity_is_a_reject() {
        let mut rejects = Rejects::default();
        let input = batch(14);
        let mut split = bound("split", json!({ "by": "label" }), &input.schema()).expect("bound");
        let out = split.apply(input, &mut rejects).expect("split");
        assert_eq!((out.num_rows(), rejects.rejected.len()), (12, 2));
    }
}
