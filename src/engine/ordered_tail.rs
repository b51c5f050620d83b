//! The ordered tail of a run, on one thread: rejects, monitors, sinks, and what a commit needs from them.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::{
    Job, JobMonitor, JobStage,
    guard::guarded,
    run_dir::{RecoveredState, RunDir},
    source_progress::SourceProgress,
    stage_works::{StageWorks, count},
    worker_pool::OrderedBatch,
};
use crate::{
    batch::{OBJECT_ID, ORIGIN, column_of},
    error::{Error, Result},
    io::{checked::sums_of_file, digest, disk},
    run::{Counts, Finding, Lookups, OnReject, StateFile, TablePart},
    stage::{Monitor, MonitorOutput, Progress, Reject, RowsOut, RunContext, Sink, Split},
    table::{TableWriter, WriteOptions},
};

/// The table of rows that could not be used.
pub(super) const REJECTS: &str = "rejects";

/// Everything that receives every row once, in order.
pub(super) struct OrderedTail {
    output: SchemaRef,
    splits: Arc<[Split]>,
    /// What the source looks rows up in, in words.
    lookup_table: Option<String>,
    on_reject: OnReject,
    monitors: Vec<RunningMonitor>,
    sinks: Vec<JobStage<dyn Sink>>,
    rejects: TableWriter,
    pub(super) progress: SourceProgress,
    pub(super) counts: Counts,
    pub(super) works: StageWorks,
    /// Findings since the last commit.
    pub(super) findings: Vec<Finding>,
}

/// The states of monitors and sinks, by label.
#[derive(Default)]
pub(super) struct States {
    pub(super) monitors: BTreeMap<String, StateFile>,
    pub(super) sinks: BTreeMap<String, StateFile>,
}

struct RunningMonitor {
    label: String,
    custom: bool,
    monitor: Box<dyn Monitor>,
    /// The labels of its upstream monitors.
    upstream: Vec<String>,
    table: TableWriter,
}

/// The schema of the table of rejects.
fn rejects_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let fields = vec![text(OBJECT_ID, true), text(ORIGIN, false), text("stage", false), text("reason", false)];
    Arc::new(Schema::new(fields))
}

fn rejects_batch(rejects: &[Reject]) -> Result<RecordBatch> {
    let ids: StringArray = rejects.iter().map(|reject| reject.object_id.as_deref()).collect();
    let text = |of: fn(&Reject) -> &str| Arc::new(StringArray::from_iter_values(rejects.iter().map(of)));
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), text(|r| &r.origin), text(|r| &r.stage), text(|r| &r.reason)];
    Ok(RecordBatch::try_new(rejects_schema(), columns)?)
}

/// Ends the run at a rejected row if rejects are not to be quarantined.
///
/// # Errors
/// [`Error::Data`] with the row and the reason.
pub(super) fn check_rejects(on_reject: OnReject, batch: &OrderedBatch) -> Result<()> {
    match (on_reject, batch.first_reject()) {
        (OnReject::Fail, Some(Reject { origin, stage, reason, .. })) => {
            Err(Error::data(format!("stage `{stage}` rejected a row of `{origin}`: {reason}")))
        }
        _ => Ok(()),
    }
}

impl OrderedTail {
    /// Starts sinks and tables in a recovered directory, and restores the monitors.
    pub(super) fn start(
        job: &mut Job,
        run: &RunContext,
        dir: &RunDir,
        past: Option<&RecoveredState>,
        splits: Arc<[Split]>,
    ) -> Result<Self> {
        let mut works = StageWorks::of(job);
        if let Some(past) = past {
            works.restore(&past.last.stages);
        }
        let table = |label: &str, schema: SchemaRef| {
            TableWriter::new(schema, &dir.staging(label), &dir.table(label), WriteOptions::default())
        };
        let mut monitors = Vec::new();
        for JobMonitor { stage: JobStage { label, custom, stage: mut monitor, .. }, table: schema } in
            job.monitors.drain(..)
        {
            if let Some(past) = past {
                let missing = || Error::data(format!("the last commit has no state of monitor `{label}`"));
                let snapshot = past.last.monitors.get(&label).ok_or_else(missing)?.read(dir.path())?;
                guarded(&label, custom, || monitor.restore(&snapshot))?;
            }
            let upstream = monitor.upstream().into_iter().map(|reference| reference.column).collect();
            monitors.push(RunningMonitor { table: table(&label, schema)?, label, custom, monitor, upstream });
        }
        let mut sinks = std::mem::take(&mut job.sinks);
        for JobStage { label, custom, stage, .. } in &mut sinks {
            let staging = dir.staging(label);
            disk::create_folder(&staging)?;
            guarded(label, *custom, || stage.start(run, &staging, &dir.table(label)))?;
            if let Some(state) = past.and_then(|past| past.last.sinks.get(label)) {
                let snapshot = state.read(dir.path())?;
                guarded(label, *custom, || stage.restore(&snapshot))?;
            }
        }
        if past.is_some() {
            deliver(&mut sinks, dir)?;
        }
        let live = job.source.stage.is_live();
        let progress = match past {
            Some(past) => SourceProgress::resume(&splits, live, &past.last.source)?,
            None => SourceProgress::new(&splits, live),
        };
        Ok(Self {
            output: job.output.clone(),
            splits,
            lookup_table: job.source.stage.lookup_table(),
            on_reject: job.engine.on_reject,
            monitors,
            sinks,
            rejects: table(REJECTS, rejects_schema())?,
            progress,
            counts: past.map(|past| past.last.counts).unwrap_or_default(),
            works,
            // A run that is continued has them already.
            findings: if past.is_none() { job.scorer_findings() } else { Vec::new() },
        })
    }

