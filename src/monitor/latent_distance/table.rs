//! The table of the monitor: one row for every object, and one for all.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, FixedSizeListBuilder, Float64Array, Float64Builder, RecordBatch, StringArray,
        UInt64Array,
    },
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};

use crate::{
    batch::{OBJECT_ID, ORIGIN},
    error::Result,
};

/// A row about an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    pub(super) object_id: String,
    pub(super) origin: String,
    pub(super) distance: Option<f64>,
    pub(super) versus: Option<f64>,
    pub(super) flipped: Option<bool>,
}

/// What is said of all distances of one pair.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Summary {
    pub(super) median: Option<f64>,
    pub(super) mean: Option<f64>,
    pub(super) standard_error: Option<f64>,
    pub(super) quantiles: Vec<f64>,
}

/// How far apart two distributions of distances are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Divergence {
    pub(super) distance: Option<f64>,
    pub(super) base_2: Option<f64>,
    pub(super) null_median: Option<f64>,
    pub(super) null_p95: Option<f64>,
    pub(super) p_value: Option<f64>,
}

/// The row about all objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Total {
    pub(super) objects: u64,
    pub(super) n: u64,
    pub(super) own: Summary,
    pub(super) versus: Summary,
    pub(super) divergence: Divergence,
}

/// The schema. The pair of labels that a distance lies between is told by its field, and so are the quantiles.
pub(super) fn schema(pair: [String; 2], versus: Option<[String; 2]>, quantiles: &[f64]) -> SchemaRef {
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let count = |name| Field::new(name, DataType::UInt64, true);
    let ends = |[from, to]: [String; 2]| [("from".to_owned(), from), ("to".to_owned(), to)].into();
    let distance = number("distance").with_metadata(ends(pair));
    let against = number("versus_distance").with_metadata(versus.map(ends).unwrap_or_default());
    let written: Vec<String> = quantiles.iter().map(ToString::to_string).collect();
    let list = |name: &str| {
        let length = i32::try_from(quantiles.len()).unwrap_or(i32::MAX);
        let list = Field::new(name, DataType::FixedSizeList(item(), length), true);
        list.with_metadata([("quantiles".to_owned(), written.join(","))].into())
    };
    Arc::new(Schema::new(vec![
        text("scope", false),
        text(OBJECT_ID, true),
        text(ORIGIN, true),
        distance,
        against,
        Field::new("flipped", DataType::Boolean, true),
        count("objects"),
        count("n"),
        number("median"),
        number("mean"),
        number("standard_error"),
        list("quantiles"),
        number("versus_median"),
        number("versus_mean"),
        number("versus_standard_error"),
        list("versus_quantiles"),
        number("js_distance"),
        number("js_distance_base2"),
        number("js_null_median"),
        number("js_null_p95"),
        number("js_p_value"),
    ]))
}

fn item() -> FieldRef {
    Arc::new(Field::new("item", DataType::Float64, true))
}

/// The rows about objects.
pub(super) fn object_rows(schema: &SchemaRef, objects: &[Object]) -> Result<RecordBatch> {
    rows(schema, objects, None)
}

/// The row about all.
pub(super) fn total_row(schema: &SchemaRef, total: &Total) -> Result<RecordBatch> {
    rows(schema, &[], Some(total))
}

fn rows(schema: &SchemaRef, objects: &[Object], total: Option<&Total>) -> Result<RecordBatch> {
    let length = objects.len() + usize::from(total.is_some());
    let text = |of: &dyn Fn(&Object) -> String| -> ArrayRef {
        Arc::new(objects.iter().map(|object| Some(of(object))).chain(total.map(|_| None)).collect::<StringArray>())
    };
    let of_object = |of: fn(&Object) -> Option<f64>| -> ArrayRef {
        Arc::new(objects.iter().map(of).chain(total.map(|_| None)).collect::<Float64Array>())
    };
    let of_total = |of: &dyn Fn(&Total) -> Option<f64>| -> ArrayRef {
        Arc::new(objects.iter().map(|_| None).chain(total.map(of)).collect::<Float64Array>())
    };
    let count = |of: fn(&Total) -> u64| -> ArrayRef {
        Arc::new(objects.iter().map(|_| None).chain(total.map(|total| Some(of(total)))).collect::<UInt64Array>())
    };
    let list = |of: fn(&Total) -> &Summary, n: i32| -> ArrayRef {
        let mut lists = FixedSizeListBuilder::new(Float64Builder::new(), n).with_field(item());
        let values = total.map(|total| of(total).quantiles.as_slice()).filter(|values| values.len() == n as usize);
        for row in 0..length {
            match values.filter(|_| row == objects.len()) {
                Some(values) => lists.values().append_slice(values),
                None => lists.values().append_nulls(n as usize),
            }
            lists.append(row == objects.len() && values.is_some());
        }
        Arc::new(lists.finish())
    };
    let quantiles = match schema.field_with_name("quantiles")?.data_type() {
        DataType::FixedSizeList(_, length) => *length,
        _ => 0,
    };
    let scope = objects.iter().map(|_| "object").chain(total.map(|_| "total"));
    let flipped: BooleanArray = objects.iter().map(|object| object.flipped).chain(total.map(|_| None)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(scope)),
        text(&|object| object.object_id.clone()),
        text(&|object| object.origin.clone()),
        of_object(|object| object.distance),
        of_object(|object| object.versus),
        Arc::new(flipped),
        count(|total| total.objects),
        count(|total| total.n),
        of_total(&|total| total.own.median),
        of_total(&|total| total.own.mean),
        of_total(&|total| total.own.standard_error),
        list(|total| &total.own, quantiles),
        of_total(&|total| total.versus.median),
        of_total(&|total| total.versus.mean),
        of_total(&|total| total.versus.standard_error),
        list(|total| &total.versus, quantiles),
        of_total(&|total| total.divergence.distance),
        of_total(&|total| total.divergence.base_2),
        of_total(&|total| total.divergence.null_median),
        of_total(&|total| total.divergence.null_p95),
        of_total(&|total| total.divergence.p_value),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
