//! What is known of the packets of a survey: where they have identity, position and stamps, and the columns that most users want.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packets::Centre;
use crate::avro::FieldType;

/// A survey whose alert packets are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Survey {
    /// Rubin's LSST, schemas 7.0 to 11.1: fluxes in nJy; stamps of 30 to 71 pixels with the source at their reference pixel.
    Lsst,
    /// ZTF, schemas 3.3 and 4.01: magnitudes; gzipped stamps of 63 pixels in counts of the detector.
    Ztf,
}

/// A column that packets of a survey have.
pub(super) struct SurveyColumn {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) kind: FieldType,
}

/// The fields of a survey.
pub(super) struct SurveyFields {
    pub(super) object_id: &'static str,
    pub(super) ra: &'static str,
    pub(super) dec: &'static str,
    /// Names and fields of the stamps.
    pub(super) stamps: [(&'static str, &'static str); 3],
    pub(super) centre: Centre,
    /// The unit of the stamps, as they write it.
    pub(super) unit: &'static str,
    /// The nominal side of a pixel, arcsec, where stamps have world coordinates.
    pub(super) pixel_scale_arcsec: Option<f64>,
    pub(super) columns: Vec<SurveyColumn>,
}

impl Survey {
    pub(super) fn fields(self) -> SurveyFields {
        let column = |(name, path, kind)| SurveyColumn { name, path, kind };
        match self {
            Self::Lsst => SurveyFields {
                object_id: "diaSource.diaSourceId",
                ra: "diaSource.ra",
                dec: "diaSource.dec",
                stamps: [
                    ("difference", "cutoutDifference"),
                    ("science", "cutoutScience"),
                    ("template", "cutoutTemplate"),
                ],
                centre: Centre::Source,
                unit: "nJy",
                pixel_scale_arcsec: Some(0.2),
                columns: [
                    ("dia_object_id", "diaSource.diaObjectId", FieldType::Int64),
                    ("visit", "diaSource.visit", FieldType::Int64),
                    ("detector", "diaSource.detector", FieldType::Int32),
                    ("band", "diaSource.band", FieldType::Text),
                    ("midpoint_mjd_tai", "diaSource.midpointMjdTai", FieldType::Float64),
                    ("psf_flux_njy", "diaSource.psfFlux", FieldType::Float32),
                    ("psf_flux_err_njy", "diaSource.psfFluxErr", FieldType::Float32),
                    ("snr", "diaSource.snr", FieldType::Float32),
                    ("reliability", "diaSource.reliability", FieldType::Float32),
                ]
                .map(column)
                .into(),
            },
            Self::Ztf => SurveyFields {
                object_id: "candid",
                ra: "candidate.ra",
                dec: "candidate.dec",
                stamps: [
                    ("difference", "cutoutDifference.stampData"),
                    ("science", "cutoutScience.stampData"),
                    ("template", "cutoutTemplate.stampData"),
                ],
                centre: Centre::Middle,
                unit: "DN",
                pixel_scale_arcsec: None,
                columns: [
                    ("ztf_object_id", "objectId", FieldType::Text),
                    ("jd", "candidate.jd", FieldType::Float64),
                    ("filter_id", "candidate.fid", FieldType::Int32),
                    ("field", "candidate.field", FieldType::Int32),
                    ("magnitude_psf", "candidate.magpsf", FieldType::Float32),
                    ("magnitude_psf_err", "candidate.sigmapsf", FieldType::Float32),
                    ("real_bogus", "candidate.rb", FieldType::Float32),
                    ("deep_real_bogus", "candidate.drb", FieldType::Float32),
                ]
                .map(column)
                .into(),
            },
        }
    }
}
