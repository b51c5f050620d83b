//! Mistakes that the settings of `fits` show by themselves, before any file is opened.

use std::collections::HashSet;

use super::{
    Axis, Bands, Fits, Layout, MaskPlane,
    inputs::Pattern,
    schema::{IMAGE, MASK, PSF, VARIANCE},
    units::{Measure, PixelUnit},
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
    if settings.layout == Layout::FilePerBand && settings.bands.is_none() {
        let help = "`bands: [g, r, i]`, or `bands: { g: HSC-G }` with the names that files have";
        refuse("layout", Code::MissingKey, "`layout: file_per_band` needs `bands`", help);
    }
    if let Some(pattern) = &settings.pattern {
        let help = "`pattern: \"{object}_{band}.fits\"`";
        if settings.layout != Layout::FilePerBand {
            refuse("pattern", Code::Conflict, "`pattern` has no effect without `layout: file_per_band`", help);
        } else if Pattern::parse(pattern).is_none() {
            let message = "`pattern` must have `{object}` and `{band}`, each once, and something between them";
            refuse("pattern", Code::OutOfRange, message, help);
        }
    }
    let axes = settings.axes.as_deref().unwrap_or(&[Axis::Y, Axis::X]);
    let count = |axis: Axis| axes.iter().filter(|own| **own == axis).count();
    if [Axis::Y, Axis::X].map(count) != [1, 1] || count(Axis::Object) > 1 || count(Axis::Band) > 1 {
        refuse(
            "axes",
            Code::OutOfRange,
            "`axes` must have `y` and `x` once, `object` and `band` at most once",
            "`axes: [y, x, band]`",
        );
    }
    let Some(bands) = settings.bands.as_ref().map(Bands::names) else { return };
    let distinct: HashSet<&String> = bands.iter().collect();
    if bands.is_empty() || distinct.len() != bands.len() {
        refuse("bands", Code::OutOfRange, "`bands` must name one band or more, each once", "`bands: [g, r, i]`");
    }
    if bands.iter().any(|band| band.is_empty() || band.contains(',')) {
        refuse("bands", Code::OutOfRange, "a band must be a name without commas", "`bands: [g, r, i]`");
    }
}

pub(in crate::source) fn check_flux_and_scale(settings: &Fits, diagnostics: &mut Vec<Diagnostic>) {
    const ONE_PER_BAND: &str = "one per band, or one for all";
    let mut refuse = |key: &str, code, message: String, help: &str| {
        diagnostics.push(Diagnostic::at(key, code, message).help(help));
    };
    for (name, setting) in settings.photometry() {
        let count = setting.count();
        if let Some(bands) = &settings.bands
            && count != 1
            && count != bands.len()
        {
            refuse(
                name,
                Code::OutOfRange,
                format!("`{name}` has {count} values for {} bands", bands.len()),
                ONE_PER_BAND,
            );
        }
        let is_usable = |number: &f64| number.is_finite() && (name == "zero_point" || *number > 0.0);
        if count == 0 || !setting.numbers().iter().all(is_usable) {
            let range = if name == "zero_point" { "finite values" } else { "finite values above 0" };
            refuse(name, Code::OutOfRange, format!("`{name}` must have {range}, at least one"), ONE_PER_BAND);
        }
        let unit = settings.unit.as_deref().and_then(PixelUnit::parse).map(|unit| unit.measure);
        if matches!(unit, Some(Measure::Flux { .. } | Measure::SurfaceBrightness { .. })) {
            let message = format!("`unit` and `{name}` both give the unit of the pixels");
            refuse("unit", Code::Conflict, message, "leave one out");
        }
    }
    if settings.photometry().count() > 1 {
        let message = "`zero_point` and `flux_at_zero_magnitude` both say what a count is".to_owned();
        refuse("flux_at_zero_magnitude", Code::Conflict, message, "leave one out");
    }
    if settings.blank.iter().flatten().any(|number| !number.is_finite()) {
        let message = "`blank` must have finite numbers".to_owned();
        refuse("blank", Code::OutOfRange, message, "pixels that are not finite follow `nan` anyway");
    }
    if let Some(scale) = settings.pixel_scale_arcsec.filter(|scale| !(scale.is_finite() && *scale > 0.0)) {
        let message = format!("`pixel_scale_arcsec` is {scale}, expected more than 0");
        refuse("pixel_scale_arcsec", Code::OutOfRange, message, "the side of a pixel on the sky");
    }
}

pub(in crate::source) fn check_mask(settings: &Fits, diagnostics: &mut Vec<Diagnostic>) {
    let mut refuse = |key: &str, code, message: &str, help: &str| {
        diagnostics.push(Diagnostic::at(key, code, message).help(help));
    };
    if settings.mask_bits.is_some() && !settings.reads_mask() {
        let help = "`companions: [mask]`, `masked: reject` or `masked: fill`";
        refuse("mask_bits", Code::Conflict, "`mask_bits` has no effect without a mask", help);
    }
    if settings.mask_bits.is_some() && settings.bad.is_some() {
        refuse("mask_bits", Code::Conflict, "`bad` and `mask_bits` both choose planes of the mask", "leave one out");
    }
    let is_bit = |plane: &MaskPlane| !matches!(plane, MaskPlane::Bit(64..));
    if settings.bad.as_ref().is_some_and(|bad| bad.is_empty() || !bad.iter().all(is_bit)) {
        let help = "`bad: [BAD, SAT]` or `bad: [0, 1]`";
        refuse("bad", Code::OutOfRange, "`bad` must name planes of a mask, or bits from 0 to 63", help);
    }
    if settings.pad.is_some() && settings.size.is_none() {
        refuse("pad", Code::Conflict, "`pad` has no effect without `size`", "set `size`, the side of the images");
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
pub(in crate::source) fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
