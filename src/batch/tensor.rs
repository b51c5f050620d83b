//! Columns of float32 lists: tensors of a fixed shape, images among them.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, PrimitiveArray, RecordBatch},
    datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, UInt64Type},
};
use serde::Deserialize;

use super::column_of;
use crate::error::{Error, Result};

const EXTENSION_NAME: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
const TENSOR: &str = "arrow.fixed_shape_tensor";
const VARIABLE_TENSOR: &str = "arrow.variable_shape_tensor";

/// What the extension metadata of a tensor column say of its dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TensorType {
    /// Their lengths, as the numbers lie in a list, the slowest first.
    pub(crate) shape: Vec<usize>,
    /// Their names, in the order of `shape`.
    #[serde(default)]
    pub(crate) dim_names: Option<Vec<String>>,
    /// Which entry of `shape` each dimension of the tensor is, where their order is another.
    #[serde(default)]
    pub(crate) permutation: Option<Vec<usize>>,
}

/// The dimensions of a tensor column; `None` if the column is not a tensor. The error is the reason why its metadata cannot be read.
pub(crate) fn tensor_type(field: &Field) -> Option<Result<TensorType, String>> {
    let metadata = field.metadata();
    metadata.get(EXTENSION_NAME).filter(|name| *name == TENSOR)?;
    let Some(text) = metadata.get(EXTENSION_METADATA) else { return Some(Err("it has no shape".into())) };
    let tensor: TensorType = match serde_json::from_str(text) {
        Ok(tensor) => tensor,
        Err(error) => return Some(Err(error.to_string())),
    };
    let TensorType { shape, dim_names, permutation } = tensor;
    // Some writers have an empty list where there is nothing to say.
    let dim_names = dim_names.filter(|names| !names.is_empty());
    let permutation = permutation.filter(|permutation| !permutation.is_empty());
    if dim_names.as_ref().is_some_and(|names| names.len() != shape.len()) {
        return Some(Err(format!("the shape {shape:?} has names for another number of dimensions")));
    }
    if let Some(permutation) = &permutation {
        let mut sorted = permutation.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..shape.len()) {
            return Some(Err(format!("{permutation:?} is not a permutation of the dimensions of {shape:?}")));
        }
    }
    Some(Ok(TensorType { shape, dim_names, permutation }))
}

/// Whether a column holds tensors whose shape differs from row to row.
pub(crate) fn is_tensor_of_variable_shape(field: &Field) -> bool {
    field.metadata().get(EXTENSION_NAME).is_some_and(|name| name == VARIABLE_TENSOR)
}

/// The metadata of a tensor column of any shape, as `arrow.fixed_shape_tensor` defines them.
pub fn tensor_metadata(shape: &[usize], dim_names: &[&str]) -> HashMap<String, String> {
    let extension = serde_json::json!({ "shape": shape, "dim_names": dim_names });
    HashMap::from([(EXTENSION_NAME.into(), TENSOR.into()), (EXTENSION_METADATA.into(), extension.to_string())])
}

/// The shape of a tensor column of any shape, as its numbers lie in a list; `None` if the column is not a tensor.
pub fn tensor_shape(field: &Field) -> Option<Vec<usize>> {
    Some(tensor_type(field)?.ok()?.shape)
}

/// The Arrow type of a list of `length` float32.
///
/// The items are nullable although none is ever null: pyarrow shows a list of non-null items as a plain list, not as a tensor.
pub fn list_type(length: usize) -> DataType {
    list_type_of(DataType::Float32, length)
}

/// The Arrow type of a mask of `length` pixels: a list of uint64.
pub fn mask_type(length: usize) -> DataType {
    list_type_of(DataType::UInt64, length)
}

/// The Arrow type of a list of `length` float64.
pub(super) fn float64_list_type(length: usize) -> DataType {
    list_type_of(DataType::Float64, length)
}

/// A column of `values.len() / length` lists of `length` float64.
pub(super) fn float64_list_column(values: Vec<f64>, length: usize) -> Result<ArrayRef> {
    lists::<Float64Type>(values, length)
}

fn list_type_of(kind: DataType, length: usize) -> DataType {
    DataType::FixedSizeList(item(kind), i32::try_from(length).unwrap_or(i32::MAX))
}

fn item(kind: DataType) -> FieldRef {
    Arc::new(Field::new("item", kind, true))
}

/// A column of `values.len() / length` lists of `length` float32.
///
/// # Errors
/// [`Error::Data`] when a list is longer than Arrow allows.
pub fn list_column(values: Vec<f32>, length: usize) -> Result<ArrayRef> {
    lists::<Float32Type>(values, length)
}

/// A column of `values.len() / length` masks of `length` pixels.
///
/// # Errors
/// [`Error::Data`] when a mask is longer than Arrow allows.
pub fn mask_column(values: Vec<u64>, length: usize) -> Result<ArrayRef> {
    lists::<UInt64Type>(values, length)
}

fn lists<T: ArrowPrimitiveType>(values: Vec<T::Native>, length: usize) -> Result<ArrayRef> {
    let length =
        i32::try_from(length).map_err(|_| Error::data(format!("a list of {length} numbers is too long for Arrow")))?;
    let values = Arc::new(PrimitiveArray::<T>::new(values.into(), None));
    Ok(Arc::new(FixedSizeListArray::try_new(item(T::DATA_TYPE), length, values, None)?))
}

/// The numbers of a float32 list column, row after row, and the length of a row.
///
/// # Errors
/// [`Error::Data`] when the column is missing or of another type.
pub fn list_values<'a>(batch: &'a RecordBatch, column: &str) -> Result<(&'a [f32], usize)> {
    values_of::<Float32Type>(batch, column, "float32")
}

/// The integers of a column of masks, row after row, and the pixels of a mask.
///
/// # Errors
/// [`Error::Data`] when the column is missing or of another type.
pub fn mask_values<'a>(batch: &'a RecordBatch, column: &str) -> Result<(&'a [u64], usize)> {
    values_of::<UInt64Type>(batch, column, "uint64")
}

fn values_of<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    column: &str,
    kind: &str,
) -> Result<(&'a [T::Native], usize)> {
    let array = column_of(batch, column)?;
    let wrong = || Error::data(format!("column `{column}` is {}, expected lists of {kind}", array.data_type()));
    let lists = array.as_fixed_size_list_opt().ok_or_else(wrong)?;
    let length = lists.value_length() as usize;
    let values = lists.values().as_primitive_opt::<T>().ok_or_else(wrong)?.values();
    // A sliced batch shares the values of all rows.
    let start = lists.value_offset(0) as usize;
    Ok((&values[start..start + lists.len() * length], length))
}
