//! Scored batches in a program: the accuracy of a model, without a run directory. Needs the models and ONNX Runtime.
//!
//! `cargo run --example pull_stream`
#![allow(clippy::print_stdout)]
use lucarne::{
    batch::{list_values, text_column},
    prelude::*,
    score::onnx::Onnx,
    source::simulated::Simulated,
    transform::{
        asinh_stretch::{AsinhStretch, Constants},
        observe::Observe,
    },
};

const MODEL: &str = "models/convnet-da.onnx";
const CLASSES: [&str; 3] = ["spiral", "elliptical", "merger"];

fn main() -> Result<()> {
    let observe = Observe { years: Some(1.0.into()), ..Observe::new("image") };
    let stretch = AsinhStretch::new("seen", Constants::of_model(MODEL, "y1"));
    let mut stream = Pipeline::builder()
        .source(Simulated { count: 200, ..Simulated::default() })
        .transform("seen", observe)
        .transform("y1", stretch)
        .score("da", Onnx::new(MODEL, "y1"))
        .build()
        .stream()?;
    let mut correct = 0;
    while let Some(batch) = stream.next_batch()? {
        let truth = text_column(&batch, "label")?;
        let (probability, classes) = list_values(&batch, "da_probability")?;
        for (label, probability) in truth.iter().zip(probability.chunks(classes)) {
            let best = (0..classes).max_by(|a, b| probability[*a].total_cmp(&probability[*b]));
            correct += usize::from(best.map(|class| CLASSES[class]) == label);
        }
    }
    println!("{correct} of {} galaxies are classified correctly after one year", stream.counts().written);
    Ok(())
}
