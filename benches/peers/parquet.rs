//! Latent vectors of 256 numbers into Parquet: the sink against pyarrow, both with zstd at level 1.

use std::{fs, sync::Arc};

use arrow::{
    array::{RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use lucarne::{
    batch::{OBJECT_ID, list_column, list_type, list_values},
    sink::parquet::Parquet,
    stage::Settings,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    Bench, Result,
    inputs::{BATCH, Inputs, context, mistakes},
    measure::{Spent, spend, take_turns},
    peer::write_npy,
    table::Line,
};

const LENGTH: usize = 256;
/// Rows for each of the objects that are asked for: a row is a kilobyte.
const TIMES: usize = 10;

pub(crate) fn measure(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let rows = inputs.objects * TIMES;
    let (array, file) = (inputs.scratch.join("latents.npy"), inputs.scratch.join("latents.parquet"));
    let values = latents(rows * LENGTH);
    write_npy(&array, &[rows, LENGTH], &values)?;
    let schema = Arc::new(Schema::new(vec![
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new("latent", list_type(LENGTH), false),
    ]));
    let mut batches = Vec::new();
    for (number, values) in values.chunks(BATCH * LENGTH).enumerate() {
        let ids = (0..values.len() / LENGTH).map(|row| format!("{:06}", number * BATCH + row));
        let ids = Arc::new(StringArray::from_iter_values(ids));
        let latent = list_column(values.to_vec(), LENGTH)?;
        batches.push(RecordBatch::try_new(schema.clone(), vec![ids, latent])?);
    }
    let folder = inputs.scratch.join("latents");
    let mut ours = || -> Result<Spent> {
        let _ = fs::remove_dir_all(&folder);
        let (staging, table) = (folder.join("staging"), folder.join("table"));
        fs::create_dir_all(&staging)?;
        fs::create_dir_all(&table)?;
        let mut sink = Parquet::default().build("objects").map_err(mistakes)?;
        sink.bind(&schema).map_err(mistakes)?;
        sink.start(&context(), &staging, &table)?;
        spend(|| {
            for batch in &batches {
                sink.write(batch)?;
            }
            sink.prepare()?;
            Ok(rows)
        })
    };
    ours()?;
    let mut read = Vec::new();
    for part in fs::read_dir(folder.join("staging"))? {
        for batch in ParquetRecordBatchReaderBuilder::try_new(fs::File::open(part?.path())?)?.build()? {
            read.extend_from_slice(list_values(&batch?, "latent")?.0);
        }
    }
    if read != values {
        return Err("the sink `parquet` wrote other numbers".into());
    }
    let mut theirs = || bench.python.run("parquet", &array, &[("--out", file.clone().into())]);
    let [ours, theirs] = take_turns(bench, [&mut ours, &mut theirs])?;
    let equal = format!("all numbers of {rows} rows read back");
    let peer = "pyarrow".to_owned();
    Ok(vec![Line { subject: "parquet, rows of 256 numbers", ours, peer, theirs, goal: None, equal }])
}

/// Numbers like those of a latent vector: all bits of the mantissa in use, sizes near one.
fn latents(count: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..count).map(|_| 4.0 * (uniform() + uniform() + uniform() - 1.5)).collect()
}
