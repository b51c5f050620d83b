//! Finds images of flipped objects in the tables of a run, and how the attack changed them.

use super::{Context, literal, quoted};
use crate::{
    batch::ImageLayout,
    error::Result,
    report::{chart::cutout::FluxScale, query_result::QueryResult},
};

/// What is known about the change of an image by the attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PixelChange {
    /// The image is the model's input: `pixel_values` are its pixels after the attack.
    Replaced,
    /// The image is before the stretch: `pixel_electrons` were added to its pixels.
    Added,
    /// Only the positions of the pixels are known.
    Unknown,
}

/// An image column of a table.
#[derive(Debug, Clone)]
pub(super) struct ImageColumn {
    table: String,
    pub(super) column: String,
    pub(super) layout: ImageLayout,
    pub(super) change: PixelChange,
}

/// Identifies an object. An id alone may occur in several files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectKey {
    pub(super) id: String,
    pub(super) origin: String,
}

/// Class and probability of another image of an object.
#[derive(Debug, Clone)]
pub(super) struct Prediction {
    pub(super) class: String,
    pub(super) probability: f64,
}

/// The columns of an attack's table for electrons and for a flux added to pixels.
const ADDED_ELECTRONS: &str = "pixel_electrons";
const ADDED_FLUX: &str = "pixel_flux_njy";
/// Images with a longer side are not shown.
const LONGEST_SIDE: usize = 512;

/// The attacked image column: that of the attacked score.
pub(super) fn attacked_image<'a>(context: &Context<'a>, label: &str) -> Option<&'a str> {
    let record = context.record;
    let score = record.settings("monitor", label)["score"].as_str()?;
    record.settings("score", score)["image"].as_str()
}

/// The tables that may have images: that of the attack, then those of the sinks.
fn tables<'a>(context: &Context<'a>, label: &'a str) -> Vec<&'a str> {
    let sinks = context.record.labels("sink", "parquet").into_iter().filter(|sink| context.has_table(sink));
    std::iter::once(label).chain(sinks).collect()
}

/// The schema of a table, as a result without rows.
fn schema_of(context: &Context<'_>, table: &str) -> Result<QueryResult> {
    context.query(&format!("select * from {} limit 0", quoted(table)))
}

/// The column of the attack's table with what was added to pixels, if it has one.
pub(super) fn added_column(context: &Context<'_>, label: &str) -> Result<Option<&'static str>> {
    let schema = schema_of(context, label)?;
    Ok([ADDED_ELECTRONS, ADDED_FLUX].into_iter().find(|column| schema.field(column).is_ok()))
}

/// The image column to show, and a comparable one of the same objects to show next to it.
pub(super) fn find(context: &Context<'_>, label: &str) -> Result<Option<(ImageColumn, Option<ImageColumn>)>> {
    let attacked = attacked_image(context, label);
    let before_stretch = context.record.settings("monitor", label)["values"]["electrons"]["image"].as_str();
    let has_electrons = added_column(context, label)? == Some(ADDED_ELECTRONS);
    let mut all: Vec<ImageColumn> = Vec::new();
    for table in tables(context, label) {
        for field in schema_of(context, table)?.fields() {
            let Some(layout) = ImageLayout::of(field) else { continue };
            let column = field.name().clone();
            let change = match Some(column.as_str()) {
                column if column == attacked => PixelChange::Replaced,
                column if column == before_stretch && has_electrons => PixelChange::Added,
                _ => PixelChange::Unknown,
            };
            let is_known = all.iter().any(|known| known.column == column);
            if layout.height.max(layout.width) <= LONGEST_SIDE && !is_known && layout.plane() > 0 {
                all.push(ImageColumn { table: table.to_owned(), column, layout, change });
            }
        }
    }
    let candidates = all.iter().filter(|image| image.change != PixelChange::Unknown || image.table == label);
    // Prefer images whose change is known, then images in the table of the attack.
    let shown =
        candidates.min_by_key(|image| (image.change == PixelChange::Unknown, image.table != label, image.change));
    let Some(shown) = shown.cloned() else { return Ok(None) };
    let is_comparable = |image: &&ImageColumn| {
        let (other, own) = (&image.layout, &shown.layout);
        image.column != shown.column
            && (other.unit, &other.bands) == (own.unit, &own.bands)
            && FluxScale::of(other) == FluxScale::of(own)
    };
    let other = all.iter().find(is_comparable).cloned();
    Ok(Some((shown, other)))
}

/// An SQL condition that selects the rows of some objects, and possibly others with the same id or origin.
fn condition(keys: &[ObjectKey]) -> String {
    let list = |of: fn(&ObjectKey) -> &String| keys.iter().map(|key| literal(of(key))).collect::<Vec<_>>().join(", ");
    format!("object_id in ({}) and origin in ({})", list(|key| &key.id), list(|key| &key.origin))
}

/// The ids and origins of a result.
struct KeyColumns {
    ids: Vec<Option<String>>,
    origins: Vec<Option<String>>,
}

impl KeyColumns {
    fn of(result: &QueryResult) -> Result<Self> {
        Ok(Self { ids: result.strings("object_id")?, origins: result.strings("origin")? })
    }

    /// The rows of an object.
    fn rows<'a>(&'a self, key: &'a ObjectKey) -> impl Iterator<Item = usize> {
        let matches =
            move |i: &usize| self.ids[*i].as_ref() == Some(&key.id) && self.origins[*i].as_ref() == Some(&key.origin);
        (0..self.ids.len()).filter(matches)
    }
}

