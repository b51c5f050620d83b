//! The back of a run, in order and on one thread: rejects, monitors, sinks, and what a commit needs of them.

use std::{collections::BTreeMap, fs, sync::Arc, time::Instant};

use arrow::{
    array::{RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::{
    Counts, Job, OnReject, StageWork, StepStage,
    directory::{Past, RunDir},
    feed::Fed,
    record::{Progression, State, digest_of_bytes},
    workers::guarded,
};
use crate::{
    batch::{OBJECT_ID, ORIGIN},
    error::{Error, Result},
    stage::{Finding, Monitor, MonitorOutput, Progress, Reject, RowsOut, RunContext, Sink, Split, TablePart},
    table::{TableWriter, WriteOptions, write_durably},
};

/// The table of rows that could not be used.
pub(super) const REJECTS: &str = "rejects";

/// Everything that sees every row once, in order.
pub(super) struct Back {
    output: SchemaRef,
    splits: Arc<[Split]>,
    on_reject: OnReject,
    monitors: Vec<Watcher>,
    sinks: Vec<(String, Box<dyn Sink>)>,
    rejects: TableWriter,
    pub(super) progression: Progression,
    pub(super) counts: Counts,
    /// Work of every stage: source, steps, monitors, sinks.
    pub(super) stages: Vec<StageWork>,
    /// Findings since the last commit.
    pub(super) findings: Vec<Finding>,
}

struct Watcher {
    label: String,
    monitor: Box<dyn Monitor>,
    /// The labels of the monitors that it follows.
    follows: Vec<String>,
    table: TableWriter,
}

/// The schema of the table of rejects.
pub(super) fn rejects_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let fields = vec![text(OBJECT_ID, true), text(ORIGIN, false), text("stage", false), text("reason", false)];
    Arc::new(Schema::new(fields))
}

fn rejects_batch(rejects: &[Reject]) -> Result<RecordBatch> {
    let ids: StringArray = rejects.iter().map(|reject| reject.object_id.as_deref()).collect();
    let text = |of: fn(&Reject) -> &str| Arc::new(StringArray::from_iter_values(rejects.iter().map(of)));
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(ids), text(|r| &r.origin), text(|r| &r.stage), text(|r| &r.reason)];
    Ok(RecordBatch::try_new(rejects_schema(), columns)?)
}

/// The stages of a job in order, with what they have done so far.
fn stage_works(job: &Job, past: Option<&Past>) -> Vec<StageWork> {
    let mut works = vec![StageWork { family: "source".into(), label: "source".into(), ..StageWork::default() }];
    let mut add = |family: &str, label: &str, kind: &str| {
        works.push(StageWork { family: family.into(), label: label.into(), kind: kind.into(), ..StageWork::default() });
    };
    for step in &job.steps {
        let family = if matches!(step.stage, StepStage::Score(_)) { "score" } else { "transform" };
        add(family, &step.label, &step.kind);
    }
    job.monitors.iter().for_each(|(label, ..)| add("monitor", label, ""));
    job.sinks.iter().for_each(|(label, _)| add("sink", label, ""));
    let same = |past: &Past| past.last.stages.iter().map(|work| &work.label).eq(works.iter().map(|work| &work.label));
    past.filter(|past| same(past)).map_or_else(|| works.clone(), |past| past.last.stages.clone())
}

impl Back {
    /// Starts sinks and tables in a directory that is in order, and takes monitors back to where they were.
    pub(super) fn start(
        job: &mut Job,
        run: &RunContext,
        dir: &RunDir,
        past: Option<&Past>,
        splits: Arc<[Split]>,
    ) -> Result<Self> {
        let stages = stage_works(job, past);
        let table = |label: &str, schema: SchemaRef| {
            TableWriter::new(schema, &dir.staging(label), &dir.table(label), WriteOptions::default())
        };
        let mut monitors = Vec::new();
        for (label, schema, mut monitor) in job.monitors.drain(..) {
            if let Some(past) = past {
                let snapshot = read_state(dir, past, &label)?;
                guarded(&label, || monitor.restore(&snapshot))?;
            }
            let follows = monitor.upstream().into_iter().map(|need| need.column).collect();
            monitors.push(Watcher { table: table(&label, schema)?, label, monitor, follows });
        }
        let mut sinks = std::mem::take(&mut job.sinks);
        for (label, sink) in &mut sinks {
            let staging = dir.staging(label);
            fs::create_dir_all(&staging).map_err(|error| Error::io("make", &staging, error))?;
            guarded(label, || sink.start(run, &staging, &dir.table(label)))?;
        }
        let progression = match past {
            Some(past) => Progression::resume(&splits, &past.last.position)?,
            None => Progression::new(),
        };
        Ok(Self {
            output: job.output.clone(),
            splits,
            on_reject: job.engine.on_reject,
            monitors,
            sinks,
            rejects: table(REJECTS, rejects_schema())?,
            progression,
            counts: past.map(|past| past.last.counts).unwrap_or_default(),
            stages,
            findings: Vec::new(),
        })
    }