    /// Checks whether the run continues with this batch.
    ///
    /// # Errors
    /// [`Error::Data`] for a rejected row that ends the run.
    pub(super) fn accept(&self, batch: &OrderedBatch) -> Result<()> {
        check_rejects(self.on_reject, batch)
    }

    /// Processes a batch: counts, rejects, monitors, sinks. After an error nothing since the last commit may be committed.
    pub(super) fn take(&mut self, batch: OrderedBatch) -> Result<()> {
        let OrderedBatch { after, source_rows, lookups, source_seconds, unreadable, processed, permit } = batch;
        self.works.source.rows += source_rows;
        self.works.source.lookups.add(lookups);
        self.works.source.rejected += unreadable.len() as u64;
        self.works.source.seconds += source_seconds;
        for (work, step) in self.works.steps.iter_mut().zip(&processed.steps) {
            work.rows += step.rows;
            work.rejected += step.rejected;
            work.filtered += step.filtered;
            work.seconds += step.seconds;
        }
        let mut rejects = unreadable;
        rejects.extend(processed.rejects.rejected);
        rejects.sort_by_key(|reject| reject.row);
        self.counts.source += source_rows;
        self.counts.written += processed.rows.num_rows() as u64;
        self.counts.filtered += processed.rejects.filtered;
        self.counts.rejected += rejects.len() as u64;
        self.check_counts()?;
        if !rejects.is_empty() {
            self.rejects.write(&rejects_batch(&rejects)?)?;
        }
        let rows = with_schema(&processed.rows, &self.output)?;
        drop(processed.rows);
        if rows.num_rows() > 0 {
            self.pass_on(&rows)?;
        }
        self.progress.advance(&self.splits, after);
        drop(rows);
        drop(permit);
        Ok(())
    }

    fn pass_on(&mut self, rows: &RecordBatch) -> Result<()> {
        let number = rows.num_rows() as u64;
        let mut round = Round::new(&mut self.findings);
        for (monitor, work) in self.monitors.iter_mut().zip(&mut self.works.monitors) {
            let begun = Instant::now();
            round.turn(monitor, |monitor| monitor.observe(rows))?;
            count(work, number, begun);
        }
        for (JobStage { label, custom, stage, .. }, work) in self.sinks.iter_mut().zip(&mut self.works.sinks) {
            let begun = Instant::now();
            guarded(label, *custom, || stage.write(rows))?;
            count(work, number, begun);
        }
        Ok(())
    }

    /// Lets monitors work on their pending objects for a while, after the stream has ended.
    pub(super) fn drain(&mut self, until: Instant) -> Result<Progress> {
        let mut round = Round::new(&mut self.findings);
        let mut all = Progress::Done;
        for (monitor, work) in self.monitors.iter_mut().zip(&mut self.works.monitors) {
            let begun = Instant::now();
            round.turn(monitor, |monitor| {
                let (output, progress) = monitor.drain(until)?;
                if progress == Progress::Pending {
                    all = Progress::Pending;
                }
                Ok(output)
            })?;
            count(work, 0, begun);
        }
        Ok(all)
    }

