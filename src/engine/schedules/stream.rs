//! A whole stream: the same rows for every schedule.

use std::sync::Arc;

use super::scenario::{Fault, Scenario, numbers, schema};
use crate::{
    engine::{EngineSettings, Job, PipelineMetadata, stream},
    sync::schedules::{below, explore, one_in},
};

/// Pulls a stream to its end, to its fault, or to any batch.
#[test]
fn a_stream_has_the_same_rows_for_every_schedule() {
    explore(|| {
        let mut scenario = Scenario { live: false, endless: false, grows: false, ..Scenario::draw() };
        let memory_mib = below(2);
        if memory_mib == 0 {
            // Each batch is alone then, and has one row.
            scenario.batch_rows = 1;
        }
        let engine = EngineSettings {
            threads: scenario.threads,
            batch_rows: scenario.batch_rows,
            memory_mib,
            ..EngineSettings::default()
        };
        let mut stream = stream(Job {
            run_dir: None,
            source: scenario.source(),
            steps: scenario.steps(),
            monitors: Vec::new(),
            sinks: Vec::new(),
            output: schema(),
            row_bytes: 0,
            seed: 0,
            limit: None,
            engine,
            document: serde_json::Value::Null,
            undigested: Vec::new(),
            metadata: PipelineMetadata::default(),
        })
        .expect("started");
        let leaves_at = if one_in(3) { below(4) } else { usize::MAX };
        let mut pulled = Vec::new();
        let mut faults = 0;
        while pulled.len() < leaves_at {
            match stream.next_batch() {
                Ok(Some(rows)) => pulled.push(numbers(&rows)),
                Ok(None) => break,
                Err(error) => {
                    assert!(error.report().contains("a fault of the"), "{error}");
                    faults += 1;
                }
            }
        }
        let reads = scenario.expected_reads(u64::MAX);
        let good: Vec<_> = reads.iter().take_while(|read| !scenario.fails_at(read)).collect();
        let rows: Vec<Vec<u64>> = good.iter().map(|read| read.kept()).filter(|rows| !rows.is_empty()).collect();
        if pulled.len() < leaves_at {
            let fails = match scenario.fault {
                None => false,
                Some(Fault::Step { .. }) => good.len() < reads.len(),
                Some(Fault::Source { row, .. }) => row % 100 < scenario.splits[(row / 100) as usize],
                Some(Fault::Open { .. }) => true,
            };
            assert_eq!((&pulled, faults), (&rows, usize::from(fails)));
            let counts = stream.counts();
            assert_eq!(counts.source, counts.written + counts.filtered + counts.rejected);
            assert_eq!(stream.take_rejects().len() as u64, counts.rejected);
        } else {
            assert!(rows.starts_with(&pulled), "{pulled:?}");
        }
        drop(stream);
        assert_eq!(Arc::strong_count(&scenario.token), 1, "all stages are dropped");
    });
}
