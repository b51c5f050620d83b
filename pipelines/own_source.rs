//! A source of your own, streamed through a transform that lucarne ships: `cargo run --example own_source`

use std::{sync::Arc, time::Instant};

use lucarne::{
    arrow::{array::RecordBatch, datatypes::Schema},
    batch::{identity_columns, identity_fields, list_column},
    prelude::*,
    transform::crop::Crop,
};

/// Constant images of 8 x 8 pixels in one band.
struct Flat(u64);

struct FlatReader {
    next: u64,
    end: u64,
}

fn schema() -> Arc<Schema> {
    let image = ImageLayout::new(vec!["r".into()], 8, 8, Unit::NanoJansky).field("image");
    Arc::new(Schema::new([identity_fields(), vec![image]].concat()))
}

impl Source for Flat {
    fn bind(&mut self) -> Result<Arc<Schema>, Vec<Diagnostic>> {
        Ok(schema())
    }
    fn splits(&self) -> Result<Vec<Split>> {
        Ok(vec![Split { id: "flat".into(), rows: Some(self.0) }])
    }
    fn open(&self, _split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        Ok(Box::new(FlatReader { next: offset, end: self.0 }))
    }
}

impl Reader for FlatReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let rows = self.next..self.end.min(self.next + max_rows as u64);
        if rows.is_empty() {
            return Ok(Read::End);
        }
        self.next = rows.end;
        let mut columns = identity_columns(rows.map(|row| (row, format!("flat-{row}"), format!("flat, row {row}"))));
        columns.push(list_column(vec![1.0; columns[0].len() * 64], 64)?);
        Ok(Read::Batch { rows: RecordBatch::try_new(schema(), columns)?, rejects: Vec::new() })
    }
    fn offset(&self) -> u64 {
        self.next
    }
}

fn main() -> Result<()> {
    let source: Box<dyn Source> = Box::new(Flat(100));
    let centre = Crop { image: "image".into(), size: Some(4), ..Crop::default() };
    let batches = Pipeline::builder().source(source).transform("centre", centre).build().stream()?;
    println!("{} rows", batches.map(|batch| batch.map(|batch| batch.num_rows())).sum::<Result<usize, _>>()?);
    Ok(())
}
