//! The positions of objects: a catalogue in the order of its rows.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, StringArray, UInt64Array},
    compute::take,
    datatypes::{Field, Float64Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch,
    error::{Code, Diagnostic, Error, Result},
    io::digest,
    source::fits::catalogue::{Catalogue, KeyedRows},
    wcs::SkyPosition,
};

/// A table with the positions of objects: CSV or TSV (with a header line, also with `#` comments or gzipped), ECSV, a binary
/// table of FITS, VOTable or Parquet, or a HATS catalogue. Of Parquet, HATS and FITS rows are read as they are needed, of other formats the
/// columns that are used are held in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PositionCatalogue {
    /// The file, or the folder of a HATS catalogue: with `hats.properties` and `Norder=*/Dir=*/Npix=*.parquet`. The rows of a HATS
    /// catalogue come in the order of its healpix pixels.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// Its column with the identities of the objects, each once: text or whole numbers.
    pub id: String,
    /// Its column with the right ascensions (ICRS): degrees, or hours as in `10:00:28.6`. By default `ra`, or what the properties of a
    /// HATS catalogue name.
    #[serde(default = "ra")]
    pub ra: String,
    /// Its column with the declinations: degrees, also as in `+02:12:21.0`. By default `dec`, or what the properties of a HATS
    /// catalogue name.
    #[serde(default = "dec")]
    pub dec: String,
    /// Further columns, and the columns of the catalogue that fill them: `{label: morphology, magnitude: mag_r}`.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// The words that stand for a missing value. By default an empty field, `nan`, `NaN`, `NAN`, `null`, `NULL`, `Null`, `None`,
    /// `--`, `N/A`, `n/a`, `NA` and `<NA>`.
    #[serde(default)]
    pub nulls: Option<Vec<String>>,
}

fn ra() -> String {
    batch::RA.to_owned()
}

fn dec() -> String {
    batch::DEC.to_owned()
}

impl PositionCatalogue {
    /// A catalogue by its path and its columns of identities, right ascensions and declinations.
    pub fn new(path: &str, id: &str, ra: &str, dec: &str) -> Self {
        let [path, id, ra, dec] = [path, id, ra, dec].map(str::to_owned);
        Self { path, id, ra, dec, columns: BTreeMap::new(), nulls: None }
    }

    /// The table that is read, with its columns of right ascensions and declinations.
    pub(super) fn table(&self, ra: &str, dec: &str) -> Catalogue {
        let sky = [(batch::RA, ra), (batch::DEC, dec)];
        let mut columns = self.columns.clone();
        columns.extend(sky.map(|(name, from)| (name.to_owned(), from.to_owned())));
        Catalogue {
            path: self.path.clone(),
            key: self.id.clone(),
            header_key: None,
            columns,
            nulls: self.nulls.clone(),
        }
    }
}

/// Objects of a catalogue.
pub(super) struct Positions {
    ids: StringArray,
    ra_deg: Float64Array,
    dec_deg: Float64Array,
    /// Further columns.
    columns: Vec<(Field, ArrayRef)>,
}

impl Positions {
    /// The objects of rows of a catalogue.
    pub(super) fn of(rows: KeyedRows, path: &str) -> Result<Self, Vec<Diagnostic>> {
        let KeyedRows { keys: ids, mut columns } = rows;
        let mut degrees = |name: &str| {
            let at = columns.iter().position(|(field, _)| field.name() == name)?;
            Some(columns.remove(at).1.as_primitive_opt::<Float64Type>()?.clone())
        };
        let (Some(ra_deg), Some(dec_deg)) = (degrees(batch::RA), degrees(batch::DEC)) else {
            let message = format!("the positions of catalogue `{path}` are not numbers");
            return Err(vec![Diagnostic::at("catalogue", Code::WrongColumn, message)]);
        };
        Ok(Self { ids, ra_deg, dec_deg, columns })
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Some of the objects, not copied.
    pub(super) fn slice(&self, start: usize, rows: usize) -> Self {
        let columns = self.columns.iter().map(|(field, column)| (field.clone(), column.slice(start, rows)));
        Self {
            ids: self.ids.slice(start, rows),
            ra_deg: self.ra_deg.slice(start, rows),
            dec_deg: self.dec_deg.slice(start, rows),
            columns: columns.collect(),
        }
    }

    /// The identity of an object; `None` if it is missing.
    pub(super) fn id(&self, row: usize) -> Option<&str> {
        self.ids.is_valid(row).then(|| self.ids.value(row))
    }

    /// Where an object is; the error is the reason why that is not known.
    pub(super) fn sky(&self, row: usize) -> Result<SkyPosition, String> {
        let degrees = |column: &Float64Array, name: &str| {
            if column.is_valid(row) { Ok(column.value(row)) } else { Err(format!("has no `{name}` in the catalogue")) }
        };
        let (ra_deg, dec_deg) = (degrees(&self.ra_deg, batch::RA)?, degrees(&self.dec_deg, batch::DEC)?);
        if !(-180.0..=360.0).contains(&ra_deg) {
            return Err(format!("has `{}` {ra_deg} in the catalogue, expected degrees from -180 to 360", batch::RA));
        }
        if !(-90.0..=90.0).contains(&dec_deg) {
            return Err(format!("has `{}` {dec_deg} in the catalogue, expected degrees from -90 to 90", batch::DEC));
        }
        Ok(SkyPosition { ra_deg, dec_deg })
    }

    /// The fields of the further columns.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.columns.iter().map(|(field, _)| field)
    }

    /// Right ascension, declination and the further columns of some rows.
    pub(super) fn take(&self, rows: &UInt64Array) -> Result<Vec<ArrayRef>> {
        let degrees = |column: &Float64Array| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(rows.values().iter().map(|row| column.value(*row as usize))))
        };
        let further = self.columns.iter().map(|(_, column)| take(column, rows, None).map_err(Error::from));
        [Ok(degrees(&self.ra_deg)), Ok(degrees(&self.dec_deg))].into_iter().chain(further).collect()
    }

    /// The id of a piece that has these objects: its number, sixteen digits of a digest of its ids, positions and further columns, and
    /// its first id.
    pub(super) fn piece_id(&self, number: usize) -> Result<String> {
        let mut content = Vec::new();
        for row in 0..self.len() {
            content.extend_from_slice(self.id(row).unwrap_or_default().as_bytes());
            // A NUL ends each id, so that `a`, `b` and `ab`, `` differ.
            content.push(0);
            for column in [&self.ra_deg, &self.dec_deg] {
                let degrees = if column.is_valid(row) { column.value(row) } else { f64::NAN };
                content.extend_from_slice(&degrees.to_bits().to_le_bytes());
            }
        }
        for (field, column) in &self.columns {
            content.extend_from_slice(field.name().as_bytes());
            // Columns of catalogues are numbers, logicals and text, whose words are exact.
            let words = ArrayFormatter::try_new(column, &FormatOptions::default())?;
            for row in 0..column.len() {
                content.push(u8::from(column.is_valid(row)));
                content.extend_from_slice(words.value(row).try_to_string()?.as_bytes());
                content.push(0);
            }
        }
        let first = if self.len() == 0 { "" } else { self.id(0).unwrap_or_default() };
        Ok(format!("{number} {} {first}", &digest::of_bytes(&content)[..16]))
    }
}
