//! The columns of an object that come from headers and from the catalogue.

use super::{
    angle::Coordinate,
    header_columns::{not_null, typed_value},
    identity::{identity_in, naming_headers},
    lookup::LookedUp,
    plan::{FitsPlan, headers_of},
    rows::NewRow,
};
use crate::{batch::is_null_word, fits::CardValue};

/// Everything of a row but its identity and its pixels.
pub(super) struct RowKeys {
    pub label: Option<String>,
    pub ra: Option<f64>,
    pub dec: Option<f64>,
    /// The values of the header columns, in their order.
    pub headers: Vec<Option<CardValue>>,
    /// The row of the catalogue.
    pub joined: Option<u32>,
}

impl RowKeys {
    /// The keys of an object; the error is the reason why one of them is not usable.
    pub(super) fn read(plan: &FitsPlan, row: &NewRow<'_>) -> Result<Self, String> {
        let NewRow { file, found, identity, .. } = *row;
        let settings = &plan.settings;
        let value = |key: &str| headers_of(file, found).find_map(|header| header.get(key));
        let text = |key: &String| headers_of(file, found).find_map(|header| header.text(key));
        let degrees = |key: &Option<String>, coordinate: Coordinate| {
            let Some(key) = key else { return Ok(None) };
            let Some(value) = value(key).and_then(not_null) else { return Ok(None) };
            coordinate
                .degrees(&value)
                .map(Some)
                .map_err(|expected| format!("key `{key}` is `{}`, expected {expected}", value.to_text().escape_debug()))
        };
        let headers = plan.columns.iter().map(|column| typed_value(column, value(&column.key)));
        let header_key = settings.catalogue.as_ref().and_then(|catalogue| catalogue.header_key.as_ref());
        let looked_up = header_key.and_then(|key| identity_in(headers_of(file, found), key)).transpose();
        let looked_up = looked_up.map_err(|float| float.reason())?;
        let own = |key: &String| identity_in(naming_headers(file, found), key);
        if let Some(Err(float)) = settings.id.as_ref().and_then(own) {
            return Err(float.reason());
        }
        let joined = plan.catalogue.as_ref().and_then(|catalogue| {
            let path = (!found.shares_file && !found.is_of_several_files).then(|| file.place_of(0).0.into());
            let object = LookedUp { identity: identity.clone(), header_key: looked_up, path };
            plan.lookups.row(catalogue, &plan.inputs, &object)
        });
        Ok(Self {
            headers: headers.collect::<Result<_, _>>()?,
            label: settings.label.as_ref().and_then(text).filter(|label| !is_null_word(label)),
            ra: degrees(&settings.ra, Coordinate::RightAscension)?,
            dec: degrees(&settings.dec, Coordinate::Declination)?,
            joined,
        })
    }
}
