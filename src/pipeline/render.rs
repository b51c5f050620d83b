//! Renders diagnostics as text: code, message, place, the line with a caret, help.

use std::fmt::Write;

use super::parameters::COMMAND_LINE;
use crate::error::{Diagnostic, Location};

/// Whether to use the colours of a terminal.
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

/// Renders all diagnostics, and their number.
pub fn render(mistakes: &[Diagnostic], paint: Paint) -> String {
    let mut out = String::new();
    for mistake in mistakes {
        one(&mut out, mistake, paint);
        out.push('\n');
    }
    let count = if mistakes.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
    let _ = writeln!(out, "{}: {count}", paint.red("error"));
    out
}

fn one(out: &mut String, mistake: &Diagnostic, paint: Paint) {
    let code = paint.red(&format!("error[{}]", mistake.code.name()));
    let _ = writeln!(out, "{code}{}", paint.bold(&format!(": {}", printable(&mistake.message))));
    let Some(place) = mistake.location.as_deref() else {
        if !mistake.path.is_empty() {
            let _ = writeln!(out, "  {} at `{}`", paint.blue("="), mistake.path.join("."));
        }
        return help(out, mistake, 2, paint);
    };
    let related = place.related.as_ref().map(|(related, why)| (related.as_ref(), *why));
    let widest = related.map_or(0, |(related, _)| related.line).max(place.line).to_string().len();
    let margin = " ".repeat(widest);
    let _ = writeln!(out, "{margin}{} {}", paint.blue("-->"), origin_and_position(place));
    let _ = writeln!(out, "{margin} {}", paint.blue("|"));
    let mut marks = vec![Mark { place, why: "", sign: '^' }];
    marks.extend(related.map(|(place, why)| Mark { place, why, sign: '-' }));
    // Two places in one text are shown from top to bottom.
    if marks.iter().all(|mark| mark.place.origin == place.origin) {
        marks.sort_by_key(|mark| (mark.place.line, mark.place.column));
    }
    let mut before: Option<&Location> = None;
    for Mark { place, why, sign } in marks {
        match before {
            Some(before) if before.origin != place.origin => {
                let _ = writeln!(out, "{margin}{} {}", paint.blue(":::"), origin_and_position(place));
            }
            Some(before) if before.line + 1 < place.line => {
                let _ = writeln!(out, "{}", paint.blue("..."));
            }
            _ => {}
        }
        if before.is_none_or(|before| (&before.origin, before.line) != (&place.origin, place.line)) {
            let line = paint.blue(&format!("{:>widest$} |", place.line));
            let _ = writeln!(out, "{line} {}", printable(&place.source).trim_end());
        }
        before = Some(place);
        let under = sign.to_string().repeat(place.length);
        let under = if sign == '^' { paint.red(&under) } else { paint.blue(&under) };
        let why = if why.is_empty() { String::new() } else { format!(" {why}") };
        let _ = writeln!(out, "{margin} {} {}{under}{why}", paint.blue("|"), " ".repeat(place.column - 1));
    }
    help(out, mistake, widest + 1, paint);
}

/// A place to underline.
struct Mark<'a> {
    place: &'a Location,
    why: &'static str,
    sign: char,
}

/// File, line and column; the command line has only one line.
fn origin_and_position(Location { origin, line, column, .. }: &Location) -> String {
    if origin == COMMAND_LINE { origin.clone() } else { format!("{origin}:{line}:{column}") }
}

fn help(out: &mut String, mistake: &Diagnostic, margin: usize, paint: Paint) {
    if let Some(help) = &mistake.help {
        let _ = writeln!(out, "{}{} help: {}", " ".repeat(margin), paint.blue("="), printable(help));
    }
}

/// A text as one line, without control characters, so that a document cannot send commands to the terminal and carets align.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if c.is_control() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn mistake(source: &str, column: usize, length: usize) -> Diagnostic {
        let place =
            Location { origin: "a.yaml".into(), line: 12, column, length, source: source.into(), related: None };
        Diagnostic { location: Some(Box::new(place)), ..Diagnostic::at("", Code::UnknownKey, "`b` is wrong") }
    }

    #[test]
    fn the_caret_is_under_the_place() {
        let text = render(&[mistake("\ta: bcd", 5, 3)], Paint::Plain);
        assert_eq!(
            text,
            "error[unknown-key]: `b` is wrong\n  --> a.yaml:12:5\n   |\n12 |  a: bcd\n   |     ^^^\n\nerror: 1 mistake\n"
        );
    }

    #[test]
    fn a_document_cannot_send_commands_to_the_terminal() {
        let text = render(&[mistake("a: \u{1b}[2J", 4, 4).help("\u{7}")], Paint::Plain);
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let mistakes = [mistake("a: bcd", 4, 3).help("do")];
        let mut painted = render(&mistakes, Paint::Colour);
        for code in ["\u{1b}[1;31m", "\u{1b}[1;34m", "\u{1b}[1m", "\u{1b}[0m"] {
            painted = painted.replace(code, "");
        }
        assert_eq!(painted, render(&mistakes, Paint::Plain));
    }
}
