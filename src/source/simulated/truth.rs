//! What is known of the objects before their pixels are drawn: identity, place on the sky, class, shape.

use std::{ops::Range, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::{Simulated, object_id};
use crate::{
    batch::{DEC, LABEL, OBJECT_ID, ORIGIN, RA, ROW},
    error::{Error, Result},
    random::Stream,
    stage::{Read, Reader},
    survey::galaxy::Galaxy,
};

/// The number of the object, from which the decoder draws its pixels.
pub(super) const NUMBER: &str = "_index";
/// The field on the sky in which objects are placed, degrees: centre (right ascension, declination) and half the side.
const FIELD_CENTRE: [f64; 2] = [150.1, 2.2];
const FIELD_HALF_SIDE: f64 = 0.7;

/// The schema of the truth.
pub(super) fn schema(settings: &Simulated) -> SchemaRef {
    let number = |name: &str, unit: &str| {
        let field = Field::new(name, DataType::Float64, false);
        if unit.is_empty() { field } else { field.with_metadata([("unit".into(), unit.into())].into()) }
    };
    let mut fields = vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(NUMBER, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
        Field::new(LABEL, DataType::Utf8, true),
        number(RA, "deg").with_nullable(true),
        number(DEC, "deg").with_nullable(true),
        number("magnitude_r", "mag(AB)"),
        number("half_light_radius_arcsec", "arcsec"),
        number("axis_ratio", ""),
        number("position_angle_deg", "deg"),
        Field::new("neighbour", DataType::Boolean, false),
    ];
    if settings.visits.is_some() {
        fields.extend([Field::new("visit", DataType::Int64, false), number("years", "yr")]);
    }
    Arc::new(Schema::new(fields))
}

/// The objects of a split: `rows` consecutive numbers.
pub(super) struct ObjectRange {
    first: u64,
    rows: u64,
}

impl ObjectRange {
    /// Reads the id of a split, `first+rows`.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let (first, rows) = id.split_once('+')?;
        Some(Self { first: first.parse().ok()?, rows: rows.parse().ok()? })
    }
}

/// Yields the truth of the objects of a split.
pub(super) struct TruthReader {
    settings: Simulated,
    seed: u64,
    objects: ObjectRange,
    offset: u64,
}

impl TruthReader {
    pub(super) fn new(settings: Simulated, seed: u64, objects: ObjectRange, offset: u64) -> Self {
        Self { settings, seed, objects, offset }
    }

    fn truth(&self, rows: Range<u64>) -> Result<RecordBatch> {
        let Self { settings, seed, .. } = self;
        let numbers: Vec<u64> = rows.clone().map(|row| self.objects.first + row).collect();
        let galaxies: Vec<Galaxy> = numbers.iter().map(|number| settings.galaxy(*seed, *number)).collect();
        let ids: Vec<String> = numbers.iter().map(|number| object_id(*seed, *number)).collect();
        let sky: Vec<[f64; 2]> = ids.iter().map(|id| sky_position(*seed, id)).collect();
        let float =
            |of: fn(&Galaxy) -> f64| -> ArrayRef { Arc::new(galaxies.iter().map(of).collect::<Float64Array>()) };
        let coordinate =
            |axis: usize| -> ArrayRef { Arc::new(sky.iter().map(|position| position[axis]).collect::<Float64Array>()) };
        let text = |of: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(of)) };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(rows)),
            Arc::new(UInt64Array::from_iter_values(numbers.iter().copied())),
            text(ids),
            text(numbers.iter().map(|number| format!("simulated[{number}]")).collect()),
            text(galaxies.iter().map(|galaxy| galaxy.class.name().to_owned()).collect()),
            coordinate(0),
            coordinate(1),
            float(|galaxy| galaxy.magnitude_r),
            float(|galaxy| galaxy.half_light_radius_arcsec),
            float(|galaxy| galaxy.axis_ratio),
            float(Galaxy::position_angle_deg),
            Arc::new(galaxies.iter().map(|galaxy| Some(galaxy.neighbour)).collect::<BooleanArray>()),
        ];
        if let Some(visits) = &settings.visits {
            let visits = numbers.iter().map(|number| visits.of(number - settings.start, settings.count));
            let (visit, years): (Vec<u64>, Vec<f64>) = visits.unzip();
            let visit = visit.into_iter().map(i64::try_from).collect::<std::result::Result<Vec<i64>, _>>();
            let visit = visit.map_err(|_| Error::data("a number is too large for the column `visit` (Int64)"))?;
            columns.push(Arc::new(Int64Array::from(visit)));
            columns.push(Arc::new(Float64Array::from(years)));
        }
        Ok(RecordBatch::try_new(schema(settings), columns)?)
    }
}

impl Reader for TruthReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let end = self.objects.rows.min(self.offset.saturating_add(max_rows as u64));
        if self.offset >= end {
            return Ok(Read::End);
        }
        let rows = self.truth(self.offset..end)?;
        self.offset = end;
        Ok(Read::Batch { rows, rejects: Vec::new() })
    }

    fn offset(&self) -> u64 {
        self.offset
    }
}

/// The place of an object on the sky: right ascension and declination, degrees.
fn sky_position(seed: u64, object_id: &str) -> [f64; 2] {
    let [ra, dec] = FIELD_CENTRE;
    let half = FIELD_HALF_SIDE;
    let mut stream = Stream::new(seed, object_id, "sky");
    let dec = dec + stream.uniform_in(-half, half);
    [ra + stream.uniform_in(-half, half) / dec.to_radians().cos(), dec]
}
