//! The columns that `morphology` makes.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, StringArray, UInt8Array},
    datatypes::{DataType, Field, Int32Type},
};

use super::Morphology as Settings;
use crate::{
    error::Result,
    morphology::{Class, Morphology, bulge_statistic, merger_statistic},
};

/// A statistic of a measurement, if it has it.
type Statistic = fn(&Morphology) -> Option<f64>;

/// The columns of numbers: name, unit, and what is in them.
const NUMBERS: &[(&str, Option<&str>, Statistic)] = &[
    ("gini", None, |found| found.gini),
    ("m20", None, |found| found.m20),
    ("bulge", None, |found| found.gini.zip(found.m20).map(|(gini, m20)| bulge_statistic(gini, m20))),
    ("merger", None, |found| found.gini.zip(found.m20).map(|(gini, m20)| merger_statistic(gini, m20))),
    ("concentration", None, |found| found.concentration),
    ("asymmetry", None, |found| found.asymmetry),
    ("smoothness", None, |found| found.smoothness),
    ("petrosian_pixels", Some("pixel"), |found| found.petrosian),
    ("petrosian_ellipse_pixels", Some("pixel"), |found| found.petrosian_ellipse),
    ("half_light_pixels", Some("pixel"), |found| found.half_light),
    ("half_light_ellipse_pixels", Some("pixel"), |found| found.half_light_ellipse),
    ("r20_pixels", Some("pixel"), |found| found.r20),
    ("r80_pixels", Some("pixel"), |found| found.r80),
    ("signal_to_noise", None, |found| found.signal_to_noise),
];

/// The columns of a step.
#[derive(Clone)]
pub(super) struct Table {
    /// What the names of each band's columns begin with.
    prefixes: Vec<String>,
    image: String,
    elliptical_intercept: f64,
}

impl Table {
    /// With `named`, the names of columns have the band in them.
    pub(super) fn new<'a>(label: &str, settings: &Settings, bands: impl Iterator<Item = &'a str>, named: bool) -> Self {
        let prefix = |band: &str| if named { format!("{label}_{band}") } else { label.to_owned() };
        let prefixes = bands.map(prefix).collect();
        Self { prefixes, image: settings.image.clone(), elliptical_intercept: settings.elliptical_intercept }
    }

    /// The fields, band after band.
    pub(super) fn fields(&self) -> Vec<Field> {
        let classes = Class::ALL.map(Class::name).join(",");
        let of_class = [("classes".to_owned(), classes), ("image".to_owned(), self.image.clone())];
        let of_band = |prefix: &String| {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let class = Field::new(format!("{prefix}_class"), dictionary, true);
            let mut fields = vec![class.with_metadata(of_class.clone().into())];
            for (name, unit, _) in NUMBERS {
                let field = Field::new(format!("{prefix}_{name}"), DataType::Float64, true);
                let metadata = unit.map(|unit| ("unit".to_owned(), unit.to_owned()));
                fields.push(field.with_metadata(metadata.into_iter().collect()));
            }
            fields.push(Field::new(format!("{prefix}_flag"), DataType::UInt8, false));
            fields
        };
        self.prefixes.iter().flat_map(of_band).collect()
    }

    /// The columns of rows, each measured in every band.
    pub(super) fn columns(&self, rows: &[Vec<Morphology>]) -> Result<Vec<(Field, ArrayRef)>> {
        let names: Arc<StringArray> = Arc::new(StringArray::from_iter_values(Class::ALL.map(Class::name)));
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for band in 0..self.prefixes.len() {
            let of_band = || rows.iter().map(|row| &row[band]);
            let classes: Int32Array = of_band().map(|found| Some(self.class(found)? as i32)).collect();
            arrays.push(Arc::new(DictionaryArray::<Int32Type>::try_new(classes, names.clone())?));
            for (.., statistic) in NUMBERS {
                arrays.push(Arc::new(of_band().map(statistic).collect::<Float64Array>()));
            }
            arrays.push(Arc::new(UInt8Array::from_iter_values(of_band().map(|found| found.flag))));
        }
        Ok(self.fields().into_iter().zip(arrays).collect())
    }

    /// The place of the class in the list of all.
    fn class(&self, found: &Morphology) -> Option<usize> {
        let class = Class::of(found.gini?, found.m20?, self.elliptical_intercept);
        Class::ALL.iter().position(|known| *known == class)
    }
}
