//! Diagnostics with spans, and the texts that the spans refer to.

use super::tree::Span;
use crate::error::{Code, Diagnostic, Location};

/// The label of the place where a parameter gets its value.
pub(super) const GIVEN: &str = "value set here";

/// A diagnostic with its place in a text, and a related place.
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

    /// Adds help for an unknown name: the nearest known one, or all of them.
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

/// The texts that spans refer to: the document first, then the arguments of the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts(Vec<(String, String)>);

impl Texts {
    /// Adds a text under the name that messages use for it, and returns its number.
    pub(super) fn add(&mut self, origin: impl Into<String>, text: impl Into<String>) -> usize {
        self.0.push((origin.into(), text.into()));
        self.0.len() - 1
    }

    fn place(&self, at: Span) -> Option<Location> {
        let (origin, text) = self.0.get(at.text)?;
        let source = text.lines().nth(at.line - 1).unwrap_or_default().to_owned();
        // A span over several lines is underlined to the end of its first line.
        let left = (source.chars().count() + 1).saturating_sub(at.column).max(1);
        let length = at.length.clamp(1, left);
        Some(Location { origin: origin.clone(), line: at.line, column: at.column, length, source, related: None })
    }

    /// The name of the parameter in the text of a span.
    fn parameter(&self, at: Span) -> Option<String> {
        let Location { source, column, length, .. } = self.place(at)?;
        let text: String = source.chars().skip(column - 1).take(length).collect();
        let name = text.split_once("${")?.1.split_once('}')?.0;
        Some(name.trim().to_owned())
    }

    /// Resolves spans to places in their texts, and sorts by them.
    pub(super) fn mistakes(&self, mut diagnostics: Vec<SpannedDiagnostic>) -> Vec<Diagnostic> {
        diagnostics.sort_by_key(|diagnostic| diagnostic.at.map(|at| (at.text, at.line, at.column)));
        let mut mistakes: Vec<Diagnostic> = diagnostics.into_iter().map(|diagnostic| self.placed(diagnostic)).collect();
        mistakes.dedup();
        mistakes
    }

    fn placed(&self, diagnostic: SpannedDiagnostic) -> Diagnostic {
        let mut mistake = diagnostic.mistake;
        if let Some(name) =
            diagnostic.at.filter(|_| mistake.code == Code::MissingFile).and_then(|at| self.parameter(at))
        {
            mistake.help = Some(format!("change the parameter: `--set {name}=...`"));
        }
        mistake.location = diagnostic.at.and_then(|at| self.place(at)).map(|mut place| {
            place.related = diagnostic.related.and_then(|(at, why)| Some((Box::new(self.place(at)?), why)));
            Box::new(place)
        });
        mistake
    }
}
