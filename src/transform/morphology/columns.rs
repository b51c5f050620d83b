//! The columns that `morphology` makes.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, StringArray},
    datatypes::{DataType, Field, Int32Type},
};

use crate::{
    batch::metadata_list,
    error::Result,
    morphology::{Class, Morphology, bulge_statistic, merger_statistic},
};

/// Reads a statistic from a measurement; `None` if it could not be measured.
type ReadStatistic = fn(&Morphology) -> Option<f64>;

/// The columns of numbers: name, unit, statistic.
const NUMBERS: &[(&str, Option<&str>, ReadStatistic)] = &[
    ("gini", None, |measured| measured.gini),
    ("m20", None, |measured| measured.m20),
    ("bulge", None, |measured| measured.gini.zip(measured.m20).map(|(gini, m20)| bulge_statistic(gini, m20))),
    ("merger", None, |measured| measured.gini.zip(measured.m20).map(|(gini, m20)| merger_statistic(gini, m20))),
    ("concentration", None, |measured| measured.concentration),
    ("asymmetry", None, |measured| measured.asymmetry),
    ("smoothness", None, |measured| measured.smoothness),
    ("petrosian_pixels", Some("pixel"), |measured| measured.petrosian),
    ("petrosian_ellipse_pixels", Some("pixel"), |measured| measured.petrosian_ellipse),
    ("half_light_pixels", Some("pixel"), |measured| measured.half_light),
    ("half_light_ellipse_pixels", Some("pixel"), |measured| measured.half_light_ellipse),
    ("r20_pixels", Some("pixel"), |measured| measured.r20),
    ("r80_pixels", Some("pixel"), |measured| measured.r80),
    ("signal_to_noise", None, |measured| measured.signal_to_noise),
];

/// The columns that a step makes.
#[derive(Clone)]
pub(super) struct MorphologyColumns {
    /// The prefix of the column names of each band.
    prefixes: Vec<String>,
    image: String,
    elliptical_intercept: f64,
}

impl MorphologyColumns {
    /// Columns of an image with one prefix per measured band.
    pub(super) fn new(prefixes: Vec<String>, image: &str, elliptical_intercept: f64) -> Self {
        Self { prefixes, image: image.to_owned(), elliptical_intercept }
    }

    /// The fields, band after band.
    pub(super) fn fields(&self) -> Vec<Field> {
        let classes = metadata_list(&Class::ALL.map(Class::name));
        let class_metadata = [("classes".to_owned(), classes), ("image".to_owned(), self.image.clone())];
        let band_fields = |prefix: &String| {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let class = Field::new(format!("{prefix}_class"), dictionary, true);
            let mut fields = vec![class.with_metadata(class_metadata.clone().into())];
            for (name, unit, _) in NUMBERS {
                let field = Field::new(format!("{prefix}_{name}"), DataType::Float64, true);
                let metadata = unit.map(|unit| ("unit".to_owned(), unit.to_owned()));
                fields.push(field.with_metadata(metadata.into_iter().collect()));
            }
            fields.push(Field::new(format!("{prefix}_flag"), DataType::Int32, false));
            fields
        };
        self.prefixes.iter().flat_map(band_fields).collect()
    }

    /// The columns of rows; each row has a measurement per band.
    pub(super) fn columns(&self, rows: &[Vec<Morphology>]) -> Result<Vec<(Field, ArrayRef)>> {
        let names: Arc<StringArray> = Arc::new(StringArray::from_iter_values(Class::ALL.map(Class::name)));
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for band in 0..self.prefixes.len() {
            let measured = || rows.iter().map(|row| &row[band]);
            let classes: Int32Array = measured().map(|measured| Some(self.class(measured)? as i32)).collect();
            arrays.push(Arc::new(DictionaryArray::<Int32Type>::try_new(classes, names.clone())?));
            for (.., statistic) in NUMBERS {
                arrays.push(Arc::new(measured().map(statistic).collect::<Float64Array>()));
            }
            arrays.push(Arc::new(Int32Array::from_iter_values(measured().map(|measured| i32::from(measured.flag)))));
        }
        Ok(self.fields().into_iter().zip(arrays).collect())
    }

    /// The index of the class in [`Class::ALL`].
    fn class(&self, measured: &Morphology) -> Option<usize> {
        let class = Class::of(measured.gini?, measured.m20?, self.elliptical_intercept);
        Class::ALL.iter().position(|known| *known == class)
    }
}
