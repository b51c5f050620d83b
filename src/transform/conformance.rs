//! The conformance test of the family: every kind keeps the promises of [`Transform`], with every example of its settings.
//!
//! The kinds and their examples are read from [`KINDS`], so a new kind is tested without being named here. A kind that needs settings
//! beyond its examples to be tested well calls [`keeps_its_promises`] in its own tests.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use arrow::{
    array::{RecordBatch, UInt64Array},
    compute::{concat_batches, take_record_batch},
    datatypes::Schema,
};
use serde_json::Value;

use super::{
    KINDS,
    fixtures::{LABEL_MADE, bind_kind, kind, test_rows, test_run, with_fields},
};
use crate::{
    batch::{row_number, unsigned_columns},
    stage::{Kind, Reject, Rejects, Transform, TransformRole},
};

/// The examples of a kind, as the pipeline reads them: `off` is text, not a boolean.
fn examples(kind: &Kind<dyn Transform>) -> Vec<Value> {
    let examples = (kind.examples)();
    assert!(!examples.is_empty(), "`{}` has no example of its settings", kind.name);
    let parse = |example: &&str| {
        let options = serde_saphyr::options! { strict_booleans: true };
        let parsed = serde_saphyr::from_str_with_options(example, options);
        parsed.unwrap_or_else(|error| panic!("the example `{example}` of `{}` is not YAML: {error}", kind.name))
    };
    examples.iter().map(parse).collect()
}

/// A transform and its prerequisites, bound and started.
struct Steps(Vec<Box<dyn Transform>>);

impl Steps {
    /// The steps of a kind, and the schema of what they make of `input`.
    fn start(name: &str, settings: &Value, input: &Schema) -> (Self, Schema) {
        let last = (kind(name).build)(LABEL_MADE, settings.clone())
            .unwrap_or_else(|mistakes| panic!("{name} {settings} cannot be built: {mistakes:?}"));
        let hidden = last.prerequisites().into_iter().map(|(_, step)| step).collect::<Vec<_>>();
        let (mut steps, mut schema) = (Vec::new(), input.clone());
        for mut step in hidden.into_iter().chain([last]) {
            let fields =
                step.bind(&schema).unwrap_or_else(|mistakes| panic!("{name} {settings} cannot be bound: {mistakes:?}"));
            for required in step.required_columns() {
                assert!(schema.field_with_name(&required.column).is_ok(), "{name} requires {required:?}");
            }
            schema = with_fields(&schema, fields);
            step.start(&test_run()).unwrap();
            steps.push(step);
        }
        (Self(steps), schema)
    }

    fn apply(&mut self, batch: RecordBatch) -> (RecordBatch, Rejects) {
        let mut rejects = Rejects::default();
        let out = self.0.iter_mut().fold(batch, |batch, step| step.apply(batch, &mut rejects).unwrap());
        (out, rejects)
    }

    fn fork(&self) -> Self {
        Self(self.0.iter().map(|step| step.fork()).collect())
    }

    fn role(&self) -> TransformRole {
        self.0.last().unwrap().role()
    }
}

/// Asserts the promises of a transform for settings, on rows some of which have bad pixels and nulls.
pub(super) fn keeps_its_promises(name: &str, settings: &Value) {
    let what = format!("{name} {settings}");
    let batch = test_rows(11);
    let (mut steps, schema) = Steps::start(name, settings, batch.schema_ref());
    let forks = [steps.fork(), steps.fork()];
    let (out, rejects) = steps.apply(batch.clone());
    assert_eq!(out.schema().fields(), schema.fields(), "{what} makes the columns that `bind` returned");
    let made = schema.fields().iter().filter(|field| batch.column_by_name(field.name()).is_none());
    let made = Schema::new(made.cloned().collect::<Vec<_>>());
    assert!(unsigned_columns(&made).is_empty(), "{what} makes unsigned columns that are not masks: {made}");
    accounts_for_every_row(&what, &batch, &out, &rejects, &steps.role());
    results_do_not_depend_on_batches(&what, &batch, (&out, &rejects), forks);
    let (empty, rejects) = steps.apply(batch.slice(0, 0));
    assert_eq!((empty.num_rows(), empty.schema().fields()), (0, schema.fields()), "{what} takes an empty batch");
    assert!(rejects.rejected.is_empty() && rejects.filtered == 0, "{what} loses nothing of an empty batch");
    round_trips(name, settings);
}

