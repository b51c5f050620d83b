//! Proposes the card of a model from its graph. What the graph does not tell has no value that could be read by mistake: a card with
//! `TODO` in it is refused. What other programs wrote beside the model fills in what it says (`import`).

mod import;

use std::{fmt::Write, path::Path};

use self::import::ImportedCard;
use crate::{
    card::{CardError, Head, ModelFile, UNKNOWN, read_file},
    error::{Error, Result},
    onnx::{
        ModelPort,
        graph::{ModelGraph, OutputKind},
        wire::data_type,
    },
};

/// The text of a card for an ONNX file, with comments, and what has to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardProposal {
    /// YAML.
    pub card: String,
    /// The keys whose values are not known.
    pub unknown: Vec<String>,
    /// What was taken from the other file.
    pub taken: Vec<String>,
    /// What of the other file was not taken over, and why.
    pub left_out: Vec<String>,
}

/// Reads the graph of an ONNX file and proposes a card. The weights are not looked at. `beside` is what another program wrote about the
/// model, or a folder with it: `meta.yaml` of lsst.meas.transiNet, `config.json` of timm, `preprocessor_config.json`, or
/// `runtime_config.toml` of Hyrax.
///
/// # Errors
/// When a file cannot be read or is of another kind, and when the model takes or gives something that no card can describe.
pub fn propose_card(path: &Path, beside: Option<&Path>) -> Result<CardProposal> {
    let unusable = |reason: String| Error::data(format!("no card fits the model `{}`: {reason}", path.display()));
    let bytes = read_file(path).map_err(|error| Error::data(error.to_string()))?;
    // Says what a file is that is not a model.
    if let Err(error @ CardError::NotOnnx { .. }) = ModelFile::of_bytes(path, &bytes, None) {
        return Err(Error::data(error.to_string()));
    }
    let graph = ModelGraph::read(bytes).map_err(unusable)?;
    let imported = beside.map(ImportedCard::read).transpose()?;
    let mut text = Proposal { imported: imported.unwrap_or_default(), ..Proposal::default() };
    text.line("format: 3");
    text.outputs(&graph).map_err(unusable)?;
    text.inputs(&graph).map_err(unusable)?;
    text.line("# Side of a pixel in arcsec; `any` if the model takes images of any pixel scale.");
    text.unknown("pixel_scale_arcsec");
    text.line("# Unit of the pixels that enter the graph: nJy, electron, stretched, or unknown for any. If they are stretched with fixed");
    text.line(
        "# constants, list these as `domains: { NAME: { lo: LO, hi: HI } }`; `unit` is then that of the constants.",
    );
    text.unknown("unit");
    text.notes();
    text.left_out.append(&mut text.imported.left_out);
    Ok(CardProposal { card: text.text, unknown: text.unknown, taken: text.taken, left_out: text.left_out })
}

#[derive(Default)]
struct Proposal {
    text: String,
    unknown: Vec<String>,
    /// What the other file says; nothing if there is none.
    imported: ImportedCard,
    taken: Vec<String>,
    left_out: Vec<String>,
}

impl Proposal {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn unknown(&mut self, key: &str) {
        self.line(&format!("{key}: {UNKNOWN}"));
        self.unknown.push(key.to_owned());
    }

    /// The classes of an output: those of its class map, those of the other file, or as many that are not known.
    fn classes(&mut self, count: Option<usize>, labels: &[String]) {
        let counts = [self.imported.class_count, self.imported.classes.as_ref().map(Vec::len)];
        let other = counts.into_iter().flatten().find(|found| count.is_some_and(|count| count != *found));
        if let (Some(found), Some(count)) = (other, count) {
            self.imported.classes = None;
            self.left_out.push(format!("the classes: the file has {found}, the graph {count}"));
        }
        let known = if labels.is_empty() { self.imported.classes.clone() } else { Some(labels.to_vec()) };
        // Without a count, the other file is all that there is.
        if let Some(known) = known {
            let names: Vec<String> = known.iter().map(|name| quoted(name)).collect();
            self.line(&format!("classes: [{}]", names.join(", ")));
            if labels.is_empty() {
                self.taken.push("classes".into());
            }
            return;
        }
        let names = vec![UNKNOWN; count.unwrap_or(1)].join(", ");
        self.line(&format!("classes: [{names}]"));
        self.unknown.push("classes".into());
    }

