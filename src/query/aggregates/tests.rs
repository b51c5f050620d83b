//! Drives accumulators as DataFusion does with several partitions.

use arrow::{
    array::{ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, ListArray, RecordBatch},
    datatypes::{Int64Type, Schema},
};
use datafusion::{
    datasource::MemTable,
    prelude::{SessionConfig, SessionContext},
};

use super::*;

type ListAccumulator = TwoSampleAccumulator<Float32Type>;
type NumberAccumulator = TwoSampleAccumulator<Float64Type>;

fn mmd2() -> ListAccumulator {
    TwoSampleAccumulator::new("mmd2", SampleDistance::Mmd2(GaussianKernelSum::paper()))
}

fn lists(numbers: Vec<f32>, length: i32) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    Arc::new(FixedSizeListArray::new(item, length, Arc::new(Float32Array::from(numbers)), None))
}

fn example_lists(points: usize, length: usize, step: usize) -> ArrayRef {
    lists((0..points * length).map(|i| (i * step % 101) as f32 / 7.0).collect(), length as i32)
}

fn evaluate(samples: &mut impl Accumulator) -> Option<f64> {
    match samples.evaluate().expect("a result") {
        ScalarValue::Float64(number) => number,
        other => panic!("found {other}"),
    }
}

fn states(samples: &mut impl Accumulator) -> Vec<ArrayRef> {
    let states = samples.state().expect("a state");
    states.into_iter().map(|state| state.to_array().expect("an array")).collect()
}

#[test]
fn merged_states_equal_a_single_accumulator_for_any_batches() {
    let (x, y) = (example_lists(40, 3, 37), example_lists(40, 3, 53));
    let mut single = mmd2();
    single.update_batch(&[x.clone(), y.clone()]).expect("lists");
    let expected = evaluate(&mut single);
    assert!(expected.is_some());
    for cut in [1, 7, 39] {
        let mut merged = mmd2();
        for (from, rows) in [(0, cut), (cut, 40 - cut)] {
            let mut part = mmd2();
            for row in from..from + rows {
                part.update_batch(&[x.slice(row, 1), y.slice(row, 1)]).expect("lists");
            }
            merged.merge_batch(&states(&mut part)).expect("a state");
        }
        merged.merge_batch(&states(&mut mmd2())).expect("an empty state");
        assert_eq!(evaluate(&mut merged), expected);
        assert_eq!(evaluate(&mut merged), expected, "evaluation is repeatable");
    }
}

#[test]
fn reads_slices_and_leaves_nulls_out_of_their_own_sample() {
    let items = |rows: Vec<Option<Vec<Option<i64>>>>| ListArray::from_iter_primitive::<Int64Type, _, _>(rows);
    let as_float32 = |rows| {
        let kind = List(Arc::new(Field::new("item", DataType::Float32, true)));
        arrow::compute::cast(&items(rows), &kind).expect("numbers")
    };
    let pair = |a, b| Some(vec![Some(a), Some(b)]);
    let x = as_float32(vec![pair(9, 9), pair(0, 0), None, pair(3, 4), Some(vec![Some(1), None])]);
    let y = as_float32(vec![pair(7, 7), None, pair(0, 0), None, None]);
    let mut found = ListAccumulator::new("energy_distance", SampleDistance::EnergyDistance);
    found.update_batch(&[x.slice(1, 4), y.slice(1, 4)]).expect("lists");
    assert_eq!(evaluate(&mut found), Some(2.5_f64.sqrt()));
    let is_second: ArrayRef = Arc::new(BooleanArray::from(vec![Some(false), None, Some(true), None]));
    let mut found = ListAccumulator::new("energy_distance", SampleDistance::EnergyDistance);
    let points = lists(vec![0.0, 0.0, 50.0, 60.0, 3.0, 4.0, 70.0, 80.0], 2);
    found.update_batch(&[points, is_second]).expect("lists");
    assert_eq!(evaluate(&mut found), Some(10_f64.sqrt()));
}

#[test]
fn compares_numbers_in_double_precision() {
    let doubles = |numbers: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(numbers.to_vec())) };
    let mut found = NumberAccumulator::new("energy_distance", SampleDistance::EnergyDistance);
    found.update_batch(&[doubles(&[1.0]), doubles(&[1.0 + 1e-12])]).expect("numbers");
    let expected = (2.0 * (1.0 + 1e-12 - 1.0_f64)).sqrt();
    assert_eq!(evaluate(&mut found), Some(expected));
    let mut merged = NumberAccumulator::new("energy_distance", SampleDistance::EnergyDistance);
    merged.merge_batch(&states(&mut found)).expect("a state");
    assert_eq!(evaluate(&mut merged), Some(expected));
}

