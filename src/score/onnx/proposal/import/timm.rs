//! `config.json` of a timm model (Zoobot's are such) and `preprocessor_config.json` of an image processor.
//!
//! The first has `architecture`, `num_classes`, `label_names` and, in `pretrained_cfg` or in older files beside them, `input_size`
//! (channels, height, width), `mean`, `std`, `crop_pct`, `crop_mode`, `interpolation`. Both kinds normalise pixels after these were
//! brought to 0 to 1.

use serde_json::Value;

use super::{ImportedCard, lengths, numbers};

/// The factor that brings 8-bit pixels to 0 to 1.
const EIGHT_BIT: f64 = 1.0 / 255.0;

/// Reads a value of either kind; `None` if it is another.
pub(super) fn read(value: &Value) -> Option<Result<ImportedCard, String>> {
    let is_timm = value.get("architecture").is_some_and(Value::is_string);
    let is_processor =
        ["image_mean", "image_std", "do_normalize", "image_processor_type"].iter().any(|key| value.get(*key).is_some());
    if is_timm {
        return Some(of_timm(value));
    }
    is_processor.then(|| of_processor(value))
}

fn of_timm(value: &Value) -> Result<ImportedCard, String> {
    let config = value.get("pretrained_cfg").filter(|config| config.is_object()).unwrap_or(value);
    // What stands at the top overrides.
    let key = |name: &str| value.get(name).or_else(|| config.get(name)).filter(|found| !found.is_null());
    let mut card = ImportedCard { kind: "config.json of a timm model", ..ImportedCard::default() };
    if let Some(shape) = key("input_size") {
        let [bands, height, width] = lengths(shape, "input_size")?;
        (card.bands, card.size) = (Some(bands), Some([height, width]));
    }
    card.mean = key("mean").map(|mean| numbers(mean, "mean")).transpose()?;
    card.std = key("std").map(|std| numbers(std, "std")).transpose()?;
    card.class_count = key("num_classes").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    if card.class_count == Some(0) {
        card.class_count = None;
        card.left_out.push(
            "`num_classes` is 0, so the model is an encoder: say `head: embedding` and name the output by `latent`"
                .into(),
        );
    }
    let names = key("label_names").or_else(|| key("labels"));
    match names.and_then(Value::as_array).map(|names| names.iter().map(Value::as_str).collect::<Option<Vec<&str>>>()) {
        Some(Some(names)) => card.classes = Some(names.into_iter().map(str::to_owned).collect()),
        Some(None) => card.left_out.push("`label_names`: not all of them are text".into()),
        None if names.is_some() => {
            card.left_out.push("`label_names`: not a list, so their order is not that of the output".into());
        }
        None => {}
    }
    if key("label_offset").is_some() {
        card.classes = None;
        card.left_out.push("`label_offset`: the labels are not in the order of the output".into());
    }
    let undone = [
        (
            "crop_pct",
            "images are not scaled and cropped before a model: `resample` and `crop` are steps of the pipeline",
        ),
        ("interpolation", "`resample` has its own interpolation"),
    ];
    for (name, why) in undone {
        if let Some(found) = key(name) {
            card.left_out.push(format!("`{name}` {found}: {why}"));
        }
    }
    let architecture = value.get("architecture").and_then(Value::as_str).unwrap_or_default();
    card.notes.push(("architecture", architecture.to_owned()));
    Ok(card)
}

