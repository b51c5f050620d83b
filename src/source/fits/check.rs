//! Mistakes that the settings of `fits` show by themselves, before any file is opened.

use std::collections::HashSet;

use super::{
    Fits,
    schema::{IMAGE, MASK, PSF, VARIANCE},
};
use crate::{
    batch,
    error::{Code, Diagnostic},
};

/// All mistakes in the settings.
pub(super) fn check(settings: &Fits) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    check_paths_and_bands(settings, &mut diagnostics);
    check_flux_and_scale(settings, &mut diagnostics);
    check_mask(settings, &mut diagnostics);
    check_column_names(settings, &mut diagnostics);
    diagnostics
}

fn check_paths_and_bands(settings: &Fits, diagnostics: &mut Vec<Diagnostic>) {
    let mut refuse = |key: &str, code, message: &str, help: &str| {
        diagnostics.push(Diagnostic::at(key, code, message).help(help));
    };
    if settings.paths.is_empty() {
        refuse("paths", Code::MissingKey, "`paths` names no files", "name files, folders or patterns");
    }
    if settings.size == Some(0) {
        refuse("size", Code::OutOfRange, "`size` is 0, expected at least 1 pixel", "the side of the images in pixels");
    }
    let Some(bands) = &settings.bands else { return };
    let distinct: HashSet<&String> = bands.iter().collect();
    if bands.is_empty() || distinct.len() != bands.len() {
        refuse("bands", Code::OutOfRange, "`bands` must name one band or more, each once", "`bands: [g, r, i]`");
    }
    if bands.iter().any(|band| band.is_empty() || band.contains(',')) {
        refuse("bands", Code::OutOfRange, "a band must be a name without commas", "`bands: [g, r, i]`");
    }
}

fn check_flux_and_scale(settings: &Fits, diagnostics: &mut Vec<Diagnostic>) {
    const ONE_PER_BAND: &str = "one per band, or one for all";
    let mut refuse = |key: &str, code, message: String, help: &str| {
        diagnostics.push(Diagnostic::at(key, code, message).help(help));
    };
    let points = settings.zero_point.as_deref();
    if let (Some(points), Some(bands)) = (points, &settings.bands)
        && points.len() != 1
        && points.len() != bands.len()
    {
        let message = format!("`zero_point` has {} values for {} bands", points.len(), bands.len());
        refuse("zero_point", Code::OutOfRange, message, ONE_PER_BAND);
    }
    if points.is_some_and(|points| points.is_empty() || points.iter().any(|point| !point.is_finite())) {
        let message = "`zero_point` must have finite values, at least one".to_owned();
        refuse("zero_point", Code::OutOfRange, message, ONE_PER_BAND);
    }
    if settings.unit.is_some() && settings.zero_point.is_some() {
        let message = "`unit` and `zero_point` both give the unit of the pixels".to_owned();
        refuse("unit", Code::Conflict, message, "leave one out");
    }
    if let Some(scale) = settings.pixel_scale_arcsec.filter(|scale| !(scale.is_finite() && *scale > 0.0)) {
        let message = format!("`pixel_scale_arcsec` is {scale}, expected more than 0");
        refuse("pixel_scale_arcsec", Code::OutOfRange, message, "the side of a pixel on the sky");
    }
}

fn check_mask(settings: &Fits, diagnostics: &mut Vec<Diagnostic>) {
    if settings.mask_bits.is_some() && settings.masked.is_none() {
        let diagnostic = Diagnostic::at("mask_bits", Code::Conflict, "`mask_bits` has no effect without `masked`");
        diagnostics.push(diagnostic.help("`masked: reject` or `masked: fill`"));
    }
}

/// Checks that the columns from header keys and from the catalogue have usable and distinct names.
fn check_column_names(settings: &Fits, diagnostics: &mut Vec<Diagnostic>) {
    let mut names: HashSet<&str> = HashSet::from([IMAGE, VARIANCE, MASK, PSF]);
    let with_setting = [(batch::LABEL, &settings.label), (batch::RA, &settings.ra), (batch::DEC, &settings.dec)];
    names.extend(with_setting.iter().filter(|(_, key)| key.is_some()).map(|(name, _)| *name));
    let headers = settings.columns.keys().map(|name| (format!("columns.{name}"), name, false));
    let table = settings.catalogue.iter().flat_map(|catalogue| catalogue.columns.keys());
    let joined = table.map(|name| (format!("catalogue.columns.{name}"), name, true));
    for (key, name, is_joined) in headers.chain(joined) {
        let allowed = is_joined && [batch::LABEL, batch::RA, batch::DEC].contains(&name.as_str());
        let reserved = batch::RESERVED.contains(&name.as_str()) && !allowed;
        if !is_identifier(name) || reserved {
            let message = format!("`{name}` cannot be the name of a column");
            let help = "use letters, digits and `_`, and no name that another setting fills";
            diagnostics.push(Diagnostic::at(&key, Code::BadLabel, message).help(help));
        } else if !names.insert(name) {
            let message = format!("two columns are named `{name}`");
            diagnostics.push(Diagnostic::at(&key, Code::DuplicateLabel, message).help("give each column its own name"));
        }
    }
}

/// Whether a name begins with a letter and has only letters, digits and `_`.
fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