#[test]
fn rejects_different_lengths_when_merging() {
    let (mut short, mut long) = (mmd2(), mmd2());
    short.update_batch(&[example_lists(2, 3, 1), example_lists(2, 3, 1)]).expect("lists");
    long.update_batch(&[example_lists(2, 4, 1), example_lists(2, 4, 1)]).expect("lists");
    let error = short.merge_batch(&states(&mut long)).expect_err("two lengths").to_string();
    assert!(error.contains("`mmd2` expects lists of equal length, found 3 and 4"), "{error}");
}

#[test]
fn counts_and_limits_memory() {
    let (rows, length) = (1 << 14, 256);
    let (points, sides) = (example_lists(rows, length, 1), BooleanArray::from(vec![true; rows]));
    let values: [ArrayRef; 2] = [points, Arc::new(sides)];
    let mut samples = mmd2();
    assert!(samples.size() < 1000);
    // 2^22 numbers per batch.
    for times in 1..=8 {
        samples.update_batch(&values).expect("within the limit");
        assert!(samples.size() >= times << 24, "{}", samples.size());
    }
    let error = samples.update_batch(&values).expect_err("beyond the limit").to_string();
    assert!(
        error.contains("`mmd2` compares at most 33554432 numbers, 131072 points of length 256: select fewer rows"),
        "{error}"
    );
    // One sample is empty.
    assert_eq!(evaluate(&mut samples), None);
}

#[test]
fn returns_null_for_too_few_points_and_nan_for_non_finite_numbers() {
    let mut one = mmd2();
    assert_eq!(evaluate(&mut one), None);
    one.update_batch(&[example_lists(1, 3, 1), example_lists(1, 3, 1)]).expect("lists");
    assert_eq!(evaluate(&mut one), None);
    for odd in [f32::NAN, f32::INFINITY] {
        let mut found = mmd2();
        found.update_batch(&[lists(vec![odd, 1.0, 2.0, 3.0], 2), example_lists(2, 2, 1)]).expect("lists");
        assert!(evaluate(&mut found).is_some_and(f64::is_nan));
    }
    let mut empty = mmd2();
    empty.update_batch(&[lists(vec![], 0), lists(vec![], 0)]).expect("lists");
    assert_eq!(evaluate(&mut empty), None);
}

#[test]
fn partitions_give_the_result_of_one_stream() {
    let fields = [("part", DataType::Float64), ("x", DataType::Float64), ("side", Boolean)]
        .map(|(name, kind)| Field::new(name, kind, true));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let batch = |from: usize| {
        let rows = || from..from + 25;
        let doubles =
            |call: fn(usize) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(rows().map(call))) };
        let side = BooleanArray::from_iter(rows().map(|i| (i % 7 > 0).then_some(i % 3 == 0)));
        let columns = vec![doubles(|i| (i % 2) as f64), doubles(|i| (i * 37 % 100) as f64), Arc::new(side)];
        RecordBatch::try_new(schema.clone(), columns).expect("a batch")
    };
    let query = |partitions: Vec<Vec<RecordBatch>>| {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(partitions.len()));
        all().into_iter().for_each(|function| context.register_udaf(function));
        let table = MemTable::try_new(schema.clone(), partitions).expect("a table");
        context.register_table("t", Arc::new(table)).expect("a new table");
        let sql = "select part, js_distance(x, side, 7), energy_distance(x, side), energy_distance([x, 1], side), \
                   js_distance(x, side) filter (where x > 20), mmd2([x, part], side, 100 + 11) from t group by part order by part";
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let rows = runtime.block_on(async { context.sql(sql).await?.collect().await }).expect("a result");
        let rows = arrow::compute::concat_batches(&rows[0].schema(), &rows).expect("one batch");
        let numbers = rows.columns().iter().flat_map(|column| {
            let numbers = arrow::array::AsArray::as_primitive::<Float64Type>(column);
            numbers.iter().map(|number| number.expect("no null")).collect::<Vec<_>>()
        });
        numbers.collect::<Vec<f64>>()
    };
    let one = query(vec![vec![batch(0), batch(25), batch(50), batch(75)]]);
    let three = query(vec![vec![batch(50)], vec![batch(75), batch(0)], vec![batch(25)]]);
    assert_eq!((one.len(), three.len()), (12, 12));
    for (one, three) in one.iter().zip(&three) {
        assert!((one - three).abs() < 1e-12, "{one} {three}");
    }
}
