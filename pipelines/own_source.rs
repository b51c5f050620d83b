//! A source of your own: images that are in memory, a batch for every night.
//!
//! `cargo run --example own_source`
#![allow(clippy::print_stdout)]
use std::{sync::Arc, time::Instant};

use lucarne::{
    arrow::{array::RecordBatch, datatypes::Schema, datatypes::SchemaRef},
    batch::{identity_columns, identity_fields, list_column},
    prelude::*,
};

struct Nights(Vec<RecordBatch>);

impl Source for Nights {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(self.0[0].schema())
    }
    fn splits(&self) -> Result<Vec<Split>> {
        // The id of a split names the same rows at every start: a run that was killed is resumed inside of it.
        Ok((0..self.0.len()).map(|night| Split::new(night.to_string(), 10)).collect())
    }
    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let night: usize = split.id.parse().map_err(|_| Error::data(format!("no night `{}`", split.id)))?;
        Ok(Box::new(Night { rows: self.0[night].clone(), offset: offset as usize }))
    }
}

struct Night {
    rows: RecordBatch,
    offset: usize,
}

impl Reader for Night {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let rows = self.rows.slice(self.offset, max_rows.min(self.rows.num_rows() - self.offset));
        self.offset += rows.num_rows();
        Ok(if rows.num_rows() == 0 { Read::End } else { Read::Batch { rows, rejects: Vec::new() } })
    }
    fn offset(&self) -> u64 {
        self.offset as u64
    }
}

fn main() -> Result<()> {
    let mut fields = identity_fields();
    fields.push(ImageLayout::new(["r"], 8, 8, Unit::NanoJansky).with_pixel_scale(0.2).field("image"));
    let schema = Arc::new(Schema::new(fields));
    let night = |night: u64| {
        let mut columns = identity_columns(0, (0..10).map(|row| (format!("{night}-{row}"), "memory")));
        columns.push(list_column((0..10 * 64).map(|pixel| (night * 640 + pixel) as f32).collect(), 64)?);
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    };
    let nights: Box<dyn Source> = Box::new(Nights((0..3).map(night).collect::<Result<_>>()?));
    let mut stream = Pipeline::builder().source(nights).build().stream()?;
    while stream.next_batch()?.is_some() {}
    println!("{:?}", stream.counts());
    Ok(())
}
