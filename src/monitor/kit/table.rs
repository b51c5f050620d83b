//! Tables from one list of columns, so that the schema and the rows cannot disagree.
//!
//! A [`TableSpec`] lists each column once: its name, its type and how to read it from a row struct. Columns are required
//! unless the method is called `optional_`: then values are `Option`s and the column is nullable.
//!
//! Counts and positions are signed: SQL has no unsigned integers, and the difference of two unsigned columns wraps around in
//! some engines. A number that does not fit is an error.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, ArrowPrimitiveType, BooleanArray, FixedSizeListBuilder, PrimitiveArray, PrimitiveBuilder,
        RecordBatch, StringArray,
    },
    datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef},
};

use crate::error::{Error, Result};

/// Makes the array of a column from the rows.
type ArrayOf<R> = Box<dyn Fn(&[R]) -> Result<ArrayRef>>;

/// The columns of a table whose rows are `R`.
pub(crate) struct TableSpec<R> {
    fields: Vec<Field>,
    arrays: Vec<ArrayOf<R>>,
}

impl<R> TableSpec<R> {
    pub(crate) const fn new() -> Self {
        Self { fields: Vec::new(), arrays: Vec::new() }
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.clone()))
    }

    /// The rows as a batch of [`schema`](Self::schema).
    pub(crate) fn batch(&self, rows: &[R]) -> Result<RecordBatch> {
        let arrays = self.arrays.iter().map(|array| array(rows)).collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.schema(), arrays)?)
    }

    /// Text.
    pub(crate) fn text(self, name: &str, value: impl Fn(&R) -> &str + 'static) -> Self {
        let array = move |rows: &[R]| -> Result<ArrayRef> {
            Ok(Arc::new(StringArray::from_iter_values(rows.iter().map(&value))))
        };
        self.column(Field::new(name, DataType::Utf8, false), array)
    }

    /// Text, or null.
    pub(crate) fn optional_text(self, name: &str, value: impl Fn(&R) -> Option<&str> + 'static) -> Self {
        let array =
            move |rows: &[R]| -> Result<ArrayRef> { Ok(Arc::new(rows.iter().map(&value).collect::<StringArray>())) };
        self.column(Field::new(name, DataType::Utf8, true), array)
    }

    /// A count: int64.
    pub(crate) fn count(self, name: &str, value: impl Fn(&R) -> u64 + 'static) -> Self {
        self.integer::<Int64Type, u64>(name, false, move |row| Some(value(row)))
    }

    /// A count, or null.
    pub(crate) fn optional_count(self, name: &str, value: impl Fn(&R) -> Option<u64> + 'static) -> Self {
        self.integer::<Int64Type, u64>(name, true, value)
    }

    /// A count or a position of 32 bits, or null: int32.
    pub(crate) fn optional_small_count(self, name: &str, value: impl Fn(&R) -> Option<u32> + 'static) -> Self {
        self.integer::<Int32Type, u32>(name, true, value)
    }

    /// A list of `length` counts: int64.
    pub(crate) fn counts(self, name: &str, length: usize, value: impl Fn(&R) -> &[u64] + 'static) -> Self {
        self.list::<Int64Type, u64>(name, length, false, move |row| Some(value(row)))
    }

    /// A list of `length` positions or indices, or null: int32.
    pub(crate) fn optional_indices<N: Copy + TryInto<i32> + 'static>(
        self,
        name: &str,
        length: usize,
        value: impl Fn(&R) -> Option<&[N]> + 'static,
    ) -> Self {
        self.list::<Int32Type, N>(name, length, true, value)
    }

    /// A number: float64.
    pub(crate) fn number(self, name: &str, value: impl Fn(&R) -> f64 + 'static) -> Self {
        self.primitive::<Float64Type>(name, false, move |row| Some(value(row)))
    }

    /// A number, or null.
    pub(crate) fn optional_number(self, name: &str, value: impl Fn(&R) -> Option<f64> + 'static) -> Self {
        self.primitive::<Float64Type>(name, true, value)
    }

    /// A boolean.
    pub(crate) fn flag(self, name: &str, value: impl Fn(&R) -> bool + 'static) -> Self {
        let array = move |rows: &[R]| -> Result<ArrayRef> {
            Ok(Arc::new(rows.iter().map(|row| Some(value(row))).collect::<BooleanArray>()))
        };
        self.column(Field::new(name, DataType::Boolean, false), array)
    }

    /// A boolean, or null.
    pub(crate) fn optional_flag(self, name: &str, value: impl Fn(&R) -> Option<bool> + 'static) -> Self {
        let array =
            move |rows: &[R]| -> Result<ArrayRef> { Ok(Arc::new(rows.iter().map(&value).collect::<BooleanArray>())) };
        self.column(Field::new(name, DataType::Boolean, true), array)
    }

    /// A list of `length` numbers, or null. The child is nullable though its values never are: with a required child pyarrow
    /// shows a plain list instead of a tensor.
    pub(crate) fn optional_vector<T: ArrowPrimitiveType>(
        self,
        name: &str,
        length: usize,
        value: impl Fn(&R) -> Option<&[T::Native]> + 'static,
    ) -> Self {
        self.list::<T, T::Native>(name, length, true, value)
    }

    /// A column that the methods above cannot make.
    pub(crate) fn column(mut self, field: Field, array: impl Fn(&[R]) -> Result<ArrayRef> + 'static) -> Self {
        self.fields.push(field);
        self.arrays.push(Box::new(array));
        self
    }

    /// Sets the metadata of the last column.
    pub(crate) fn with_metadata(mut self, metadata: HashMap<String, String>) -> Self {
        if let Some(field) = self.fields.last_mut() {
            field.set_metadata(metadata);
        }
        self
    }

    fn primitive<T: ArrowPrimitiveType>(
        self,
        name: &str,
        is_nullable: bool,
        value: impl Fn(&R) -> Option<T::Native> + 'static,
    ) -> Self {
        let array = move |rows: &[R]| -> Result<ArrayRef> {
            Ok(Arc::new(rows.iter().map(&value).collect::<PrimitiveArray<T>>()))
        };
        self.column(Field::new(name, T::DATA_TYPE, is_nullable), array)
    }

    fn integer<T: ArrowPrimitiveType, N: Copy + TryInto<T::Native> + 'static>(
        self,
        name: &str,
        is_nullable: bool,
        value: impl Fn(&R) -> Option<N> + 'static,
    ) -> Self {
        let column = name.to_owned();
        let array = move |rows: &[R]| -> Result<ArrayRef> {
            let signed = |row| value(row).map(|value| fitting::<T, N>(&column, value)).transpose();
            Ok(Arc::new(rows.iter().map(signed).collect::<Result<PrimitiveArray<T>>>()?))
        };
        self.column(Field::new(name, T::DATA_TYPE, is_nullable), array)
    }

    fn list<T: ArrowPrimitiveType, N: Copy + TryInto<T::Native> + 'static>(
        self,
        name: &str,
        length: usize,
        is_nullable: bool,
        value: impl Fn(&R) -> Option<&[N]> + 'static,
    ) -> Self {
        let item = Arc::new(Field::new("item", T::DATA_TYPE, is_nullable));
        let size = i32::try_from(length).unwrap_or(i32::MAX);
        let field = Field::new(name, DataType::FixedSizeList(item.clone(), size), is_nullable);
        let name = name.to_owned();
        let array = move |rows: &[R]| -> Result<ArrayRef> {
            let numbers = PrimitiveBuilder::<T>::with_capacity(rows.len() * length);
            let mut lists = FixedSizeListBuilder::with_capacity(numbers, size, rows.len()).with_field(item.clone());
            for row in rows {
                let value = value(row);
                match value {
                    Some(values) if values.len() == length => {
                        for value in values {
                            lists.values().append_value(fitting::<T, N>(&name, *value)?);
                        }
                    }
                    Some(values) => {
                        let found = values.len();
                        return Err(Error::bug(format!("`{name}` takes lists of {length} numbers, found {found}")));
                    }
                    None => lists.values().append_nulls(length),
                }
                lists.append(value.is_some());
            }
            Ok(Arc::new(lists.finish()))
        };
        self.column(field, array)
    }
}

