//! Binds one step after the other to the columns before it.

use std::sync::Arc;

use super::{
    super::{
        diagnostic::SpannedDiagnostic,
        draft::{Declared, Draft, Place},
        kinds::Family,
    },
    Bound, Ends, Planner, Watch,
};
use crate::{
    engine::{JobStage, Step, StepStage},
    error::{Code, Diagnostic, did_you_mean, quoted_list},
    stage::{ColumnRef, Monitor, Scorer, Sink, Source, Transform, UpstreamSchemas},
};
use arrow::datatypes::{Field, Schema};

/// A step to bind.
struct NewStep<'a> {
    label: &'a str,
    kind: &'a str,
    custom: bool,
    place: &'a Place,
    /// The labels that share a hidden step.
    shared_by: Vec<String>,
}

/// What binding a step gave.
struct BoundStage {
    required: Vec<ColumnRef>,
    /// The columns that it makes; `None` when a required column is missing.
    made: Option<Result<Vec<Field>, Vec<Diagnostic>>>,
    stage: StepStage,
}

impl Planner {
    pub(super) fn source(&mut self, draft: &mut Draft) -> Option<(JobStage<dyn Source>, Place)> {
        let Some(declared) = draft.source.take() else {
            if self.flaws.is_empty() {
                let mistake = Diagnostic::at("", Code::MissingKey, "a pipeline needs a source");
                self.flaws.push(SpannedDiagnostic { at: None, mistake, related: None });
            }
            self.sourceless = true;
            return None;
        };
        self.source_kind.clone_from(&declared.kind);
        let Declared { label, kind, custom, place, stage } = declared;
        let Some(mut stage) = stage else {
            self.sourceless = true;
            return None;
        };
        match stage.bind() {
            Ok(schema) => {
                self.fields = schema.fields().to_vec();
                Some((JobStage { label, kind, custom, stage }, place))
            }
            Err(mistakes) => {
                self.sourceless = true;
                self.stage_mistakes(&place, "source", mistakes);
                None
            }
        }
    }

    pub(super) fn decoder(&mut self, source: &JobStage<dyn Source>, place: &Place) {
        let Some(stage) = source.stage.decoder() else { return };
        let step = NewStep { label: "image", kind: "decode", custom: source.custom, place, shared_by: Vec::new() };
        self.bind_transform(step, stage);
        if let Some(bound) = self.steps.last_mut() {
            bound.family = Family::Source;
        }
    }

    pub(super) fn transform(&mut self, declared: Declared<dyn Transform>) {
        let Declared { label, kind, custom, place, stage } = declared;
        self.later.retain(|later| *later != label);
        let Some(stage) = stage else {
            self.broken.insert(label);
            return;
        };
        let step = NewStep { label: &label, kind: &kind, custom, place: &place, shared_by: Vec::new() };
        self.prerequisites(&step, stage.as_ref());
        self.bind_transform(step, stage);
    }

    /// The steps that a transform shares with its equals: each runs once, before the first that needs it.
    fn prerequisites(&mut self, step: &NewStep<'_>, stage: &dyn Transform) {
        for (hidden, stage) in stage.prerequisites() {
            if let Some(bound) = self.steps.iter_mut().find(|bound| bound.step.label == hidden) {
                bound.shared_by.push(step.label.to_owned());
                continue;
            }
            self.prerequisites(step, stage.as_ref());
            let hidden = NewStep { label: &hidden, shared_by: vec![step.label.to_owned()], ..*step };
            self.bind_transform(hidden, stage);
        }
    }

    fn bind_transform(&mut self, step: NewStep<'_>, mut stage: Box<dyn Transform>) {
        let required = stage.required_columns();
        let made = self.present(&required, step.place, step.label).then(|| stage.bind(&self.schema()));
        self.push(step, Family::Transform, BoundStage { required, made, stage: StepStage::Transform(stage) });
    }

    pub(super) fn score(&mut self, declared: Declared<dyn Scorer>) {
        let Declared { label, kind, custom, place, stage } = declared;
        self.later.retain(|later| *later != label);
        let Some(mut stage) = stage else {
            self.broken.insert(label);
            return;
        };
        let required = stage.required_columns();
        let made = self.present(&required, &place, &label).then(|| stage.bind(&self.schema()));
        let step = NewStep { label: &label, kind: &kind, custom, place: &place, shared_by: Vec::new() };
        self.push(step, Family::Score, BoundStage { required, made, stage: StepStage::Score(Arc::from(stage)) });
    }

