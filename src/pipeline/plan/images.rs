//! Plans that make only some image columns.

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

/// Keeps only the transforms that the image columns need, and filters, which choose the rows. Returns the labels of the others.
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
        let mistake = mistake.help("name the image columns");
        return Err(Box::new(SpannedDiagnostic { at: None, mistake, related: None }));
    }
    let mut left_out = Vec::new();
    let mut needed: BTreeSet<String> = wanted.iter().cloned().collect();
    let mut kept = Vec::new();
    for step in std::mem::take(&mut draft.transforms).into_iter().rev() {
        // A step may also make companions of its image: `y1_sky_variance` beside `y1_sky`.
        let is_filter = step.stage.as_ref().is_some_and(|stage| stage.role() == TransformRole::Filter);
        if !needed.iter().any(|column| is_of(column, &step.label)) && !is_filter {
            left_out.push(step.label);
            continue;
        }
        if let Some(stage) = &step.stage {
            needed.extend(required_with_prerequisites(stage.as_ref()));
        }
        kept.push(step);
    }
    draft.transforms = kept.into_iter().rev().collect();
    Ok(left_out)
}

/// The columns that a transform and the hidden steps before it read.
fn required_with_prerequisites(stage: &dyn Transform) -> Vec<String> {
    let mut columns: Vec<String> = stage.required_columns().into_iter().map(|required| required.column).collect();
    for (_, hidden) in stage.prerequisites() {
        columns.extend(required_with_prerequisites(hidden.as_ref()));
    }
    columns
}

impl Planner {
    /// Checks that the columns that the caller requests exist and are images.
    pub(super) fn check_wanted(&mut self, wanted: &[String]) {
        if self.has_no_source {
            return;
        }
        for column in wanted {
            let field = self.fields.iter().find(|field| field.name() == column);
            let mistake = match field {
                Some(field) if ImageLayout::of(field).is_some() => continue,
                None if self.is_follow_on(column) => continue,
                Some(_) => Diagnostic::at("", Code::WrongColumn, format!("column `{column}` is not an image")),
                None => Diagnostic::at("", Code::UnknownColumn, format!("no step makes the column `{column}`")),
            };
            let images = self.fields.iter().filter(|field| ImageLayout::of(field).is_some());
            let names = images.map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
            let images: Vec<&str> = names.chain(self.left_out.iter().map(String::as_str)).collect();
            self.diagnostics.push(SpannedDiagnostic {
                at: None,
                mistake: mistake.suggest(column, images.iter().copied(), "images"),
                related: None,
            });
        }
    }
}
