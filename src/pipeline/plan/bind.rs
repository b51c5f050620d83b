//! Binds one step after the other to the columns before it.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use serde_json::json;

use super::{
    super::{
        diagnostic::SpannedDiagnostic,
        draft::{Declared, Draft, Place},
        kinds::Family,
    },
    Bound, Ends, Planner, Watch,
};
use crate::{
    engine::{Step, StepStage},
    error::{Code, Diagnostic, did_you_mean, quoted_list},
    stage::{ColumnRef, Monitor, Scorer, Sink, Source, Transform, UpstreamSchemas},
};

impl Planner {
    pub(super) fn source(&mut self, draft: &mut Draft) -> Option<(Box<dyn Source>, Place)> {
        let Some(declared) = draft.source.take() else {
            if self.flaws.is_empty() {
                let mistake = Diagnostic::at("", Code::MissingKey, "a pipeline needs a source");
                self.flaws.push(SpannedDiagnostic { at: None, mistake, related: None });
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

    pub(super) fn decoder(&mut self, source: &dyn Source, place: &Place) {
        let Some(stage) = source.decoder() else { return };
        self.bind_transform("image", "decode", stage, place, Vec::new());
        if let Some(bound) = self.steps.last_mut() {
            bound.family = Family::Source;
        }
    }

    pub(super) fn transform(&mut self, declared: Declared<dyn Transform>) {
        let Declared { label, kind, place, stage } = declared;
        self.later.retain(|later| *later != label);
        let Some(stage) = stage else {
            self.broken.insert(label);
            return;
        };
        self.prerequisites(&label, &kind, &place, stage.as_ref());
        self.bind_transform(&label, &kind, stage, &place, Vec::new());
    }

    /// The steps that a transform shares with its equals: each is run once, before the first that asks for it.
    fn prerequisites(&mut self, label: &str, kind: &str, place: &Place, stage: &dyn Transform) {
        for (hidden, stage) in stage.prerequisites() {
            if let Some(bound) = self.steps.iter_mut().find(|bound| bound.step.label == hidden) {
                bound.shared_by.push(label.to_owned());
                continue;
            }
            self.prerequisites(label, kind, place, stage.as_ref());
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
        let needs = stage.required_columns();
        let made = self.present(&needs, place, label).then(|| stage.bind(&self.schema()));
        self.push(label, kind, Family::Transform, place, needs, made, StepStage::Transform(stage), shared_by);
    }

    pub(super) fn score(&mut self, declared: Declared<dyn Scorer>) {
        let Declared { label, kind, place, stage } = declared;
        self.later.retain(|later| *later != label);
        let Some(mut stage) = stage else {
            self.broken.insert(label);
            return;
        };
        let needs = stage.required_columns();
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
        needs: Vec<ColumnRef>,
        made: Option<Result<Vec<Field>, Vec<Diagnostic>>>,
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

    pub(super) fn sinks(&mut self, declared: Vec<Declared<dyn Sink>>) -> Ends {
        let visible: Vec<_> = self.fields.iter().filter(|field| !field.name().starts_with('_')).cloned().collect();
        let visible = Schema::new(visible);
        let mut ends = Ends::default();
        for Declared { label, kind, place, stage } in declared {
            // Without a source there is no column to choose from.
            let Some(mut stage) = stage.filter(|_| !self.sourceless) else { continue };
            match stage.bind(&visible) {
                Ok(needs) if self.present(&needs, &place, &label) => {
                    ends.kept.push((label.clone(), kind, needs.into_iter().map(|need| need.column).collect()));
                    ends.sinks.push((label, stage));
                }
                Ok(_) => {}
                Err(mistakes) => self.stage_mistakes(&place, &label, mistakes),
            }
        }
        ends
    }

    pub(super) fn monitor(&mut self, declared: Declared<dyn Monitor>, all: &[String]) -> Option<Watch> {
        let Declared { label, kind, place, stage } = declared;
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
        present.then_some(Watch { label, kind, place, stage, reads })
    }

    /// Whether the monitors that one follows are declared above it; those whose settings are wrong are not missed.
    pub(super) fn upstream(&mut self, watch: &Watch, above: &UpstreamSchemas, all: &[String]) -> bool {
        let missing: Vec<ColumnRef> =
            watch.stage.upstream().into_iter().filter(|need| !above.contains_key(&need.column)).collect();
        for need in &missing {
            if self.broken.contains(&need.column) {
                continue;
            }
            let flaw = watch.place.need(need, format!("no monitor above is called `{}`", need.column));
            let flaw = if all.contains(&need.column) && need.column != watch.label {
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
