//! Collects the rows of a batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array};

use super::{
    description::describe,
    header_columns::header_array,
    identity::RowIdentity,
    objects::FileRow,
    plan::FitsPlan,
    row_keys::RowKeys,
    row_pixels::{RawPixels, RowPixels},
};
use crate::{
    error::Result,
    fits::{self, CardValue},
};

/// The most rows for which memory is reserved before they are read.
const ROOM: usize = 256;

/// Rows of a batch, before they are columns.
pub(super) struct RowsBuilder {
    numbers: Vec<u64>,
    ids: Vec<String>,
    origins: Vec<String>,
    label: Vec<Option<String>>,
    ra: Vec<Option<f64>>,
    dec: Vec<Option<f64>>,
    headers: Vec<Vec<Option<CardValue>>>,
    joined: Vec<Option<u32>>,
    pixels: RowPixels,
}

/// A row to read: its place in an open file, and its names.
pub(super) struct NewRow<'a> {
    pub file: &'a fits::FitsFile,
    pub found: &'a FileRow,
    pub identity: &'a RowIdentity,
    /// Its id, which no other row of the run has.
    pub id: &'a str,
    /// Its number in the split.
    pub number: u64,
}

impl RowsBuilder {
    pub(super) fn new(plan: &FitsPlan, max_rows: usize) -> Self {
        let room = max_rows.min(ROOM);
        Self {
            numbers: Vec::with_capacity(room),
            ids: Vec::with_capacity(room),
            origins: Vec::with_capacity(room),
            label: Vec::new(),
            ra: Vec::new(),
            dec: Vec::new(),
            headers: plan.columns.iter().map(|_| Vec::new()).collect(),
            joined: Vec::new(),
            pixels: RowPixels::new(plan, room),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The rows of the catalogue, as far as they were found.
    pub(super) fn joined(&self) -> &[Option<u32>] {
        &self.joined
    }

    /// Appends a row, or nothing and the reason why it is rejected.
    pub(super) fn push(&mut self, plan: &FitsPlan, row: &NewRow<'_>) -> Result<(), String> {
        let object = row.found.object.as_ref().map_err(String::clone)?;
        let description = describe(row.file, &plan.settings, object)?;
        plan.accept(object, &description)?;
        let keys = RowKeys::read(plan, row)?;
        self.pixels.push(plan, &RawPixels { file: row.file, object, description: &description })?;
        self.numbers.push(row.number);
        self.ids.push(row.id.to_owned());
        self.origins.push(row.identity.origin.clone());
        self.label.push(keys.label);
        self.ra.push(keys.ra);
        self.dec.push(keys.dec);
        for (column, value) in self.headers.iter_mut().zip(keys.headers) {
            column.push(value);
        }
        self.joined.push(keys.joined);
        Ok(())
    }

    pub(super) fn into_batch(self, plan: &FitsPlan) -> Result<RecordBatch> {
        let settings = &plan.settings;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(self.numbers)),
            Arc::new(StringArray::from(self.ids)),
            Arc::new(StringArray::from(self.origins)),
        ];
        if settings.label.is_some() {
            columns.push(Arc::new(StringArray::from(self.label)));
        }
        for (values, key) in [(self.ra, &settings.ra), (self.dec, &settings.dec)] {
            if key.is_some() {
                columns.push(Arc::new(Float64Array::from(values)));
            }
        }
        for (values, column) in self.headers.into_iter().zip(&plan.columns) {
            columns.push(header_array(values, &column.kind));
        }
        if let Some(catalogue) = &plan.catalogue {
            let joined = UInt32Array::from(self.joined);
            for column in 0..catalogue.fields().count() {
                columns.push(catalogue.take(column, &joined)?);
            }
        }
        columns.extend(self.pixels.into_columns()?);
        Ok(RecordBatch::try_new(plan.schema.clone(), columns)?)
    }
}
