//! The sections of a report: one file for each kind of monitor that has one.

mod accuracy;
mod calibration;
mod church_window;
mod isomap;
mod latent_distance;
mod latent_drift;
mod one_pixel;
mod pixel_map;
mod regression;
mod rejects;
mod roc;
mod windows;

use super::{
    chart::{
        marks::{MarkStyle, SERIES_MARKS},
        palette::{series, themed},
        panel::{ChartLayer, ChartShape},
        scatter_3d::{DEFAULT_VIEW, Scatter3d},
        text::without_forbidden_characters,
    },
    query_result::{QueryResult, ResultPreview},
    record::{Record, Standing},
};
use crate::{error::Result, query::Run};

/// A section of the page.
pub(super) struct Section {
    /// Its anchor.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) items: Vec<SectionItem>,
    /// Why the section is empty or incomplete.
    pub(super) notes: Vec<String>,
}

/// A figure or a table.
pub(super) struct SectionItem {
    /// Its file name and anchor.
    pub(super) name: String,
    pub(super) title: String,
    /// What is shown, and how to read it.
    pub(super) caption: String,
    pub(super) preview: ResultPreview,
    /// The chart; `None` for tables.
    pub(super) svg: Option<String>,
    /// The data of a three-dimensional chart.
    pub(super) scatter: Option<Scatter3d>,
}

impl SectionItem {
    fn table(name: String, title: String, caption: &str, result: &QueryResult) -> Result<Self> {
        Ok(Self { name, title, caption: caption.into(), preview: result.preview()?, svg: None, scatter: None })
    }

    fn figure(name: String, title: String, caption: &str, result: &QueryResult, svg: String) -> Result<Self> {
        let svg = Some(without_forbidden_characters(svg));
        Ok(Self { svg, ..Self::table(name, title, caption, result)? })
    }

    fn scatter_3d(
        name: String,
        title: String,
        caption: &str,
        result: &QueryResult,
        scatter: Scatter3d,
    ) -> Result<Self> {
        let svg = scatter.svg(DEFAULT_VIEW)?;
        Ok(Self { scatter: Some(scatter), ..Self::figure(name, title, caption, result, svg)? })
    }

    /// The chart with colours that follow the theme of the page.
    pub(super) fn page_svg(&self) -> Option<String> {
        self.svg.as_deref().map(themed)
    }
}

/// The inputs of all sections.
pub(super) struct Context<'a> {
    pub(super) record: &'a Record,
    pub(super) run: &'a Run,
}

impl Context<'_> {
    /// Whether a table has a committed part.
    fn has_table(&self, table: &str) -> bool {
        self.run.tables().iter().any(|known| known == table)
    }

    fn query(&self, sql: &str) -> Result<QueryResult> {
        QueryResult::of(self.run, sql)
    }
}

/// Makes the items of a monitor, by its label.
type MakeItems = fn(&Context<'_>, &str) -> Result<Vec<SectionItem>>;

/// The kinds of monitors with a section: kind, title, function. Kinds are literals, because reports do not depend on monitors.
const KINDS: &[(&str, &str, MakeItems)] = &[
    ("accuracy", "Accuracy", accuracy::items),
    ("calibration", "Calibration", calibration::items),
    ("roc", "ROC", roc::items),
    ("regression", "Regression", regression::items),
    ("latent_drift", "Drift", latent_drift::items),
    ("latent_distance", "Latent distances", latent_distance::items),
    ("isomap", "Isomap", isomap::items),
    ("church_window", "Church windows", church_window::items),
    ("one_pixel", "One-pixel attacks", one_pixel::items),
    ("pixel_map", "Pixel maps", pixel_map::items),
];

/// All sections in order. A section that fails has a note with the error; the others are not affected.
pub(super) fn all(context: &Context<'_>) -> Vec<Section> {
    let mut sections: Vec<Section> =
        KINDS.iter().map(|(kind, title, items)| of_kind(context, kind, title, *items)).collect();
    sections.push(rejects::section(context));
    sections
}

fn of_kind(context: &Context<'_>, kind: &'static str, title: &'static str, items: MakeItems) -> Section {
    let mut section = Section { id: kind, title, items: Vec::new(), notes: Vec::new() };
    let labels = context.record.monitors(kind);
    if labels.is_empty() {
        let note =
            format!("The pipeline has no monitor of kind `{kind}`. Run `lucarne kinds {kind}` to see how to add one.");
        section.notes.push(note);
    }
    for label in labels {
        if context.record.rows(label) == 0 || !context.has_table(label) {
            section.notes.push(match context.record.standing() {
                Standing::Finished => format!("`{label}` has no rows: no row of the stream matched its settings."),
                Standing::Running => format!("`{label}` has no rows yet."),
                _ => format!("`{label}` has no rows: the run ended before it wrote any."),
            });
            continue;
        }
        match items(context, label) {
            Ok(items) if items.is_empty() => section.notes.push(format!("`{label}` has nothing to show yet.")),
            Ok(mut items) => section.items.append(&mut items),
            Err(error) => section.notes.push(format!("`{label}` cannot be shown: {}.", error.report())),
        }
    }
    section
}

/// Whether the truth of a monitor that attacks a model is the class which that model itself gives.
fn truth_is_prediction(context: &Context<'_>, label: &str) -> bool {
    let settings = context.record.settings("monitor", label);
    let class = settings["score"].as_str().map(|score| format!("{score}_class"));
    class.is_some() && settings["truth"].as_str() == class.as_deref()
}

/// A label as a quoted SQL identifier: labels can be keywords, such as `window`.
fn quoted(label: &str) -> String {
    format!("\"{}\"", label.replace('"', "\"\""))
}

/// A text as an SQL string literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The distinct values, in order of first appearance.
fn distinct(values: &[Option<String>]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for value in values.iter().flatten() {
        if !seen.contains(value) {
            seen.push(value.clone());
        }
    }
    seen
}

/// The pairs without nulls.
fn pairs(x: &[Option<f64>], y: &[Option<f64>]) -> Vec<(f64, f64)> {
    x.iter().zip(y).filter_map(|(x, y)| Some(((*x)?, (*y)?))).collect()
}

/// A line with marks for each name, through the rows in which `name_of_row` equals it.
fn curves(names: &[String], name_of_row: &[Option<String>], x: &[Option<f64>], y: &[Option<f64>]) -> Vec<ChartLayer> {
    let curve = |(i, name): (usize, &String)| {
        let own = (0..name_of_row.len()).filter(|&row| name_of_row[row].as_ref() == Some(name));
        let points: Vec<(f64, f64)> = own.filter_map(|row| Some((x[row]?, y[row]?))).collect();
        let style = MarkStyle { mark: SERIES_MARKS[i % SERIES_MARKS.len()], radius: 4.0, outlined: false };
        let marks = ChartShape::Marks(style, points.clone());
        [ChartLayer::new(None, series(i), ChartShape::Line(points)), ChartLayer::new(name.clone(), series(i), marks)]
    };
    names.iter().enumerate().flat_map(curve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_quotes_in_identifiers_and_literals() {
        assert_eq!(quoted("a\" or \"b"), "\"a\"\" or \"\"b\"");
        assert_eq!(literal("O'Neill's galaxy"), "'O''Neill''s galaxy'");
    }
}
