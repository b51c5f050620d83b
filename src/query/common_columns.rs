//! The columns of a table that several runs have.
//!
//! A column that some runs lack is null in their rows. Where the types differ, the wider one is taken if it holds every value of
//! both; else the column is left out, and a query that names it is refused with the reason.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::signed_columns::EXACT_UINT64;

/// A column that queries over several runs do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOutColumn {
    pub(super) name: String,
    /// How its types differ.
    pub(super) reason: String,
}

/// The columns of a table in runs of these names, in the order in which they first occur, and those that are left out.
pub(super) fn common_columns(runs: &[(String, SchemaRef)]) -> (Schema, Vec<LeftOutColumn>) {
    let mut names: Vec<&str> = Vec::new();
    for field in runs.iter().flat_map(|(_, schema)| schema.fields()) {
        if !names.contains(&field.name().as_str()) {
            names.push(field.name());
        }
    }
    let (mut fields, mut left_out) = (Vec::new(), Vec::new());
    for name in names {
        match common_field(name, runs) {
            Ok(field) => fields.push(field),
            Err(reason) => left_out.push(LeftOutColumn { name: name.to_owned(), reason }),
        }
    }
    (Schema::new(fields), left_out)
}

fn common_field(name: &str, runs: &[(String, SchemaRef)]) -> Result<Field, String> {
    let mut common: Option<(&str, Field)> = None;
    let mut is_missing = false;
    for (run, schema) in runs {
        let Ok(field) = schema.field_with_name(name) else {
            is_missing = true;
            continue;
        };
        common = Some(match common {
            None => (run, field.clone()),
            Some((first, above)) => {
                let Some(kind) = common_type(above.data_type(), field.data_type()) else {
                    let (one, other) = (above.data_type(), field.data_type());
                    return Err(format!("`{first}` has {one}, `{run}` has {other}"));
                };
                let metadata = common_metadata(above.metadata(), field.metadata());
                let is_nullable = above.is_nullable() || field.is_nullable();
                (first, Field::new(name, kind, is_nullable).with_metadata(metadata))
            }
        });
    }
    let (_, field) = common.ok_or_else(|| "no run has it".to_owned())?;
    let is_nullable = is_missing || field.is_nullable();
    Ok(field.with_nullable(is_nullable))
}

/// What is true of both: a unit that differs is the unit of neither, and lists of different shapes are plain lists.
fn common_metadata(one: &HashMap<String, String>, other: &HashMap<String, String>) -> HashMap<String, String> {
    let is_same = |key: &&String| one.get(*key) == other.get(*key);
    let is_extension = |key: &&String| key.starts_with("ARROW:extension:");
    let same_extension = one.keys().chain(other.keys()).filter(is_extension).all(|key| is_same(&key));
    let kept = one.keys().filter(is_same).filter(|key| same_extension || !is_extension(key));
    kept.map(|key| (key.clone(), one[key].clone())).collect()
}

/// A type that holds every value of both.
fn common_type(one: &DataType, other: &DataType) -> Option<DataType> {
    use DataType::{Dictionary, FixedSizeList, LargeList, LargeUtf8, List, Null, Utf8};
    let item = |one: &FieldRef, other: &FieldRef| {
        let kind = common_type(one.data_type(), other.data_type())?;
        let is_nullable = one.is_nullable() || other.is_nullable();
        Some(Arc::new(Field::new(one.name(), kind, is_nullable)))
    };
    match (one, other) {
        (one, other) if one == other => Some(one.clone()),
        (Null, kind) | (kind, Null) => Some(kind.clone()),
        (Dictionary(_, values), kind) | (kind, Dictionary(_, values)) => common_type(values, kind),
        (Utf8, LargeUtf8) | (LargeUtf8, Utf8) => Some(LargeUtf8),
        (FixedSizeList(one, length), FixedSizeList(other, same)) if length == same => {
            Some(FixedSizeList(item(one, other)?, *length))
        }
        (List(one), List(other)) => Some(List(item(one, other)?)),
        (LargeList(one), LargeList(other)) => Some(LargeList(item(one, other)?)),
        (one, other) if one.is_signed_integer() && *other == EXACT_UINT64 => Some(EXACT_UINT64),
        (one, other) if *one == EXACT_UINT64 && other.is_signed_integer() => Some(EXACT_UINT64),
        (one, other)
            if one.is_signed_integer() && other.is_signed_integer() || one.is_floating() && other.is_floating() =>
        {
            let is_wider = one.primitive_width() > other.primitive_width();
            Some(if is_wider { one.clone() } else { other.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, columns: &[(&str, DataType)]) -> (String, SchemaRef) {
        let fields: Vec<Field> = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), false)).collect();
        (name.to_owned(), Arc::new(Schema::new(fields)))
    }

    fn list(kind: DataType, length: i32) -> DataType {
        DataType::FixedSizeList(Arc::new(Field::new("item", kind, false)), length)
    }

    #[test]
    fn missing_columns_are_nullable_and_types_are_widened() {
        let a = run("a", &[("n", DataType::Int32), ("x", DataType::Float32), ("row", list(DataType::Int64, 2))]);
        let b = run(
            "b",
            &[
                ("x", DataType::Float64),
                ("n", DataType::Int64),
                ("row", list(DataType::Int32, 2)),
                ("c", DataType::Utf8),
            ],
        );
        let (schema, left_out) = common_columns(&[a, b]);
        let found: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| (field.name().as_str(), field.data_type().clone(), field.is_nullable()))
            .collect();
        let expected = [
            ("n", DataType::Int64, false),
            ("x", DataType::Float64, false),
            ("row", list(DataType::Int64, 2), false),
            ("c", DataType::Utf8, true),
        ];
        assert_eq!((found.as_slice(), left_out.len()), (&expected[..], 0));
    }

    #[test]
    fn columns_whose_values_no_type_holds_are_left_out() {
        let a = run("a", &[("latent", list(DataType::Float32, 8)), ("id", DataType::Int64), ("z", DataType::Float64)]);
        let b =
            run("b", &[("latent", list(DataType::Float32, 10)), ("id", DataType::Float64), ("z", DataType::Float64)]);
        let (schema, left_out) = common_columns(&[a, b]);
        assert_eq!(schema.fields().len(), 1);
        let reasons: Vec<(&str, &str)> =
            left_out.iter().map(|column| (column.name.as_str(), column.reason.as_str())).collect();
        assert_eq!(reasons[1], ("id", "`a` has Int64, `b` has Float64"));
        assert!(
            reasons[0].0 == "latent" && reasons[0].1.contains("8 x") && reasons[0].1.contains("10 x"),
            "{reasons:?}"
        );
    }

    #[test]
    fn metadata_that_differ_are_dropped() {
        let of = |name: &str, unit: &str| {
            let metadata = [("unit".to_owned(), unit.to_owned()), ("bands".to_owned(), "g".to_owned())];
            let field = Field::new("flux", DataType::Float32, false).with_metadata(metadata.into());
            (name.to_owned(), Arc::new(Schema::new(vec![field])))
        };
        let (schema, _) = common_columns(&[of("a", "nJy"), of("b", "electron")]);
        assert_eq!(*schema.field(0).metadata(), [("bands".to_owned(), "g".to_owned())].into());
    }
}
