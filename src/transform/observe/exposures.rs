//! The exposures of a run: the quantities they depend on, and the exposure of a row and band.

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{Observe, input_noise::BoundVariance, optics::airmass_rules};
use crate::{
    batch::ImageLayout,
    error::{Diagnostic, Result},
    random::Stream,
    survey::{
        exposure::Exposure,
        photometry::{electrons_per_nanojansky, sky_electrons},
        preset::{Band, Survey},
    },
    transform::{
        diagnostics::unknown_pixel_scale,
        quantity::{BoundQuantity, Quantity, QuantityRules, QuantityValues},
    },
};

/// The exposures of a run.
#[derive(Debug, Clone)]
pub(super) struct Exposures {
    bands: Vec<Band>,
    /// Seconds in a unit of `time`, by band: a year, a visit or a second.
    seconds_per_unit: Vec<f64>,
    seconds_per_visit: f64,
    survey_airmass: f64,
    /// 0 when it is not known and not needed, because there is no sky.
    pixel_scale_arcsec: f64,
    quantities: ExposureQuantities<BoundQuantity>,
    pub(super) variance: BoundVariance,
}

/// What an exposure depends on: quantities of a run, their values in a batch, or the numbers of a row and band.
#[derive(Debug, Clone)]
struct ExposureQuantities<T> {
    /// In years, visits or seconds.
    time: T,
    airmass: T,
    /// Magnitudes per airmass.
    extinction: T,
    /// Magnitudes per square arcsec.
    sky: T,
    /// Relative standard deviation.
    sky_error: T,
    /// Electrons per visit.
    read_noise: T,
    /// Electrons per visit.
    saturation: T,
}

impl<T> ExposureQuantities<T> {
    /// Maps every quantity, in the order of the fields; stops at the first error.
    fn try_map<'a, U, E>(&'a self, mut map: impl FnMut(&'a T) -> Result<U, E>) -> Result<ExposureQuantities<U>, E> {
        Ok(ExposureQuantities {
            time: map(&self.time)?,
            airmass: map(&self.airmass)?,
            extinction: map(&self.extinction)?,
            sky: map(&self.sky)?,
            sky_error: map(&self.sky_error)?,
            read_noise: map(&self.read_noise)?,
            saturation: map(&self.saturation)?,
        })
    }
}

impl Exposures {
    /// The exposures of images of a layout, whose bands the survey has.
    pub(super) fn bind(
        settings: &Observe,
        survey: &Survey,
        input: &Schema,
        layout: &ImageLayout,
    ) -> Result<Self, Vec<Diagnostic>> {
        let names = &layout.bands;
        let bands: Vec<Band> = names.iter().filter_map(|name| survey.bands.get(name).copied()).collect();
        let by_band = |number: fn(&Band) -> f64| bands.iter().map(number).collect::<Vec<_>>();
        let same = |value: f64| vec![value; names.len()];
        let (time_key, time, seconds_per_unit) = match (&settings.years, &settings.visits) {
            (Some(years), _) => ("years", Some(years), by_band(|band| band.seconds_per_year)),
            (None, Some(visits)) => ("visits", Some(visits), same(survey.seconds_per_visit)),
            (None, None) => ("exposure_seconds", settings.exposure_seconds.as_ref(), same(1.0)),
        };
        let mut mistakes = Vec::new();
        let mut bind = |quantity: Option<&Quantity>, rules: QuantityRules| {
            rules.bind(quantity, input).map_err(|found| mistakes.extend(found)).ok()
        };
        let rules = |key, default, off, range| QuantityRules { key, bands: names, default, off, range };
        let quantities = ExposureQuantities {
            time: bind(time, rules(time_key, same(f64::NAN), None, f64::MIN_POSITIVE..=1e9)),
            airmass: bind(settings.airmass.as_ref(), airmass_rules(survey, names)),
            extinction: bind(
                settings.extinction_mag_per_airmass.as_ref(),
                rules(
                    "extinction_mag_per_airmass",
                    by_band(|band| band.extinction_mag_per_airmass.unwrap_or(0.0)),
                    Some(0.0),
                    0.0..=10.0,
                ),
            ),
            sky: bind(
                settings.sky_mag_per_arcsec2.as_ref(),
                rules("sky_mag_per_arcsec2", by_band(|band| band.sky_mag_per_arcsec2), Some(f64::INFINITY), 0.0..=60.0),
            ),
            sky_error: bind(
                settings.sky_subtraction_error.as_ref(),
                rules("sky_subtraction_error", same(0.0), Some(0.0), 0.0..=1.0),
            ),
            read_noise: bind(
                settings.read_noise_electrons.as_ref(),
                rules(
                    "read_noise_electrons",
                    same(survey.read_noise_in_pixel(layout.pixel_scale_arcsec)),
                    Some(0.0),
                    0.0..=1e6,
                ),
            ),
            saturation: bind(
                settings.saturation_electrons.as_ref(),
                rules("saturation_electrons", same(f64::INFINITY), Some(f64::INFINITY), 1.0..=f64::MAX),
            ),
        };
        let variance = BoundVariance::bind(settings.input_variance.as_ref(), input, layout);
        let variance = variance.map_err(|found| mistakes.extend(found)).ok();
        if layout.pixel_scale_arcsec.is_none() && !quantities.sky.as_ref().is_some_and(is_dark) {
            let mistake = unknown_pixel_scale("image", &settings.image);
            mistakes.push(mistake.help("set `pixel_scale_arcsec` in the source, or `sky_mag_per_arcsec2: off`"));
        }
        let quantities = quantities.try_map(|quantity| quantity.clone().ok_or(())).ok();
        match (quantities, variance) {
            (Some(quantities), Some(variance)) if mistakes.is_empty() => Ok(Self {
                bands,
                seconds_per_unit,
                seconds_per_visit: survey.seconds_per_visit,
                survey_airmass: survey.reference_airmass(),
                pixel_scale_arcsec: layout.pixel_scale_arcsec.unwrap_or(0.0),
                quantities,
                variance,
            }),
            _ => Err(mistakes),
        }
    }

