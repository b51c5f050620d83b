//! The settings of what is read from an alert packet, wherever packets come from.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Survey;
use crate::{
    avro::SchemaFolder,
    batch,
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
    /// path of a list of records (`prvDiaSources`) a list of structs.
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

/// The fields of a packet, defaults of the survey included.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::source) struct PacketFields {
    pub(super) object_id: String,
    pub(super) ra: Option<String>,
    pub(super) dec: Option<String>,
    pub(super) label: Option<String>,
    /// Names and fields.
    pub(super) stamps: Vec<(String, String)>,
    /// Names, and the stamps of each, by number.
    pub(in crate::source) images: Vec<(String, Vec<usize>)>,
    pub(super) centre: Centre,
}

impl Packets {
    /// The packets of a survey.
    pub fn of(survey: Survey) -> Self {
        Self { survey: Some(survey), ..Self::default() }
    }

    /// The stamps by name, with their fields.
    fn stamp_fields(&self) -> Vec<(String, String)> {
        match (&self.stamps, self.survey) {
            (Some(stamps), _) => stamps.iter().map(|(name, field)| (name.clone(), field.clone())).collect(),
            (None, Some(survey)) => {
                survey.fields().stamps.iter().map(|(name, field)| ((*name).to_owned(), (*field).to_owned())).collect()
            }
            (None, None) => Vec::new(),
        }
    }

    /// The fields of a packet.
    ///
    /// # Errors
    /// All mistakes that the settings show by themselves.
    pub(in crate::source) fn fields(&self) -> Result<PacketFields, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let mut refuse = |key: &str, code, message: String, help: &str| {
            diagnostics.push(Diagnostic::at(key, code, message).help(help));
        };
        let of_survey = self.survey.map(Survey::fields);
        let or_survey = |own: &Option<String>, known: fn(&super::survey::SurveyFields) -> &'static str| {
            own.clone().or_else(|| of_survey.as_ref().map(|fields| known(fields).to_owned()))
        };
        let object_id = or_survey(&self.object_id, |fields| fields.object_id).unwrap_or_else(|| {
            let message = "the field with the identity of a packet is not known".to_owned();
            refuse("", Code::MissingKey, message, "set `object_id`, or `survey` to a known one: `lsst`, `ztf`");
            String::new()
        });
        let (ra, dec) = (or_survey(&self.ra, |fields| fields.ra), or_survey(&self.dec, |fields| fields.dec));
        let mut stamps = self.stamp_fields();
        if !self.images.is_empty() {
            let is_used = |name: &String| self.images.values().flatten().any(|plane| plane == name);
            let all: Vec<String> = stamps.iter().map(|(name, _)| name.clone()).collect();
            stamps.retain(|(name, _)| is_used(name));
            let unknown = self.images.iter().flat_map(|(image, planes)| planes.iter().map(move |plane| (image, plane)));
            for (image, plane) in unknown.filter(|(_, plane)| !all.contains(plane)) {
                let message = format!("image `{image}` has the stamp `{plane}`, which `stamps` does not have");
                refuse(
                    &format!("images.{image}"),
                    Code::OutOfRange,
                    message,
                    &format!("the stamps are {}", all.join(", ")),
                );
            }
        }
        let number = |name: &str| stamps.iter().position(|(own, _)| own == name);
        let mut images: Vec<(String, Vec<usize>)> = Vec::new();
        if self.images.is_empty() {
            images = stamps.iter().enumerate().map(|(number, (name, _))| (name.clone(), vec![number])).collect();
        }
        for (name, planes) in &self.images {
            if planes.is_empty() {
                refuse(
                    &format!("images.{name}"),
                    Code::OutOfRange,
                    format!("image `{name}` has no stamps"),
                    "name a stamp",
                );
            }
            images.push((name.clone(), planes.iter().filter_map(|plane| number(plane)).collect()));
        }
        let centre = self.centre.or(of_survey.as_ref().map(|fields| fields.centre)).unwrap_or(Centre::Middle);
        if centre == Centre::Source && (ra.is_none() || dec.is_none()) {
            let message = "`centre: source` needs the position of the source".to_owned();
            refuse("centre", Code::MissingKey, message, "set `ra` and `dec`");
        }
        if centre == Centre::Source && self.size.is_none() && !images.is_empty() {
            let message =
                "`size` is not set: about the pixel of the source, stamps have no size of their own".to_owned();
            refuse(
                "",
                Code::MissingKey,
                message,
                "`size: 51`, `centre: middle` for whole stamps, or `stamps: {}` for none",
            );
        }
        if self.companions.contains(&Companion::Psf) && self.psf_size.is_none() {
            let message = "`companions: [psf]` needs `psf_size`: the PSFs of packets have several sizes".to_owned();
            refuse("companions", Code::MissingKey, message, "`psf_size: 51`");
        }
        if self.companions.contains(&Companion::Psf) && self.missing == Policy::Fill {
            let message = "`missing: fill` has no PSF to fill a missing stamp's with".to_owned();
            refuse("missing", Code::Conflict, message, "leave `psf` out of `companions`, or reject these packets");
        }
        if !self.fill.is_finite() {
            refuse("fill", Code::OutOfRange, format!("`fill` is {}, expected a finite number", self.fill), "`fill: 0`");
        }
        let companions = ["variance", "mask", "psf"];
        let made = images.iter().flat_map(|(name, _)| {
            [name.clone()].into_iter().chain(companions.iter().map(move |companion| format!("{name}_{companion}")))
        });
        let made: Vec<String> = made.collect();
        for (key, name) in (self.columns.keys().map(|name| ("columns", name)))
            .chain(self.images.keys().map(|name| ("images", name)))
            .chain(self.stamps.iter().flatten().map(|(name, _)| ("stamps", name)))
        {
            let at = format!("{key}.{name}");
            if name.is_empty() || name.starts_with('_') || batch::RESERVED.contains(&name.as_str()) {
                let message = format!("`{name}` is the name of a column that lucarne makes");
                refuse(&at, Code::BadLabel, message, "choose another name; `ra`, `dec` and `label` are settings");
            } else if key == "columns" && made.contains(name) {
                let message = format!("column `{name}` has the name of an image, or of a column beside one");
                refuse(&at, Code::DuplicateLabel, message, "choose another name");
            }
        }
        let label = self.label.clone();
        let fields = PacketFields { object_id, ra, dec, label, stamps, images, centre };
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
