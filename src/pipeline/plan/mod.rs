//! Planning: binds every step to the columns before it, adds shared steps, and drops columns after their last use.

mod bind;
mod columns;
mod images;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::take,
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::{Value as Json, json};

use self::images::images_only;
use super::{
    column_lifetimes::{ColumnUse, columns_to_drop},
    diagnostic::SpannedDiagnostic,
    draft::{Draft, Place},
    kinds::Family,
    logical_plan::{LogicalMonitor, LogicalPlan, LogicalSink, LogicalStep},
};
use crate::{
    engine::{EngineSettings, Job, JobMonitor, JobStage, PipelineMetadata, Step},
    error::{Code, Diagnostic},
    stage::{Monitor, Sink, UpstreamSchemas},
};

/// What a plan is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A run that writes tables, so that a sink or a monitor is required.
    Run,
    /// A stream of all rows for the caller.
    Stream,
    /// A stream of these image columns for the caller, with only the steps that they need; without names, those that
    /// `asinh_stretch` steps read.
    Images(Vec<String>),
}

/// Binds all steps in order. Continues after a mistake, and checks every step that does not depend on a wrong one.
pub(super) fn plan(
    mut draft: Draft,
    mut purpose: Purpose,
    mut diagnostics: Vec<SpannedDiagnostic>,
) -> Result<(Job, LogicalPlan), Vec<Diagnostic>> {
    let texts = draft.texts.clone();
    if draft.unparsed {
        return Err(texts.mistakes(diagnostics));
    }
    let mut left_out = Vec::new();
    if let Purpose::Images(wanted) = &mut purpose {
        match images_only(&mut draft, wanted) {
            Ok(labels) => left_out = labels,
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    let planner = Planner { diagnostics, left_out, ..Planner::default() };
    planner.plan(draft, &purpose).map_err(|diagnostics| texts.mistakes(diagnostics))
}

/// A bound step, before the planner decides which columns to drop.
struct BoundStep {
    step: Step,
    family: Family,
    reads: Vec<String>,
    made: Vec<Field>,
    /// The labels that share it, if it is a hidden step.
    shared_by: Vec<String>,
}

/// The bound sinks, as stages of the job and in the logical plan.
#[derive(Default)]
struct BoundSinks {
    stages: Vec<JobStage<dyn Sink>>,
    logical: Vec<LogicalSink>,
}

/// The most bytes that the lists of one row take at any step: mainly images. The step that makes a column has it and those that it
/// reads at once.
fn widest_row(source: &[Arc<Field>], steps: &[BoundStep]) -> usize {
    let bytes = |field: &Field| match field.data_type() {
        DataType::FixedSizeList(item, length) => {
            item.data_type().primitive_width().unwrap_or(0) * usize::try_from(*length).unwrap_or(0)
        }
        _ => 0,
    };
    let mut alive: BTreeMap<&str, usize> = source.iter().map(|field| (field.name().as_str(), bytes(field))).collect();
    let mut widest: usize = alive.values().sum();
    for step in steps {
        alive.extend(step.made.iter().map(|field| (field.name().as_str(), bytes(field))));
        widest = widest.max(alive.values().sum());
        step.step.drop_after.iter().for_each(|dropped| _ = alive.remove(dropped.as_str()));
    }
    widest
}

/// The mistake in a pipeline whose rows do not fit in memory one by one.
fn too_large(row_bytes: usize, memory_mib: usize) -> Option<SpannedDiagnostic> {
    let row_mib = row_bytes.div_ceil(1 << 20);
    (row_mib > memory_mib).then(|| {
        let message = format!("one row takes {row_mib} MiB with the images of its steps, `memory_mib` is {memory_mib}");
        let mistake = Diagnostic::at("engine.memory_mib", Code::OutOfRange, message);
        let help = "raise `memory_mib`, cut the images to a smaller size, or drop bands";
        SpannedDiagnostic { at: None, mistake: mistake.help(help), related: None }
    })
}

/// What the names of the columns of a score end with.
const SCORE_PARTS: [&str; 5] = ["class", "probability", "latent", "value", "error"];

/// A monitor whose columns exist, to be bound once the final columns are known.
struct PendingMonitor {
    place: Place,
    stage: JobStage<dyn Monitor>,
    reads: Vec<String>,
}

#[derive(Default)]
struct Planner {
    diagnostics: Vec<SpannedDiagnostic>,
    /// All columns made so far, including those that will be dropped.
    fields: Vec<Arc<Field>>,
    steps: Vec<BoundStep>,
    /// Labels of steps that cannot be bound. Their columns are not reported as missing.
    broken: BTreeSet<String>,
    /// Whether the source is missing or cannot be bound. Then no column is reported as missing.
    has_no_source: bool,
    source_kind: String,
    /// Labels of the steps that are not bound yet, for help.
    declared_below: Vec<String>,
    /// Labels of the transforms that were left out, for help.
    left_out: Vec<String>,
    /// Labels of the monitors above the current one, for help.
    monitors_above: Vec<String>,
}

impl Planner {
    fn plan(mut self, mut draft: Draft, purpose: &Purpose) -> Result<(Job, LogicalPlan), Vec<SpannedDiagnostic>> {
        let source = self.source(&mut draft);
        let source_fields = self.fields.clone();
        self.declared_below = draft.transforms.iter().map(|step| step.label.clone()).collect();
        self.declared_below.extend(draft.scores.iter().map(|step| step.label.clone()));
        if let Some((source, place)) = &source {
            self.decoder(source, place);
        }
        take(&mut draft.transforms).into_iter().for_each(|declared| self.transform(declared));
        take(&mut draft.scores).into_iter().for_each(|declared| self.score(declared));
        if *purpose == Purpose::Run
            && draft.sinks.is_empty()
            && draft.monitors.is_empty()
            && self.diagnostics.is_empty()
        {
            self.diagnostics.push(SpannedDiagnostic { at: None, mistake: nothing_kept(), related: None });
        }
        let BoundSinks { stages: sinks, logical: logical_sinks } = self.sinks(take(&mut draft.sinks));
        let monitor_labels: Vec<String> = draft.monitors.iter().map(|declared| declared.label.clone()).collect();
        let mut pending = Vec::new();
        for declared in take(&mut draft.monitors) {
            let label = declared.label.clone();
            match self.monitor(declared, &monitor_labels) {
                Some(monitor) => pending.push(monitor),
                None => _ = self.broken.insert(label),
            }
        }

        let final_columns = self.final_columns(purpose, &logical_sinks, &pending);
        let output = self.drop_columns(&source_fields, &final_columns, purpose);
        let mut logical_plan = LogicalPlan {
            description: draft.description.clone(),
            run: draft.run.clone(),
            source_kind: take(&mut self.source_kind),
            source: source_fields.clone(),
            steps: self.steps.iter().map(logical_step).collect(),
            monitors: Vec::new(),
            sinks: logical_sinks,
            output: output.clone(),
        };
        let mut monitors = Vec::new();
        let mut above = UpstreamSchemas::new();
        for monitor in pending {
            if !self.upstream(&monitor, &above, &monitor_labels) {
                self.broken.insert(monitor.stage.label);
                continue;
            }
            let PendingMonitor { place, stage: mut monitor, reads } = monitor;
            match monitor.stage.bind(&output, &above) {
                Ok(table) => {
                    above.insert(monitor.label.clone(), table.clone());
                    logical_plan.monitors.push(LogicalMonitor {
                        label: monitor.label.clone(),
                        kind: monitor.kind.clone(),
                        reads,
                        upstream: monitor.stage.upstream().into_iter().map(|upstream| upstream.column).collect(),
                        table: table.clone(),
                    });
                    monitors.push(JobMonitor { stage: monitor, table });
                }
                Err(mistakes) => {
                    self.stage_mistakes(&place, &monitor.label, mistakes);
                    self.broken.insert(monitor.label);
                }
            }
        }
        let row_bytes = widest_row(&source_fields, &self.steps);
        self.diagnostics.extend(too_large(row_bytes, draft.engine.memory_mib));
        let (Some((source, _)), true) = (source, self.diagnostics.is_empty()) else { return Err(self.diagnostics) };
        let document = record(&draft);
        let job = Job {
            run_dir: draft.run,
            source,
            steps: self.steps.into_iter().map(|bound| bound.step).collect(),
            monitors,
            sinks,
            output,
            row_bytes,
            seed: draft.seed,
            limit: draft.limit,
            engine: draft.engine,
            document,
            undigested: draft.undigested,
            metadata: PipelineMetadata { description: logical_plan.description.clone(), graph: logical_plan.graph() },
        };
        Ok((job, logical_plan))
    }

    /// The columns that are not dropped: those that monitors read and sinks keep, or all columns if the caller streams rows
    /// without a sink.
    fn final_columns(
        &mut self,
        purpose: &Purpose,
        sinks: &[LogicalSink],
        pending: &[PendingMonitor],
    ) -> BTreeSet<String> {
        let mut final_columns: BTreeSet<String> = sinks.iter().flat_map(|sink| sink.columns.clone()).collect();
        for column in pending.iter().flat_map(|monitor| &monitor.reads) {
            final_columns.insert(column.clone());
            // A monitor that reads a column of a score looks at the others where it has them: the class beside the latent vector,
            // the error beside the value. The score may be one of this pipeline, or of the run that is read.
            if let Some((score, _)) = column.rsplit_once('_').filter(|(_, part)| SCORE_PARTS.contains(part)) {
                final_columns.extend(SCORE_PARTS.iter().map(|part| format!("{score}_{part}")));
            }
        }
        match purpose {
            Purpose::Images(wanted) => {
                self.check_wanted(wanted);
                final_columns.extend(wanted.iter().cloned());
            }
            Purpose::Stream if sinks.is_empty() => {
                final_columns.extend(self.fields.iter().map(|field| field.name().clone()));
                final_columns.retain(|name| !name.starts_with('_'));
            }
            _ => {}
        }
        final_columns
    }

    /// Sets the columns that each step drops, and returns the schema that remains.
    fn drop_columns(
        &mut self,
        source: &[Arc<Field>],
        final_columns: &BTreeSet<String>,
        purpose: &Purpose,
    ) -> SchemaRef {
        let names = |fields: &[Field]| fields.iter().map(|field| field.name().clone()).collect();
        let uses: Vec<ColumnUse> = self
            .steps
            .iter()
            .map(|bound| ColumnUse { reads: bound.reads.clone(), makes: names(&bound.made) })
            .collect();
        let source: Vec<String> = source.iter().map(|field| field.name().clone()).collect();
        let mut dropped = BTreeSet::new();
        for (bound, drop_after) in self.steps.iter_mut().zip(columns_to_drop(&source, &uses, final_columns)) {
            dropped.extend(drop_after.iter().cloned());
            bound.step.drop_after = drop_after;
        }
        // A caller that streams rows does not need the internal columns of the planner.
        let shown = |field: &Arc<Field>| *purpose == Purpose::Run || !field.name().starts_with('_');
        let left = self.fields.iter().filter(|field| !dropped.contains(field.name()) && shown(field)).cloned();
        Arc::new(Schema::new(left.collect::<Vec<_>>()))
    }
}

fn nothing_kept() -> Diagnostic {
    Diagnostic::at("", Code::MissingKey, "the pipeline has no sink and no monitor, so it would write nothing")
        .help("add `sink: { objects: { parquet: {} } }`")
}

fn logical_step(bound: &BoundStep) -> LogicalStep {
    LogicalStep {
        family: bound.family,
        label: bound.step.label.clone(),
        kind: bound.step.kind.clone(),
        reads: bound.reads.clone(),
        made: bound.made.clone(),
        dropped: bound.step.drop_after.clone(),
        shared_by: bound.shared_by.clone(),
    }
}

/// What a resume compares: everything that the tables depend on, and nothing else (not threads, batch sizes or comments).
fn record(draft: &Draft) -> Json {
    let mut record = draft.record.clone();
    let EngineSettings { on_reject, .. } = draft.engine;
    record.insert("seed".into(), draft.seed.into());
    record.insert("on_reject".into(), json!(on_reject));
    record.into()
}
