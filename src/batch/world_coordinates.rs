//! The column with the world coordinates of the pixels of an image.

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Field, Float64Type},
};

use super::{
    columns::column_of,
    tensor::{float64_list_column, float64_list_type},
};
use crate::error::{Error, Result};

/// Numbers in a row of the column.
const NUMBERS: usize = 6;

/// Where the pixels of an image lie on the sky: on the plane that touches it at the centre of the image (the projection TAN of
/// FITS). What another projection bends within a cutout is below 0.00001 pixel, and what the distortion of a camera bends a few
/// thousandths.
///
/// A column of them is a list of 6 float64: `ra_deg`, `dec_deg`, and the rows of the matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorldCoordinates {
    /// Right ascension of the centre of the image, degrees.
    pub ra_deg: f64,
    /// Declination of the centre of the image, degrees.
    pub dec_deg: f64,
    /// Degrees towards larger right ascensions and declinations (rows) for a pixel along x and y (columns): `CDi_j`.
    pub matrix_deg: [[f64; 2]; 2],
}

impl WorldCoordinates {
    /// The field of a column of them.
    pub fn field(name: &str) -> Field {
        Field::new(name, Self::data_type(), false)
    }

    /// Whether a field is such a column.
    pub fn are_in(field: &Field) -> bool {
        *field.data_type() == Self::data_type()
    }

    fn data_type() -> DataType {
        float64_list_type(NUMBERS)
    }

    /// The root of the area of a pixel, arcsec.
    pub fn pixel_scale_arcsec(&self) -> f64 {
        let [[a, b], [c, d]] = self.matrix_deg;
        (a * d - b * c).abs().sqrt() * 3600.0
    }

    /// A column.
    ///
    /// # Errors
    /// Never, unless Arrow fails.
    pub fn column(rows: &[Self]) -> Result<ArrayRef> {
        let numbers = rows
            .iter()
            .flat_map(|Self { ra_deg, dec_deg, matrix_deg: [[a, b], [c, d]] }| [*ra_deg, *dec_deg, *a, *b, *c, *d]);
        float64_list_column(numbers.collect(), NUMBERS)
    }

    /// Those of a row.
    ///
    /// # Errors
    /// [`Error::Data`] when the column is missing or of another type.
    pub fn of_row(batch: &RecordBatch, column: &str, row: usize) -> Result<Self> {
        let array = column_of(batch, column)?;
        let wrong = || Error::data(format!("column `{column}` is {}, expected world coordinates", array.data_type()));
        if *array.data_type() != Self::data_type() {
            return Err(wrong());
        }
        let list = array.as_fixed_size_list().value(row);
        let &[ra_deg, dec_deg, a, b, c, d] = &list.as_primitive::<Float64Type>().values()[..] else {
            return Err(wrong());
        };
        Ok(Self { ra_deg, dec_deg, matrix_deg: [[a, b], [c, d]] })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn world_coordinates_survive_their_column() {
        let rows = [1.0, 2.0].map(|ra_deg| WorldCoordinates {
            ra_deg,
            dec_deg: -0.5,
            matrix_deg: [[-0.2 / 3600.0, 1e-7], [2e-7, 0.2 / 3600.0]],
        });
        let schema = Arc::new(Schema::new(vec![WorldCoordinates::field("image_wcs")]));
        let batch =
            RecordBatch::try_new(schema, vec![WorldCoordinates::column(&rows).expect("a column")]).expect("rows");
        assert!(WorldCoordinates::are_in(batch.schema().field(0)));
        for (row, expected) in rows.iter().enumerate() {
            assert_eq!(WorldCoordinates::of_row(&batch, "image_wcs", row).expect("a row"), *expected);
            // From the second slice of a batch too.
            assert_eq!(WorldCoordinates::of_row(&batch.slice(row, 1), "image_wcs", 0).expect("a row"), *expected);
        }
        assert!((rows[0].pixel_scale_arcsec() / 0.2 - 1.0).abs() < 1e-5);
    }
}
