//! Binds each step to the columns before it.

use std::sync::Arc;

use super::{
    super::{
        diagnostic::SpannedDiagnostic,
        draft::{Declared, Draft, Place},
        kinds::Family,
        logical_plan::LogicalSink,
    },
    BoundSinks, BoundStep, PendingMonitor, Planner,
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
    /// The labels that share it, if it is a hidden step.
    shared_by: Vec<String>,
}

/// The result of binding a step.
struct BoundStage {
    /// The columns that it makes; `None` if a required column is missing.
    made: Option<Result<Vec<Field>, Vec<Diagnostic>>>,
    stage: StepStage,
}

impl Planner {
    pub(super) fn source(&mut self, draft: &mut Draft) -> Option<(JobStage<dyn Source>, Place)> {
        let Some(declared) = draft.source.take() else {
            if self.diagnostics.is_empty() {
                let mistake = Diagnostic::at("", Code::MissingKey, "a pipeline needs a source");
                self.diagnostics.push(SpannedDiagnostic { at: None, mistake, related: None });
            }
            self.has_no_source = true;
            return None;
        };
        self.source_kind.clone_from(&declared.kind);
        let Declared { label, kind, custom, place, stage } = declared;
        let Some(mut stage) = stage else {
            self.has_no_source = true;
            return None;
        };
        match stage.bind() {
            Ok(schema) => {
                self.fields = schema.fields().to_vec();
                Some((JobStage { label, kind, custom, stage }, place))
            }
            Err(mistakes) => {
                // Its own mistakes do not follow from another step.
                self.stage_mistakes(&place, "source", mistakes);
                self.has_no_source = true;
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
        self.declared_below.retain(|declared_below| *declared_below != label);
        let Some(stage) = stage else {
            self.broken.insert(label);
            return;
        };
        let step = NewStep { label: &label, kind: &kind, custom, place: &place, shared_by: Vec::new() };
        self.prerequisites(&step, stage.as_ref());
        self.bind_transform(step, stage);
    }

    /// Binds the hidden steps before a transform. Each runs once, before the first transform that needs it.
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
        self.push(step, Family::Transform, BoundStage { made, stage: StepStage::Transform(stage) });
    }

    pub(super) fn score(&mut self, declared: Declared<dyn Scorer>) {
        let Declared { label, kind, custom, place, stage } = declared;
        self.declared_below.retain(|declared_below| *declared_below != label);
        let Some(mut stage) = stage else {
            self.broken.insert(label);
            return;
        };
        let required = stage.required_columns();
        let made = self.present(&required, &place, &label).then(|| stage.bind(&self.schema()));
        let step = NewStep { label: &label, kind: &kind, custom, place: &place, shared_by: Vec::new() };
        self.push(step, Family::Score, BoundStage { made, stage: StepStage::Score(Arc::from(stage)) });
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
                let diagnostic = place.of_label(Code::DuplicateLabel, message);
                self.diagnostics.push(diagnostic.help("choose another label"));
            } else {
                self.fields.push(Arc::new(field.clone()));
            }
        }
        // Once bound, a stage also names the companions that its image has.
        let required = match &bound.stage {
            StepStage::Transform(stage) => stage.required_columns(),
            StepStage::Score(stage) => stage.required_columns(),
        };
        let reads = required.into_iter().map(|reference| reference.column).collect();
        let step =
            Step { label: label.to_owned(), kind: kind.to_owned(), custom, stage: bound.stage, drop_after: Vec::new() };
        self.steps.push(BoundStep { step, family, reads, made, shared_by });
    }

    pub(super) fn sinks(&mut self, declared: Vec<Declared<dyn Sink>>) -> BoundSinks {
        let visible: Vec<_> = self.fields.iter().filter(|field| !field.name().starts_with('_')).cloned().collect();
        let visible = Schema::new(visible);
        let mut bound = BoundSinks::default();
        for Declared { label, kind, custom, place, stage } in declared {
            // Without a source no column is known.
            let Some(mut stage) = stage.filter(|_| !self.has_no_source) else { continue };
            match stage.bind(&visible) {
                Ok(required) if self.present(&required, &place, &label) => {
                    let columns = required.into_iter().map(|required| required.column).collect();
                    bound.logical.push(LogicalSink { label: label.clone(), kind: kind.clone(), columns });
                    bound.stages.push(JobStage { label, kind, custom, stage });
                }
                Ok(_) => {}
                Err(mistakes) => self.stage_mistakes(&place, &label, mistakes),
            }
        }
        bound
    }

    pub(super) fn monitor(&mut self, declared: Declared<dyn Monitor>, all: &[String]) -> Option<PendingMonitor> {
        let Declared { label, kind, custom, place, stage } = declared;
        self.monitors_above = all.iter().take_while(|other| **other != label).cloned().collect();
        let mut stage = stage?;
        stage.resolve_labels(all);
        let required = stage.required_columns();
        let mut reads: Vec<String> = required.iter().map(|required| required.column.clone()).collect();
        let mut present = self.present(&required, &place, &label);
        for query in stage.model_queries() {
            let score =
                self.steps.iter().find(|bound| bound.family == Family::Score && bound.step.label == query.column);
            match score {
                Some(bound) => reads.extend(bound.reads.iter().cloned()),
                None => {
                    present = false;
                    // If the class column is missing too, `present` has reported it, or the score is wrong itself.
                    if self.has(&format!("{}_class", query.column)) {
                        let message = format!("`{}` is not a score, so it has no model to query", query.column);
                        self.diagnostics.push(place.unknown_column(&query, message));
                    }
                }
            }
        }
        present.then_some(PendingMonitor { place, stage: JobStage { label, kind, custom, stage }, reads })
    }

    /// Whether all upstream monitors are declared above a monitor. Those whose settings are wrong are not reported as missing.
    pub(super) fn upstream(&mut self, monitor: &PendingMonitor, above: &UpstreamSchemas, all: &[String]) -> bool {
        let missing: Vec<ColumnRef> = monitor
            .stage
            .stage
            .upstream()
            .into_iter()
            .filter(|upstream| !above.contains_key(&upstream.column))
            .collect();
        for upstream in &missing {
            if self.broken.contains(&upstream.column) {
                continue;
            }
            let diagnostic =
                monitor.place.unknown_column(upstream, format!("no monitor above has the label `{}`", upstream.column));
            let diagnostic = if all.contains(&upstream.column) && upstream.column != monitor.stage.label {
                let message =
                    format!("`{}` is declared below; a monitor reads only monitors above it", upstream.column);
                diagnostic.help(message)
            } else if let Some(help) = did_you_mean(&upstream.column, above.keys().map(String::as_str)) {
                diagnostic.help(help)
            } else if above.is_empty() {
                diagnostic.help("no monitor is declared above")
            } else {
                let known: Vec<&str> = above.keys().map(String::as_str).collect();
                diagnostic.help(format!("monitors above: {}", quoted_list(&known)))
            };
            self.diagnostics.push(diagnostic);
        }
        missing.is_empty()
    }
}