    /// Whether the run has to end before this batch.
    ///
    /// # Errors
    /// [`Error::Data`] for a row that cannot be used, when a reject is to end the run.
    pub(super) fn accept(&self, fed: &Fed) -> Result<()> {
        let first = fed.unreadable.iter().chain(&fed.worked.rejects.rejected).min_by_key(|reject| reject.row);
        match (self.on_reject, first) {
            (OnReject::Fail, Some(Reject { origin, stage, reason, .. })) => {
                Err(Error::data(format!("a row of `{origin}` was refused by `{stage}`: {reason}")))
            }
            _ => Ok(()),
        }
    }

    /// Takes a batch: counts, rejects, monitors, sinks. After an error nothing since the last commit may be committed.
    pub(super) fn take(&mut self, fed: Fed) -> Result<()> {
        let Fed { after, source_rows, source_seconds, unreadable, worked, permit } = fed;
        let rows = worked.rows.num_rows() as u64;
        self.stages[0].rows += source_rows;
        self.stages[0].rejected += unreadable.len() as u64;
        self.stages[0].seconds += source_seconds;
        let steps = worked.steps.len();
        for (stage, step) in self.stages[1..].iter_mut().zip(&worked.steps) {
            stage.rows += step.rows;
            stage.rejected += step.rejected;
            stage.filtered += step.filtered;
            stage.seconds += step.seconds;
        }
        let mut rejects = unreadable;
        rejects.extend(worked.rejects.rejected);
        rejects.sort_by_key(|reject| reject.row);
        self.counts.source += source_rows;
        self.counts.written += rows;
        self.counts.filtered += worked.rejects.filtered;
        self.counts.rejected += rejects.len() as u64;
        self.verify()?;
        if !rejects.is_empty() {
            self.rejects.write(&rejects_batch(&rejects)?)?;
        }
        let batch = shaped(&worked.rows, &self.output)?;
        drop(worked.rows);
        if rows > 0 {
            self.show(&batch, 1 + steps)?;
        }
        self.progression.advance(&self.splits, after);
        drop(batch);
        drop(permit);
        Ok(())
    }

    fn show(&mut self, batch: &RecordBatch, first: usize) -> Result<()> {
        let rows = batch.num_rows() as u64;
        let mut stages = self.stages[first..].iter_mut();
        let mut round = Round::new(&mut self.findings);
        for watcher in &mut self.monitors {
            let begun = Instant::now();
            round.turn(watcher, |monitor| monitor.observe(batch))?;
            count(stages.next(), rows, begun);
        }
        for (label, sink) in &mut self.sinks {
            let begun = Instant::now();
            guarded(label, || sink.write(batch))?;
            count(stages.next(), rows, begun);
        }
        Ok(())
    }

    /// Lets monitors work for a while on what they have accepted, when the stream has ended.
    pub(super) fn drain(&mut self, until: Instant) -> Result<Progress> {
        let first = self.stages.len() - self.sinks.len() - self.monitors.len();
        let mut stages = self.stages[first..].iter_mut();
        let mut round = Round::new(&mut self.findings);
        let mut left = Progress::Done;
        for watcher in &mut self.monitors {
            let begun = Instant::now();
            round.turn(watcher, |monitor| {
                let (emitted, own) = monitor.drain(until)?;
                if own == Progress::Pending {
                    left = Progress::Pending;
                }
                Ok(emitted)
            })?;
            count(stages.next(), 0, begun);
        }
        Ok(left)
    }

    /// Lets monitors say their last word.
    pub(super) fn finish(&mut self) -> Result<()> {
        let mut round = Round::new(&mut self.findings);
        self.monitors.iter_mut().try_for_each(|watcher| round.turn(watcher, |monitor| monitor.finish()))
    }

