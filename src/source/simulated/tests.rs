use std::{collections::HashSet, time::Instant};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Float64Type, Int64Type},
};

use super::{pixels::IMAGE, *};
use crate::{
    batch::{self, Images, LABEL, OBJECT_ID, ORIGIN},
    stage::{Read, Rejects},
};

fn context(seed: u64) -> RunContext {
    RunContext { seed, threads: 1, batch_rows: 7, ..RunContext::default() }
}

/// All rows with their pixels, read in batches of at most `max_rows`.
fn read(settings: &Simulated, seed: u64, max_rows: usize) -> Vec<RecordBatch> {
    let mut source = settings.clone().build("simulated").unwrap();
    let schema = source.bind().unwrap();
    source.start(&context(seed)).unwrap();
    let mut decoder = source.decoder().unwrap();
    decoder.bind(&schema).unwrap();
    decoder.start(&context(seed)).unwrap();
    let mut decoder = decoder.fork();
    let mut batches = Vec::new();
    for split in source.splits().unwrap() {
        let mut reader = source.open(&split, 0).unwrap();
        while let Read::Batch { rows, rejects } = reader.next(max_rows, Instant::now()).unwrap() {
            assert!(rejects.is_empty() && rows.num_rows() <= max_rows);
            assert_eq!(rows.schema(), schema);
            batches.push(decoder.apply(rows, &mut Rejects::default()).unwrap());
        }
        assert_eq!(Some(reader.offset()), split.rows);
    }
    batches
}

fn concat(batches: &[RecordBatch]) -> RecordBatch {
    arrow::compute::concat_batches(batches[0].schema_ref(), batches).unwrap()
}

fn labels(batch: &RecordBatch) -> Vec<&str> {
    batch::text_column(batch, LABEL).unwrap().iter().flatten().collect()
}

fn small(count: u64) -> Simulated {
    Simulated { count, size: 16, ..Simulated::default() }
}

#[test]
fn rows_do_not_depend_on_batch_size_count_or_start() {
    let all = concat(&read(&small(40), 3, 64));
    assert_eq!(concat(&read(&small(40), 3, 7)), all);
    assert_eq!(concat(&read(&small(12), 3, 5)), all.slice(0, 12));
    let later = concat(&read(&Simulated { start: 12, ..small(28) }, 3, 9));
    for column in [OBJECT_ID, ORIGIN, LABEL, "magnitude_r", IMAGE] {
        assert_eq!(later.column_by_name(column), all.slice(12, 28).column_by_name(column), "{column}");
    }
    let images = Images::of(&all, IMAGE).unwrap();
    assert_eq!(
        (images.layout.bands.as_slice(), images.layout.unit),
        (&["g", "r", "i"].map(String::from)[..], Unit::NanoJansky)
    );
    assert!(images.rows().all(|row| row.iter().all(|pixel| *pixel >= 0.0) && row.iter().sum::<f32>() > 100.0));
}

#[test]
fn a_reader_continues_at_an_offset() {
    let mut source = small(1500).build("simulated").unwrap();
    source.start(&context(1)).unwrap();
    let splits = source.splits().unwrap();
    assert_eq!(splits.iter().map(|split| split.rows.unwrap()).collect::<Vec<_>>(), [1024, 476]);
    let ids = |offset, max_rows| {
        let mut reader = source.open(&splits[1], offset).unwrap();
        let Read::Batch { rows, .. } = reader.next(max_rows, Instant::now()).unwrap() else { panic!("no rows") };
        assert_eq!(batch::row_number(&rows, 0).unwrap(), offset);
        batch::text_column(&rows, OBJECT_ID).unwrap().clone()
    };
    assert_eq!(ids(100, 50), ids(0, 476).slice(100, 50));
    assert_eq!(ids(0, 1).value(0), "sim-1-00001024");
}

#[test]
fn classes_are_balanced_and_independent_of_the_number() {
    let settings = small(3000);
    let classes: Vec<Class> = (0..3000).map(|number| settings.class_of(11, number)).collect();
    for first in 0..3 {
        for class in Class::ALL {
            let all = classes.iter().filter(|drawn| **drawn == class).count();
            assert_eq!(all, 1000);
            // A third of the class is expected at every third number: 333, standard deviation 15.
            let here = classes.iter().skip(first).step_by(3).filter(|drawn| **drawn == class).count();
            assert!((270..400).contains(&here), "{first} {class:?} {here}");
        }
    }
}

#[test]
fn another_seed_draws_other_galaxies() {
    let (first, second) = (concat(&read(&small(20), 1, 20)), concat(&read(&small(20), 2, 20)));
    let ids: HashSet<&str> = [&first, &second]
        .iter()
        .flat_map(|batch| batch::text_column(batch, OBJECT_ID).unwrap().iter().flatten())
        .collect();
    assert_eq!(ids.len(), 40);
    assert_ne!(labels(&first), labels(&second));
    assert_ne!(first.column_by_name("magnitude_r"), second.column_by_name("magnitude_r"));
}

#[test]
fn draws_only_the_chosen_classes_and_bands() {
    let settings = Simulated {
        classes: vec![ClassName::Merger, ClassName::Spiral],
        bands: vec![BandName::R],
        magnitude_r: [19.0, 19.0],
        ..small(10)
    };
    let batch = concat(&read(&settings, 4, 10));
    assert_eq!(labels(&batch).iter().filter(|label| **label == "merger").count(), 5);
    assert_eq!(labels(&batch).iter().filter(|label| **label == "spiral").count(), 5);
    let (pixels, length) = batch::list_values(&batch, IMAGE).unwrap();
    assert_eq!((pixels.len(), length), (2560, 256));
    let magnitudes = batch.column_by_name("magnitude_r").unwrap().as_primitive::<Float64Type>();
    assert!(magnitudes.values().iter().all(|magnitude| (magnitude - 19.0).abs() < 1e-12));
}

#[test]
fn visits_have_equally_many_objects_and_depths_in_a_geometric_series() {
    let visits = Visits { count: 4, first_years: 8.0, last_years: 1.0 };
    let batch = concat(&read(&Simulated { start: 3, visits: Some(visits), ..small(12) }, 4, 5));
    let visit = batch.column_by_name("visit").unwrap().as_primitive::<Int64Type>();
    assert_eq!(visit.values()[..], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
    let years = batch.column_by_name("years").unwrap().as_primitive::<Float64Type>();
    let expected = [8.0, 4.0, 2.0, 1.0];
    assert!(years.values().iter().zip(visit.values()).all(|(found, i)| (found - expected[*i as usize]).abs() < 1e-12));
}

#[test]
fn reports_all_mistakes_in_the_settings() {
    let settings = Simulated {
        size: 4,
        magnitude_r: [22.0, 20.0],
        pixel_scale_arcsec: f64::NAN,
        bands: vec![],
        classes: vec![ClassName::Merger, ClassName::Merger],
        start: u64::MAX,
        visits: Some(Visits { count: 2, first_years: 0.0, last_years: 1.0 }),
        ..Simulated::default()
    };
    let diagnostics = settings.build("simulated").err().unwrap();
    let keys: HashSet<String> = diagnostics.iter().map(|diagnostic| diagnostic.path.join(".")).collect();
    let expected = ["size", "magnitude_r", "pixel_scale_arcsec", "bands", "classes", "start", "visits"];
    assert_eq!(keys, expected.map(String::from).into());
}
