//! Whether an image column is what a model was made for.

use crate::{
    batch::{ImageLayout, Stretch, Unit, is_same_pixel_scale},
    card::{Card, ImageInput},
    error::{Code, Diagnostic},
};

/// Compares an image column with the card of a model. Returns the domain of its stretch, if the card has it.
///
/// # Errors
/// All mismatches.
pub(super) fn check(
    card: &Card,
    layout: &ImageLayout,
    image: &str,
    any_stretch: bool,
) -> Result<Option<String>, Vec<Diagnostic>> {
    let geometry =
        [check_bands(card, layout, image), check_size(card, layout, image), check_scale(card, layout, image)];
    let mut mismatches: Vec<Diagnostic> = geometry.into_iter().flatten().collect();
    match check_stretch(card, layout, image, any_stretch) {
        Ok(domain) if mismatches.is_empty() => Ok(domain),
        Ok(_) => Err(mismatches),
        Err(mismatch) => {
            mismatches.push(mismatch);
            Err(mismatches)
        }
    }
}

fn mismatch(message: String, help: &str) -> Diagnostic {
    Diagnostic::at("image", Code::ModelMismatch, message).help(help)
}

fn check_bands(card: &Card, layout: &ImageLayout, image: &str) -> Option<Diagnostic> {
    let (found, expected) = (layout.bands.join(", "), card.bands.join(", "));
    let message = || format!("`{image}` has the bands {found}, the model expects {expected}");
    (layout.bands != card.bands).then(|| mismatch(message(), "select and order the bands in the source"))
}

fn check_size(card: &Card, layout: &ImageLayout, image: &str) -> Option<Diagnostic> {
    let (height, width, size) = (layout.height, layout.width, card.size);
    let (rows, columns) = (size.height(), size.width());
    let message = || format!("`{image}` has {height}x{width} pixels, the model expects {rows}x{columns}");
    ((height, width) != (rows, columns)).then(|| mismatch(message(), "add a `crop`"))
}

fn check_scale(card: &Card, layout: &ImageLayout, image: &str) -> Option<Diagnostic> {
    let expected = card.pixel_scale_arcsec?;
    match layout.pixel_scale_arcsec {
        Some(scale) if is_same_pixel_scale(scale, expected) => None,
        Some(scale) => Some(mismatch(
            format!("the pixels of `{image}` are {scale} arcsec wide, the model expects {expected}"),
            "add a `resample`",
        )),
        None => Some(mismatch(
            format!("the pixel scale of `{image}` is unknown, the model expects {expected} arcsec"),
            "set the pixel scale in the source",
        )),
    }
}

fn check_stretch(
    card: &Card,
    layout: &ImageLayout,
    image: &str,
    any_stretch: bool,
) -> Result<Option<String>, Diagnostic> {
    if card.domains.is_empty() && card.format >= 3 {
        return check_unit(card.unit, layout, image).map_or(Ok(None), Err);
    }
    if layout.unit != Unit::Stretched {
        let message = format!("`{image}` has the unit `{}`, the model expects stretched images", layout.unit.name());
        return Err(mismatch(message, "add an `asinh_stretch` with the constants of the model"));
    }
    let domain = layout.stretch.and_then(|stretch| card.domain_of(stretch)).map(str::to_owned);
    if domain.is_some() || any_stretch {
        return Ok(domain);
    }
    let found = layout.stretch.map_or_else(
        || "stretched image by image".to_owned(),
        |Stretch { lo, hi }| format!("stretched with lo {lo} and hi {hi}"),
    );
    let domains = card.domains.iter().map(|(name, Stretch { lo, hi })| format!("`{name}` (lo {lo}, hi {hi})"));
    let domains = domains.collect::<Vec<_>>().join(", ");
    let message = format!("`{image}` is {found}; the domains of the model are {domains}");
    Err(mismatch(message, "stretch it with the constants of a domain, or set `any_stretch: true`"))
}

