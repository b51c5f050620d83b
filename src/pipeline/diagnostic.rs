//! A mistake on its way to the user: what is wrong, and the place in the text that means it.

use super::tree::Span;
use crate::error::{Code, Diagnostic, Location};

/// Why the place of a parameter's value belongs to a mistake.
pub(super) const GIVEN: &str = "its value";

/// A mistake and its place.
#[derive(Debug)]
pub(super) struct SpannedDiagnostic {
    pub at: Option<Span>,
    pub mistake: Diagnostic,
    pub related: Option<(Span, &'static str)>,
}

impl SpannedDiagnostic {
    pub(super) fn new(at: Span, code: Code, message: impl Into<String>) -> Self {
        Self { at: Some(at), mistake: Diagnostic::at("", code, message), related: None }
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.mistake.help = Some(help.into());
        self
    }

    /// The same with help for an unknown name.
    #[must_use]
    pub(super) fn suggest<S: AsRef<str>>(mut self, name: &str, known: &[S], what: &str) -> Self {
        self.mistake = self.mistake.suggest(name, known.iter().map(AsRef::as_ref), what);
        self
    }

    #[must_use]
    pub(super) const fn related(mut self, at: Span, why: &'static str) -> Self {
        self.related = Some((at, why));
        self
    }
}

/// The texts that places are in: the document first, then the arguments of the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts(Vec<(String, String)>);

impl Texts {
    /// Adds a text under the name that messages give it; its number.
    pub(super) fn add(&mut self, origin: impl Into<String>, text: impl Into<String>) -> usize {
        self.0.push((origin.into(), text.into()));
        self.0.len() - 1
    }

    fn place(&self, at: Span) -> Option<Location> {
        let (origin, text) = self.0.get(at.text)?;
        let source = text.lines().nth(at.line - 1).unwrap_or_default().to_owned();
        // What goes over the end of its line is underlined up to there.
        let left = (source.chars().count() + 1).saturating_sub(at.column).max(1);
        let length = at.length.clamp(1, left);
        Some(Location { origin: origin.clone(), line: at.line, column: at.column, length, source, related: None })
    }

    /// The name of a parameter in the text at a place.
    fn parameter(&self, at: Span) -> Option<String> {
        let Location { source, column, length, .. } = self.place(at)?;
        let text: String = source.chars().skip(column - 1).take(length).collect();
        let name = text.split_once("${")?.1.split_once('}')?.0;
        Some(name.trim().to_owned())
    }

    /// The mistakes with their places, in the order of the text.
    pub(super) fn mistakes(&self, mut flaws: Vec<SpannedDiagnostic>) -> Vec<Diagnostic> {
        flaws.sort_by_key(|flaw| flaw.at.map(|at| (at.text, at.line, at.column)));
        let mut mistakes: Vec<Diagnostic> = flaws.into_iter().map(|flaw| self.placed(flaw)).collect();
        mistakes.dedup();
        mistakes
    }

    fn placed(&self, flaw: SpannedDiagnostic) -> Diagnostic {
        let mut mistake = flaw.mistake;
        if let Some(name) = flaw.at.filter(|_| mistake.code == Code::MissingFile).and_then(|at| self.parameter(at)) {
            mistake.help = Some(format!("give the parameter another value: `--set {name}=...`"));
        }
        mistake.location = flaw.at.and_then(|at| self.place(at)).map(|mut place| {
            place.related = flaw.related.and_then(|(at, why)| Some((Box::new(self.place(at)?), why)));
            Box::new(place)
        });
        mistake
    }
}
