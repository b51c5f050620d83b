//! The settings of what is read from an alert packet, wherever packets come from.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Survey, check::mistakes, fields::PacketFields};
use crate::{
    avro::SchemaFolder,
    error::{Code, Diagnostic},
    source::fits::{Companion, EmptyBand, Fits, Policy},
};

/// What is read from a packet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Packets {
    /// The survey that sends the packets. It gives defaults for the fields below, and `columns` of its own.
    #[serde(default)]
    pub survey: Option<Survey>,
    /// A folder with schemas (`.avsc` or `.json`), for messages that stand alone and carry only the number of theirs: `900.avsc`, or as
    /// Rubin publishes them, `lsst.v9_0.alert.avsc` for the number 900, with the records that it names beside it.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub schemas: Option<String>,
    /// The field with the identity, as a path: `diaSource.diaSourceId`.
    #[serde(default)]
    pub object_id: Option<String>,
    /// The field with the right ascension, degrees.
    #[serde(default)]
    pub ra: Option<String>,
    /// The field with the declination, degrees.
    #[serde(default)]
    pub dec: Option<String>,
    /// The field with the class.
    #[serde(default)]
    pub label: Option<String>,
    /// Further columns from fields, by path: `{snr: diaSource.snr}`. A path through a list (`prvDiaSources.psfFlux`) gives a list, the
    /// path of a list of records (`prvDiaSources`) a list of structs. One with the name of a column of the survey replaces it.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// The fields with stamps: FITS images, plain or compressed as a whole. `{science: cutoutScience}`. `{}` for none.
    #[serde(default)]
    pub stamps: Option<BTreeMap<String, String>>,
    /// Image columns, each of one stamp or several: `{stamps: [difference, science, template]}`. By default one for each stamp.
    #[serde(default)]
    pub images: BTreeMap<String, Vec<String>>,
    /// Side of the images, pixels. By default that of the first stamp, which all stamps must then have.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4096))]
    pub size: Option<usize>,
    /// The pixel of a stamp that becomes pixel n/2 of the image.
    #[serde(default)]
    pub centre: Option<Centre>,
    /// What to do with a stamp that does not have all pixels of the image.
    #[serde(default)]
    pub pad: Policy,
    /// What to do with a packet without a stamp.
    #[serde(default)]
    pub missing: Policy,
    /// What to do with a stamp that has pixels which are not finite.
    #[serde(default)]
    pub nan: Policy,
    /// What to do with a stamp without information: all pixels equal, or none with data.
    #[serde(default)]
    pub empty_band: EmptyBand,
    /// The value of filled and padded pixels.
    #[serde(default)]
    pub fill: f32,
    /// Columns beside each image: `<image>_variance` and `<image>_psf` from further HDUs of the stamps, and `<image>_mask`, which marks
    /// filled and padded pixels.
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// Side of the PSF, pixels, for `companions: [psf]`; smaller ones are padded with zeros, larger ones reject the packet.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub psf_size: Option<usize>,
    /// The unit of the pixels, instead of the stamps' `BUNIT`: `nJy`, `adu`. Fluxes are converted to nJy.
    #[serde(default)]
    pub unit: Option<String>,
    /// Side of a pixel, arcsec, instead of that of the stamps' world coordinates.
    #[serde(default)]
    #[schemars(range(min = 0.000001))]
    pub pixel_scale_arcsec: Option<f64>,
}

/// The pixel of a stamp that becomes the middle of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Centre {
    /// Pixel n/2 of the stamp, rounded down.
    Middle,
    /// The pixel of the source: its position by the world coordinates of the stamp, to the nearest pixel. Stamps of an even number of
    /// pixels have it left or right of their middle. Default with `survey: lsst`.
    Source,
}

impl Packets {
    /// The packets of a survey.
    pub fn of(survey: Survey) -> Self {
        Self { survey: Some(survey), ..Self::default() }
    }

    /// The fields of a packet.
    ///
    /// # Errors
    /// All mistakes that the settings show by themselves.
    pub(in crate::source) fn fields(&self) -> Result<PacketFields, Vec<Diagnostic>> {
        let fields = PacketFields::of(self);
        let diagnostics = mistakes(self, &fields);
        if diagnostics.is_empty() { Ok(fields) } else { Err(diagnostics) }
    }

    /// How a stamp is read as a FITS file. No finite flux stands for no data: that a difference is -9999 nJy is possible.
    pub(super) fn as_fits(&self) -> Fits {
        Fits {
            nan: self.nan,
            blank: Some(Vec::new()),
            empty_band: self.empty_band,
            fill: self.fill,
            companions: self.companions.iter().copied().filter(|companion| *companion != Companion::Mask).collect(),
            unit: self.unit.clone(),
            pixel_scale_arcsec: self.pixel_scale_arcsec,
            max_megapixels: 64,
            max_gunzipped_mib: 256,
            ..Fits::new([""; 0])
        }
    }

    /// The folder of schemas, if one is named.
    ///
    /// # Errors
    /// A folder that cannot be read, or has no schemas.
    pub(in crate::source) fn schema_folder(&self) -> Result<Option<SchemaFolder>, Vec<Diagnostic>> {
        let folder = self.schemas.as_ref().map(|folder| SchemaFolder::open(Path::new(folder))).transpose();
        folder.map_err(|message| {
            vec![Diagnostic::at("schemas", Code::MissingFile, message).help("name a folder with `.avsc` files")]
        })
    }

    pub(super) fn wants(&self, companion: Companion) -> bool {
        self.companions.contains(&companion)
    }
}