fn of_processor(value: &Value) -> Result<ImportedCard, String> {
    let mut card = ImportedCard { kind: "preprocessor_config.json of an image processor", ..ImportedCard::default() };
    let is_off = |key: &str| value.get(key).and_then(Value::as_bool) == Some(false);
    let factor = value.get("rescale_factor").and_then(Value::as_f64).unwrap_or(EIGHT_BIT);
    if is_off("do_rescale") || (factor - EIGHT_BIT).abs() > 1e-4 * EIGHT_BIT {
        card.left_out.push(format!(
            "`image_mean` and `image_std`: they are not of pixels from 0 to 1 (`do_rescale` {}, `rescale_factor` {factor})",
            !is_off("do_rescale")
        ));
    } else if !is_off("do_normalize") {
        card.mean = value.get("image_mean").map(|mean| numbers(mean, "image_mean")).transpose()?;
        card.std = value.get("image_std").map(|std| numbers(std, "image_std")).transpose()?;
    }
    let crops = value.get("crop_size").filter(|_| !is_off("do_center_crop"));
    if let Some(size) = crops.or_else(|| value.get("size")) {
        let side = |key: &str| size.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        match (side("height"), side("width")) {
            (Some(height), Some(width)) => card.size = Some([height, width]),
            _ => card.left_out.push(format!("`size` {size}: it does not say rows and columns")),
        }
    }
    for name in ["resample", "crop_pct", "do_resize", "do_center_crop"] {
        if let Some(found) = value.get(name).filter(|found| **found != Value::Bool(false)) {
            let why =
                "images are not scaled and cropped before a model: `resample` and `crop` are steps of the pipeline";
            card.left_out.push(format!("`{name}` {found}: {why}"));
        }
    }
    Ok(card)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{ "architecture": "convnext_nano", "num_classes": 3, "num_features": 640, "label_names": ["disk", "bar, weak", "star"],
        "pretrained_cfg": { "input_size": [3, 224, 200], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1], "crop_pct": 0.95,
        "interpolation": "bicubic", "num_classes": 1000, "label_names": null, "fixed_input_size": false } }"#;

    #[test]
    fn the_configuration_of_timm_has_classes_shape_and_normalisation() {
        let card = ImportedCard::of_text(CONFIG).expect("a card");
        assert_eq!((card.bands, card.size, card.class_count), (Some(3), Some([224, 200]), Some(3)));
        assert_eq!(card.classes, Some(["disk", "bar, weak", "star"].map(str::to_owned).to_vec()));
        assert_eq!((card.mean, card.std), (Some(vec![0.5, 0.4, 0.3]), Some(vec![0.2, 0.2, 0.1])));
        assert!(
            card.left_out[0].starts_with("`crop_pct` 0.95")
                && card.left_out[1].starts_with("`interpolation` \"bicubic\"")
        );
        let older =
            r#"{ "architecture": "resnet18", "input_size": [1, 64, 64], "num_classes": 0, "labels": { "0": "a" } }"#;
        let card = ImportedCard::of_text(older).expect("a card");
        assert_eq!((card.bands, card.class_count, card.classes), (Some(1), None, None));
        assert!(
            card.left_out[0].contains("an encoder") && card.left_out[1].contains("not a list"),
            "{:?}",
            card.left_out
        );
    }

    #[test]
    fn an_image_processor_has_the_normalisation_of_pixels_from_0_to_1() {
        let text = r#"{ "do_normalize": true, "do_rescale": true, "rescale_factor": 0.00392156862745098, "image_mean": [0.5], "image_std": [0.25],
            "size": { "height": 64, "width": 48 }, "do_resize": true, "resample": 3 }"#;
        let card = ImportedCard::of_text(text).expect("a card");
        assert_eq!((card.mean, card.std, card.size), (Some(vec![0.5]), Some(vec![0.25]), Some([64, 48])));
        assert_eq!(card.left_out.len(), 2);
        let raw =
            ImportedCard::of_text(&text.replace("\"do_rescale\": true", "\"do_rescale\": false")).expect("a card");
        assert!(
            raw.mean.is_none() && raw.left_out[0].contains("they are not of pixels from 0 to 1"),
            "{:?}",
            raw.left_out
        );
        let edge =
            ImportedCard::of_text(r#"{ "image_mean": [0.5], "size": { "shortest_edge": 224 } }"#).expect("a card");
        assert!(edge.size.is_none() && edge.left_out[0].contains("does not say rows and columns"));
    }
}
