//! A plan of nothing but what some image columns need.

use std::collections::BTreeSet;

use super::{
    super::{diagnostic::SpannedDiagnostic, draft::Draft},
    Planner,
    columns::is_of,
};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic},
    stage::{Transform, TransformRole},
};

/// Leaves only the transforms that some image columns need (and filters, which choose the rows); the labels of the others.
pub(super) fn images_only(draft: &mut Draft, wanted: &mut Vec<String>) -> Result<Vec<String>, Box<SpannedDiagnostic>> {
    draft.scores.clear();
    draft.monitors.clear();
    draft.sinks.clear();
    if wanted.is_empty() {
        let roles = draft.transforms.iter().filter_map(|step| Some(step.stage.as_ref()?.role()));
        let stretched: BTreeSet<String> = roles
            .filter_map(|role| match role {
                TransformRole::Stretch { image } => Some(image),
                _ => None,
            })
            .collect();
        wanted.extend(stretched);
    }
    if wanted.is_empty() {
        let mistake = Diagnostic::at("", Code::MissingKey, "no step of the pipeline stretches an image");
        let mistake = mistake.help("say which image columns are meant");
        return Err(Box::new(SpannedDiagnostic { at: None, mistake, related: None }));
    }
    let mut aside = Vec::new();
    let mut needed: BTreeSet<String> = wanted.iter().cloned().collect();
    let mut kept = Vec::new();
    for step in std::mem::take(&mut draft.transforms).into_iter().rev() {
        // A step may make companions of its image too: `y1_sky_variance` of `y1_sky`.
        let is_filter = step.stage.as_ref().is_some_and(|stage| stage.role() == TransformRole::Filter);
        if !needed.iter().any(|column| is_of(column, &step.label)) && !is_filter {
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

/// What a transform reads, and what the hidden steps before it read.
fn needs_with_shared(stage: &dyn Transform) -> Vec<String> {
    let mut columns: Vec<String> = stage.required_columns().into_iter().map(|need| need.column).collect();
    for (_, hidden) in stage.prerequisites() {
        columns.extend(needs_with_shared(hidden.as_ref()));
    }
    columns
}

impl Planner {
    /// Image columns that the caller asks for.
    pub(super) fn wanted(&mut self, wanted: &[String]) {
        if self.sourceless {
            return;
        }
        for column in wanted {
            let field = self.fields.iter().find(|field| field.name() == column);
            let mistake = match field {
                Some(field) if ImageLayout::of(field).is_some() => continue,
                None if self.forgiven(column) => continue,
                Some(_) => Diagnostic::at("", Code::WrongColumn, format!("the column `{column}` is no image")),
                None => Diagnostic::at("", Code::UnknownColumn, format!("no step makes the column `{column}`")),
            };
            let images = self.fields.iter().filter(|field| ImageLayout::of(field).is_some());
            let names = images.map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
            let images: Vec<&str> = names.chain(self.aside.iter().map(String::as_str)).collect();
            self.flaws.push(SpannedDiagnostic {
                at: None,
                mistake: mistake.suggest(column, images.iter().copied(), "images"),
                related: None,
            });
        }
    }
}
