//! Proposes the card of a model from its graph. What the graph does not tell has no value that could be read by mistake: a card with
//! `TODO` in it is refused.

use std::{fmt::Write, path::Path};

use crate::{
    card::{CardError, ModelFile, UNKNOWN, read_file},
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
}

/// Reads the graph of an ONNX file and proposes a card. The weights are not looked at.
///
/// # Errors
/// When the file cannot be read or is not an ONNX model, and when it takes or gives something that no card can describe.
pub fn propose_card(path: &Path) -> Result<CardProposal> {
    let unusable = |reason: String| Error::data(format!("no card fits the model `{}`: {reason}", path.display()));
    let bytes = read_file(path).map_err(|error| Error::data(error.to_string()))?;
    // Says what a file is that is not a model.
    if let Err(error @ CardError::NotOnnx { .. }) = ModelFile::of_bytes(path, &bytes, None) {
        return Err(Error::data(error.to_string()));
    }
    let graph = ModelGraph::read(bytes).map_err(unusable)?;
    let mut text = Proposal::default();
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
    Ok(CardProposal { card: text.text, unknown: text.unknown })
}

#[derive(Default)]
struct Proposal {
    text: String,
    unknown: Vec<String>,
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

    /// A list of names that are not known.
    fn names(&mut self, key: &str, count: Option<usize>) {
        let names = vec![UNKNOWN; count.unwrap_or(1)].join(", ");
        self.line(&format!("{key}: [{names}]"));
        self.unknown.push(key.to_owned());
    }

    fn outputs(&mut self, graph: &ModelGraph) -> Result<(), String> {
        let ports = &graph.interface.outputs;
        for port in ports {
            let end = ends_in(&graph.output_end(&port.name).kind);
            self.line(&format!("# Output {}: {port}; it ends in {end}.", quoted(&port.name)));
        }
        let numbers = |port: &ModelPort| port.numbers_per_row();
        let is_number =
            |port: &&ModelPort| matches!(port.element, Some(data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE));
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
        let count = numbers(head);
        let (name, why) = match (kind(head), count) {
            (OutputKind::Sigmoid, Some(1)) => ("sigmoid", "one number that ends in a sigmoid"),
            (OutputKind::Sigmoid, _) => ("multilabel", "several numbers that end in a sigmoid"),
            (OutputKind::Softmax | OutputKind::LogSoftmax, _) => ("softmax", "it ends in a softmax"),
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
        self.names("classes", if name == "sigmoid" { Some(2) } else { count });
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
        let further: Vec<&ModelPort> = images.collect();
        if !further.is_empty() {
            self.line("images:");
            for port in further {
                self.line(&format!("- input: {}", quoted(&port.name)));
                self.image(port, "  ");
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
        let bands = vec![UNKNOWN; bands.unwrap_or(1)].join(", ");
        let mut text = String::new();
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
    use crate::card::Card;

    #[test]
    fn a_proposed_card_is_refused_until_it_is_filled_in() {
        let CardProposal { card, unknown } = propose_card(Path::new("models/examples/lenet5.onnx")).expect("a card");
        assert_eq!(unknown, ["head", "classes", "bands", "pixel_scale_arcsec", "unit"]);
        assert!(card.contains("size: [100, 100]") && card.contains("latent: \"latent\""), "{card}");
        assert!(Card::parse(&card, "m").is_err());
        let filled = card
            .replace("head: TODO", "head: softmax")
            .replace("classes: [TODO, TODO, TODO]", "classes: [a, b, c]")
            .replace("bands: [TODO, TODO, TODO]", "bands: [g, r, i]")
            .replace("pixel_scale_arcsec: TODO", "pixel_scale_arcsec: 0.2")
            .replace("unit: TODO", "unit: stretched");
        let card = Card::parse(&filled, "m").expect("a card");
        assert_eq!((card.size.height(), card.latent.as_deref()), (100, Some("latent")));
    }

    #[test]
    fn what_is_not_a_model_is_named() {
        let error = propose_card(Path::new("Cargo.toml")).expect_err("refused").to_string();
        assert!(error.contains("is not an ONNX model"), "{error}");
    }
}
