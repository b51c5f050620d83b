//! Checks that the columns that a step reads exist, and reports those that are missing.

use arrow::datatypes::Schema;

use super::{
    super::{diagnostic::SpannedDiagnostic, draft::Place, kinds::Family},
    Planner,
};
use crate::{
    error::{Code, Diagnostic, did_you_mean, quoted_list},
    stage::ColumnRef,
};

impl Planner {
    /// Whether all columns exist. Reports those that no step makes, except columns of a step that is wrong itself.
    pub(super) fn present(&mut self, required: &[ColumnRef], place: &Place, label: &str) -> bool {
        let mut all = true;
        for column in required.iter().filter(|required| !self.has(&required.column)).collect::<Vec<_>>() {
            all = false;
            if !self.is_follow_on(&column.column) {
                let diagnostic = self.missing(column, place, label);
                self.diagnostics.push(diagnostic);
            }
        }
        all
    }

    fn missing(&self, required: &ColumnRef, place: &Place, label: &str) -> SpannedDiagnostic {
        let word = place.word(required).unwrap_or_else(|| required.column.clone());
        let suffix = required.column.strip_prefix(word.as_str()).unwrap_or_default();
        let diagnostic =
            place.unknown_column(required, format!("no step above makes the column `{}`", required.column));
        let later = self.declared_below.iter().find(|later| required.column == **later || word == **later);
        if let Some(later) = later.filter(|later| *later != label) {
            return diagnostic
                .help(format!("`{later}` is declared below; a step reads only columns of steps above it"));
        }
        let score = self.steps.iter().find(|bound| bound.family == Family::Score && bound.step.label == word);
        if let (Some(score), Some(part)) = (score, suffix.strip_prefix('_')) {
            let made: Vec<&str> = score.made.iter().map(|field| field.name().as_str()).collect();
            let head = score.made.iter().find_map(|field| field.metadata().get("head"));
            let head = head.map_or_else(String::new, |head| format!(", whose head is `{head}`,"));
            let made = quoted_list(&made);
            return diagnostic.help(format!("the model of `{word}`{head} has no {part}; its columns are {made}"));
        }
        let names = self.fields.iter().map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
        let mut known: Vec<&str> =
            names.filter_map(|name| name.strip_suffix(suffix)).filter(|name| !name.is_empty()).collect();
        if required.may_name_monitor {
            known.extend(self.monitors_above.iter().map(String::as_str));
        }
        if let Some(help) = did_you_mean(&word, known.iter().copied()) {
            return diagnostic.help(help);
        }
        diagnostic.help(if known.is_empty() {
            format!("no column above ends with `{suffix}`")
        } else {
            format!("available names: {}", quoted_list(&known))
        })
    }

    /// Whether a column is missing only because of a mistake that was reported before.
    pub(super) fn is_follow_on(&self, column: &str) -> bool {
        self.has_no_source || self.broken.iter().any(|label| is_of(column, label))
    }

    /// Reports the mistakes of a stage, except columns that are missing because another step is wrong.
    pub(super) fn stage_mistakes(&mut self, place: &Place, label: &str, mistakes: Vec<Diagnostic>) {
        let follow_on = |mistake: &Diagnostic| {
            let names =
                |label: &String| ["`", "_"].iter().any(|end| mistake.message.contains(&format!("`{label}{end}")));
            mistake.code == Code::UnknownColumn && (self.has_no_source || self.broken.iter().any(names))
        };
        // Without a mistake the document would fail with "0 mistakes", or run without the stage.
        if mistakes.is_empty() {
            let message = format!("`{label}` does not accept its input, and does not report why");
            self.diagnostics.push(place.diagnostic(Diagnostic::at("", Code::Conflict, message)));
        }
        for mut mistake in mistakes.into_iter().filter(|mistake| !follow_on(mistake)).collect::<Vec<_>>() {
            if place.label.is_none() && place.kind.is_none() {
                mistake.path.insert(0, label.to_owned());
            }
            self.diagnostics.push(place.diagnostic(mistake));
        }
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.fields.iter().any(|field| field.name() == column)
    }

    pub(super) fn schema(&self) -> Schema {
        Schema::new(self.fields.clone())
    }
}

/// Whether a column belongs to a step: it is the label, or begins with the label and `_`.
pub(super) fn is_of(column: &str, label: &str) -> bool {
    column.strip_prefix(label).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}