    /// What the other file says for people.
    fn notes(&mut self) {
        if self.imported.notes.is_empty() {
            return;
        }
        let notes = std::mem::take(&mut self.imported.notes);
        let notes: Vec<String> = notes.iter().map(|(key, text)| format!("{key}: {}", quoted(text))).collect();
        self.line(&format!("notes: {{ {} }}", notes.join(", ")));
        self.taken.push("notes".into());
    }

    fn outputs(&mut self, graph: &ModelGraph) -> Result<(), String> {
        let ports = &graph.interface.outputs;
        for port in ports {
            let end = ends_in(&graph.output_end(&port.name).kind);
            self.line(&format!("# Output {}: {port}; it ends in {end}.", quoted(&port.name)));
        }
        let numbers = |port: &ModelPort| port.numbers_per_row();
        let is_number = |port: &&ModelPort| match port.element {
            Some(element) => matches!(element, data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE),
            // A class map of scikit-learn.
            None => graph.output_end(&port.name).class_map.is_some(),
        };
        let kind = |port: &ModelPort| graph.output_end(&port.name).kind;
        let usable: Vec<&ModelPort> = ports.iter().filter(is_number).collect();
        // An activation shows a head best; a latent vector is the longer of two other outputs.
        let activated = usable
            .iter()
            .find(|port| matches!(kind(port), OutputKind::Softmax | OutputKind::LogSoftmax | OutputKind::Sigmoid));
        let named = usable.iter().find(|port| port.name == "logits");
        let shortest = usable.iter().min_by_key(|port| numbers(port).unwrap_or(usize::MAX));
        let head = activated.or(named).or(shortest).ok_or("none of its outputs holds floating-point numbers")?;
        let latent = usable.iter().find(|port| {
            port.name != head.name
                && (port.name.contains("latent") || port.name.contains("feat") || port.name.contains("embed"))
        });
        let labels = graph.output_end(&head.name).class_map.map(|map| map.labels).unwrap_or_default();
        let count = numbers(head).or(Some(labels.len()).filter(|count| *count > 0));
        // Numbers are not names.
        let labels = if labels.iter().all(|label| label.parse::<i64>().is_ok()) { Vec::new() } else { labels };
        let is_imported_sigmoid = self.imported.head == Some(Head::Sigmoid) && count == Some(1);
        let (name, why) = match (kind(head), count) {
            (OutputKind::Sigmoid, Some(1)) => ("sigmoid", "one number that ends in a sigmoid"),
            (OutputKind::Sigmoid, _) => ("multilabel", "several numbers that end in a sigmoid"),
            (OutputKind::Softmax | OutputKind::LogSoftmax, _) => ("softmax", "it ends in a softmax"),
            (OutputKind::Unbounded, _) if is_imported_sigmoid => {
                self.taken.push("head".into());
                ("sigmoid", "one number, to which lsst.meas.transiNet applies a sigmoid")
            }
            _ => {
                (UNKNOWN, "softmax, sigmoid, multilabel, dirichlet, regression, or embedding: the graph does not tell")
            }
        };
        self.line(&format!("# {why}"));
        self.line(&format!("head: {name}"));
        if name == UNKNOWN {
            self.unknown.push("head".into());
            if matches!(kind(head), OutputKind::Unknown(_)) {
                self.line("# Whether it holds logits or probabilities.");
                self.unknown("output");
            }
        }
        let what = if name == "sigmoid" {
            "# The negative class, then the positive one."
        } else {
            "# In the order of the output."
        };
        self.line(what);
        if self.imported.head == Some(Head::Sigmoid) && name != "sigmoid" {
            self.imported.classes = None;
            let (file, port) = (self.imported.kind, quoted(&head.name));
            self.left_out
                .push(format!("the head: {file} is of a network with one number, and output {port} is {head}"));
        }
        self.classes(if name == "sigmoid" { Some(2) } else { count }, &labels);
        self.line(&format!("logits: {}", quoted(&head.name)));
        if let Some(latent) = latent {
            self.line(&format!("latent: {}", quoted(&latent.name)));
            if latent.numbers_per_row().is_none() {
                self.unknown("latent_size");
            }
        }
        Ok(())
    }