/// Compares the unit of images that a model takes as they are; `unknown` takes any.
pub(super) fn check_unit(expected: Unit, layout: &ImageLayout, image: &str) -> Option<Diagnostic> {
    if expected == Unit::Unknown || expected == layout.unit {
        return None;
    }
    let (found, expected) = (layout.unit.name(), expected.name());
    let help = match layout.unit {
        Unit::Unknown => "give the unit or the zero point in the source",
        _ => "convert the images, or name a column with this unit",
    };
    Some(mismatch(format!("`{image}` has the unit `{found}`, the model expects `{expected}`"), help))
}

/// Compares the column of a further image input with the card.
pub(super) fn check_further(input: &ImageInput, layout: &ImageLayout, image: &str) -> Vec<Diagnostic> {
    let ImageInput { input: name, bands, size, unit, .. } = input;
    let key = format!("images.{name}");
    let mut mismatches = Vec::new();
    if layout.bands.len() != bands.len() || layout.bands != *bands {
        let (found, expected) = (layout.bands.join(", "), bands.join(", "));
        mismatches.push(format!("`{image}` has the bands {found}, the input `{name}` expects {expected}"));
    }
    let (height, width, rows, columns) = (layout.height, layout.width, size.height(), size.width());
    if (height, width) != (rows, columns) {
        mismatches.push(format!("`{image}` has {height}x{width} pixels, the input `{name}` expects {rows}x{columns}"));
    }
    let at = |message| Diagnostic::at(&key, Code::ModelMismatch, message);
    let unit = check_unit(*unit, layout, image).map(|wrong| Diagnostic { path: at(String::new()).path, ..wrong });
    mismatches.into_iter().map(at).chain(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        serde_json::from_value(serde_json::json!({
            "classes": ["spiral", "merger"], "bands": ["g", "r"], "size": 4, "pixel_scale_arcsec": 0.2,
            "domains": { "y1": { "lo": -1.0, "hi": 2.0 }, "y10": { "lo": -10.0, "hi": 20.0 } },
        }))
        .expect("a card")
    }

    fn layout() -> ImageLayout {
        ImageLayout {
            bands: vec!["g".into(), "r".into()],
            height: 4,
            width: 4,
            unit: Unit::Stretched,
            pixel_scale_arcsec: Some(0.200_000_01),
            stretch: Some(Stretch { lo: -1.0, hi: 2.0 }),
            electrons_per_njy: None,
            wcs: None,
        }
    }

    fn messages(layout: &ImageLayout, any_stretch: bool) -> Vec<String> {
        let mismatches = check(&card(), layout, "image", any_stretch).err().unwrap_or_default();
        mismatches.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn accepts_a_domain_of_the_card_whether_or_not_the_model_was_trained_on_it() {
        assert_eq!(check(&card(), &layout(), "image", false), Ok(Some("y1".into())));
    }

    #[test]
    fn reports_all_mismatches_at_once() {
        let other = ImageLayout {
            bands: vec!["r".into(), "g".into()],
            height: 5,
            unit: Unit::Electron,
            pixel_scale_arcsec: None,
            ..layout()
        };
        let found = messages(&other, false).join("\n");
        for part in ["bands r, g", "5x4 pixels", "unknown", "`electron`"] {
            assert!(found.contains(part), "{part} in {found}");
        }
    }

    #[test]
    fn refuses_an_unknown_or_varying_stretch_unless_allowed() {
        let unknown = ImageLayout { stretch: Some(Stretch { lo: -3.0, hi: 5.0 }), ..layout() };
        let varying = ImageLayout { stretch: None, ..layout() };
        let message = messages(&unknown, false).join("\n");
        assert!(
            message.contains("lo -3 and hi 5; the domains of the model are `y1` (lo -1, hi 2), `y10` (lo -10, hi 20)")
        );
        assert!(messages(&varying, false)[0].contains("image by image"));
        assert_eq!((messages(&unknown, true), messages(&varying, true)), (vec![], vec![]));
    }
}
