//! Pipeline documents: parsed, planned and bound, as `lucarne check` and `lucarne explain` do.

use super::{
    FuzzTarget,
    scratch::Scratch,
    seeds::{files, texts},
};
use crate::{
    error::Error,
    pipeline::{Paint, Pipeline, mermaid, render, text},
};

/// Stands in documents for a folder with a model.
const FOLDER: &str = "DATA/";

pub(super) const DOCUMENT: FuzzTarget = FuzzTarget {
    name: "document",
    run: document,
    seeds: document_seeds,
    words: &[
        "${n}",
        "$${",
        "${",
        "&a ",
        "*a",
        "<<: ",
        "!!binary ",
        "? ",
        "- ",
        ": ",
        "|\n",
        ">\n",
        "'",
        "\"",
        "{",
        "}",
        "[",
        "]",
        "#",
        "---\n",
        "~",
        ".inf",
        "1e999",
        "0x7fffffffffffffff",
        "source:",
        "transform:",
        "score:",
        "monitor:",
        "sink:",
        "engine:",
        "parameters:",
        "simulated:",
        "observe:",
        "asinh_stretch:",
        "crop:",
        "morphology:",
        "filter:",
        "one_pixel:",
        "accuracy:",
        "latent_drift:",
        "\u{e9}",
        "\u{1f30c}",
        "\t",
        "\r\n",
    ],
    max_bytes: 4 << 10,
    mutations: 3_000,
};

fn document_seeds() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        "source: { simulated: { count: 5 } }\nsink: { objects: { parquet: {} } }\n",
        "parameters: { n: 8, dir: 'x' }\nsource: { simulated: { count: '${n}', size: '${n}' } }\nsink: { '${dir}': { parquet: {} } }\n",
        "source: { simulated: { count: 5, size: 8, bands: [g, r, i] } }
score: { da: { onnx: { model: DATA/model.onnx, image: image } } }
monitor:
  accuracy: { accuracy: { scores: [da], label: label } }
sink: { objects: { parquet: { images: [image] } } }
",
        "a: &a [1, 2]\nb: *a\nc: { <<: { d: 1 } }\n",
    ]);
    seeds.extend(files(&["tests/mistakes", "pipelines", "models/examples"], &[".yaml"]));
    seeds
}

fn document(bytes: &[u8]) {
    thread_local! {
        static DATA: Scratch = {
            let data = Scratch::new("document");
            data.write("model.onnx", &files(&["tests/golden/onnx"], &["tiny.onnx"]).pop().unwrap_or_default());
            data
        };
    }
    let Ok(yaml) = std::str::from_utf8(bytes) else { return };
    // A document may name any file. Files outside of the repository, and walks over all of it, are no business of a test.
    if yaml.contains("..") || yaml.contains("**") || yaml.contains('@') || names_the_root(yaml) {
        return;
    }
    let yaml = yaml.replace(FOLDER, &format!("{}/", DATA.with(|data| data.path("")).display()));
    let pipeline = Pipeline::from_yaml(yaml).set("n", "3").configure("source:count", "4");
    match pipeline.check() {
        Ok(plan) => {
            let plan = plan.logical_plan();
            assert!(!text(plan).is_empty() && !mermaid(plan).is_empty());
        }
        Err(Error::Pipeline(mistakes)) => {
            assert!(!mistakes.is_empty());
            for paint in [Paint::Plain, Paint::Colour] {
                assert!(render(&mistakes, paint).contains("mistake"));
            }
        }
        Err(error) => panic!("{}: {error:?}", error.report()),
    }
}

/// Whether a `/` may begin a path.
fn names_the_root(yaml: &str) -> bool {
    let before = std::iter::once(' ').chain(yaml.chars());
    before.zip(yaml.chars()).any(|(before, letter)| letter == '/' && !(before.is_ascii_alphanumeric() || before == '_'))
}