    fn inputs(&mut self, graph: &ModelGraph) -> Result<(), String> {
        for port in &graph.interface.inputs {
            self.line(&format!("# Input {}: {port}", quoted(&port.name)));
        }
        let is_image = |port: &&ModelPort| port.dims.as_ref().is_none_or(|dims| dims.len() == 4);
        let mut images = graph.interface.inputs.iter().filter(is_image);
        let main = images.next().ok_or("none of its inputs holds images, [N, band, y, x] or [N, y, x, band]")?;
        self.line(&format!("input: {}", quoted(&main.name)));
        self.image(main, "");
        self.scaling(main);
        let further: Vec<&ModelPort> = images.collect();
        if !further.is_empty() {
            self.line("images:");
            for port in further {
                self.line(&format!("- input: {}", quoted(&port.name)));
                let imported = std::mem::take(&mut self.imported);
                self.image(port, "  ");
                self.imported = imported;
                self.line(&format!("  unit: {UNKNOWN}"));
            }
            self.unknown.push("images".into());
        }
        let rows: Vec<&ModelPort> = graph.interface.inputs.iter().filter(|port| !is_image(port)).collect();
        if !rows.is_empty() {
            self.line("# Columns of the stream, in the order of the input; `mean` and `std` scale them.");
            self.line("columns:");
            for port in rows {
                self.line(&format!("- input: {}", quoted(&port.name)));
                let names = vec![UNKNOWN; port.numbers_per_row().unwrap_or(1).min(64)].join(", ");
                self.line(&format!("  columns: [{names}]"));
            }
            self.unknown.push("columns".into());
        }
        Ok(())
    }

    /// The normalisation of pixels, which only the other file knows.
    fn scaling(&mut self, port: &ModelPort) {
        let ImportedCard { mean, std, .. } = &mut self.imported;
        let scaling = [("mean", mean.take()), ("std", std.take())];
        let scaling = scaling.into_iter().filter_map(|(key, numbers)| Some((key, numbers?))).collect::<Vec<_>>();
        if scaling.is_empty() {
            return;
        }
        if port.element == Some(data_type::UINT8) {
            self.left_out.push("`mean` and `std`: the graph takes integers, and normalises them itself".into());
            return;
        }
        self.line("# Of pixels from 0 to 1: (x - mean) / std. Leave them out if the graph begins with that.");
        for (key, numbers) in scaling {
            self.line(&format!("{key}: {}", serde_json::Value::from(numbers)));
            self.taken.push(key.into());
        }
    }

    /// The count of bands and the size by the graph; where it leaves them open, by the other file.
    fn agreed(
        &mut self,
        bands: Option<usize>,
        size: Option<(usize, usize)>,
    ) -> (Option<usize>, Option<(usize, usize)>) {
        let ImportedCard { bands: of_file, size: size_of_file, .. } = &self.imported;
        let (of_file, size_of_file) = (*of_file, size_of_file.map(|[rows, columns]| (rows, columns)));
        if let (Some(bands), Some(found)) = (bands, of_file)
            && bands != found
        {
            self.left_out.push(format!("the bands: the file has {found}, the graph {bands}"));
        }
        match (size, size_of_file) {
            (Some((rows, columns)), Some((y, x))) if (rows, columns) != (y, x) => {
                self.left_out.push(format!("the size: the file has {y}x{x} pixels, the graph {rows}x{columns}"));
            }
            (None, Some(_)) => self.taken.push("size".into()),
            _ => {}
        }
        (bands.or(of_file), size.or(size_of_file))
    }

    /// Bands and size of an image input, as far as its shape tells.
    fn image(&mut self, port: &ModelPort, indent: &str) {
        let dims = port.dims.as_deref().and_then(|dims| <[Option<usize>; 4]>::try_from(dims).ok()).unwrap_or([None; 4]);
        let [_, a, b, c] = dims;
        // Bands are fewer than rows and columns.
        let (channels, bands, size) = match (a, b, c) {
            (Some(a), Some(b), Some(c)) if a < b && a < c => (Some("first"), Some(a), Some((b, c))),
            (Some(a), Some(b), Some(c)) if c < a && c < b => (Some("last"), Some(c), Some((a, b))),
            (Some(a), None, None) => (Some("first"), Some(a), None),
            (None, None, Some(c)) => (Some("last"), Some(c), None),
            _ => (None, None, None),
        };
        let (bands, size) = self.agreed(bands, size);
        let bands = vec![UNKNOWN; bands.unwrap_or(1)].join(", ");
        let mut text = String::new();
        if let Some(order) = &self.imported.band_order {
            let _ = writeln!(text, "{indent}# {order}.");
        }
        let size = size.map_or_else(|| UNKNOWN.to_owned(), |(rows, columns)| format!("[{rows}, {columns}]"));
        let channels = channels.unwrap_or(UNKNOWN);
        let _ = writeln!(text, "{indent}bands: [{bands}]\n{indent}size: {size}\n{indent}channels: {channels}");
        if port.element == Some(data_type::UINT8) {
            let _ = writeln!(
                text,
                "{indent}# Pixels become integers as scale x + offset, rounded: 255 for stretched images.\n{indent}scale: {UNKNOWN}"
            );
            self.unknown.push("scale".into());
        }
        self.text.push_str(&text);
        self.unknown.push("bands".into());
        for (key, value) in [("size", size.as_str()), ("channels", channels)] {
            if value == UNKNOWN {
                self.unknown.push(key.into());
            }
        }
    }
}

