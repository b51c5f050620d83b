//! Settings that are paths: `"format": "path"` in their schema, of one text or of all texts in a list or a map.

use super::{
    super::{
        diagnostic::SpannedDiagnostic,
        parameters::UNSET,
        tree::{Node, Value},
    },
    Check,
};
use crate::{
    error::Code,
    io::home::{self, BadPath},
};

/// The format of a schema whose texts are paths.
pub(in crate::pipeline) const PATH: &str = "path";
/// What to do about a path that is missing.
pub(in crate::pipeline) const NULL_PATH: &str =
    "an empty value and `~` alone are null in YAML; the home folder is `~/`";

impl Check<'_> {
    /// Expands the paths in a value, and refuses what no path can be.
    pub(in crate::pipeline) fn paths(&mut self, node: &mut Node, name: &str) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.paths(item, name)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.paths(&mut entry.node, &entry.key)),
            Value::Text(text) if node.filled.as_deref() != Some(UNSET) => match home::expanded(text) {
                Ok(path) => *text = path,
                Err(BadPath { message, help }) => {
                    let diagnostic = SpannedDiagnostic::new(node.at, Code::OutOfRange, format!("`{name}` {message}"));
                    self.diagnostics.push(match help {
                        Some(help) => diagnostic.help(help),
                        None => diagnostic,
                    });
                }
            },
            _ => {}
        }
    }
}

#[cfg(all(test, feature = "fits", feature = "onnx"))]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::pipeline::{Family, kinds};

    /// Calls with the name and the schema of every setting.
    fn for_each_setting(schema: &Json, call: &mut impl FnMut(&str, &Json)) {
        match schema {
            Json::Object(map) => {
                for (name, part) in map.get("properties").and_then(Json::as_object).into_iter().flatten() {
                    call(name, part);
                }
                map.values().for_each(|part| for_each_setting(part, call));
            }
            Json::Array(parts) => parts.iter().for_each(|part| for_each_setting(part, call)),
            _ => {}
        }
    }

    #[test]
    fn settings_that_are_paths_have_the_format_of_a_path() {
        let mut found = Vec::new();
        for family in Family::ALL {
            for (kind, schema) in kinds(family) {
                for_each_setting(&schema, &mut |name, part| {
                    let is_path = part["format"] == PATH;
                    if is_path {
                        found.push(format!("{kind}.{name}"));
                    }
                    let takes_text = part.to_string().contains("\"string\"");
                    let is_named_so =
                        ["path", "paths", "file", "folder", "model", "reference", "survey"].contains(&name);
                    assert!(is_path || !takes_text || !is_named_so, "`{name}` of `{kind}` is not marked as a path");
                });
            }
        }
        found.sort();
        let expected = [
            "alerts.paths",
            "alerts.schemas",
            "asinh_stretch.file",
            "asinh_stretch.model",
            "fits.path",
            "fits.paths",
            // Once for the source, once for the sink.
            "kafka.ca_file",
            "kafka.ca_file",
            "kafka.certificate_file",
            "kafka.certificate_file",
            "kafka.key_file",
            "kafka.key_file",
            "kafka.schemas",
            "latent_drift.reference",
            "observe.survey",
            "onnx.model",
            "parquet.paths",
            "parquet.run",
            "sky_error.survey",
            "tiles.images",
            "tiles.masks",
            // Of the catalogue, and of the list of images.
            "tiles.path",
            "tiles.path",
            "tiles.psfs",
            "tiles.variances",
            "tiles.weights",
        ];
        assert_eq!(found, expected);
    }
}
