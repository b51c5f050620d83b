//! A run from start to end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Job, Queues, RunOptions, Status, Summary,
    back::{Back, REJECTS},
    commit::Ledger,
    directory::{Past, RunDir},
    feed::{Feed, Next, Plan},
    provenance::{Provenance, Standing},
    record::{check_models, check_same, digest},
    start::start_stages,
};
use crate::{
    error::{Error, Result},
    stage::{Progress, Split, Stop},
};

/// How long the caller's thread waits for a batch before it looks at the stop flag and the clock.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs a job into its run directory, on threads of its own; monitors, sinks, commits and `progress` on the caller's.
///
/// A row that ends a run (`on_reject: fail`), and any other error of source or steps, ends it after a commit of the batches
/// before: what was worked out stays, and a resume goes on with the batch that failed.
///
/// # Errors
/// [`Error::Interrupted`] after [`Stop::request`] and a commit; otherwise by whose fault it is. What was committed stays and
/// can be resumed.
pub fn run(mut job: Job, options: &RunOptions, stop: &Stop, progress: &mut dyn FnMut(&Status<'_>)) -> Result<Summary> {
    let begun = Instant::now();
    let path = job.run_dir.clone().ok_or_else(|| Error::bug("a job without a run directory can only be streamed"))?;
    let (dir, past) = RunDir::open(&path, options.existing)?;
    let digest = digest(&job.document);
    let run_record = dir.run_record();
    if let Some(past) = &past {
        let before = run_record.as_ref().map(|run| &run["document"]);
        check_same(&past.last, &job, &digest, before)?;
        if past.last.finished {
            dir.recover(&past.last)?;
            return Ok(finished_before(&dir, past, begun));
        }
    }
    let context = start_stages(&mut job, stop)?;
    let splits: Arc<[Split]> = job.source.splits()?.into();
    let labels: Vec<String> =
        job.sinks.iter().map(|(label, _)| label).chain(job.monitors.iter().map(|(label, ..)| label)).cloned().collect();
    let tables: Vec<&str> = labels.iter().map(String::as_str).chain([REJECTS]).collect();
    let provenance = Provenance::of(&job, context.threads, &tables, past.as_ref().and(run_record.as_ref()));
    match &past {
        Some(past) => {
            check_models(&past.last, &provenance.models)?;
            dir.recover(&past.last)?;
        }
        None => dir.clear(&tables)?,
    }
    let mut ledger = Ledger::open(dir, provenance, &job, digest, past.as_ref())?;
    let outcome = go(job, &context, past.as_ref(), splits, &mut ledger, stop, progress);
    match outcome {
        Ok(back) => {
            ledger.close(&Standing::Finished)?;
            Ok(ledger.summary(back.stages, begun.elapsed().as_secs_f64()))
        }
        Err(error) => {
            let text = error.to_string();
            let standing =
                if matches!(error, Error::Interrupted) { Standing::Interrupted } else { Standing::Failed(&text) };
            // The error that ended the run is the one to tell, not that of a full disk that takes no run record either.
            let _ = ledger.close(&standing);
            Err(error)
        }
    }
}

fn go(
    mut job: Job,
    context: &crate::stage::RunContext,
    past: Option<&Past>,
    splits: Arc<[Split]>,
    ledger: &mut Ledger,
    stop: &Stop,
    progress: &mut dyn FnMut(&Status<'_>),
) -> Result<Back> {
    let begun = Instant::now();
    let mut back = Back::start(&mut job, context, ledger.dir(), past, splits.clone())?;
    let total = splits.iter().map(|split| split.rows).sum::<Option<u64>>();
    let total = total.map(|rows| rows.min(job.limit.unwrap_or(u64::MAX)));
    let before = back.counts.source;
    let mut report = |back: &Back, ledger: &Ledger, queues: Queues| {
        let rows = (back.counts.source - before) as f64;
        progress(&Status {
            counts: back.counts,
            total,
            rows_per_second: rows / begun.elapsed().as_secs_f64().max(1e-9),
            commits: ledger.commits(),
            findings: ledger.findings().len() + back.findings.len(),
            committed_findings: ledger.findings(),
            new_findings: &back.findings,
            stages: &back.stages,
            queues,
            waiting: &back.pending_objects(),
        });
    };
    let every = (job.engine.commit_rows.max(1), Duration::from_secs_f64(job.engine.commit_seconds.clamp(0.001, 1e9)));
    let mut feed = Feed::start(Plan {
        source: job.source,
        splits,
        start: back.progression.at(),
        limit: job.limit.map(|limit| limit.saturating_sub(before)),
        steps: job.steps,
        threads: context.threads,
        batch_rows: context.batch_rows,
        memory_bytes: job.engine.memory_mib << 20,
    })?;
    report(&back, ledger, feed.queues());
    loop {
        if stop.requested() {
            drop(feed);
            ledger.commit_if_new(&mut back)?;
            return Err(Error::Interrupted);
        }
        let next = feed.next(Instant::now() + PATIENCE).and_then(|next| match next {
            Next::Batch(fed) => back.accept(&fed).map(|()| Next::Batch(fed)),
            other => Ok(other),
        });
        match next {
            Ok(Next::Batch(fed)) => {
                back.take(*fed)?;
                report(&back, ledger, feed.queues());
            }
            Ok(Next::Idle) => report(&back, ledger, feed.queues()),
            Ok(Next::End) => break,
            Err(error) => {
                drop(feed);
                // The first error is the one to tell.
                let _ = ledger.commit_if_new(&mut back);
                return Err(error);
            }
        }
        if ledger.is_due(&back, every) {
            ledger.commit(&mut back, false)?;
            report(&back, ledger, feed.queues());
        }
    }
    drop(feed);
    while back.drain(Instant::now() + PATIENCE)? == Progress::Pending {
        if stop.requested() {
            ledger.commit(&mut back, false)?;
            return Err(Error::Interrupted);
        }
        if ledger.has_waited(every.1) {
            ledger.commit(&mut back, false)?;
        }
        report(&back, ledger, Queues::default());
    }
    back.finish()?;
    ledger.commit(&mut back, true)?;
    report(&back, ledger, Queues::default());
    Ok(back)
}

fn finished_before(dir: &RunDir, past: &Past, begun: Instant) -> Summary {
    Summary {
        run_dir: dir.path().to_owned(),
        counts: past.last.counts,
        tables: past.tables.iter().map(|(table, (rows, _))| (table.clone(), *rows)).collect(),
        findings: past.findings.clone(),
        stages: past.last.stages.clone(),
        seconds: begun.elapsed().as_secs_f64(),
        already_finished: true,
    }
}
