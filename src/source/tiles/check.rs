//! Mistakes that the settings of `tiles` show by themselves, before any file is opened.

use std::collections::HashSet;

use super::{OverlapRule, Tiles, companion_files::CompanionKind, settings::CompanionSetting};
use crate::{
    batch,
    error::{Code, Diagnostic, quoted_list},
    source::fits::{
        Companion,
        check::{check_flux_and_scale, check_mask, is_identifier},
        schema::{IMAGE, MASK, PSF, VARIANCE},
    },
};

/// All mistakes in the settings.
pub(super) fn check(settings: &Tiles) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    check_bands(settings, &mut diagnostics);
    check_companions(settings, &mut diagnostics);
    check_columns(settings, &mut diagnostics);
    let images = settings.as_fits();
    check_flux_and_scale(&images, &mut diagnostics);
    check_mask(&images, &mut diagnostics);
    diagnostics
}

fn check_bands(settings: &Tiles, diagnostics: &mut Vec<Diagnostic>) {
    let mut refuse = |key: &str, code, message: String, help: &str| {
        diagnostics.push(Diagnostic::at(key, code, message).help(help));
    };
    let bands = settings.bands.names();
    let distinct: HashSet<&String> = bands.iter().collect();
    if bands.is_empty() || distinct.len() != bands.len() {
        let message = "`bands` must name one band or more, each once".to_owned();
        refuse("bands", Code::OutOfRange, message, "`bands: [g, r, i]`");
    }
    if bands.iter().any(|band| band.is_empty() || band.contains(',')) {
        let message = "a band must be a name without commas".to_owned();
        refuse("bands", Code::OutOfRange, message, "`bands: [g, r, i]`");
    }
    let has_list = settings.image_list.is_some();
    if has_list && settings.companion_files().iter().any(|setting| !setting.files.is_empty()) {
        let message = "`image_list` names the tiles, and so do `masks`, `variances`, `weights` or `psfs`".to_owned();
        refuse(
            "image_list",
            Code::Conflict,
            message,
            "name the columns `mask`, `variance`, `weight` or `psf` of the list",
        );
    }
    if has_list && !settings.images.is_empty() {
        let message = "`images` and `image_list` both name the tiles".to_owned();
        refuse("image_list", Code::Conflict, message, "leave one out");
    }
    for band in bands.iter().filter(|_| !has_list) {
        if settings.images.get(band).is_none_or(Vec::is_empty) {
            let message = format!("`images` names no files for the band `{}`", band.escape_debug());
            refuse("images", Code::MissingKey, message, "`images: { g: [\"tiles/*_g.fits\"] }`");
        }
    }
    for band in settings.images.keys().filter(|band| !distinct.contains(band)) {
        let message = format!("`images` has the band `{}`, which is not in `bands`", band.escape_debug());
        let help = format!("`bands` has {}", quoted_list(&bands));
        refuse("images", Code::Conflict, message, &help);
    }
    if settings.size == 0 {
        refuse("size", Code::OutOfRange, "`size` is 0, expected at least 1 pixel".into(), "the side of the cutouts");
    }
    if settings.exposure_key.is_some() && settings.overlap != OverlapRule::Deepest {
        let message = "`exposure_key` has no effect without `overlap: deepest`".to_owned();
        refuse("exposure_key", Code::Conflict, message, "set `overlap: deepest`");
    }
}

fn check_companions(settings: &Tiles, diagnostics: &mut Vec<Diagnostic>) {
    let bands = settings.bands.names();
    for CompanionSetting { kind, name, files } in settings.companion_files() {
        let column = settings.image_list.as_ref().and_then(|list| list.column_of(kind));
        if files.is_empty() && column.is_none() {
            continue;
        }
        let name = column.map_or_else(|| name.to_owned(), |column| format!("image_list.{column}"));
        let mut refuse = |code, message: String, help: &str| {
            diagnostics.push(Diagnostic::at(&name, code, message).help(help));
        };
        if column.is_none() && (files.len() != bands.len() || !bands.iter().all(|band| files.contains_key(band))) {
            let help = format!("expected the bands {}", quoted_list(&bands));
            refuse(Code::Conflict, format!("`{name}` must name files for each of the bands, and for no other"), &help);
        }
        let (is_read, help) = match kind {
            CompanionKind::Mask => (settings.as_fits().reads_mask(), "`companions: [mask]` or `masked: fill`"),
            CompanionKind::Variance(_) => (settings.wants(Companion::Variance), "`companions: [variance]`"),
            CompanionKind::Psf => (settings.wants(Companion::Psf), "`companions: [psf]`"),
        };
        if !is_read {
            refuse(Code::Conflict, format!("`{name}` has no effect, as nothing reads its files"), help);
        }
    }
    if !settings.variances.is_empty() && !settings.weights.is_empty() {
        let message = "`variances` and `weights` both name the files of variances";
        diagnostics.push(Diagnostic::at("weights", Code::Conflict, message).help("leave one out"));
    }
    if settings.image_list.as_ref().is_some_and(|list| list.variance.is_some() && list.weight.is_some()) {
        let message = "`variance` and `weight` both name the column with the files of variances";
        diagnostics.push(Diagnostic::at("image_list.weight", Code::Conflict, message).help("leave one out"));
    }
}

/// Checks that the further columns have usable names of their own.
fn check_columns(settings: &Tiles, diagnostics: &mut Vec<Diagnostic>) {
    for name in settings.catalogue.columns.keys() {
        let reserved = batch::RESERVED.contains(&name.as_str()) && name != batch::LABEL;
        if !is_identifier(name) || reserved || [IMAGE, VARIANCE, MASK, PSF].contains(&name.as_str()) {
            let message = format!("`{name}` cannot be the name of a column");
            let help = "use letters, digits and `_`, and no name that another setting fills";
            let key = format!("catalogue.columns.{name}");
            diagnostics.push(Diagnostic::at(&key, Code::BadLabel, message).help(help));
        }
    }
}