/// A name as YAML reads it back, whatever it holds.
fn quoted(name: &str) -> String {
    serde_json::to_string(name).unwrap_or_default()
}

fn ends_in(kind: &OutputKind) -> String {
    match kind {
        OutputKind::Unbounded => "sums of products".into(),
        OutputKind::Softmax => "a softmax".into(),
        OutputKind::LogSoftmax => "the logarithm of a softmax".into(),
        OutputKind::Sigmoid => "a sigmoid".into(),
        OutputKind::WrongAxis => "a softmax over an axis that is not that of the classes".into(),
        OutputKind::ClassNumber => "the number of a class".into(),
        OutputKind::Unknown(op) => op.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::{Card, CardName};

    #[test]
    fn a_proposed_card_is_refused_until_it_is_filled_in() {
        let CardProposal { card, unknown, .. } =
            propose_card(Path::new("models/examples/lenet5.onnx"), None).expect("a card");
        assert_eq!(unknown, ["head", "classes", "bands", "pixel_scale_arcsec", "unit"]);
        assert!(card.contains("size: [100, 100]") && card.contains("latent: \"latent\""), "{card}");
        assert!(Card::parse(&card, CardName::OfModel("m")).is_err());
        let filled = card
            .replace("head: TODO", "head: softmax")
            .replace("classes: [TODO, TODO, TODO]", "classes: [a, b, c]")
            .replace("bands: [TODO, TODO, TODO]", "bands: [g, r, i]")
            .replace("pixel_scale_arcsec: TODO", "pixel_scale_arcsec: 0.2")
            .replace("unit: TODO", "unit: stretched");
        let card = Card::parse(&filled, CardName::OfModel("m")).expect("a card");
        assert_eq!((card.size.height(), card.latent.as_deref()), (100, Some("latent")));
    }

    #[test]
    fn what_another_program_wrote_is_filled_in_and_the_rest_is_reported() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        let config = r#"{ "architecture": "lenet5", "num_classes": 3, "label_names": ["a: b", "c", "d"], "pretrained_cfg":
            { "input_size": [3, 64, 64], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "crop_pct": 0.9 } }"#;
        std::fs::write(&file, config).expect("written");
        let model = Path::new("models/examples/lenet5.onnx");
        let found = propose_card(model, Some(&file)).expect("a card");
        assert_eq!(found.taken, ["classes", "mean", "std", "notes"]);
        assert_eq!(found.unknown, ["head", "bands", "pixel_scale_arcsec", "unit"]);
        assert_eq!(found.left_out[0], "the size: the file has 64x64 pixels, the graph 100x100");
        assert!(found.left_out[1].starts_with("`crop_pct` 0.9"), "{:?}", found.left_out);
        let filled = found
            .card
            .replace("head: TODO", "head: softmax")
            .replace("[TODO, TODO, TODO]", "[g, r, i]")
            .replace("pixel_scale_arcsec: TODO", "pixel_scale_arcsec: any")
            .replace("unit: TODO", "unit: stretched");
        let card = Card::parse(&filled, CardName::OfModel("m")).expect("a card");
        assert_eq!((card.classes[0].as_str(), card.mean.as_deref()), ("a: b", Some(&[0.5, 0.5, 0.5][..])));
        assert_eq!((card.size.height(), card.notes["architecture"].as_str()), (100, Some("lenet5")));
        std::fs::write(&file, config.replace("\"num_classes\": 3", "\"num_classes\": 4")).expect("written");
        let other = propose_card(model, Some(folder.path())).expect("a card");
        assert!(other.unknown.contains(&"classes".into()), "{:?}", other.unknown);
        assert!(other.left_out.contains(&"the classes: the file has 4, the graph 3".into()), "{:?}", other.left_out);
    }

    #[test]
    fn what_is_not_a_model_is_named() {
        let error = propose_card(Path::new("Cargo.toml"), None).expect_err("refused").to_string();
        assert!(error.contains("is not an ONNX model"), "{error}");
    }
}
