//! The fields of a packet: those of the settings, and where they are silent, those of the survey.

use super::{
    packets::{Centre, Packets},
    survey::{Survey, SurveyFields},
};

/// The fields of a packet.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::source) struct PacketFields {
    /// Empty where neither the settings nor a survey name one.
    pub(super) object_id: String,
    pub(super) ra: Option<String>,
    pub(super) dec: Option<String>,
    pub(super) label: Option<String>,
    /// Names and fields of the stamps that some image has.
    pub(super) stamps: Vec<(String, String)>,
    /// Names, and the stamps of each, by number.
    pub(in crate::source) images: Vec<(String, Vec<usize>)>,
    pub(super) centre: Centre,
}

impl PacketFields {
    /// The fields that settings name. What is not known is left out; `check.rs` refuses that.
    pub(super) fn of(packets: &Packets) -> Self {
        let survey = packets.survey.map(Survey::fields);
        let or_survey = |own: &Option<String>, known: fn(&SurveyFields) -> &'static str| {
            own.clone().or_else(|| survey.as_ref().map(|fields| known(fields).to_owned()))
        };
        let mut stamps = all_stamps(packets);
        if !packets.images.is_empty() {
            stamps.retain(|(name, _)| packets.images.values().flatten().any(|plane| plane == name));
        }
        let number = |name: &String| stamps.iter().position(|(own, _)| own == name);
        let images = if packets.images.is_empty() {
            stamps.iter().enumerate().map(|(number, (name, _))| (name.clone(), vec![number])).collect()
        } else {
            let planes = |names: &[String]| names.iter().filter_map(number).collect();
            packets.images.iter().map(|(image, names)| (image.clone(), planes(names))).collect()
        };
        Self {
            object_id: or_survey(&packets.object_id, |fields| fields.object_id).unwrap_or_default(),
            ra: or_survey(&packets.ra, |fields| fields.ra),
            dec: or_survey(&packets.dec, |fields| fields.dec),
            label: packets.label.clone(),
            images,
            centre: packets.centre.or(survey.as_ref().map(|fields| fields.centre)).unwrap_or(Centre::Middle),
            stamps,
        }
    }
}

/// Names and fields of the stamps, whether an image has them or not.
pub(super) fn all_stamps(packets: &Packets) -> Vec<(String, String)> {
    let of_survey = || packets.survey.map(|survey| survey.fields().stamps).into_iter().flatten();
    match &packets.stamps {
        Some(stamps) => stamps.iter().map(|(name, field)| (name.clone(), field.clone())).collect(),
        None => of_survey().map(|(name, field)| (name.to_owned(), field.to_owned())).collect(),
    }
}
