//! A monitor of your own, run into a directory beside those of lucarne: `cargo run --example own_monitor`

use std::sync::Arc;

use lucarne::{
    arrow::{
        array::{RecordBatch, UInt64Array},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    prelude::*,
    sink::parquet::Parquet,
    source::simulated::Simulated,
};

/// Counts the rows, and reports a finding if there are fewer than expected.
struct RowCount {
    seen: u64,
    expected: u64,
}

impl Monitor for RowCount {
    fn required_columns(&self) -> Vec<ColumnRef> {
        Vec::new()
    }
    fn bind(&mut self, _input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(Arc::new(Schema::new(vec![Field::new("rows", DataType::UInt64, false)])))
    }
    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        self.seen += batch.num_rows() as u64;
        Ok(MonitorOutput::default())
    }
    fn finish(&mut self) -> Result<MonitorOutput> {
        let schema = self.bind(&Schema::empty(), &UpstreamSchemas::new())?;
        let rows = RecordBatch::try_new(schema, vec![Arc::new(UInt64Array::from(vec![self.seen]))])?;
        let message = format!("expected {} rows, found {}", self.expected, self.seen);
        let finding = (self.seen < self.expected).then(|| Finding { monitor: "row_count".into(), message });
        Ok(MonitorOutput { rows: vec![rows.into()], findings: finding.into_iter().collect() })
    }
    fn snapshot(&self) -> Result<Vec<u8>> {
        Ok(self.seen.to_le_bytes().to_vec())
    }
    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let bytes = snapshot.try_into().map_err(|error| Error::data("a damaged snapshot").caused_by(error))?;
        self.seen = u64::from_le_bytes(bytes);
        Ok(())
    }
    fn state_bound_bytes(&self) -> usize {
        8
    }
}

fn main() -> Result<()> {
    let count: Box<dyn Monitor> = Box::new(RowCount { seen: 0, expected: 100 });
    let pipeline = Pipeline::builder().source(Simulated { count: 40, ..Simulated::default() });
    let pipeline = pipeline.monitor("row_count", count).sink("objects", Parquet::default()).build();
    let summary = pipeline.overwrite().run("runs/own_monitor")?;
    summary.findings.iter().for_each(|finding| println!("{}: {}", finding.monitor, finding.message));
    Ok(())
}
