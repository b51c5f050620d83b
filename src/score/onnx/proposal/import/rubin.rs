//! `meta.yaml` of a model package of lsst.meas.transiNet: `version`, `description`, `input_shape` (height, width, channels),
//! `input_scale_factor` (a number for each channel), `boost_factor`.
//!
//! The interface of that package applies the sigmoid after the network, and stacks difference, science and template images, in an order
//! that changed between its versions and that the file does not say.

use serde_json::Value;

use super::{ImportedCard, lengths, numbers};
use crate::card::Head;

/// Reads a value of this kind; `None` if it is another.
pub(super) fn read(value: &Value) -> Option<Result<ImportedCard, String>> {
    value.get("input_shape").map(|shape| of_shape(value, shape))
}

fn of_shape(value: &Value, shape: &Value) -> Result<ImportedCard, String> {
    let [height, width, bands] = lengths(shape, "input_shape")?;
    let mut card = ImportedCard {
        kind: "meta.yaml of a model package of lsst.meas.transiNet",
        head: Some(Head::Sigmoid),
        classes: Some(vec!["bogus".into(), "real".into()]),
        bands: Some(bands),
        size: Some([height, width]),
        band_order: Some(
            "the file does not say the order: of lsst.meas.transiNet, some versions stack difference, science, template, others template, \
             science, difference"
                .into(),
        ),
        ..ImportedCard::default()
    };
    if let Some(factors) = value.get("input_scale_factor") {
        let factors = numbers(factors, "input_scale_factor")?;
        if factors.iter().any(|factor| *factor != 1.0) {
            card.left_out.push(format!(
                "`input_scale_factor` {factors:?}: the file does not say how it is applied; if pixels were multiplied by it in training, \
                 `std` of the card is 1 / factor for each band"
            ));
        }
    }
    if let Some(boost) = value.get("boost_factor") {
        card.left_out.push(format!("`boost_factor` {boost}: a card has no place for it"));
    }
    for key in ["version", "description"] {
        if let Some(text) = value.get(key) {
            card.notes.push((key, text.as_str().map_or_else(|| text.to_string(), |text| text.trim().to_owned())));
        }
    }
    Ok(card)
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = "version: 0.2\ndescription: >\n  Real or bogus,\n  on stamps.\ninput_shape: [51, 48, 3] # height, width, channels\n\
                        input_scale_factor: [1.0, 0.25, 1.0]\nboost_factor: 100.0\n";

    #[test]
    fn shape_is_taken_and_factors_are_reported() {
        let card = ImportedCard::of_text(META).expect("a card");
        assert_eq!((card.size, card.bands, card.head), (Some([51, 48]), Some(3), Some(Head::Sigmoid)));
        assert_eq!(
            card.notes,
            [("version", "0.2".to_owned()), ("description", "Real or bogus, on stamps.".to_owned())]
        );
        assert!(card.left_out[0].starts_with("`input_scale_factor` [1.0, 0.25, 1.0]") && card.left_out.len() == 2);
        let ones = META.replace("0.25", "1.0").replace("boost_factor: 100.0\n", "");
        assert!(ImportedCard::of_text(&ones).expect("a card").left_out.is_empty());
        let wrong = ImportedCard::of_text("input_shape: [51, 51]\n").expect_err("refused");
        assert_eq!(wrong, "`input_shape` is `[51,51]`, expected 3 whole numbers above 0");
    }
}
