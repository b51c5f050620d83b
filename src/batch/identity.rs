//! The columns that every source begins with: `_row`, `object_id` and `origin`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringArray, UInt64Array},
    compute::can_cast_types,
    datatypes::{DataType, Field},
};

use super::{OBJECT_ID, ORIGIN, ROW};

/// The fields `_row`, `object_id` and `origin`.
pub fn identity_fields() -> Vec<Field> {
    vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
    ]
}

/// The columns of [`identity_fields`] for consecutive rows of a split from `first_row` on, given the object id and the origin of
/// each.
pub fn identity_columns<I, O>(first_row: u64, rows: impl IntoIterator<Item = (I, O)>) -> Vec<ArrayRef>
where
    I: AsRef<str>,
    O: AsRef<str>,
{
    let (ids, origins): (Vec<I>, Vec<O>) = rows.into_iter().unzip();
    vec![
        Arc::new(UInt64Array::from_iter_values(first_row..first_row + ids.len() as u64)),
        Arc::new(StringArray::from_iter_values(ids)),
        Arc::new(StringArray::from_iter_values(origins)),
    ]
}

/// What to do about identities of another type.
pub(crate) const IDENTITY_HELP: &str =
    "write them as integers or text; pandas makes floats of integers beside a missing value";

/// Why a column cannot hold identities; `None` if it can. A float keeps 15 digits, and those of Rubin have 18.
pub(crate) fn identity_mistake(column: &str, data_type: &DataType) -> Option<String> {
    let mut kind = data_type;
    while let DataType::Dictionary(_, value) = kind {
        kind = value;
    }
    let digits = match kind {
        DataType::Float64 => 53,
        DataType::Float32 => 24,
        DataType::Float16 => 11,
        kind if can_cast_types(kind, &DataType::Utf8) => return None,
        other => return Some(format!("identities are {other} in column `{column}`, expected integers or text")),
    };
    let kind = kind.to_string().to_lowercase();
    Some(format!("identities are {kind} in column `{column}`: digits may be lost above 2^{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_exact() {
        use DataType::{Decimal128, Dictionary, Float32, Float64, Int8, Int64, LargeUtf8, UInt64, Utf8, Utf8View};

        let dictionary = |kind: DataType| Dictionary(Box::new(Int8), Box::new(kind));
        for kind in [Utf8, LargeUtf8, Utf8View, Int64, UInt64, Decimal128(20, 0), dictionary(Utf8), dictionary(Int64)] {
            assert_eq!(identity_mistake("id", &kind), None, "{kind}");
        }
        let why = "identities are float64 in column `id`: digits may be lost above 2^53";
        for kind in [Float64, dictionary(Float64)] {
            assert_eq!(identity_mistake("id", &kind).as_deref(), Some(why));
        }
        assert!(identity_mistake("id", &Float32).is_some_and(|why| why.contains("float32") && why.contains("2^24")));
        let structure = DataType::Struct(vec![Field::new("a", Int8, false)].into());
        assert!(identity_mistake("id", &structure).is_some_and(|why| why.contains("expected integers or text")));
    }
}
