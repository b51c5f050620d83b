//! A monitor of your own: the mean flux of every hundred images, and a finding where it is low.
//!
//! `cargo run --example own_monitor -- RUN_DIR`
#![allow(clippy::print_stdout)]
use lucarne::{
    arrow::{array::*, datatypes::*},
    batch::Images,
    prelude::*,
    sink::parquet::Parquet,
    source::simulated::Simulated,
};

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Brightness(Vec<f32>);

impl Monitor for Brightness {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("image", "image")]
    }
    fn bind(&mut self, _: &Schema, _: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(Schema::new(vec![Field::new("mean_flux_njy", DataType::Float32, false)]).into())
    }
    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        self.0.extend(Images::of(batch, "image")?.rows().map(|pixels| pixels.iter().sum::<f32>()));
        let mut output = MonitorOutput::default();
        while self.0.len() >= 100 {
            let mean = self.0.drain(..100).sum::<f32>() / 100.0;
            let column: ArrayRef = std::sync::Arc::new(Float32Array::from(vec![mean]));
            output.rows.push(RecordBatch::try_from_iter([("mean_flux_njy", column)])?.into());
            if mean < 4e4 {
                let message = format!("the mean flux is {mean:.0} nJy");
                output.findings.push(Finding { monitor: "brightness".into(), message });
            }
        }
        Ok(output)
    }
    fn finish(&mut self) -> Result<MonitorOutput> {
        Ok(MonitorOutput::default())
    }
    fn snapshot(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::bug("cannot write a snapshot").caused_by(error))
    }
    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        *self = serde_json::from_slice(snapshot).map_err(|error| Error::data("not a snapshot").caused_by(error))?;
        Ok(())
    }
    fn state_bound_bytes(&self) -> usize {
        2000
    }
}

fn main() -> Result<()> {
    let run_dir = std::env::args().nth(1).unwrap_or("runs/own_monitor".into());
    let monitor: Box<dyn Monitor> = Box::new(Brightness::default());
    let pipeline = Pipeline::builder().source(Simulated { count: 400, ..Simulated::default() });
    let pipeline = pipeline.monitor("brightness", monitor).sink("objects", Parquet::default()).build();
    let summary = pipeline.overwrite().run(run_dir)?;
    println!("{:?} {:?}", summary.tables, summary.findings);
    Ok(())
}
