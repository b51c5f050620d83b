//! Mistakes in the settings of packets that show without a packet.

use std::collections::HashSet;

use super::{
    fields::{PacketFields, all_stamps},
    packets::{Centre, Packets},
};
use crate::{
    batch,
    error::{Code, Diagnostic},
    source::fits::{Companion, Policy, check::is_identifier},
};

/// All mistakes of the settings, whose fields are given.
pub(super) fn mistakes(packets: &Packets, fields: &PacketFields) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    check_fields(packets, fields, &mut diagnostics);
    check_images(packets, &mut diagnostics);
    check_pixels(packets, &mut diagnostics);
    check_names(packets, fields, &mut diagnostics);
    diagnostics
}

fn check_fields(packets: &Packets, fields: &PacketFields, diagnostics: &mut Vec<Diagnostic>) {
    let mut refuse = |key: &str, message: &str, help: &str| {
        diagnostics.push(Diagnostic::at(key, Code::MissingKey, message).help(help));
    };
    if fields.object_id.is_empty() {
        let help = "set `object_id`, or `survey` to a known one: `lsst`, `ztf`";
        refuse("", "the field with the identity of a packet is not known", help);
    }
    if fields.centre == Centre::Source && (fields.ra.is_none() || fields.dec.is_none()) {
        refuse("centre", "`centre: source` needs the position of the source", "set `ra` and `dec`");
    }
    if fields.centre == Centre::Source && packets.size.is_none() && !fields.images.is_empty() {
        let message = "`size` is not set: about the pixel of the source, stamps have no size of their own";
        refuse("", message, "`size: 51`, `centre: middle` for whole stamps, or `stamps: {}` for none");
    }
}

fn check_images(packets: &Packets, diagnostics: &mut Vec<Diagnostic>) {
    let known: Vec<String> = all_stamps(packets).into_iter().map(|(name, _)| name).collect();
    for (image, planes) in &packets.images {
        let mut refuse = |message: String, help: &str| {
            diagnostics.push(Diagnostic::at(&format!("images.{image}"), Code::OutOfRange, message).help(help));
        };
        if planes.is_empty() {
            refuse(format!("image `{image}` has no stamps"), "name a stamp");
        }
        for plane in planes.iter().filter(|plane| !known.contains(plane)) {
            let message = format!("image `{image}` has the stamp `{plane}`, which `stamps` does not have");
            refuse(message, &format!("the stamps are {}", known.join(", ")));
        }
    }
}

fn check_pixels(packets: &Packets, diagnostics: &mut Vec<Diagnostic>) {
    let mut refuse = |key: &str, code, message: &str, help: &str| {
        diagnostics.push(Diagnostic::at(key, code, message).help(help));
    };
    let has_psf = packets.wants(Companion::Psf);
    if has_psf && packets.psf_size.is_none() {
        let message = "`companions: [psf]` needs `psf_size`: the PSFs of packets have several sizes";
        refuse("companions", Code::MissingKey, message, "`psf_size: 51`");
    }
    if has_psf && packets.missing == Policy::Fill {
        let message = "`missing: fill` has no PSF to fill a missing stamp's with";
        refuse("missing", Code::Conflict, message, "leave `psf` out of `companions`, or reject these packets");
    }
    if !packets.fill.is_finite() {
        let message = format!("`fill` is {}, expected a finite number", packets.fill);
        refuse("fill", Code::OutOfRange, &message, "`fill: 0`");
    }
}

/// Checks that columns and images have usable and distinct names.
fn check_names(packets: &Packets, fields: &PacketFields, diagnostics: &mut Vec<Diagnostic>) {
    let columns = packets.columns.keys().map(|name| ("columns", name));
    let images = packets.images.keys().map(|name| ("images", name));
    let stamps = packets.stamps.iter().flat_map(|stamps| stamps.keys()).map(|name| ("stamps", name));
    for (key, name) in columns.chain(images).chain(stamps) {
        if !is_identifier(name) || batch::RESERVED.contains(&name.as_str()) {
            let message = format!("`{name}` cannot be the name of a column");
            let help = "use letters, digits and `_`; `ra`, `dec` and `label` are settings";
            diagnostics.push(Diagnostic::at(&format!("{key}.{name}"), Code::BadLabel, message).help(help));
        }
    }

    let of_survey = packets.survey.map(|survey| survey.fields().columns).unwrap_or_default();
    let own = packets.columns.keys().cloned();
    let mut names: HashSet<String> = own.chain(of_survey.iter().map(|column| column.name.to_owned())).collect();
    let key = if packets.images.is_empty() { "stamps" } else { "images" };
    for (image, _) in &fields.images {
        let companions = ["variance", "mask", "psf"].map(|companion| format!("{image}_{companion}"));
        for name in [image.clone()].into_iter().chain(companions) {
            if names.contains(&name) {
                let key = if packets.columns.contains_key(&name) {
                    format!("columns.{name}")
                } else {
                    format!("{key}.{image}")
                };
                let message = format!("two columns are named `{name}`, one of them the image `{image}`, or beside it");
                diagnostics.push(Diagnostic::at(&key, Code::DuplicateLabel, message).help("give each its own name"));
            }
            names.insert(name);
        }
    }
}
