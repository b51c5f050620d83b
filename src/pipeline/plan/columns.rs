//! Whether the columns that a step reads are there, and what to say when they are not.

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
    /// Whether all columns are there. Those that no step makes are told; those of a step that is wrong itself are not.
    pub(super) fn present(&mut self, needs: &[ColumnRef], place: &Place, label: &str) -> bool {
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

    fn missing(&self, need: &ColumnRef, place: &Place, label: &str) -> SpannedDiagnostic {
        let word = place.word(need).unwrap_or_else(|| need.column.clone());
        let suffix = need.column.strip_prefix(word.as_str()).unwrap_or_default();
        let flaw = place.need(need, format!("no step above makes the column `{}`", need.column));
        let declared_below = self.later.iter().find(|later| need.column == **later || word == **later);
        if let Some(later) = declared_below.filter(|later| *later != label) {
            return flaw.help(format!("`{later}` is declared below: a step reads only what those above it made"));
        }
        let score = self.steps.iter().find(|bound| bound.family == Family::Score && bound.step.label == word);
        if let (Some(score), Some(part)) = (score, suffix.strip_prefix('_')) {
            let made: Vec<&str> = score.made.iter().map(|field| field.name().as_str()).collect();
            return flaw.help(format!("the model of `{word}` has no {part}: there are {}", quoted_list(&made)));
        }
        let names = self.fields.iter().map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
        let mut known: Vec<&str> =
            names.filter_map(|name| name.strip_suffix(suffix)).filter(|name| !name.is_empty()).collect();
        if need.may_name_monitor {
            known.extend(self.monitors_above.iter().map(String::as_str));
        }
        if let Some(help) = did_you_mean(&word, known.iter().copied()) {
            return flaw.help(help);
        }
        flaw.help(if known.is_empty() {
            format!("no column here ends with `{suffix}`")
        } else {
            format!("there are {}", quoted_list(&known))
        })
    }

    pub(super) fn forgiven(&self, column: &str) -> bool {
        self.sourceless || self.broken.iter().any(|label| is_of(column, label))
    }

    /// The mistakes that a stage found; those of columns that a wrong step would have made are none.
    pub(super) fn stage_mistakes(&mut self, place: &Place, label: &str, mistakes: Vec<Diagnostic>) {
        let follow_on = |mistake: &Diagnostic| {
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

    pub(super) fn has(&self, column: &str) -> bool {
        self.fields.iter().any(|field| field.name() == column)
    }

    pub(super) fn schema(&self) -> Schema {
        Schema::new(self.fields.clone())
    }
}

/// Whether a column has the name of a step or begins with it.
pub(super) fn is_of(column: &str, label: &str) -> bool {
    column.strip_prefix(label).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}