    /// Finishes the monitors and the sinks, and writes their last rows.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.findings.extend(self.nothing_found());
        let mut round = Round::new(&mut self.findings);
        self.monitors.iter_mut().try_for_each(|monitor| round.turn(monitor, |monitor| monitor.finish()))?;
        let mut sinks = self.sinks.iter_mut();
        sinks.try_for_each(|JobStage { label, custom, stage, .. }| guarded(label, *custom, || stage.finish()))
    }

    /// The finding that no row was found in the catalogue: its keys are not those of the objects.
    fn nothing_found(&self) -> Option<Finding> {
        let Lookups { rows, found } = self.works.source.lookups;
        let table = self.lookup_table.as_ref().filter(|_| rows > 0 && found == 0)?;
        let objects = if rows == 1 { "the object".to_owned() } else { format!("none of {rows} objects") };
        let is = if rows == 1 { "is not" } else { "is" };
        Some(Finding { monitor: "source".into(), message: format!("{objects} {is} in {table}") })
    }

    /// Whether it was decided when the run began where splits begin or end.
    pub(super) fn has_bounds(&self) -> bool {
        self.splits.iter().any(|split| split.start > 0 || split.end.is_some())
    }

    /// Lets sinks hand over what is committed.
    pub(super) fn deliver(&mut self, dir: &RunDir) -> Result<()> {
        deliver(&mut self.sinks, dir)
    }

    /// Closes what was written since the last commit and makes it durable.
    pub(super) fn prepare(&mut self, dir: &RunDir) -> Result<BTreeMap<String, Vec<TablePart>>> {
        let mut tables = BTreeMap::new();
        for JobStage { label, custom, stage, .. } in &mut self.sinks {
            let mut parts = guarded(label, *custom, || stage.prepare())?;
            for part in parts.iter_mut().filter(|part| part.checksums.is_empty()) {
                part.checksums = sums_of_file(&dir.staging(label).join(&part.file))?;
            }
            tables.insert(label.clone(), parts);
        }
        for RunningMonitor { label, table, .. } in &mut self.monitors {
            tables.insert(label.clone(), table.prepare()?);
        }
        tables.insert(REJECTS.into(), self.rejects.prepare()?);
        Ok(tables)
    }

    /// Writes the snapshots of monitors and sinks beside the record of a commit.
    pub(super) fn snapshot(&self, dir: &RunDir, commit: u64) -> Result<States> {
        let write = |label: &str, snapshot: &[u8]| {
            let file = format!("{commit:010}.{label}.state");
            disk::replace(&dir.commits().join(&file), snapshot)?;
            Ok::<_, Error>(StateFile { file, digest: digest::of_bytes(snapshot) })
        };
        let mut states = States::default();
        for RunningMonitor { label, custom, monitor, .. } in &self.monitors {
            let snapshot = guarded(label, *custom, || monitor.snapshot())?;
            states.monitors.insert(label.clone(), write(label, &snapshot)?);
        }
        for JobStage { label, custom, stage, .. } in &self.sinks {
            let snapshot = guarded(label, *custom, || stage.snapshot())?;
            if !snapshot.is_empty() {
                states.sinks.insert(label.clone(), write(label, &snapshot)?);
            }
        }
        Ok(states)
    }

    /// How many objects are pending in monitors with per-object tasks, by label.
    pub(super) fn pending_objects(&self) -> Vec<(&str, usize)> {
        let pending = |running: &RunningMonitor| running.monitor.pending_objects();
        self.monitors.iter().filter_map(|running| Some((running.label.as_str(), pending(running)?))).collect()
    }

    pub(super) fn splits(&self) -> &[Split] {
        &self.splits
    }

    fn check_counts(&self) -> Result<()> {
        let Counts { source, written, filtered, rejected } = self.counts;
        if source == written + filtered + rejected {
            return Ok(());
        }
        Err(Error::bug(format!(
            "rows do not add up: {source} in, {written} written + {filtered} filtered + {rejected} rejected"
        )))
    }
}

/// Runs all monitors once, in order. Each receives the rows that its upstream monitors emitted in this round.
struct Round<'a> {
    findings: &'a mut Vec<Finding>,
    emitted: Vec<(String, Vec<RowsOut>)>,
}

impl<'a> Round<'a> {
    const fn new(findings: &'a mut Vec<Finding>) -> Self {
        Self { findings, emitted: Vec::new() }
    }

    fn turn(
        &mut self,
        running: &mut RunningMonitor,
        call: impl FnOnce(&mut dyn Monitor) -> Result<MonitorOutput>,
    ) -> Result<()> {
        let RunningMonitor { label, custom, monitor, upstream, table } = running;
        let mut output = MonitorOutput::default();
        for (from, batches) in self.emitted.iter().filter(|(from, _)| upstream.contains(from)) {
            for rows in batches {
                output.append(guarded(label, *custom, || monitor.observe_upstream(from, rows))?);
            }
        }
        output.append(guarded(label, *custom, || call(monitor.as_mut()))?);
        output.rows.iter().try_for_each(|rows| table.write(&rows.rows))?;
        self.findings.append(&mut output.findings);
        self.emitted.push((label.clone(), output.rows));
        Ok(())
    }
}

/// The batch with exactly the columns of a schema.
pub(super) fn with_schema(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if rows.num_rows() == 0 {
        return Ok(RecordBatch::new_empty(schema.clone()));
    }
    let columns = schema.fields().iter().map(|field| column_of(rows, field.name()).cloned());
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
/// Lets sinks hand over what is committed.
pub(super) fn deliver(sinks: &mut [JobStage<dyn Sink>], dir: &RunDir) -> Result<()> {
    for JobStage { label, custom, stage, .. } in sinks {
        guarded(label, *custom, || stage.deliver(&dir.table(label)))?;
    }
    Ok(())
}
