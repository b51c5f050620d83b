//! Whether an image column is what a model was made for.

use crate::{
    batch::{ImageLayout, Stretch, Unit},
    card::Card,
    error::{Code, Diagnostic},
};

/// All that does not fit between a model's card and an image column; the domain of the column's stretch where it has one.
pub(super) fn fit(
    card: &Card,
    layout: &ImageLayout,
    image: &str,
    any_stretch: bool,
) -> (Option<String>, Vec<Diagnostic>) {
    let mut mistakes = Vec::new();
    let mut wrong = |message: String, help: &str| {
        mistakes.push(Diagnostic::at("image", Code::ModelMismatch, message).help(help));
    };
    if layout.bands != card.bands {
        let (found, expected) = (layout.bands.join(", "), card.bands.join(", "));
        wrong(
            format!("`{image}` has the bands {found}, the model takes {expected}"),
            "choose and order the bands in the source",
        );
    }
    if (layout.height, layout.width) != (card.size, card.size) {
        let (height, width, size) = (layout.height, layout.width, card.size);
        wrong(format!("`{image}` has {height}x{width} pixels, the model takes {size}x{size}"), "add a `crop`");
    }
    match layout.pixel_scale_arcsec {
        Some(scale) if (scale - card.pixel_scale_arcsec).abs() <= 1e-3 * card.pixel_scale_arcsec => {}
        Some(scale) => wrong(
            format!("the pixels of `{image}` are {scale} arcsec wide, the model takes {}", card.pixel_scale_arcsec),
            "add a `resample`",
        ),
        None => wrong(
            format!("the pixel scale of `{image}` is not known, the model takes {} arcsec", card.pixel_scale_arcsec),
            "say it in the source",
        ),
    }
    let domain = match stretch(card, layout, image, any_stretch) {
        Ok(domain) => domain,
        Err((message, help)) => {
            wrong(message, help);
            None
        }
    };
    (domain, mistakes)
}

fn stretch(
    card: &Card,
    layout: &ImageLayout,
    image: &str,
    any_stretch: bool,
) -> Result<Option<String>, (String, &'static str)> {
    if layout.unit != Unit::Stretched {
        let unit = layout.unit.name();
        let message = format!("`{image}` is in the unit `{unit}`, the model takes stretched images");
        return Err((message, "add an `asinh_stretch` with the constants of the model"));
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
    Err((message, "stretch it with the constants of a domain, or set `any_stretch: true`"))
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
        }
    }

    fn messages(layout: &ImageLayout, any_stretch: bool) -> Vec<String> {
        fit(&card(), layout, "image", any_stretch).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_domain_fits_whether_or_not_the_model_was_trained_on_it() {
        assert_eq!(fit(&card(), &layout(), "image", false), (Some("y1".into()), vec![]));
    }

    #[test]
    fn everything_that_does_not_fit_is_said_at_once() {
        let other = ImageLayout {
            bands: vec!["r".into(), "g".into()],
            height: 5,
            unit: Unit::Electron,
            pixel_scale_arcsec: None,
            ..layout()
        };
        let found = messages(&other, false).join("\n");
        for part in ["bands r, g", "5x4 pixels", "not known", "`electron`"] {
            assert!(found.contains(part), "{part} in {found}");
        }
    }

    #[test]
    fn a_foreign_or_changing_stretch_is_refused_unless_allowed() {
        let foreign = ImageLayout { stretch: Some(Stretch { lo: -3.0, hi: 5.0 }), ..layout() };
        let changing = ImageLayout { stretch: None, ..layout() };
        let message = messages(&foreign, false).join("\n");
        assert!(
            message.contains("lo -3 and hi 5; the domains of the model are `y1` (lo -1, hi 2), `y10` (lo -10, hi 20)")
        );
        assert!(messages(&changing, false)[0].contains("image by image"));
        assert_eq!((messages(&foreign, true), messages(&changing, true)), (vec![], vec![]));
    }
}