    /// Closes what was written since the last commit and makes it durable.
    pub(super) fn prepare(&mut self) -> Result<BTreeMap<String, Vec<TablePart>>> {
        let mut tables = BTreeMap::new();
        for (label, sink) in &mut self.sinks {
            tables.insert(label.clone(), guarded(label, || sink.prepare())?);
        }
        for Watcher { label, table, .. } in &mut self.monitors {
            tables.insert(label.clone(), table.prepare()?);
        }
        tables.insert(REJECTS.into(), self.rejects.prepare()?);
        Ok(tables)
    }

    /// Writes the states of the monitors beside the record of a commit.
    pub(super) fn snapshot(&self, dir: &RunDir, commit: u64) -> Result<BTreeMap<String, State>> {
        let mut states = BTreeMap::new();
        for Watcher { label, monitor, .. } in &self.monitors {
            let snapshot = guarded(label, || monitor.snapshot())?;
            let file = format!("{commit:010}.{label}.state");
            write_durably(&dir.commits().join(&file), &snapshot)?;
            states.insert(label.clone(), State { file, digest: digest_of_bytes(&snapshot) });
        }
        Ok(states)
    }

    /// How many objects wait in the studies of monitors, by label.
    pub(super) fn pending_objects(&self) -> Vec<(&str, usize)> {
        let waits = |watcher: &Watcher| watcher.monitor.pending_objects();
        self.monitors.iter().filter_map(|watcher| Some((watcher.label.as_str(), waits(watcher)?))).collect()
    }

    pub(super) fn splits(&self) -> &[Split] {
        &self.splits
    }

    fn verify(&self) -> Result<()> {
        let Counts { source, written, filtered, rejected } = self.counts;
        if source == written + filtered + rejected {
            return Ok(());
        }
        Err(Error::bug(format!(
            "{source} rows came, but {written} written + {filtered} filtered + {rejected} rejected left"
        )))
    }
}

fn read_state(dir: &RunDir, past: &Past, label: &str) -> Result<Vec<u8>> {
    let missing = || Error::data(format!("the last commit has no state of monitor `{label}`"));
    let state = past.last.monitors.get(label).ok_or_else(missing)?;
    let path = dir.commits().join(&state.file);
    let snapshot = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
    if digest_of_bytes(&snapshot) != state.digest {
        return Err(Error::data(format!("`{}` is not the state that the commit record names", path.display())));
    }
    Ok(snapshot)
}

/// One turn of every monitor, in order: each hears what those that it follows said before it in the same round.
struct Round<'a> {
    findings: &'a mut Vec<Finding>,
    said: Vec<(String, Vec<RowsOut>)>,
}

impl<'a> Round<'a> {
    const fn new(findings: &'a mut Vec<Finding>) -> Self {
        Self { findings, said: Vec::new() }
    }

    fn turn(
        &mut self,
        watcher: &mut Watcher,
        part: impl FnOnce(&mut dyn Monitor) -> Result<MonitorOutput>,
    ) -> Result<()> {
        let Watcher { label, monitor, follows, table } = watcher;
        let mut emitted = MonitorOutput::default();
        for (speaker, said) in self.said.iter().filter(|(speaker, _)| follows.contains(speaker)) {
            for said in said {
                emitted.append(guarded(label, || monitor.observe_upstream(speaker, said))?);
            }
        }
        emitted.append(guarded(label, || part(monitor.as_mut()))?);
        emitted.rows.iter().try_for_each(|said| table.write(&said.rows))?;
        self.findings.append(&mut emitted.findings);
        self.said.push((label.clone(), emitted.rows));
        Ok(())
    }
}

fn count(stage: Option<&mut StageWork>, rows: u64, begun: Instant) {
    if let Some(stage) = stage {
        stage.rows += rows;
        stage.seconds += begun.elapsed().as_secs_f64();
    }
}

/// The batch with exactly the columns that the plan promised.
pub(super) fn shaped(rows: &RecordBatch, output: &SchemaRef) -> Result<RecordBatch> {
    if rows.num_rows() == 0 {
        return Ok(RecordBatch::new_empty(output.clone()));
    }
    let columns = output.fields().iter().map(|field| crate::batch::column_of(rows, field.name()).cloned());
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(output.clone(), columns, &options)?)
}
