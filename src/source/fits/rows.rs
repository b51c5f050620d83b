//! Rows of a batch: the keys of objects and their pixels, on the way to columns.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array},
    datatypes::DataType,
};

use super::{
    Companion, Policy, cutout,
    objects::{Found, Object, Planes, Spread},
    plan::{Plan, describe, headers},
};
use crate::{
    batch,
    error::Result,
    fits::{self, CardValue as Value, Image},
};

/// Room for rows that is made before they are read; more grows as it is needed.
const ROOM: usize = 256;

/// A column of pixels that grows by whole rows.
struct Pixels {
    values: Vec<f32>,
    row: usize,
}

impl Pixels {
    /// The memory is zeroed by the system when it is first touched, not before.
    fn new(row: usize, rows: usize) -> Self {
        Self { values: vec![0.0; row * rows], row }
    }

    /// The place of a row.
    fn slot(&mut self, at: usize) -> &mut [f32] {
        let (start, end) = (at * self.row, (at + 1) * self.row);
        if self.values.len() < end {
            self.values.resize(2 * end, 0.0);
        }
        &mut self.values[start..end]
    }

    fn into_column(mut self, rows: usize) -> Result<ArrayRef> {
        self.values.truncate(rows * self.row);
        self.values.shrink_to_fit();
        batch::list_column(self.values, self.row)
    }
}

/// Rows of a batch, before they are columns.
pub(super) struct Rows {
    numbers: Vec<u64>,
    ids: Vec<String>,
    origins: Vec<String>,
    label: Vec<Option<String>>,
    ra: Vec<Option<f64>>,
    dec: Vec<Option<f64>>,
    headers: Vec<Vec<Option<Value>>>,
    joined: Vec<Option<u32>>,
    image: Pixels,
    variance: Option<Pixels>,
    mask: Option<Pixels>,
    psf: Option<Pixels>,
}

/// Everything of a row but its pixels.
struct Keys {
    label: Option<String>,
    ra: Option<f64>,
    dec: Option<f64>,
    headers: Vec<Option<Value>>,
    joined: Option<u32>,
}

