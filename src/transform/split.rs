//! `split`: the part (train, valid or test) of every object, by a hash of its identity.
//!
//! h = (the first 8 bytes of SHA-256 over `lucarne split`, a zero byte and the identity, big-endian, without the lowest 11
//! bits) / 2^53, in [0, 1). The part is `train` where h < train, `valid` where h < train + valid, `test` otherwise. It depends on the
//! identity alone, not on the seed of a run: an object stays in its part when other objects are added or removed, in any pipeline,
//! and so do its observed, mirrored and perturbed versions.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnostics::column;
use crate::{
    batch::{OBJECT_ID, text_column, with_columns},
    error::{Code, Diagnostic, Result},
    io::digest,
    stage::{ColumnRef, Rejects, Settings, Transform},
};

/// Assigns every object to a part: `train`, `valid` or `test`. The shares are expected values, and add up to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Split {
    /// The text column with the identity of the object: name that of the galaxy where several rows are versions of one galaxy.
    pub by: String,
    /// Share that models are trained on.
    #[schemars(range(min = 0, max = 1))]
    pub train: f64,
    /// Share that choices are based on: when to stop, which settings to use.
    #[schemars(range(min = 0, max = 1))]
    pub valid: f64,
    /// Share that no choice is based on.
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

    fn examples() -> &'static [&'static str] {
        &["{}", "{ by: object_id, train: 0.5, valid: 0.25, test: 0.25 }"]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let sum = self.train + self.valid + self.test;
        if (sum - 1.0).abs() > 1e-9 {
            let message = format!("`train`, `valid` and `test` add up to {sum}, expected 1");
            return Err(vec![Diagnostic::at("", Code::OutOfRange, message)]);
        }
        Ok(Box::new(SplitTransform { label: label.to_owned(), settings: self }))
    }
}

#[derive(Debug, Clone)]
struct SplitTransform {
    label: String,
    settings: Split,
}

impl Transform for SplitTransform {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("by", &self.settings.by)]
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let by = column(input, "by", &self.settings.by).map_err(|mistake| vec![mistake])?;
        if by.data_type() != &DataType::Utf8 {
            let message = format!("column `{}` holds {}, expected text", by.name(), by.data_type());
            return Err(vec![Diagnostic::at("by", Code::WrongColumn, message)]);
        }
        Ok(vec![self.field()])
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let Split { by, train, valid, .. } = &self.settings;
        let null = text_column(&batch, by)?.iter().enumerate().filter(|(_, identity)| identity.is_none());
        let bad: Vec<_> =
            null.map(|(row, _)| (row, format!("column `{by}` is null; expected the identity of the object"))).collect();
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

impl SplitTransform {
    fn field(&self) -> Field {
        Field::new(&self.label, DataType::Utf8, false)
    }
}

/// A number in [0, 1) that depends on the identity alone.
fn hash(identity: &str) -> f64 {
    // `number_of` reads the bytes of the digest as little-endian, this hash as big-endian.
    let number = digest::number_of(&[b"lucarne split\0", identity.as_bytes()]).swap_bytes();
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transform::{
        conformance::keeps_its_promises,
        fixtures::{bind_kind, first_diagnostic, test_rows},
    };

    #[test]
    fn the_hash_equals_its_definition_in_python() {
        // hashlib: (int.from_bytes(sha256(b"lucarne split\0" + id).digest()[:8], "big") >> 11) / 2**53
        let cases: [(&str, f64); 3] =
            [("object-0", 0.7861759639025164), ("NGC 4038", 0.24088972222252447), ("", 0.5718706145965253)];
        for (identity, expected) in cases {
            assert_eq!(hash(identity).to_bits(), expected.to_bits(), "{identity}");
        }
    }

    #[test]
    fn parts_have_the_given_shares_and_do_not_depend_on_the_batch() {
        let input = test_rows(4000);
        let settings = json!({ "train": 0.5, "valid": 0.25, "test": 0.25 });
        let mut split = bind_kind("split", settings, &input.schema()).expect("bound");
        let out = split.apply(input.clone(), &mut Rejects::default()).expect("split");
        let parts = text_column(&out, "made").expect("parts");
        let share = |name: &str| parts.iter().filter(|part| *part == Some(name)).count() as f64 / 4000.0;
        for (name, expected) in [("train", 0.5), ("valid", 0.25), ("test", 0.25)] {
            // Three standard deviations of a share of 4000.
            assert!((share(name) - expected).abs() < 3.0 * (expected * (1.0 - expected) / 4000.0_f64).sqrt(), "{name}");
        }
        let slice = split.apply(input.slice(1000, 7), &mut Rejects::default()).expect("split");
        let slice = text_column(&slice, "made").expect("parts");
        assert!((0..7).all(|row| slice.value(row) == parts.value(1000 + row)));
    }

    #[test]
    fn rejects_shares_that_do_not_add_up_and_columns_without_text() {
        let schema = test_rows(1).schema();
        let code = |settings| first_diagnostic("split", settings, &schema).code;
        assert_eq!(code(json!({ "train": 0.9 })), Code::OutOfRange);
        assert_eq!(code(json!({ "by": "magnitude_r" })), Code::WrongColumn);
    }

    #[test]
    fn rejects_rows_without_identity() {
        let mut rejects = Rejects::default();
        let input = test_rows(14);
        let mut split = bind_kind("split", json!({ "by": "label" }), &input.schema()).expect("bound");
        let out = split.apply(input, &mut rejects).expect("split");
        assert_eq!((out.num_rows(), rejects.rejected.len()), (12, 2));
        keeps_its_promises("split", &json!({ "by": "label" }));
    }
}
