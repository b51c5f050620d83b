//! A run from start to end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Job, RunOptions, Status, Summary,
    commit_log::CommitLog,
    ordered_tail::{OrderedTail, REJECTS, deliver},
    resume::{
        check_digests, check_format, check_inputs, check_models, check_same, growing_inputs, input_digests,
        pipeline_digest,
    },
    run_dir::{RecoveredState, RunDir},
    run_record,
    source_progress::{check_ids, restore_bounds},
    start::start_stages,
    worker_pool::{Next, ReadPlan, WorkerPool},
};
use crate::{
    error::{Error, Result},
    run::RunState,
    stage::{Progress, RunContext, Split, Stop},
};

/// How long the caller's thread waits for a batch before it checks the stop flag and the clock.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs a job into its run directory. Source and steps run on dedicated threads; monitors, sinks, commits and `progress` run on the
/// caller's thread.
///
/// A rejected row with `on_reject: fail`, or an error of the source or a step, ends the run after a commit of the batches before it.
/// A resume continues with the batch that failed.
///
/// # Errors
/// [`Error::Interrupted`] after [`Stop::request`]: after a commit, or where a monitor broke off, from whose last commit a resume repeats
/// its work. Otherwise the error of the responsible domain. Committed results stay, and the run can be resumed.
pub fn run(mut job: Job, options: &RunOptions, stop: &Stop, progress: &mut dyn FnMut(&Status<'_>)) -> Result<Summary> {
    let begun = Instant::now();
    let path = job.run_dir.clone().ok_or_else(|| Error::bug("a job without a run directory can only be streamed"))?;
    let (dir, past) = RunDir::open(&path, options.existing)?;
    let digest = pipeline_digest(&job);
    let before = if past.is_some() { dir.run_record_if_whole()? } else { None };
    let sinks = job.sinks.iter().map(|sink| &sink.label);
    let labels: Vec<String> = sinks.chain(job.monitors.iter().map(|monitor| &monitor.stage.label)).cloned().collect();
    let tables: Vec<&str> = labels.iter().map(String::as_str).chain([REJECTS]).collect();
    if let Some(past) = &past {
        check_same(&past.last, &job, &digest, before.as_ref().map(|before| &before.document))?;
        if past.last.finished {
            dir.recover(past)?;
            // The process may have been killed between its last commit and its end.
            deliver(&mut job.sinks, &dir)?;
            if before.as_ref().is_none_or(|record| record.state != RunState::Finished) {
                let new = || run_record::begin(&job, &digest, job.engine.threads, &tables, None);
                run_record::finish(before.unwrap_or_else(new), past).write(dir.path())?;
            }
            return Ok(finished_before(&dir, past, begun));
        }
        check_format(&path, &past.last)?;
        check_digests(&job)?;
    }
    let context = start_stages(&mut job, stop)?;
    let mut splits = job.source.stage.splits()?;
    check_ids(&splits)?;
    if let Some(past) = &past {
        restore_bounds(&mut splits, job.source.stage.is_live(), &past.last.source);
    }
    let splits: Arc<[Split]> = splits.into();
    let record = run_record::begin(&job, &digest, context.threads, &tables, before.as_ref());
    let inputs = input_digests(&job)?;
    match &past {
        Some(past) => {
            check_models(&past.last, &record.models)?;
            check_inputs(&past.last, &inputs, &growing_inputs(&job))?;
            dir.recover(past)?;
        }
        None => dir.clear(&tables)?,
    }
    let mut log = CommitLog::open(dir, record, &job, inputs, past.as_ref())?;
    let tail = OrderedTail::start(&mut job, &context, log.dir(), past.as_ref(), splits.clone());
    let outcome = tail.and_then(|tail| RunLoop { log: &mut log, tail, stop, progress }.run(job, &context, splits));
    match outcome {
        Ok(tail) => {
            log.close(RunState::Finished, None)?;
            Ok(log.summary(tail.works.to_vec(), begun.elapsed().as_secs_f64()))
        }
        Err(error) => {
            let (state, message) = match &error {
                Error::Interrupted => (RunState::Interrupted, None),
                error => (RunState::Failed, Some(error.report())),
            };
            // Report the error that ended the run, even if the run record cannot be written either (a full disk).
            let _ = log.close(state, message);
            Err(error)
        }
    }
}

/// The loop on the caller's thread.
struct RunLoop<'a> {
    log: &'a mut CommitLog,
    tail: OrderedTail,
    stop: &'a Stop,
    progress: &'a mut dyn FnMut(&Status<'_>),
}