impl Rows {
    pub(super) fn new(plan: &Plan, max_rows: usize) -> Self {
        let room = max_rows.min(ROOM);
        let pixels = |wanted: bool| wanted.then(|| Pixels::new(plan.image.pixels(), room));
        Self {
            numbers: Vec::with_capacity(room),
            ids: Vec::with_capacity(room),
            origins: Vec::with_capacity(room),
            label: Vec::new(),
            ra: Vec::new(),
            dec: Vec::new(),
            headers: plan.columns.iter().map(|_| Vec::new()).collect(),
            joined: Vec::new(),
            image: Pixels::new(plan.image.pixels(), room),
            variance: pixels(plan.settings.wants(Companion::Variance)),
            mask: pixels(plan.settings.wants(Companion::Mask)),
            psf: plan.psf.as_ref().map(|psf| Pixels::new(psf.pixels(), room)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Takes an object, all of it or (with a reason) nothing.
    pub(super) fn push(
        &mut self,
        plan: &Plan,
        file: &fits::FitsFile,
        found: &Found,
        id: &str,
        origin: &str,
        number: u64,
    ) -> Result<(), String> {
        let object = found.object.as_ref().map_err(String::clone)?;
        let description = describe(file, &plan.settings, object)?;
        plan.accept(object, &description)?;
        let keys = keys(plan, file, found, id)?;
        self.pixels(plan, file, object, &description.factors)?;
        self.numbers.push(number);
        self.ids.push(id.to_owned());
        self.origins.push(origin.to_owned());
        self.label.push(keys.label);
        self.ra.push(keys.ra);
        self.dec.push(keys.dec);
        for (column, value) in self.headers.iter_mut().zip(keys.headers) {
            column.push(value);
        }
        self.joined.push(keys.joined);
        Ok(())
    }

    fn pixels(&mut self, plan: &Plan, file: &fits::FitsFile, object: &Object, factors: &[f64]) -> Result<(), String> {
        let at = self.numbers.len();
        let (settings, layout) = (&plan.settings, &plan.image);
        let side = [layout.height, layout.width];
        let image = self.image.slot(at);
        read(file, &object.image, image, side, settings.fill)?;
        for (plane, factor) in image.chunks_exact_mut(layout.plane()).zip(factors) {
            if *factor != 1.0 {
                plane.iter_mut().for_each(|pixel| *pixel = (f64::from(*pixel) * factor) as f32);
            }
        }
        if object.image.side != side && settings.fill != 0.0 {
            // Padding was scaled with the rest.
            repad(&object.image, image, side, settings.fill);
        }
        finite(image, layout.bands.as_slice(), layout.width, settings.nan, settings.fill, "")?;
        if let (Some(column), Some((planes, kind))) = (&mut self.variance, &object.variance) {
            let variance = column.slot(at);
            read(file, planes, variance, side, 0.0)?;
            for (plane, factor) in variance.chunks_exact_mut(layout.plane()).zip(factors) {
                plane.iter_mut().for_each(|value| *value = squared(*value, *kind, *factor));
            }
            repad(planes, variance, side, 0.0);
            finite(variance, layout.bands.as_slice(), layout.width, settings.nan, 0.0, "variance ")?;
        }
        if let Some(planes) = &object.mask {
            let mut scratch;
            let mask = match &mut self.mask {
                Some(column) => column.slot(at),
                None => {
                    scratch = vec![0.0; layout.pixels()];
                    scratch.as_mut_slice()
                }
            };
            read(file, planes, mask, side, 1.0)?;
            if let Some(policy) = settings.masked {
                // Padding was filled already, and would reject every padded image.
                let bits = settings.mask_bits.unwrap_or(u32::MAX);
                let inside = inside(planes, side);
                let bad = |(index, value): (usize, &f32)| inside(index) && is_masked(*value, bits);
                let image = self.image.slot(at);
                match policy {
                    Policy::Reject => {
                        let count = mask.iter().enumerate().filter(|pixel| bad(*pixel)).count();
                        if count > 0 {
                            return Err(format!(
                                "has {count} masked pixels of {}: `masked: fill` would fill them",
                                mask.len()
                            ));
                        }
                    }
                    Policy::Fill => mask
                        .iter()
                        .enumerate()
                        .filter(|pixel| bad(*pixel))
                        .for_each(|(index, _)| image[index] = settings.fill),
                }
            }
        }
        if let (Some(column), Some(planes), Some(layout)) = (&mut self.psf, &object.psf, &plan.psf) {
            let psf = column.slot(at);
            read(file, planes, psf, [layout.height, layout.width], 0.0)?;
            finite(psf, layout.bands.as_slice(), layout.width, settings.nan, 0.0, "PSF ")?;
        }
        Ok(())
    }

    pub(super) fn into_batch(self, plan: &Plan) -> Result<RecordBatch> {
        let rows = self.numbers.len();
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
            columns.push(header_column(values, &column.kind));
        }
        if let Some(catalogue) = &plan.catalogue {
            let joined = UInt32Array::from(self.joined);
            for column in 0..catalogue.fields().count() {
                columns.push(catalogue.take(column, &joined)?);
            }
        }
        for pixels in [Some(self.image), self.variance, self.mask, self.psf].into_iter().flatten() {
            columns.push(pixels.into_column(rows)?);
        }
        Ok(RecordBatch::try_new(plan.schema.clone(), columns)?)
    }
}

/// Copies planes into a row, padded with `pad`.
fn read(file: &fits::FitsFile, planes: &Planes, out: &mut [f32], side: [usize; 2], pad: f32) -> Result<(), String> {
    if planes.side[0] < side[0] || planes.side[1] < side[1] {
        out.fill(pad);
    }
    let mut open: Option<(usize, Image<'_>)> = None;
    for (plane, out) in planes.planes.iter().zip(out.chunks_exact_mut(side[0] * side[1])) {
        if open.as_ref().is_none_or(|(hdu, _)| *hdu != plane.hdu) {
            open = Some((plane.hdu, file.image(plane.hdu).map_err(|error| error.reason())?));
        }
        if let Some((_, image)) = &open {
            cutout::copy(image, plane.index * planes.side[0] * planes.side[1], planes.side, out, side);
        }
    }
    Ok(())
}

/// Whether a pixel of a row was read, and is no padding.
fn inside(planes: &Planes, [rows, columns]: [usize; 2]) -> impl Fn(usize) -> bool + use<> {
    let within =
        |have: usize, want: usize| (want / 2).saturating_sub(have / 2)..(want / 2).saturating_sub(have / 2) + have;
    let (y, x) = (within(planes.side[0], rows), within(planes.side[1], columns));
    move |index| y.contains(&(index / columns % rows)) && x.contains(&(index % columns))
}

fn repad(planes: &Planes, out: &mut [f32], side: [usize; 2], pad: f32) {
    if planes.side[0] < side[0] || planes.side[1] < side[1] {
        let inside = inside(planes, side);
        out.iter_mut().enumerate().filter(|(index, _)| !inside(*index)).for_each(|(_, pixel)| *pixel = pad);
    }
}

fn squared(value: f32, kind: Spread, factor: f64) -> f32 {
    let value = f64::from(value);
    let variance = match kind {
        Spread::Variance => value,
        Spread::Sigma => value * value,
        Spread::Inverse => 1.0 / value,
    };
    (variance * factor * factor) as f32
}

/// Applies the policy to pixels that are no finite number.
fn finite(
    pixels: &mut [f32],
    bands: &[String],
    width: usize,
    policy: Policy,
    fill: f32,
    what: &str,
) -> Result<(), String> {
    let Some((count, first)) = cutout::non_finite(pixels) else { return Ok(()) };
    if policy == Policy::Fill {
        pixels.iter_mut().filter(|pixel| !pixel.is_finite()).for_each(|pixel| *pixel = fill);
        return Ok(());
    }
    let plane = pixels.len() / bands.len().max(1);
    let (band, y, x) = (&bands[first / plane], first % plane / width, first % width);
    Err(format!(
        "has {count} {what}pixels of {} that are no finite number, the first at band `{band}`, y {y}, x {x}: `nan: fill` would fill them",
        pixels.len()
    ))
}

fn is_masked(value: f32, bits: u32) -> bool {
    value.is_nan() || value as i64 as u32 & bits != 0
}

/// The columns of an object that headers and catalogue give.
fn keys(plan: &Plan, file: &fits::FitsFile, found: &Found, id: &str) -> Result<Keys, String> {
    let settings = &plan.settings;
    let value = |key: &str| headers(file, found).find_map(|header| header.get(key));
    let text = |key: &String| headers(file, found).find_map(|header| header.text(key));
    let degrees = |key: &String| match value(key) {
        None => Ok(None),
        Some(value) => {
            let wrong = || format!("key `{key}` is `{}`, expected degrees", value.to_text().escape_debug());
            value.to_number().map(Some).ok_or_else(wrong)
        }
    };
    let mut columns = Vec::with_capacity(plan.columns.len());
    for column in &plan.columns {
        let value = value(&column.key);
        let fits = matches!(
            (&value, &column.kind),
            (None, _)
                | (_, DataType::Utf8)
                | (Some(Value::Integer(_)), DataType::Int64)
                | (Some(Value::Integer(_) | Value::Real(_)), DataType::Float64)
                | (Some(Value::Logical(_)), DataType::Boolean)
        );
        if let (false, Some(value)) = (fits, &value) {
            return Err(format!(
                "key `{}` is `{}`, expected {} as in the first files",
                column.key,
                value.to_text().escape_debug(),
                column.kind
            ));
        }
        columns.push(value);
    }
    let joined = plan.catalogue.as_ref().and_then(|catalogue| {
        match settings.catalogue.as_ref().and_then(|settings| settings.header_key.as_ref()) {
            None => catalogue.row(id),
            Some(key) => catalogue.row(&text(key)?),
        }
    });
    Ok(Keys {
        label: settings.label.as_ref().and_then(text),
        ra: settings.ra.as_ref().map_or(Ok(None), degrees)?,
        dec: settings.dec.as_ref().map_or(Ok(None), degrees)?,
        headers: columns,
        joined,
    })
}

fn header_column(values: Vec<Option<Value>>, kind: &DataType) -> ArrayRef {
    let number = |value: Option<Value>| value.and_then(|value| value.to_number());
    match kind {
        DataType::Int64 => {
            let integer = |value| if let Some(Value::Integer(value)) = value { Some(value) } else { None };
            Arc::new(values.into_iter().map(integer).collect::<Int64Array>())
        }
        DataType::Float64 => Arc::new(values.into_iter().map(number).collect::<Float64Array>()),
        DataType::Boolean => {
            let logical = |value| if let Some(Value::Logical(value)) = value { Some(value) } else { None };
            Arc::new(values.into_iter().map(logical).collect::<BooleanArray>())
        }
        _ => Arc::new(values.into_iter().map(|value| value.map(|value| value.to_text())).collect::<StringArray>()),
    }
}
