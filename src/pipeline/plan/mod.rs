//! The checked graph: binds every step to the columns before it, adds shared steps, and drops columns after their last use.

mod bind;
mod columns;
mod images;

use std::{collections::BTreeSet, mem::take, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde_json::{Value as Json, json};

use self::images::images_only;
use super::{
    diagnostic::SpannedDiagnostic,
    draft::{Draft, Place},
    drops::{Life, drops},
    kinds::Family,
    outline::{Outline, OutlineMonitor, OutlineStep},
};
use crate::{
    engine::{EngineSettings, Job, JobMonitor, JobStage, PipelineMetadata, Step},
    error::{Code, Diagnostic},
    stage::{Monitor, Sink, UpstreamSchemas},
};

/// What a plan is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Tables are written: something has to be kept.
    Run,
    /// The caller pulls the rows.
    Stream,
    /// The caller pulls these image columns, and nothing that they do not need is done; without names, those that
    /// `asinh_stretch` steps read.
    Images(Vec<String>),
}

/// Binds all steps in order. Mistakes of steps that do not depend on a wrong one are found too.
pub(super) fn plan(
    mut draft: Draft,
    mut purpose: Purpose,
    mut flaws: Vec<SpannedDiagnostic>,
) -> Result<(Job, Outline), Vec<Diagnostic>> {
    let texts = draft.texts.clone();
    if draft.unread {
        return Err(texts.mistakes(flaws));
    }
    let mut aside = Vec::new();
    if let Purpose::Images(wanted) = &mut purpose {
        match images_only(&mut draft, wanted) {
            Ok(labels) => aside = labels,
            Err(flaw) => flaws.push(*flaw),
        }
    }
    let planner = Planner { flaws, aside, ..Planner::default() };
    planner.plan(draft, &purpose).map_err(|flaws| texts.mistakes(flaws))
}

/// A step that is bound, before columns are dropped.
struct Bound {
    step: Step,
    family: Family,
    reads: Vec<String>,
    made: Vec<Field>,
    /// The labels that share a hidden step.
    shared_by: Vec<String>,
}

/// The sinks, and of each the label, the kind and the columns that it keeps.
#[derive(Default)]
struct Ends {
    sinks: Vec<JobStage<dyn Sink>>,
    kept: Vec<(String, String, Vec<String>)>,
}

/// A monitor that is to be bound to the columns that are left.
struct Watch {
    place: Place,
    monitor: JobStage<dyn Monitor>,
    reads: Vec<String>,
}

#[derive(Default)]
struct Planner {
    flaws: Vec<SpannedDiagnostic>,
    /// All columns made so far, none dropped yet.
    fields: Vec<Arc<Field>>,
    steps: Vec<Bound>,
    /// Labels of steps that cannot be bound: what they would have made is not missed.
    broken: BTreeSet<String>,
    /// The source cannot be bound: no column is missed.
    sourceless: bool,
    source_kind: String,
    /// Labels still to come, for a better help.
    later: Vec<String>,
    /// Labels of transforms that were left out, for a better help.
    aside: Vec<String>,
    /// Labels of the monitors above the one under way, for a better help.
    monitors_above: Vec<String>,
}