impl ImageColumn {
    /// The images of some objects; `None` for those without one.
    pub(super) fn images(&self, context: &Context<'_>, keys: &[ObjectKey]) -> Result<Vec<Option<Vec<f64>>>> {
        let (table, column) = (quoted(&self.table), quoted(&self.column));
        let result =
            context.query(&format!("select object_id, origin, {column} from {table} where {}", condition(keys)))?;
        let columns = KeyColumns::of(&result)?;
        let mut images = result.lists(&self.column)?;
        let rows: Vec<Option<usize>> =
            keys.iter().map(|key| columns.rows(key).find(|&row| images[row].is_some())).collect();
        Ok(rows.into_iter().map(|row| images[row?].take()).collect())
    }
}

/// What the attacked model predicts for another image of some objects, if a sink kept it.
pub(super) fn predictions(
    context: &Context<'_>,
    label: &str,
    image: &str,
    keys: &[ObjectKey],
) -> Result<Vec<Option<Prediction>>> {
    let record = context.record;
    let none = || Ok(vec![None; keys.len()]);
    let attacked = record.settings("monitor", label)["score"].as_str().unwrap_or_default();
    let model = &record.settings("score", attacked)["model"];
    let scores = record.document["score"].as_object().into_iter().flatten().map(|(score, _)| score);
    let is_same_model = |score: &&String| {
        let settings = record.settings("score", score);
        settings["image"] == image && !model.is_null() && settings["model"] == *model
    };
    let Some(score) = scores.into_iter().find(is_same_model) else { return none() };
    let (class, probability) = (format!("{score}_class"), format!("{score}_probability"));
    for table in tables(context, label).into_iter().skip(1) {
        let schema = schema_of(context, table)?;
        if schema.field(&class).is_err() || schema.field(&probability).is_err() {
            continue;
        }
        let (class, probability) = (quoted(&class), quoted(&probability));
        let result = context.query(&format!(
            "select object_id, origin, {class} as class, {probability} as probability from {} where {}",
            quoted(table),
            condition(keys)
        ))?;
        let columns = KeyColumns::of(&result)?;
        let (classes, probabilities) = (result.strings("class")?, result.lists("probability")?);
        let prediction = |key: &ObjectKey| {
            let row = columns.rows(key).next()?;
            let probability = probabilities[row].as_ref()?.iter().copied().fold(f64::NAN, f64::max);
            Some(Prediction { class: classes[row].clone()?, probability })
        };
        return Ok(keys.iter().map(prediction).collect());
    }
    none()
}
