//! ONNX files, and the model cards in their metadata. ONNX Runtime is not called.

use std::path::Path;

use prost::bytes::Bytes;

use super::{
    FuzzTarget,
    seeds::{files, texts},
};
use crate::{
    card::{Card, CardError, CardName, ModelFile},
    onnx::fuzz::read_graph,
};

pub(super) const ONNX: FuzzTarget = FuzzTarget {
    name: "onnx",
    run: |bytes| {
        read_model(bytes);
        read_graph(bytes);
    },
    seeds: || files(&["tests/golden/onnx", "tests/golden/onnx_layers"], &[".onnx"]),
    words: &[
        "Conv",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "ReduceMean",
        "Flatten",
        "Reshape",
        "Squeeze",
        "Gemm",
        "MatMul",
        "Identity",
        "Dropout",
        "Cast",
        "Clip",
        "LeakyRelu",
        "BatchNormalization",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Constant",
        "kernel_shape",
        "strides",
        "pads",
        "auto_pad",
        "SAME_UPPER",
        "ceil_mode",
        "group",
        "axes",
        "value_ints",
        "lucarne_card",
        "image",
        "logits",
        "latent",
        "\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}",
    ],
    max_bytes: 32 << 10,
    mutations: 6_000,
};

pub(super) const CARD: FuzzTarget = FuzzTarget {
    name: "card",
    run: read_card,
    seeds: || {
        let mut seeds = texts(&[
            r#"{"classes":["a","b"],"bands":["g"],"size":4,"pixel_scale_arcsec":0.2,"domains":{}}"#,
            r#"{"format":1,"classes":["a","b"],"bands":["g","r"],"size":100,"pixel_scale_arcsec":0.2,"domains":{"y1":{"lo":-1.0,"hi":2.0}},"trained_on":["y1"],"input":"image","logits":"logits","latent":"latent","latent_size":6}"#,
            r#"{"format":2}"#,
            "format: 3\nhead: dirichlet\nquestions: [{ name: q, answers: [a, b] }]\nbands: [g]\nsize: [4, 6]\npixel_scale_arcsec: any\nunit: nJy\nmean: [0.5]\nimages: [{ input: t, bands: [g], size: 4, unit: nJy }]\ncolumns: [{ input: m, columns: [a] }]\n",
        ]);
        seeds.extend(files(&["models"], &[".head.json"]));
        seeds
    },
    words: &[
        "\"format\":1",
        "\"format\":2",
        "\"classes\":[]",
        "\"size\":0",
        "\"latent\":null",
        "\"domains\":{}",
        "null",
        "1e308",
        "\\ud800",
        "\"lo\":",
        "\"hi\":",
        "[[[[",
        "{\"\":",
    ],
    max_bytes: 4 << 10,
    mutations: 20_000,
};

fn read_model(bytes: &[u8]) {
    match ModelFile::of_bytes(Path::new("model.onnx"), &Bytes::copy_from_slice(bytes), None) {
        Ok(file) => {
            assert!(file.card.size.height() > 0 && file.card.size.width() > 0 && file.digest.len() == 64);
        }
        Err(error) => assert!(!matches!(error, CardError::Read { .. }) && !error.to_string().is_empty()),
    }
}

/// Reads a card. What can be read is written, and read again, to the same card.
fn read_card(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(card) = Card::parse(text, CardName::OfModel("model.onnx")) {
        let written = serde_json::to_string(&card).expect("JSON");
        assert_eq!(Card::parse(&written, CardName::OfModel("model.onnx")).expect("a card again"), card);
        for stretch in card.domains.values() {
            let _ = card.domain_of(*stretch);
        }
    }
}
