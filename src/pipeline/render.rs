//! A mistake as a person reads it: code, message, file and line, the line itself with a caret, help.

use std::fmt::Write;

use crate::error::{Mistake, Place};

/// How to paint: plain text, or with the colours of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paint {
    /// No escape codes.
    #[default]
    Plain,
    /// Escape codes of a terminal.
    Colour,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn blue(self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// All mistakes one after the other, and how many there are.
pub fn render(mistakes: &[Mistake], paint: Paint) -> String {
    let mut out = String::new();
    for mistake in mistakes {
        one(&mut out, mistake, paint);
        out.push('\n');
    }
    let count = if mistakes.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
    let _ = writeln!(out, "{}: {count}", paint.red("error"));
    out
}

fn one(out: &mut String, mistake: &Mistake, paint: Paint) {
    let code = paint.red(&format!("error[{}]", mistake.code.name()));
    let _ = writeln!(out, "{code}{}", paint.bold(&format!(": {}", mistake.message)));
    let Some(place) = mistake.place.as_deref() else {
        if !mistake.path.is_empty() {
            let _ = writeln!(out, "  {} at `{}`", paint.blue("="), mistake.path.join("."));
        }
        return help(out, mistake, 2, paint);
    };
    let related = place.related.as_ref().map(|(related, why)| (related.as_ref(), *why));
    let widest = related.map_or(0, |(related, _)| related.line).max(place.line).to_string().len();
    let margin = " ".repeat(widest);
    let Place { origin, line, column, .. } = place;
    let _ = writeln!(out, "{margin}{} {origin}:{line}:{column}", paint.blue("-->"));
    let _ = writeln!(out, "{margin} {}", paint.blue("|"));
    let mut shown = vec![(place, "", '^')];
    shown.extend(related.map(|(related, why)| (related, why, '-')));
    // Two places of one text are told from top to bottom.
    let together = shown.iter().all(|(place, ..)| place.origin == *origin);
    if together {
        shown.sort_by_key(|(place, ..)| (place.line, place.column));
    }
    let mut before = None;
    for (place, why, mark) in shown {
        if place.origin != *origin {
            let _ = writeln!(out, "{margin}{} {}:{}:{}", paint.blue(":::"), place.origin, place.line, place.column);
        } else if before.is_some_and(|before: usize| before + 1 < place.line) {
            let _ = writeln!(out, "{}", paint.blue("..."));
        }
        before = Some(place.line);
        snippet(out, place, why, mark, widest, paint);
    }
    help(out, mistake, widest + 1, paint);
}

fn snippet(out: &mut String, place: &Place, why: &str, mark: char, widest: usize, paint: Paint) {
    let line = paint.blue(&format!("{:>widest$} |", place.line));
    let _ = writeln!(out, "{line} {}", place.source.replace('\t', " ").trim_end());
    let under = mark.to_string().repeat(place.length);
    let under = if mark == '^' { paint.red(&under) } else { paint.blue(&under) };
    let space = " ".repeat(place.column - 1);
    let why = if why.is_empty() { String::new() } else { format!(" {why}") };
    let _ = writeln!(out, "{} {} {space}{under}{why}", " ".repeat(widest), paint.blue("|"));
}

fn help(out: &mut String, mistake: &Mistake, margin: usize, paint: Paint) {
    if let Some(help) = &mistake.help {
        let _ = writeln!(out, "{}{} help: {help}", " ".repeat(margin), paint.blue("="));
    }
}
