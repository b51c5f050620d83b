//! The columns of files as queries see them: without unsigned integers, which SQL does not have.
//!
//! Runs of formats up to 2 have unsigned counts, and so may files of users. The difference of two such columns wraps around. They are
//! read as signed integers that hold every value, and uint64 as decimals where a file has a number above int64. Masks stay as they are:
//! they are bit fields, nothing is added to them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use parquet::{
    arrow::arrow_reader::ArrowReaderMetadata,
    file::{metadata::ColumnChunkMetaData, statistics::Statistics},
};

use crate::batch::ImageLayout;

/// A type that holds every uint64.
pub(super) const EXACT_UINT64: DataType = DataType::Decimal128(20, 0);

/// Whether the type of a column depends on its values: whether uint64 holds numbers above int64.
pub(super) fn has_uint64(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| !is_mask(field) && contains(field.data_type(), &DataType::UInt64))
}

/// The schema of a table whose files have these footers.
pub(super) fn signed_schema(schema: &Schema, footers: &[ArrowReaderMetadata]) -> Schema {
    let signed = |field: &FieldRef| {
        if is_mask(field) {
            return field.clone();
        }
        let fits = || footers.iter().all(|footer| fits_int64(footer, field.name()));
        Arc::new(field.as_ref().clone().with_data_type(signed_type(field.data_type(), &fits)))
    };
    let fields: Vec<FieldRef> = schema.fields().iter().map(signed).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn is_mask(field: &Field) -> bool {
    ImageLayout::of_masks(field).is_some()
}

fn contains(kind: &DataType, wanted: &DataType) -> bool {
    match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            contains(item.data_type(), wanted)
        }
        kind => kind == wanted,
    }
}

/// The signed type of a column, or of its lists. Structs and maps are kept: queries cannot calculate with them, and arithmetic with
/// what is in them is checked.
fn signed_type(kind: &DataType, fits_int64: &dyn Fn() -> bool) -> DataType {
    let item =
        |item: &FieldRef| Arc::new(item.as_ref().clone().with_data_type(signed_type(item.data_type(), fits_int64)));
    match kind {
        DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 if fits_int64() => DataType::Int64,
        DataType::UInt64 => EXACT_UINT64,
        DataType::List(of) => DataType::List(item(of)),
        DataType::LargeList(of) => DataType::LargeList(item(of)),
        DataType::FixedSizeList(of, length) => DataType::FixedSizeList(item(of), *length),
        kind => kind.clone(),
    }
}

/// Whether the statistics of a column, or of the numbers in its lists, have no number above int64.
fn fits_int64(footer: &ArrowReaderMetadata, column: &str) -> bool {
    let of_column =
        |chunk: &&ColumnChunkMetaData| chunk.column_path().parts().first().is_some_and(|root| root == column);
    let groups = footer.metadata().row_groups();
    groups.iter().flat_map(|group| group.columns().iter().filter(of_column)).all(|chunk| {
        let values = u64::try_from(chunk.num_values()).unwrap_or(u64::MAX);
        match chunk.statistics() {
            // Parquet has uint64 in int64, with the order of unsigned numbers: the largest one is negative if it does not fit.
            // Old writers had the order of signed ones.
            Some(known @ Statistics::Int64(statistics)) if !known.is_min_max_deprecated() => match statistics.max_opt()
            {
                Some(largest) => *largest >= 0,
                None => statistics.null_count_opt() == Some(values),
            },
            Some(Statistics::Int64(_)) | None => values == 0,
            Some(_) => true,
        }
    })
}
