//! Classes by Gini and M20 as ground truth, compared with the classes of the simulator.

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, Int64Type},
};
use lucarne::{pipeline::Pipeline, query::Run};

/// Measures galaxies without noise through the optics of LSST and after ten years, and compares both with their
/// simulated classes.
fn pipeline(count: u32) -> Pipeline {
    Pipeline::from_yaml(format!(
        "
seed: 5
source:
  simulated: {{ count: {count} }}
transform:
  clean: {{ observe: {{ image: image, survey: lsst, years: 10, noise: off }} }}
  y10_sky: {{ observe: {{ image: image, survey: lsst, years: 10 }} }}
  morphology: {{ morphology: {{ image: clean, sky_sigma: off }} }}
  y10: {{ morphology: {{ image: y10_sky }} }}
monitor:
  of_the_simulator: {{ accuracy: {{ truth: label, score: [morphology, y10] }} }}
  of_morphology: {{ accuracy: {{ truth: morphology_class, score: y10 }} }}
sink:
  objects: {{ parquet: {{}} }}
"
    ))
}

/// All rows of a query as one batch.
fn query(run: &Run, sql: &str) -> RecordBatch {
    let rows = run.query(sql).unwrap();
    let schema = rows.schema();
    let batches: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The confusion matrix of a score: by true class the counts of spirals, ellipticals and mergers.
fn confusion(run: &Run, table: &str, score: &str) -> Vec<Vec<i64>> {
    let sql = format!("select confusion from {table} where score = '{score}' and scope = 'total' and class <> 'all'");
    let rows = query(run, &sql);
    let lists = rows["confusion"].as_fixed_size_list();
    let of_class = |row| lists.value(row).as_primitive::<Int64Type>().values().to_vec();
    (0..rows.num_rows()).map(of_class).collect()
}

fn run(count: u32, folder: &std::path::Path) -> Run {
    let summary = pipeline(count).run(folder).unwrap();
    assert_eq!((summary.counts.written, summary.counts.rejected), (u64::from(count), 0));
    Run::open(folder).unwrap()
}

#[test]
fn confusion_by_monitor_and_by_sql_agree_for_classes_without_noise() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(60, &folder.path().join("run"));
    let of_the_simulator = confusion(&run, "of_the_simulator", "morphology");
    for (truth, of_class) in ["spiral", "elliptical", "merger"].iter().zip(&of_the_simulator) {
        assert_eq!(of_class.iter().sum::<i64>(), 20);
        for (class, count) in ["spiral", "elliptical", "merger"].iter().zip(of_class) {
            let sql =
                format!("select count(*) as n from objects where label = '{truth}' and morphology_class = '{class}'");
            assert_eq!(query(&run, &sql)["n"].as_primitive::<Int64Type>().value(0), *count, "{truth} {class}");
        }
    }
    let agree = |confusion: &[Vec<i64>]| (0..3).map(|class| confusion[class][class]).sum::<i64>();
    // Chance would give 20 of 60. The lines are calibrated on real galaxies, so the agreement is moderate.
    assert!(agree(&of_the_simulator) >= 28, "{of_the_simulator:?}");
    // Most galaxies keep their class under the noise of ten years.
    let of_morphology = confusion(&run, "of_morphology", "y10");
    assert_eq!(of_morphology.concat().iter().sum::<i64>(), 60);
    assert!(agree(&of_morphology) >= 42, "{of_morphology:?}");
    let flags = query(&run, "select count(*) as n from objects where morphology_flag > 1");
    assert_eq!(flags["n"].as_primitive::<Int64Type>().value(0), 0);
    let kept = query(&run, "select * from objects limit 1");
    assert!(matches!(kept["morphology_gini"].data_type(), DataType::Float64));
}

/// `cargo test --test it -- --ignored --nocapture confusion` prints the published numbers.
#[test]
#[ignore = "600 galaxies take minutes in a debug build"]
fn the_confusion_of_600_galaxies() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(600, &folder.path().join("run"));
    for (table, score) in [("of_the_simulator", "morphology"), ("of_the_simulator", "y10"), ("of_morphology", "y10")] {
        println!("{table} {score} (rows: true class; columns: predicted class)");
        for (class, of_class) in ["spiral", "elliptical", "merger"].iter().zip(confusion(&run, table, score)) {
            println!("  {class:10} {of_class:?}");
        }
    }
}