impl Planner {
    fn plan(mut self, mut draft: Draft, purpose: &Purpose) -> Result<(Job, Outline), Vec<SpannedDiagnostic>> {
        let source = self.source(&mut draft);
        let source_fields = self.fields.clone();
        self.later = draft.transforms.iter().map(|step| step.label.clone()).collect();
        self.later.extend(draft.scores.iter().map(|step| step.label.clone()));
        if let Some((source, place)) = &source {
            self.decoder(source, place);
        }
        take(&mut draft.transforms).into_iter().for_each(|declared| self.transform(declared));
        take(&mut draft.scores).into_iter().for_each(|declared| self.score(declared));
        if *purpose == Purpose::Run && draft.sinks.is_empty() && draft.monitors.is_empty() && self.flaws.is_empty() {
            self.flaws.push(SpannedDiagnostic { at: None, mistake: nothing_kept(), related: None });
        }
        let Ends { sinks, kept } = self.sinks(take(&mut draft.sinks));
        let monitor_labels: Vec<String> = draft.monitors.iter().map(|declared| declared.label.clone()).collect();
        let mut watches = Vec::new();
        for declared in take(&mut draft.monitors) {
            let label = declared.label.clone();
            match self.monitor(declared, &monitor_labels) {
                Some(watch) => watches.push(watch),
                None => _ = self.broken.insert(label),
            }
        }

        let at_end = self.at_end(purpose, &kept, &watches);
        let output = self.drop_columns(&source_fields, &at_end, purpose);
        let mut outline = Outline {
            description: draft.description.clone(),
            run: draft.run.clone(),
            source_kind: take(&mut self.source_kind),
            source: source_fields,
            steps: self.steps.iter().map(outline_step).collect(),
            monitors: Vec::new(),
            sinks: kept,
            output: output.clone(),
        };
        let mut monitors = Vec::new();
        let mut above = UpstreamSchemas::new();
        for watch in watches {
            if !self.upstream(&watch, &above, &monitor_labels) {
                self.broken.insert(watch.monitor.label);
                continue;
            }
            let Watch { place, mut monitor, reads } = watch;
            match monitor.stage.bind(&output, &above) {
                Ok(table) => {
                    above.insert(monitor.label.clone(), table.clone());
                    outline.monitors.push(OutlineMonitor {
                        label: monitor.label.clone(),
                        kind: monitor.kind.clone(),
                        reads,
                        follows: monitor.stage.upstream().into_iter().map(|need| need.column).collect(),
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
        let (Some((source, _)), true) = (source, self.flaws.is_empty()) else { return Err(self.flaws) };
        let document = record(&draft);
        let job = Job {
            run_dir: draft.run,
            source,
            steps: self.steps.into_iter().map(|bound| bound.step).collect(),
            monitors,
            sinks,
            output,
            seed: draft.seed,
            limit: draft.limit,
            engine: draft.engine,
            document,
            undigested: draft.undigested,
            metadata: PipelineMetadata { description: outline.description.clone(), graph: outline.graph() },
        };
        Ok((job, outline))
    }

    /// What stays to the end: what monitors read and sinks keep; all of it when the caller takes the rows as they come.
    fn at_end(
        &mut self,
        purpose: &Purpose,
        kept: &[(String, String, Vec<String>)],
        watches: &[Watch],
    ) -> BTreeSet<String> {
        let mut at_end: BTreeSet<String> = kept.iter().flat_map(|(_, _, columns)| columns.clone()).collect();
        at_end.extend(watches.iter().flat_map(|watch| watch.reads.clone()));
        match purpose {
            Purpose::Images(wanted) => {
                self.wanted(wanted);
                at_end.extend(wanted.iter().cloned());
            }
            Purpose::Stream if kept.is_empty() => {
                at_end.extend(self.fields.iter().map(|field| field.name().clone()));
                at_end.retain(|name| !name.starts_with('_'));
            }
            _ => {}
        }
        at_end
    }

    /// Tells every step what to drop after it; the schema that is left.
    fn drop_columns(&mut self, source: &[Arc<Field>], at_end: &BTreeSet<String>, purpose: &Purpose) -> SchemaRef {
        let names = |fields: &[Field]| fields.iter().map(|field| field.name().clone()).collect();
        let lives: Vec<Life> =
            self.steps.iter().map(|bound| Life { reads: bound.reads.clone(), makes: names(&bound.made) }).collect();
        let source: Vec<String> = source.iter().map(|field| field.name().clone()).collect();
        let mut dropped = BTreeSet::new();
        for (bound, drop_after) in self.steps.iter_mut().zip(drops(&source, &lives, at_end)) {
            dropped.extend(drop_after.iter().cloned());
            bound.step.drop_after = drop_after;
        }
        // A caller who pulls rows has no use for the planner's own columns.
        let shown = |field: &Arc<Field>| *purpose == Purpose::Run || !field.name().starts_with('_');
        let left = self.fields.iter().filter(|field| !dropped.contains(field.name()) && shown(field)).cloned();
        Arc::new(Schema::new(left.collect::<Vec<_>>()))
    }
}

fn nothing_kept() -> Diagnostic {
    Diagnostic::at("", Code::MissingKey, "nothing is kept: there is no sink and no monitor")
        .help("add `sink: { objects: { parquet: {} } }`")
}

fn outline_step(bound: &Bound) -> OutlineStep {
    OutlineStep {
        family: bound.family,
        label: bound.step.label.clone(),
        kind: bound.step.kind.clone(),
        reads: bound.reads.clone(),
        made: bound.made.clone(),
        dropped: bound.step.drop_after.clone(),
        shared_by: bound.shared_by.clone(),
    }
}

/// What guards a resume: everything that the tables depend on, nothing that they do not (threads, batch sizes, comments).
fn record(draft: &Draft) -> Json {
    let mut record = draft.record.clone();
    let EngineSettings { on_reject, .. } = draft.engine;
    record.insert("seed".into(), draft.seed.into());
    record.insert("on_reject".into(), json!(on_reject));
    record.into()
}