    fn push(&mut self, step: NewStep<'_>, family: Family, bound: BoundStage) {
        let NewStep { label, kind, custom, place, shared_by } = step;
        let made = match bound.made {
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
                let message = format!("`{label}` makes the column `{}`, which already exists", field.name());
                let flaw = place.of_label(Code::DuplicateLabel, message);
                self.flaws.push(flaw.help("choose another label"));
            } else {
                self.fields.push(Arc::new(field.clone()));
            }
        }
        let reads = bound.required.into_iter().map(|reference| reference.column).collect();
        let step =
            Step { label: label.to_owned(), kind: kind.to_owned(), custom, stage: bound.stage, drop_after: Vec::new() };
        self.steps.push(Bound { step, family, reads, made, shared_by });
    }

    pub(super) fn sinks(&mut self, declared: Vec<Declared<dyn Sink>>) -> Ends {
        let visible: Vec<_> = self.fields.iter().filter(|field| !field.name().starts_with('_')).cloned().collect();
        let visible = Schema::new(visible);
        let mut ends = Ends::default();
        for Declared { label, kind, custom, place, stage } in declared {
            // Without a source there is no column to choose from.
            let Some(mut stage) = stage.filter(|_| !self.sourceless) else { continue };
            match stage.bind(&visible) {
                Ok(needs) if self.present(&needs, &place, &label) => {
                    let kept = needs.into_iter().map(|need| need.column).collect();
                    ends.kept.push((label.clone(), kind.clone(), kept));
                    ends.sinks.push(JobStage { label, kind, custom, stage });
                }
                Ok(_) => {}
                Err(mistakes) => self.stage_mistakes(&place, &label, mistakes),
            }
        }
        ends
    }

    pub(super) fn monitor(&mut self, declared: Declared<dyn Monitor>, all: &[String]) -> Option<Watch> {
        let Declared { label, kind, custom, place, stage } = declared;
        self.monitors_above = all.iter().take_while(|other| **other != label).cloned().collect();
        let mut stage = stage?;
        stage.resolve_labels(all);
        let needs = stage.required_columns();
        let mut reads: Vec<String> = needs.iter().map(|need| need.column.clone()).collect();
        let mut present = self.present(&needs, &place, &label);
        for need in stage.model_queries() {
            let score =
                self.steps.iter().find(|bound| bound.family == Family::Score && bound.step.label == need.column);
            match score {
                Some(bound) => reads.extend(bound.reads.iter().cloned()),
                None => {
                    present = false;
                    // Of a score that is wrong itself the columns are not missed either.
                    if self.has(&format!("{}_class", need.column)) {
                        let message = format!("`{}` is no score, so there is no model to ask", need.column);
                        self.flaws.push(place.need(&need, message));
                    }
                }
            }
        }
        present.then_some(Watch { place, monitor: JobStage { label, kind, custom, stage }, reads })
    }

    /// Whether the monitors that one follows are declared above it; those whose settings are wrong are not missed.
    pub(super) fn upstream(&mut self, watch: &Watch, above: &UpstreamSchemas, all: &[String]) -> bool {
        let missing: Vec<ColumnRef> =
            watch.monitor.stage.upstream().into_iter().filter(|need| !above.contains_key(&need.column)).collect();
        for need in &missing {
            if self.broken.contains(&need.column) {
                continue;
            }
            let flaw = watch.place.need(need, format!("no monitor above is called `{}`", need.column));
            let flaw = if all.contains(&need.column) && need.column != watch.monitor.label {
                flaw.help(format!("`{}` is declared below: a monitor hears only those above it", need.column))
            } else if let Some(help) = did_you_mean(&need.column, above.keys().map(String::as_str)) {
                flaw.help(help)
            } else if above.is_empty() {
                flaw.help("there is no monitor above")
            } else {
                let known: Vec<&str> = above.keys().map(String::as_str).collect();
                flaw.help(format!("there are {}", quoted_list(&known)))
            };
            self.flaws.push(flaw);
        }
        missing.is_empty()
    }
}
