//! Scored batches, pulled into a program of your own: `cargo run --example pull_stream`

use lucarne::{arrow::array::AsArray, batch::Images, prelude::*};

fn main() -> Result<()> {
    // Monitors and sinks do not run; the columns are those that the sinks of the document keep.
    let pipeline = Pipeline::from_file("pipelines/01_first_light.yaml")?.set("count", "32");
    let pipeline = pipeline.configure("objects:images", "[y1]");
    let mut stream = pipeline.stream()?;
    while let Some(batch) = stream.next_batch()? {
        let class = batch["da_y1_class"].as_dictionary::<lucarne::arrow::datatypes::Int32Type>();
        let images = Images::of(&batch, "y1")?;
        let brightest = images.rows().map(|image| image.iter().copied().fold(0.0, f32::max));
        for (row, peak) in brightest.enumerate() {
            let name = class.values().as_string::<i32>().value(class.keys().value(row) as usize);
            println!("{} {name} {peak:.3}", lucarne::batch::object_id(&batch, row)?);
        }
    }
    println!("{:?}", stream.counts());
    Ok(())
}