/// A number in the type of its column.
fn fitting<T: ArrowPrimitiveType, N: TryInto<T::Native>>(column: &str, value: N) -> Result<T::Native> {
    value
        .try_into()
        .map_err(|_| Error::data(format!("a number is too large for the column `{column}` ({})", T::DATA_TYPE)))
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Array, AsArray},
        datatypes::Float32Type,
    };

    use super::*;

    /// A row that borrows, as most do.
    struct Galaxy<'a> {
        name: &'a str,
        class: Option<&'a str>,
        pixels: Option<u64>,
        latent: Option<Vec<f32>>,
    }

    fn spec<'a>() -> TableSpec<Galaxy<'a>> {
        TableSpec::<Galaxy<'a>>::new()
            .text("name", |row| row.name)
            .optional_text("class", |row| row.class)
            .count("length", |row| row.name.len() as u64)
            .optional_count("pixels", |row| row.pixels)
            .number("half", |row| row.name.len() as f64 / 2.0)
            .optional_number("root", |row| Some((row.pixels? as f64).sqrt()))
            .optional_small_count("small", |row| u32::try_from(row.pixels?).ok())
            .flag("known", |row| row.class.is_some())
            .optional_flag("large", |row| Some(row.pixels? > 10))
            .counts("squares", 2, |_| &[1, 4])
            .optional_indices::<u8>("corner", 2, |row| row.class.map(|_| &[255, 0][..]))
            .optional_vector::<Float32Type>("latent", 2, |row| row.latent.as_deref())
            .with_metadata([("model".to_owned(), "m.onnx".to_owned())].into())
    }

    fn rows(latent: Vec<f32>) -> [Galaxy<'static>; 2] {
        [
            Galaxy { name: "M51", class: Some("spiral"), pixels: Some(16), latent: Some(latent) },
            Galaxy { name: "", class: None, pixels: None, latent: None },
        ]
    }

    #[test]
    fn schema_and_rows_come_from_one_list() {
        let batch = spec().batch(&rows(vec![0.5, f32::NAN])).expect("rows");
        assert_eq!(batch.schema(), spec().schema());
        let nullable = |field: &Arc<Field>| field.is_nullable();
        let expected = [false, true, false, true, false, true, true, false, true, false, true, true];
        assert_eq!(batch.schema().fields().iter().map(nullable).collect::<Vec<_>>(), expected);
        for (column, is_nullable) in batch.columns().iter().zip(expected) {
            assert_eq!((column.is_null(0), column.is_null(1)), (false, is_nullable));
        }
        assert_eq!(batch["name"].as_string::<i32>().value(0), "M51");
        assert_eq!(batch["length"].as_primitive::<Int64Type>().values()[..], [3, 0]);
        assert_eq!(batch["root"].as_primitive::<Float64Type>().value(0), 4.0);
        assert_eq!(batch["small"].as_primitive::<Int32Type>().value(0), 16);
        let squares = batch["squares"].as_fixed_size_list().value(1);
        assert_eq!(squares.as_primitive::<Int64Type>().values()[..], [1, 4]);
        let corner = batch["corner"].as_fixed_size_list().value(0);
        assert_eq!(corner.as_primitive::<Int32Type>().values()[..], [255, 0]);
        assert!(batch["large"].as_boolean().value(0) && !batch["known"].as_boolean().value(1));
        let latent = batch["latent"].as_fixed_size_list().value(0);
        assert_eq!(latent.as_primitive::<Float32Type>().value(0), 0.5);
    }

    #[test]
    fn list_children_are_nullable_only_where_the_list_is() {
        let schema = spec().schema();
        let child = |name: &str| match schema.field_with_name(name).expect("a field").data_type() {
            DataType::FixedSizeList(item, length) => (item.is_nullable(), *length),
            other => panic!("{other}"),
        };
        assert_eq!((child("squares"), child("latent")), ((false, 2), (true, 2)));
        assert_eq!(schema.field_with_name("latent").expect("a field").metadata()["model"], "m.onnx");
        assert!(schema.field_with_name("squares").expect("a field").metadata().is_empty());
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused_and_do_not_wrap() {
        let why = |spec: TableSpec<u64>, value: u64| spec.batch(&[value]).expect_err("too large").to_string();
        let count = || TableSpec::<u64>::new().count("n", |n| *n);
        assert_eq!(why(count(), 1 << 63), "a number is too large for the column `n` (Int64)");
        assert!(count().batch(&[(1 << 63) - 1]).is_ok());
        let small = TableSpec::<u64>::new().optional_small_count("row", |n| u32::try_from(*n).ok());
        assert_eq!(why(small, 1 << 31), "a number is too large for the column `row` (Int32)");
        let counts = TableSpec::<u64>::new().counts("confusion", 1, std::slice::from_ref);
        assert_eq!(why(counts, u64::MAX), "a number is too large for the column `confusion` (Int64)");
    }

    #[test]
    fn refuses_lists_of_another_length() {
        let error = spec().batch(&rows(vec![0.5])).expect_err("an error").to_string();
        assert_eq!(error, "`latent` takes lists of 2 numbers, found 1");
    }
}