/// The reference points of a status.
struct Baseline {
    begun: Instant,
    /// Source rows before this process.
    rows: u64,
    /// Rows of the source, if known.
    total: Option<u64>,
}

impl RunLoop<'_> {
    fn run(mut self, job: Job, context: &RunContext, splits: Arc<[Split]>) -> Result<OrderedTail> {
        let total = splits.iter().map(|split| split.rows).sum::<Option<u64>>();
        let total = total.map(|rows| rows.min(job.limit.unwrap_or(u64::MAX)));
        let baseline = Baseline { begun: Instant::now(), rows: self.tail.counts.source, total };
        let commit_rows = job.engine.commit_rows.max(1);
        let commit_time = Duration::from_secs_f64(job.engine.commit_seconds.clamp(0.001, 1e9));
        let mut pool = WorkerPool::start(ReadPlan {
            source: job.source,
            splits,
            start: self.tail.progress.remaining(),
            limit: job.limit.map(|limit| limit.saturating_sub(baseline.rows)),
            steps: job.steps,
            threads: context.threads,
            batch_rows: context.batch_rows,
            memory_bytes: job.engine.memory_mib << 20,
        })?;
        self.report(&baseline, Some(&pool));
        if self.log.commits() == 0 && self.tail.has_bounds() {
            // Where the run begins and ends is decided now, also for a process that continues it before any row has come.
            self.log.commit(&mut self.tail, false)?;
        }
        loop {
            if self.stop.requested() {
                drop(pool);
                self.log.commit_if_new(&mut self.tail)?;
                return Err(Error::Interrupted);
            }
            let next = pool.next(Instant::now() + PATIENCE).and_then(|next| match next {
                Next::Batch(batch) => self.tail.accept(&batch).map(|()| Next::Batch(batch)),
                other => Ok(other),
            });
            match next {
                Ok(Next::Batch(batch)) => self.tail.take(*batch)?,
                Ok(Next::Idle) => {}
                Ok(Next::End) => break,
                Err(error) => {
                    drop(pool);
                    // The first error is the one to report.
                    let _ = self.log.commit_if_new(&mut self.tail);
                    return Err(error);
                }
            }
            self.report(&baseline, Some(&pool));
            if self.log.is_due(&self.tail, commit_rows, commit_time) {
                self.log.commit(&mut self.tail, false)?;
                self.report(&baseline, Some(&pool));
            }
        }
        drop(pool);
        self.drain(&baseline, commit_time)?;
        self.tail.finish()?;
        self.log.commit(&mut self.tail, true)?;
        self.report(&baseline, None);
        Ok(self.tail)
    }

    /// Drains the monitors after the stream has ended.
    fn drain(&mut self, baseline: &Baseline, commit_time: Duration) -> Result<()> {
        while self.tail.drain(Instant::now() + PATIENCE)? == Progress::Pending {
            if self.stop.requested() {
                self.log.commit(&mut self.tail, false)?;
                return Err(Error::Interrupted);
            }
            if self.log.is_older_than(commit_time) {
                self.log.commit(&mut self.tail, false)?;
            }
            self.report(baseline, None);
        }
        Ok(())
    }

    fn report(&mut self, baseline: &Baseline, pool: Option<&WorkerPool>) {
        let rows = (self.tail.counts.source - baseline.rows) as f64;
        (self.progress)(&Status {
            counts: self.tail.counts,
            total: baseline.total,
            rows_per_second: rows / baseline.begun.elapsed().as_secs_f64().max(1e-9),
            commits: self.log.commits(),
            findings: self.log.findings().len() + self.tail.findings.len(),
            committed_findings: self.log.findings(),
            new_findings: &self.tail.findings,
            stages: &self.tail.works.to_vec(),
            queues: pool.map(WorkerPool::queues).unwrap_or_default(),
            waiting: &self.tail.pending_objects(),
            source_lag: &pool.map(WorkerPool::source_lag).unwrap_or_default(),
        });
    }
}

fn finished_before(dir: &RunDir, past: &RecoveredState, begun: Instant) -> Summary {
    Summary {
        run_dir: dir.path().to_owned(),
        counts: past.last.counts,
        tables: past.sizes().into_iter().map(|(table, size)| (table, size.rows)).collect(),
        findings: past.findings.clone(),
        stages: past.last.stages.clone(),
        seconds: begun.elapsed().as_secs_f64(),
        already_finished: true,
    }
}
