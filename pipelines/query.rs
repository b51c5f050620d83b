//! SQL over a run, from Rust: `cargo run --example query`

use std::path::Path;

use lucarne::{arrow::util::pretty::pretty_format_batches, prelude::*, query::Run};

fn main() -> Result<()> {
    let run_dir = "runs/query_example";
    let stop = Stop::default();
    Pipeline::from_file("pipelines/01_first_light.yaml")?
        .set("count", "100")
        .overwrite()
        .stop(&stop)
        .on_progress(|status| eprint!("\r{} rows", status.counts.source))
        .run(run_dir)?;
    let run = Run::open(Path::new(run_dir))?;
    let sql = "select da_y1_class, count(*) as galaxies, mmd2(da_y10_latent, da_y1_latent) as mmd2 from objects group by 1 order by 1";
    let batches = run.query(sql)?.collect::<Result<Vec<_>, _>>()?;
    println!("\n{}", pretty_format_batches(&batches)?);
    Ok(())
}
