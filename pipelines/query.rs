//! SQL over a run directory: what the command `lucarne query` does, as Arrow batches.
//!
//! `cargo run --example query -- RUN_DIR`
#![allow(clippy::print_stdout)]
use std::path::PathBuf;

use lucarne::{
    arrow::{array::AsArray, datatypes::Float64Type},
    prelude::*,
    query::Run,
};

const YAML: &str = "
source: { simulated: { count: 60 } }
transform:
  shape: { morphology: { image: image } }
sink:
  objects: { parquet: {} }
";

fn main() -> Result<()> {
    let run_dir = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "runs/query".into()));
    Pipeline::from_yaml(YAML).overwrite().run(&run_dir)?;
    let run = Run::open(&run_dir)?;
    println!("tables: {:?}", run.tables());
    let sql = "select label, avg(shape_gini) as gini from objects group by label order by label";
    for batch in run.query(sql)? {
        let batch = batch?;
        let (label, gini) = (batch["label"].as_string::<i32>(), batch["gini"].as_primitive::<Float64Type>());
        for (label, gini) in label.iter().zip(gini) {
            println!("{} {:.3}", label.unwrap_or("?"), gini.unwrap_or(f64::NAN));
        }
    }
    Ok(())
}