    /// Electrons per nJy by band, when they are the same for all rows.
    pub(super) fn constant_gain(&self) -> Option<Vec<f64>> {
        let ExposureQuantities { time, airmass, extinction, .. } = &self.quantities;
        let (time, airmass, extinction) = (time.constant()?, airmass.constant()?, extinction.constant()?);
        Some((0..self.bands.len()).map(|band| self.gain(band, time[band], airmass[band], extinction[band])).collect())
    }

    fn gain(&self, band: usize, time: f64, airmass: f64, extinction: f64) -> f64 {
        let zero_point = self.bands[band].zero_point_electrons_per_second;
        let seconds = time * self.seconds_per_unit[band];
        electrons_per_nanojansky(seconds, zero_point, extinction * (airmass - self.survey_airmass))
    }

    /// The values of a batch.
    pub(super) fn read(&self, batch: &RecordBatch) -> Result<ExposureRows<'_>> {
        let quantities = self.quantities.try_map(|quantity| quantity.read(batch))?;
        Ok(ExposureRows { exposures: self, quantities })
    }
}

/// Whether there is no sky in any band and row.
fn is_dark(sky: &BoundQuantity) -> bool {
    sky.constant().is_some_and(|sky| sky.iter().all(|mag| mag.is_infinite()))
}

/// The exposures of the rows of a batch.
pub(super) struct ExposureRows<'a> {
    exposures: &'a Exposures,
    quantities: ExposureQuantities<QuantityValues<'a>>,
}

impl ExposureRows<'_> {
    /// The exposure of a row and band, or why the row is rejected. The error of the sky is drawn from `sky_error`.
    pub(super) fn get(&self, row: usize, band: usize, sky_error: &mut Stream) -> Result<Exposure, String> {
        let numbers = self.quantities.try_map(|values| values.get(row, band))?;
        let exposures = self.exposures;
        let seconds = numbers.time * exposures.seconds_per_unit[band];
        let visits = seconds / exposures.seconds_per_visit;
        let zero_point = exposures.bands[band].zero_point_electrons_per_second;
        let sky = sky_electrons(seconds, zero_point, numbers.sky, exposures.pixel_scale_arcsec);
        let error = numbers.sky_error;
        Ok(Exposure {
            electrons_per_njy: exposures.gain(band, numbers.time, numbers.airmass, numbers.extinction),
            sky_electrons: sky,
            subtracted_electrons: if error > 0.0 { sky * (1.0 + error * sky_error.normal()) } else { sky },
            read_noise_electrons: numbers.read_noise * visits.sqrt(),
            saturation_electrons: numbers.saturation * visits,
        })
    }
}
