//! The sections of a report: one file for every kind of monitor that has one.

mod accuracy;
mod calibration;
mod church_window;
mod isomap;
mod latent_distance;
mod latent_drift;
mod one_pixel;
mod pixel_map;
mod rejects;

use super::{
    answer::{Answer, Data},
    chart::{
        marks::FORMS,
        palette::series,
        panel::{Layer, Shape},
        printable,
        space::{FIRST, Space},
    },
    record::{Record, Standing},
};
use crate::{error::Result, query::Run};

/// A part of the page under a heading.
pub(super) struct Section {
    /// Its anchor.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) items: Vec<Item>,
    /// Why there is nothing, or what is missing.
    pub(super) notes: Vec<String>,
}

/// What a section shows.
pub(super) struct Item {
    /// Its file name and anchor.
    pub(super) name: String,
    pub(super) title: String,
    /// What one sees, and how to read it.
    pub(super) caption: String,
    pub(super) data: Data,
    /// The picture; a table stands alone.
    pub(super) svg: Option<String>,
    /// Where the picture is one of three dimensions, what it is a view of.
    pub(super) space: Option<Space>,
}

impl Item {
    fn table(name: String, title: String, caption: &str, answer: &Answer) -> Result<Self> {
        Ok(Self { name, title, caption: caption.into(), data: answer.data()?, svg: None, space: None })
    }

    fn figure(name: String, title: String, caption: &str, answer: &Answer, svg: String) -> Result<Self> {
        Ok(Self { svg: Some(printable(svg)), ..Self::table(name, title, caption, answer)? })
    }

    fn turning(name: String, title: String, caption: &str, answer: &Answer, space: Space) -> Result<Self> {
        let svg = space.svg(FIRST)?;
        Ok(Self { space: Some(space), ..Self::figure(name, title, caption, answer, svg)? })
    }
}

/// What sections are made of.
pub(super) struct Context<'a> {
    pub(super) record: &'a Record,
    pub(super) run: &'a Run,
}

impl Context<'_> {
    /// Whether a table is there: it has a committed part.
    fn has(&self, table: &str) -> bool {
        self.run.tables().iter().any(|known| known == table)
    }

    fn ask(&self, sql: &str) -> Result<Answer> {
        Answer::of(self.run, sql)
    }
}

type Show = fn(&Context<'_>, &str) -> Result<Vec<Item>>;

/// The kinds of monitors that are shown: kind, heading, how.
const KINDS: &[(&str, &str, Show)] = &[
    ("accuracy", "Accuracy", accuracy::show),
    ("calibration", "Calibration", calibration::show),
    ("latent_drift", "Drift", latent_drift::show),
    ("latent_distance", "Distances in latent space", latent_distance::show),
    ("isomap", "Isomaps", isomap::show),
    ("church_window", "Church windows", church_window::show),
    ("one_pixel", "One-pixel attacks", one_pixel::show),
    ("pixel_map", "Maps of pixels", pixel_map::show),
];

/// All sections, in their order. A section that cannot be made says why; the others are not lost.
pub(super) fn all(context: &Context<'_>) -> Vec<Section> {
    let mut sections: Vec<Section> =
        KINDS.iter().map(|(kind, title, show)| of_kind(context, kind, title, *show)).collect();
    sections.push(rejects::section(context));
    sections
}

fn of_kind(context: &Context<'_>, kind: &'static str, title: &'static str, show: Show) -> Section {
    let mut section = Section { id: kind, title, items: Vec::new(), notes: Vec::new() };
    let labels = context.record.monitors(kind);
    if labels.is_empty() {
        let note =
            format!("The pipeline has no monitor of the kind `{kind}`; `lucarne kinds {kind}` says how to add one.");
        section.notes.push(note);
    }
    for label in labels {
        if context.record.rows(label) == 0 || !context.has(label) {
            section.notes.push(match context.record.standing() {
                Standing::Finished => format!("`{label}` has no rows: nothing that it looks at came by."),
                Standing::Running => format!("`{label}` has no rows yet."),
                _ => format!("`{label}` has no rows: the run ended before it wrote any."),
            });
            continue;
        }
        match show(context, label) {
            Ok(items) if items.is_empty() => section.notes.push(format!("`{label}` has nothing to show yet.")),
            Ok(mut items) => section.items.append(&mut items),
            Err(error) => section.notes.push(format!("`{label}` cannot be shown: {error}.")),
        }
    }
    section
}

/// A label as SQL writes a name: quoted, for `window` is a word of SQL too.
fn quoted(label: &str) -> String {
    format!("\"{}\"", label.replace('"', "\"\""))
}

/// A text as SQL writes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Each value once, in the order in which they come.
fn distinct(values: &[Option<String>]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for value in values.iter().flatten() {
        if !seen.contains(value) {
            seen.push(value.clone());
        }
    }
    seen
}

/// Pairs of which both are known.
fn pairs(x: &[Option<f64>], y: &[Option<f64>]) -> Vec<(f64, f64)> {
    x.iter().zip(y).filter_map(|(x, y)| Some(((*x)?, (*y)?))).collect()
}

/// A line with marks for each of the names, through its rows.
fn curves(names: &[String], of: &[Option<String>], x: &[Option<f64>], y: &[Option<f64>]) -> Vec<Layer> {
    let curve = |(place, name): (usize, &String)| {
        let own = (0..of.len()).filter(|&row| of[row].as_ref() == Some(name));
        let points: Vec<(f64, f64)> = own.filter_map(|row| Some((x[row]?, y[row]?))).collect();
        let marks = Shape::Marks { mark: FORMS[place % FORMS.len()], radius: 4.0, outlined: false, at: points.clone() };
        [Layer::new(None, series(place), Shape::Line(points)), Layer::new(name.clone(), series(place), marks)]
    };
    names.iter().enumerate().flat_map(curve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_end_where_they_should() {
        assert_eq!(quoted("a\" or \"b"), "\"a\"\" or \"\"b\"");
        assert_eq!(literal("O'Neill's galaxy"), "'O''Neill''s galaxy'");
    }
}
