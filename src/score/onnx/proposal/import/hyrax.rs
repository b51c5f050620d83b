//! `runtime_config.toml` of a Hyrax run: `[model] name`, `[model.NAME] latent_dim` or `output_classes`, and of `[data_set]` the keys
//! `crop_to`, `filters` and `transform`. It lies in the folders of trainings; `to_onnx` writes that of the export beside `model.onnx`.
//!
//! Of TOML only what such files need is read: tables, and keys whose values are also JSON on one line. Other values are left out.

use std::collections::HashMap;

use serde_json::Value;

use super::{ImportedCard, lengths};

/// Values by table and key.
type Tables = HashMap<(String, String), Value>;

/// Reads a text of this kind; `None` if it is another.
pub(super) fn read(text: &str) -> Option<ImportedCard> {
    let tables = tables(text);
    let get = |table: &str, key: &str| {
        tables.get(&(table.to_owned(), key.to_owned())).filter(|found| **found != Value::Bool(false))
    };
    let model = get("model", "name")?.as_str()?;
    let mut card = ImportedCard { kind: "runtime_config.toml of Hyrax", ..ImportedCard::default() };
    card.notes.push(("hyrax_model", model.to_owned()));
    let of_model = format!("model.{model}");
    card.class_count =
        get(&of_model, "output_classes").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    if let Some(length) = get(&of_model, "latent_dim").or_else(|| get("model", "latent_dim")) {
        card.left_out.push(format!(
            "`latent_dim` {length}: name the output with the latent vector by `latent`, if the graph has one"
        ));
    }
    if let Some(crop) = get("data_set", "crop_to") {
        match lengths::<2>(crop, "crop_to") {
            Ok([first, second]) if first == second => card.size = Some([first, second]),
            Ok(_) => card.left_out.push(format!("`crop_to` {crop}: the file does not say which number is the rows")),
            Err(reason) => card.left_out.push(reason),
        }
    }
    if let Some(filters) = get("data_set", "filters").and_then(Value::as_array) {
        card.bands = Some(filters.len());
        card.band_order = Some(format!(
            "`filters` are {}, and their order in the images is that of the data set",
            filters.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        ));
    }
    if let Some(transform) = get("data_set", "transform") {
        card.left_out.push(format!(
            "`transform` {transform}: Hyrax applies this numpy function to the pixels before the model; lucarne does not"
        ));
    }
    if tables.keys().any(|(table, _)| table.starts_with("data_request") || table.starts_with("model_inputs")) {
        card.left_out.push("`data_request`: what a data set does to its images is not in the file".into());
    }
    Some(card)
}

fn tables(text: &str) -> Tables {
    let mut tables = Tables::new();
    let mut table = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = header.replace('"', "");
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#'))
            && let Some(value) = json_of(value.trim())
        {
            tables.insert((table.clone(), key.trim().trim_matches('"').to_owned()), value);
        }
    }
    tables
}

/// A value that is also JSON, with or without a comment behind it.
fn json_of(text: &str) -> Option<Value> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let rest = text[values.byte_offset()..].trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[general]\ndev_mode = false\n\n[model]\nname = \"HyraxCNN\" # built in\n\n[model.HyraxCNN]\noutput_classes = 4\n\n\
                          [model.Other]\noutput_classes = 9\n\n[data_set]\ncrop_to = [64, 64]\nfilters = [\"HSC-G\", \"HSC-R\"]\n\
                          transform = \"tanh\"\nseed = false\n";

    #[test]
    fn the_tables_of_the_model_and_of_the_data_set_are_read() {
        let card = ImportedCard::of_text(CONFIG).expect("a card");
        assert_eq!((card.class_count, card.size, card.bands), (Some(4), Some([64, 64]), Some(2)));
        assert!(card.band_order.expect("an order").contains("HSC-G, HSC-R"));
        assert!(card.left_out[0].contains("`transform` \"tanh\""), "{:?}", card.left_out);
        let other = CONFIG.replace("[64, 64]", "[64, 48]").replace("\"tanh\"", "false");
        let card = ImportedCard::of_text(&other).expect("a card");
        assert!(
            card.size.is_none()
                && card.left_out == ["`crop_to` [64,48]: the file does not say which number is the rows"]
        );
    }
}