/// Rows in = rows out + filtered + rejected, and the rows that are kept are those of the input.
fn accounts_for_every_row(what: &str, input: &RecordBatch, out: &RecordBatch, rejects: &Rejects, role: &TransformRole) {
    let lost = rejects.rejected.len() + rejects.filtered as usize;
    assert_eq!(out.num_rows() + lost, input.num_rows(), "{what} accounts for every row");
    for reject in &rejects.rejected {
        assert!(reject.object_id.is_some() && !reject.reason.is_empty(), "{what}: {reject:?}");
        assert_eq!(reject.stage, LABEL_MADE, "{what} rejects under its label, and so do its hidden steps");
    }
    let rejected: BTreeSet<u64> = rejects.rejected.iter().map(|reject| reject.row).collect();
    assert_eq!(rejected.len(), rejects.rejected.len(), "{what} rejects a row once");
    let kept: Vec<u64> = (0..out.num_rows()).map(|row| row_number(out, row).unwrap()).collect();
    if *role == TransformRole::Filter {
        assert!(kept.is_sorted() && kept.iter().all(|row| !rejected.contains(row)), "{what} keeps the order of rows");
    } else {
        assert_eq!(rejects.filtered, 0, "{what} removes rows and is not a filter");
        let others: Vec<u64> = (0..input.num_rows() as u64).filter(|row| !rejected.contains(row)).collect();
        assert_eq!(kept, others, "{what} keeps the rows that it does not reject, in order");
    }
    let columns: Vec<usize> = (0..input.num_columns()).collect();
    let expected = take_record_batch(input, &UInt64Array::from(kept)).unwrap();
    assert!(out.project(&columns).unwrap() == expected, "{what} leaves other columns as they are");
}

/// Results are bitwise independent of how rows are cut into batches, of the order of batches, and of the fork that applies them.
fn results_do_not_depend_on_batches(
    what: &str,
    input: &RecordBatch,
    (expected, expected_rejects): (&RecordBatch, &Rejects),
    mut forks: [Steps; 2],
) {
    for size in [1, 3, input.num_rows()] {
        let starts: Vec<usize> = (0..input.num_rows()).step_by(size).collect();
        let mut parts = Vec::new();
        for (i, start) in starts.into_iter().enumerate().rev() {
            let slice = input.slice(start, size.min(input.num_rows() - start));
            parts.push(forks[i % 2].apply(slice));
        }
        parts.reverse();
        let (batches, rejects): (Vec<RecordBatch>, Vec<Rejects>) = parts.into_iter().unzip();
        let out = concat_batches(&expected.schema(), &batches).unwrap();
        assert!(out == *expected, "{what} yields the same bits in batches of {size}");
        let filtered: u64 = rejects.iter().map(|rejects| rejects.filtered).sum();
        // The rejects of hidden steps come first in each batch, so the order depends on the batches.
        let sorted = |mut rejects: Vec<Reject>| {
            rejects.sort_by_key(|reject| reject.row);
            rejects
        };
        let rejected = sorted(rejects.into_iter().flat_map(|rejects| rejects.rejected).collect());
        assert_eq!(rejected, sorted(expected_rejects.rejected.clone()), "{what} in batches of {size}");
        assert_eq!(filtered, expected_rejects.filtered, "{what} in batches of {size}");
    }
}

/// Settings survive being written and read.
fn round_trips(name: &str, settings: &Value) {
    let written = (kind(name).normalize)(settings.clone()).unwrap();
    let again = (kind(name).normalize)(written.clone()).unwrap();
    assert_eq!(again, written, "{name} {settings} survives serde");
    let (_, schema) = Steps::start(name, settings, test_rows(1).schema_ref());
    let (_, schema_again) = Steps::start(name, &written, test_rows(1).schema_ref());
    assert_eq!(schema_again, schema, "{name} {settings} makes the same columns when it is written and read");
}

#[test]
fn every_kind_keeps_its_promises_with_every_example() {
    for kind in KINDS {
        for settings in examples(kind) {
            keeps_its_promises(kind.name, &settings);
        }
    }
}

#[test]
fn every_kind_has_a_unique_name_and_documented_settings() {
    for kind in KINDS {
        let schema = (kind.schema)().to_value();
        assert!(schema["description"].is_string(), "`{}` has no description", kind.name);
        for (key, setting) in schema["properties"].as_object().unwrap() {
            assert!(setting["description"].is_string(), "`{key}` of `{}` has no description", kind.name);
        }
        assert_eq!(KINDS.iter().filter(|other| other.name == kind.name).count(), 1);
    }
}

#[test]
fn every_kind_rejects_a_missing_column_and_one_without_images() {
    let reads_an_image = |kind: &&Kind<dyn Transform>| (kind.schema)().to_value()["properties"].get("image").is_some();
    for kind in KINDS.iter().filter(reads_an_image) {
        for settings in examples(kind) {
            for (column, code) in [("imag", "unknown-column"), ("label", "wrong-column")] {
                let mut settings = settings.clone();
                settings["image"] = column.into();
                let mistakes = bind_kind(kind.name, settings.clone(), test_rows(1).schema_ref()).err().unwrap();
                assert_eq!(mistakes[0].code.name(), code, "{} {settings}: {mistakes:?}", kind.name);
                assert_eq!(mistakes[0].path, ["image"], "{} {settings}", kind.name);
            }
        }
    }
}
