//! The checked graph: binds every step to the columns before it, adds shared steps, and drops columns after their last use.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{Field, Schema};
use serde_json::{Value as Json, json};

use super::{
    draft::{Declared, Draft, Place},
    drops::{Life, drops},
    flaw::{Flaw, list, meant},
    kinds::Family,
    outline::{Outline, OutlineStep},
};
use crate::{
    batch::ImageLayout,
    engine::{EngineSettings, Job, Step, StepStage},
    error::{Code, Mistake, nearest},
    stage::{Need, Scorer, Transform},
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
    mut flaws: Vec<Flaw>,
) -> Result<(Job, Outline), Vec<Mistake>> {
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

/// Leaves only the transforms that some image columns need (and filters, which choose the rows); the labels of the others.
fn images_only(draft: &mut Draft, wanted: &mut Vec<String>) -> Result<Vec<String>, Box<Flaw>> {
    draft.scores.clear();
    draft.monitors.clear();
    draft.sinks.clear();
    if wanted.is_empty() {
        let stretches = draft.transforms.iter().filter(|step| step.kind == "asinh_stretch");
        let read = stretches.filter_map(|step| step.stage.as_ref()?.needs().into_iter().next());
        let read: BTreeSet<String> = read.map(|need| need.column).collect();
        wanted.extend(read);
    }
    if wanted.is_empty() {
        let mistake = Mistake::at("", Code::MissingKey, "no step of the pipeline stretches an image");
        let mistake = mistake.help("say which image columns are meant");
        return Err(Box::new(Flaw { at: None, mistake, related: None }));
    }
    let mut aside = Vec::new();
    let mut needed: BTreeSet<String> = wanted.iter().cloned().collect();
    let mut kept = Vec::new();
    for step in std::mem::take(&mut draft.transforms).into_iter().rev() {
        // A step may make companions of its image too: `y1_sky_variance` of `y1_sky`.
        if !needed.iter().any(|column| is_of(column, &step.label)) && step.kind != "filter" {
            aside.push(step.label);
            continue;
        }
        if let Some(stage) = &step.stage {
            needed.extend(needs_with_shared(stage.as_ref()));
        }
        kept.push(step);
    }
    draft.transforms = kept.into_iter().rev().collect();
    Ok(aside)
}

/// Whether a column has the name of a step or begins with it.
fn is_of(column: &str, label: &str) -> bool {
    column.strip_prefix(label).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// What a transform reads, and what the hidden steps before it read.
fn needs_with_shared(stage: &dyn Transform) -> Vec<String> {
    let mut columns: Vec<String> = stage.needs().into_iter().map(|need| need.column).collect();
    for (_, hidden) in stage.shared() {
        columns.extend(needs_with_shared(hidden.as_ref()));
    }
    columns
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

#[derive(Default)]
struct Planner {
    flaws: Vec<Flaw>,
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
}

impl Planner {
    fn plan(mut self, mut draft: Draft, purpose: &Purpose) -> Result<(Job, Outline), Vec<Flaw>> {
        self.later = draft.transforms.iter().map(|step| step.label.clone()).collect();
        self.later.extend(draft.scores.iter().map(|step| step.label.clone()));
        let mut source = self.source(&mut draft);
        let source_fields = self.fields.clone();
        if let Some((stage, place)) = &mut source {
            self.decoder(stage.as_ref(), place);
        }
        let source_kind = std::mem::take(&mut self.source_kind);
        for declared in std::mem::take(&mut draft.transforms) {
            self.transform(declared);
        }
        for declared in std::mem::take(&mut draft.scores) {
            self.score(declared);
        }
        if *purpose == Purpose::Run && draft.sinks.is_empty() && draft.monitors.is_empty() && self.flaws.is_empty() {
            let flaw = Flaw { at: None, mistake: nothing_kept(), related: None };
            self.flaws.push(flaw);
        }
        let (sinks, kept) = self.sinks(std::mem::take(&mut draft.sinks));
        let mut monitors = Vec::new();
        for declared in std::mem::take(&mut draft.monitors) {
            monitors.extend(self.monitor(declared));
        }

        // What stays to the end: what monitors read and sinks keep; all of it when the caller takes the rows as they come.
        let mut at_end: BTreeSet<String> = kept.iter().flat_map(|(_, _, columns)| columns.clone()).collect();
        if let Purpose::Images(wanted) = purpose {
            self.wanted(wanted);
            at_end.extend(wanted.iter().cloned());
        }
        if *purpose == Purpose::Stream && kept.is_empty() {
            at_end.extend(self.fields.iter().map(|field| field.name().clone()).filter(|name| !name.starts_with('_')));
        }
        at_end.extend(monitors.iter().flat_map(|monitor| monitor.reads.clone()));
        let lives: Vec<Life> = self
            .steps
            .iter()
            .map(|bound| Life {
                reads: bound.reads.clone(),
                makes: bound.made.iter().map(|field| field.name().clone()).collect(),
            })
            .collect();
        let source_names: Vec<String> = source_fields.iter().map(|field| field.name().clone()).collect();
        let mut dropped = BTreeSet::new();
        for (bound, drop_after) in self.steps.iter_mut().zip(drops(&source_names, &lives, &at_end)) {
            dropped.extend(drop_after.iter().cloned());
            bound.step.drop_after = drop_after;
        }
        // A caller who pulls rows has no use for the planner's own columns.
        let shown = |field: &Arc<Field>| *purpose == Purpose::Run || !field.name().starts_with('_');
        let left = self.fields.iter().filter(|field| !dropped.contains(field.name()) && shown(field)).cloned();
        let output = Arc::new(Schema::new(left.collect::<Vec<_>>()));

        let mut outline = Outline::new(&draft, source_kind, &source_fields);
        outline.steps = self.steps.iter().map(outline_step).collect();
        let mut bound_monitors = Vec::new();
        for Watch { label, kind, place, mut stage, reads } in monitors {
            match stage.bind(&output) {
                Ok(table) => {
                    outline.monitors.push((label.clone(), kind, reads, table.clone()));
                    bound_monitors.push((label, table, stage));
                }
                Err(mistakes) => self.stage_mistakes(&place, &label, mistakes),
            }
        }
        outline.sinks = kept;
        outline.output = output.clone();
        let (Some((source, _)), true) = (source, self.flaws.is_empty()) else { return Err(self.flaws) };
        let document = record(&draft, &outline);
        let steps = self.steps.into_iter().map(|bound| bound.step).collect();
        let Draft { run, seed, limit, engine, .. } = draft;
        let job =
            Job { run_dir: run, source, steps, monitors: bound_monitors, sinks, output, seed, limit, engine, document };
        Ok((job, outline))
    }

    fn source(&mut self, draft: &mut Draft) -> Option<(Box<dyn crate::stage::Source>, Place)> {
        let Some(declared) = draft.source.take() else {
            if self.flaws.is_empty() {
                let mistake = Mistake::at("", Code::MissingKey, "a pipeline needs a source");
                self.flaws.push(Flaw { at: None, mistake, related: None });
            }
            self.sourceless = true;
            return None;
        };
        draft.record.entry("source").or_insert_with(|| json!({ declared.kind.as_str(): "built in code" }));
        self.source_kind = declared.kind;
        let Some(mut stage) = declared.stage else {
            self.sourceless = true;
            return None;
        };
        match stage.bind() {
            Ok(schema) => {
                self.fields = schema.fields().to_vec();
                Some((stage, declared.place))
            }
            Err(mistakes) => {
                self.sourceless = true;
                self.stage_mistakes(&declared.place, "source", mistakes);
                None
            }
        }
    }

    fn decoder(&mut self, source: &dyn crate::stage::Source, place: &Place) {
        let Some(stage) = source.decoder() else { return };
        self.bind_transform("image", "decode", stage, place, Vec::new());
        if let Some(bound) = self.steps.last_mut() {
            bound.family = Family::Source;
        }
    }

    fn transform(&mut self, declared: Declared<dyn Transform>) {
        let Declared { label, kind, place, stage } = declared;
        self.later.retain(|later| *later != label);
        let Some(stage) = stage else {
            self.broken.insert(label);
            return;
        };
        self.shared(&label, &kind, &place, stage.as_ref());
        self.bind_transform(&label, &kind, stage, &place, Vec::new());
    }

    /// The steps that a transform shares with its equals: each is run once, before the first that asks for it.
    fn shared(&mut self, label: &str, kind: &str, place: &Place, stage: &dyn Transform) {
        for (hidden, stage) in stage.shared() {
            if let Some(bound) = self.steps.iter_mut().find(|bound| bound.step.label == hidden) {
                bound.shared_by.push(label.to_owned());
                continue;
            }
            self.shared(label, kind, place, stage.as_ref());
            self.bind_transform(&hidden, kind, stage, place, vec![label.to_owned()]);
        }
    }

    fn bind_transform(
        &mut self,
        label: &str,
        kind: &str,
        mut stage: Box<dyn Transform>,
        place: &Place,
        shared_by: Vec<String>,
    ) {
        let needs = stage.needs();
        let made = self.present(&needs, place, label).then(|| stage.bind(&self.schema()));
        self.push(label, kind, Family::Transform, place, needs, made, StepStage::Transform(stage), shared_by);
    }

    fn score(&mut self, declared: Declared<dyn Scorer>) {
        let Declared { label, kind, place, stage } = declared;
        self.later.retain(|later| *later != label);
        let Some(mut stage) = stage else {
            self.broken.insert(label);
            return;
        };
        let needs = stage.needs();
        let made = self.present(&needs, &place, &label).then(|| stage.bind(&self.schema()));
        self.push(&label, &kind, Family::Score, &place, needs, made, StepStage::Score(Arc::from(stage)), Vec::new());
    }

    #[allow(clippy::too_many_arguments, reason = "what a step is made of; both families end here")]
    fn push(
        &mut self,
        label: &str,
        kind: &str,
        family: Family,
        place: &Place,
        needs: Vec<Need>,
        made: Option<Result<Vec<Field>, Vec<Mistake>>>,
        stage: StepStage,
        shared_by: Vec<String>,
    ) {
        let made = match made {
            Some(Ok(made)) => made,
            Some(Err(mistakes)) => {
                self.stage_mistakes(place, label, mistakes);
                self.broken.insert(label.to_owned());
                return;
            }
            None => {
                self.broken.insert(label.to_owned());
                return;
            }
        };
        for field in &made {
            if self.has(field.name()) {
                let message = format!("`{label}` makes the column `{}`, which is there already", field.name());
                let flaw = place.of_label(Code::DuplicateLabel, message);
                self.flaws.push(flaw.help("choose another label"));
            } else {
                self.fields.push(Arc::new(field.clone()));
            }
        }
        let reads = needs.into_iter().map(|need| need.column).collect();
        let step = Step { label: label.to_owned(), kind: kind.to_owned(), stage, drop_after: Vec::new() };
        self.steps.push(Bound { step, family, reads, made, shared_by });
    }

    fn sinks(
        &mut self,
        declared: Vec<Declared<dyn crate::stage::Sink>>,
    ) -> (Sinks, Vec<(String, String, Vec<String>)>) {
        let visible: Vec<_> = self.fields.iter().filter(|field| !field.name().starts_with('_')).cloned().collect();
        let visible = Schema::new(visible);
        let (mut sinks, mut kept) = (Vec::new(), Vec::new());
        for Declared { label, kind, place, stage } in declared {
            // Without a source there is no column to choose from.
            let Some(mut stage) = stage.filter(|_| !self.sourceless) else { continue };
            match stage.bind(&visible) {
                Ok(needs) => {
                    if self.present(&needs, &place, &label) {
                        kept.push((label.clone(), kind, needs.into_iter().map(|need| need.column).collect()));
                        sinks.push((label, stage));
                    }
                }
                Err(mistakes) => self.stage_mistakes(&place, &label, mistakes),
            }
        }
        (sinks, kept)
    }

    /// Image columns that the caller asks for.
    fn wanted(&mut self, wanted: &[String]) {
        if self.sourceless {
            return;
        }
        for column in wanted {
            let field = self.fields.iter().find(|field| field.name() == column);
            let mistake = match field {
                Some(field) if ImageLayout::of(field).is_some() => continue,
                None if self.forgiven(column) => continue,
                Some(_) => Mistake::at("", Code::WrongColumn, format!("the column `{column}` is no image")),
                None => Mistake::at("", Code::UnknownColumn, format!("no step makes the column `{column}`")),
            };
            let images = self.fields.iter().filter(|field| ImageLayout::of(field).is_some());
            let names = images.map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
            let images: Vec<&str> = names.chain(self.aside.iter().map(String::as_str)).collect();
            self.flaws.push(Flaw {
                at: None,
                mistake: mistake.help(meant(column, &images, "its images")),
                related: None,
            });
        }
    }

    fn monitor(&mut self, declared: Declared<dyn crate::stage::Monitor>) -> Option<Watch> {
        let Declared { label, kind, place, stage } = declared;
        let stage = stage?;
        let needs = stage.needs();
        let reads = needs.iter().map(|need| need.column.clone()).collect();
        self.present(&needs, &place, &label).then_some(Watch { label, kind, place, stage, reads })
    }

    /// Whether all columns are there. Those that no step makes are told; those of a step that is wrong itself are not.
    fn present(&mut self, needs: &[Need], place: &Place, label: &str) -> bool {
        let mut all = true;
        for need in needs.iter().filter(|need| !self.has(&need.column)).collect::<Vec<_>>() {
            all = false;
            if !self.forgiven(&need.column) {
                let flaw = self.missing(need, place, label);
                self.flaws.push(flaw);
            }
        }
        all
    }

    fn missing(&self, need: &Need, place: &Place, label: &str) -> Flaw {
        let word = place.word(need).unwrap_or_else(|| need.column.clone());
        let suffix = need.column.strip_prefix(word.as_str()).unwrap_or_default();
        let flaw = place.need(need, format!("no step above makes the column `{}`", need.column));
        let declared_below = self.later.iter().find(|later| need.column == **later || word == **later);
        if let Some(later) = declared_below.filter(|later| *later != label) {
            return flaw.help(format!("`{later}` is declared below: a step reads only what those above it made"));
        }
        let names = self.fields.iter().map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
        let known: Vec<&str> =
            names.filter_map(|name| name.strip_suffix(suffix)).filter(|name| !name.is_empty()).collect();
        if let Some(near) = nearest(&word, known.iter().copied()) {
            return flaw.help(format!("did you mean `{near}`?"));
        }
        flaw.help(if known.is_empty() {
            format!("no column here ends with `{suffix}`")
        } else {
            format!("there are {}", list(&known))
        })
    }

    fn forgiven(&self, column: &str) -> bool {
        self.sourceless || self.broken.iter().any(|label| is_of(column, label))
    }

    /// The mistakes that a stage found; those of columns that a wrong step would have made are none.
    fn stage_mistakes(&mut self, place: &Place, label: &str, mistakes: Vec<Mistake>) {
        let follow_on = |mistake: &Mistake| {
            let names =
                |label: &String| ["`", "_"].iter().any(|end| mistake.message.contains(&format!("`{label}{end}")));
            mistake.code == Code::UnknownColumn && (self.sourceless || self.broken.iter().any(names))
        };
        for mut mistake in mistakes.into_iter().filter(|mistake| !follow_on(mistake)).collect::<Vec<_>>() {
            if place.label.is_none() && place.kind.is_none() {
                mistake.path.insert(0, label.to_owned());
            }
            self.flaws.push(place.flaw(mistake));
        }
    }

    fn has(&self, column: &str) -> bool {
        self.fields.iter().any(|field| field.name() == column)
    }

    fn schema(&self) -> Schema {
        Schema::new(self.fields.clone())
    }
}

type Sinks = Vec<(String, Box<dyn crate::stage::Sink>)>;

/// A monitor that is to be bound to the columns that are left.
struct Watch {
    label: String,
    kind: String,
    place: Place,
    stage: Box<dyn crate::stage::Monitor>,
    reads: Vec<String>,
}

fn nothing_kept() -> Mistake {
    Mistake::at("", Code::MissingKey, "nothing is kept: there is no sink and no monitor")
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
fn record(draft: &Draft, outline: &Outline) -> Json {
    let mut record = draft.record.clone();
    for (label, kind, family) in outline.labels() {
        let section = record.entry(family.name()).or_insert_with(|| json!({}));
        if let Some(section) = section.as_object_mut() {
            section.entry(label).or_insert_with(|| json!({ kind: "built in code" }));
        }
    }
    let EngineSettings { on_reject, .. } = draft.engine;
    record.insert("seed".into(), draft.seed.into());
    record.insert("on_reject".into(), json!(on_reject));
    record.into()
}
