//! The header and the name of a file: what a reader needs to have the row back.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};

use crate::{
    batch::{self, ImageLayout, Unit, WorldCoordinates},
    error::Result,
    fits::{CardValue, ELECTRONS_KEY, STRETCH_KEYS},
    io::digest,
};

/// Keys that belong to the image; columns cannot use them.
pub(super) const IMAGE_KEYS: [&str; 32] = [
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "EXTEND", "PCOUNT", "GCOUNT", "END",
    "EXTNAME", "EXTTYPE", "EXTVER", "BSCALE", "BZERO", "BLANK", "OBJECT", "BANDS", "BUNIT", "PIXSCALE", "CTYPE1",
    "CTYPE2", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2", "CD3_3",
];

/// A header key and the column that fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub key: String,
    pub column: String,
}

/// Whether a column of a type can be the value of a key.
pub(super) fn fits_in_key(kind: &DataType) -> bool {
    kind.is_numeric() || matches!(kind, DataType::Utf8 | DataType::Boolean | DataType::Dictionary(_, _))
}

/// The name of a file. Every file system takes it, and no other row has it: it begins with what is printable of the identity (or
/// with the label, for files of several objects) and ends with a digest of identity and origin.
pub(super) fn file_name(stem: &str, id: &str, origin: &str) -> String {
    let digest = digest::of_bytes(&[id.as_bytes(), b"\0", origin.as_bytes()].concat());
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-+_".contains(letter) { letter } else { '_' };
    let kept: String = stem.chars().take(80).map(plain).collect();
    format!("{kept}.{}.fits", &digest[..12])
}

/// An image of an object, to be described in a header.
pub(super) struct DescribedImage<'a> {
    pub id: &'a str,
    pub column: &'a str,
    pub layout: &'a ImageLayout,
    /// Whether it is a mask.
    pub is_mask: bool,
    /// The number of its object in a file of several, from 1.
    pub version: Option<u64>,
    pub wcs: Option<WorldCoordinates>,
}

impl DescribedImage<'_> {
    /// What the HDU is for, in the words of LSST.
    fn role(&self) -> &'static str {
        match self.layout.unit {
            _ if self.is_mask => "MASK",
            Unit::NanoJansky2 | Unit::Electron2 => "VARIANCE",
            _ if self.column.ends_with("_variance") => "VARIANCE",
            _ if self.column.ends_with("_psf") => "PSF",
            _ => "IMAGE",
        }
    }
}

/// The keys of an image of an object.
pub(super) fn header(image: &DescribedImage<'_>, keys: &[(String, CardValue)]) -> Vec<(String, CardValue)> {
    let DescribedImage { id, column, layout, version, wcs, .. } = image;
    let text = |key: &str, value: &str| (key.to_owned(), CardValue::Text(value.to_owned()));
    let mut header = vec![text("EXTNAME", column), text("EXTTYPE", image.role())];
    header.extend(version.map(|version| ("EXTVER".to_owned(), CardValue::Integer(version as i64))));
    header.extend([text("OBJECT", id), text("BANDS", &layout.bands.join(","))]);
    if layout.unit != Unit::Unknown {
        header.push(text("BUNIT", layout.unit.name()));
    }
    if let Some(wcs) = wcs {
        header.extend(wcs_keys(wcs, layout));
    }
    if let Some(scale) = wcs.map(|wcs| wcs.pixel_scale_arcsec()).or(layout.pixel_scale_arcsec) {
        header.push(("PIXSCALE".into(), CardValue::Real(scale)));
    }
    if let Some(stretch) = layout.stretch {
        let [lo, hi] = STRETCH_KEYS;
        header.push((lo.into(), CardValue::Real(stretch.lo)));
        header.push((hi.into(), CardValue::Real(stretch.hi)));
    }
    for (band, electrons) in (1..).zip(layout.electrons_per_njy.iter().flatten()) {
        header.push((format!("{ELECTRONS_KEY}{band}"), CardValue::Real(*electrons)));
    }
    header.extend_from_slice(keys);
    header
}

