//! The source thread and the workers: order, bounds, faults in their places, and an end at any time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::scenario::{Fault, ROW_BYTES, Scenario, numbers};
use crate::{
    engine::{
        source_progress::SourceProgress,
        worker_pool::{Next, OrderedBatch, ReadPlan, WorkerPool},
    },
    sync::schedules::{below, explore, one_in},
};

/// A deadline that may pass at any time, or one that never does: the pool needs none, unless its source waits.
fn deadline(scenario: &Scenario) -> Instant {
    Instant::now() + if scenario.endless || one_in(2) { Duration::from_secs(1) } else { Duration::from_secs(3600) }
}

fn check_queues(pool: &WorkerPool, scenario: &Scenario) {
    let queues = pool.queues();
    assert!(queues.unworked <= queues.unworked_bound && queues.batches <= queues.batches_bound, "{queues:?}");
    // A permit may grow with its batch, by as much as the batch had.
    let growth = if scenario.grows { queues.batches * scenario.batch_rows * ROW_BYTES } else { 0 };
    let alone = scenario.batch_rows * ROW_BYTES * (1 + usize::from(scenario.grows));
    assert!(queues.bytes <= queues.bytes_bound.max(alone) + growth, "{queues:?}");
    assert!(scenario.grows || queues.batches <= 1 || queues.bytes <= queues.bytes_bound, "{queues:?}");
}

fn check_batch(batch: &OrderedBatch, scenario: &Scenario, place: usize) {
    let read = scenario.read.lock().expect("no panic")[place].clone();
    let unreadable: Vec<u64> = batch.unreadable.iter().map(|reject| reject.row).collect();
    let rejected: Vec<u64> = batch.processed.rejects.rejected.iter().map(|reject| reject.row).collect();
    assert_eq!(batch.source_rows, (read.rows.len() + read.unreadable.len()) as u64);
    assert_eq!(unreadable, read.unreadable);
    assert_eq!((numbers(&batch.processed.rows), rejected), (read.kept(), read.rejected()));
    assert!(!scenario.fails_at(&read), "the batch of a fault");
}

/// Reads a scenario to its end, to its fault, or to any batch, and drops the pool there.
#[test]
fn batches_and_faults_come_in_order_and_all_threads_end() {
    explore(|| {
        let scenario = Scenario::draw();
        let limit = if one_in(4) { below(5) as u64 } else { u64::MAX };
        let splits = scenario.list();
        let mut pool = WorkerPool::start(ReadPlan {
            source: scenario.source(),
            start: SourceProgress::new(&splits, scenario.live).remaining(),
            splits,
            limit: (limit < u64::MAX).then_some(limit),
            steps: scenario.steps(),
            threads: scenario.threads,
            batch_rows: scenario.batch_rows,
            memory_bytes: ROW_BYTES * [0, 1, 3, 100][below(4)],
        })
        .expect("started");
        let permits = pool.permits();
        let leaves_at = if one_in(2) { below(8) } else { usize::MAX };
        let (mut place, mut faults, mut ended, mut last) = (0, 0, false, None);
        while place < leaves_at {
            match pool.next(deadline(&scenario)) {
                Ok(Next::Idle) if scenario.endless && one_in(8) => break,
                Ok(Next::Idle) => continue,
                Ok(Next::End) => {
                    ended = true;
                    break;
                }
                Ok(Next::Batch(batch)) => {
                    check_batch(&batch, &scenario, place);
                    // The last batch may outlive the pool.
                    last = (place + 1 == leaves_at).then_some(batch);
                }
                Err(error) => {
                    faults += 1;
                    let read = scenario.read.lock().expect("no panic").get(place).cloned();
                    if let Some(read) = &read
                        && scenario.fails_at(read)
                    {
                        assert!(error.report().contains("a fault of the step"), "{error}");
                    } else {
                        assert!(error.report().contains("a fault of the source"), "{error}");
                        assert_eq!(read, None, "after all that was read");
                        break;
                    }
                }
            }
            check_queues(&pool, &scenario);
            place += 1;
        }
        if ended {
            assert_eq!((permits.used(), pool.queues().early), ((0, 0), 0));
        }
        drop(pool);
        assert_eq!(permits.used().0, usize::from(last.is_some()));
        drop(last);
        assert_eq!(permits.used(), (0, 0));
        assert_eq!(Arc::strong_count(&permits), 1, "all threads have ended");
        assert_eq!(Arc::strong_count(&scenario.token), 1, "all stages are dropped");
        let read = scenario.read.lock().expect("no panic").clone();
        if ended {
            assert_eq!(place, read.len(), "each batch once");
            assert_eq!(faults, read.iter().filter(|read| scenario.fails_at(read)).count(), "each fault once");
        }
        if !scenario.live {
            let expected = scenario.expected_reads(limit);
            assert!(expected.starts_with(&read), "{read:?}");
            assert!(!ended || read == expected, "{read:?}");
        } else if ended && limit == u64::MAX && !matches!(scenario.fault, Some(Fault::Source { .. })) {
            let count: usize = read.iter().map(|read| read.rows.len() + read.unreadable.len()).sum();
            assert_eq!(count as u64, scenario.splits.iter().sum::<u64>());
        }
    });
}