/// World coordinates of the projection TAN, whose reference is the centre of the image. The third axis is that of the bands; its
/// term is written because without one the matrix of all axes would be singular.
fn wcs_keys(wcs: &WorldCoordinates, layout: &ImageLayout) -> Vec<(String, CardValue)> {
    let WorldCoordinates { ra_deg, dec_deg, matrix_deg: [[a, b], [c, d]] } = *wcs;
    let middle = |length: usize| (length as f64 + 1.0) / 2.0;
    let mut keys: Vec<(String, CardValue)> = [("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN")]
        .map(|(key, value)| (key.to_owned(), CardValue::Text(value.to_owned())))
        .into();
    let numbers = [
        ("CRPIX1", middle(layout.width)),
        ("CRPIX2", middle(layout.height)),
        ("CRVAL1", ra_deg),
        ("CRVAL2", dec_deg),
        ("CD1_1", a),
        ("CD1_2", b),
        ("CD2_1", c),
        ("CD2_2", d),
        ("CD3_3", 1.0),
    ];
    keys.extend(numbers.map(|(key, value)| (key.to_owned(), CardValue::Real(value))));
    keys
}

/// The values of a row for its keys. Nulls are left out.
pub(super) fn key_values(rows: &RecordBatch, row: usize, keys: &[KeyColumn]) -> Result<Vec<(String, CardValue)>> {
    let mut values = Vec::with_capacity(keys.len());
    for KeyColumn { key, column } in keys {
        let one = batch::column_of(rows, column)?.slice(row, 1);
        let one = match one.data_type() {
            DataType::Dictionary(_, kind) => cast(&one, kind)?,
            _ => one,
        };
        if one.is_null(0) {
            continue;
        }
        let value = match one.data_type() {
            DataType::Utf8 => CardValue::Text(one.as_string::<i32>().value(0).to_owned()),
            DataType::Boolean => CardValue::Logical(one.as_boolean().value(0)),
            DataType::Float32 | DataType::Float64 | DataType::Float16 => {
                CardValue::Real(cast(&one, &DataType::Float64)?.as_primitive::<Float64Type>().value(0))
            }
            kind if kind.is_integer() => {
                let wide = cast(&one, &DataType::Int64)?;
                match wide.is_null(0) {
                    // Unsigned, and beyond the signed ones.
                    true => CardValue::BigInteger(cast(&one, &DataType::Utf8)?.as_string::<i32>().value(0).to_owned()),
                    false => CardValue::Integer(wide.as_primitive::<Int64Type>().value(0)),
                }
            }
            _ => CardValue::Text(cast(&one, &DataType::Utf8)?.as_string::<i32>().value(0).to_owned()),
        };
        values.push((key.clone(), value));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_unique() {
        assert!(file_name("../../etc/passwd", "../../etc/passwd", "a").starts_with("______etc_passwd."));
        assert_ne!(file_name("a/b", "a/b", "x"), file_name("a_b", "a_b", "x"));
        assert_ne!(file_name("a", "a", "x[0]"), file_name("a", "a", "x[1]"));
        assert!(file_name(&"é".repeat(500), "é", "x").len() < 128);
        // printf 'a\0x' | sha256sum
        assert_eq!(file_name("cutouts", "a", "x"), "cutouts.8b86bced1029.fits");
    }

    #[test]
    fn unsigned_integers_keep_all_digits() {
        let values: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::UInt64Array::from(vec![u64::MAX, 7]));
        let rows = RecordBatch::try_from_iter([("big", values)]).expect("rows");
        let keys = [KeyColumn { key: "BIG".into(), column: "big".into() }];
        let value = |row| key_values(&rows, row, &keys).expect("values")[0].1.clone();
        assert_eq!(value(0), CardValue::BigInteger(u64::MAX.to_string()));
        assert_eq!(value(1), CardValue::Integer(7));
    }
}
