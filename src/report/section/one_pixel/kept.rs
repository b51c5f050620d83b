//! Where the images of what an attack flips were kept, and what the attack did to them.

use super::{Context, literal, quoted};
use crate::{batch::ImageLayout, error::Result, report::chart::cutout::Scale};

/// What is known of an image after the attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// The model sees it: `pixel_values` are its new pixels.
    Replaced,
    /// It is before its stretch: `pixel_electrons` were added to its pixels.
    Added,
    /// Only where the pixels are.
    Unknown,
}

/// A column of images.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    table: String,
    pub(super) column: String,
    pub(super) layout: ImageLayout,
    pub(super) way: Way,
}

/// An object, by its id and origin.
pub(super) type Key = (String, String);

/// Images with a longer side are not shown.
const LONGEST_SIDE: usize = 512;

/// The image that an attack is on: that of its score.
pub(super) fn attacked<'a>(context: &Context<'a>, label: &str) -> Option<&'a str> {
    let record = context.record;
    let score = record.settings("monitor", label)["score"].as_str()?;
    record.settings("score", score)["image"].as_str()
}

/// The tables in which images may be: that of the attack, and those of the sinks.
fn tables<'a>(context: &Context<'a>, label: &'a str) -> Vec<&'a str> {
    let sinks = context.record.labels("sink", "parquet").into_iter().filter(|sink| context.has(sink));
    std::iter::once(label).chain(sinks).collect()
}

/// The columns of a table, empty of rows.
fn columns(context: &Context<'_>, table: &str) -> Result<crate::report::answer::Answer> {
    context.ask(&format!("select * from {} limit 0", quoted(table)))
}

/// Whether the table of the attack says how many electrons it added.
pub(super) fn has_electrons(context: &Context<'_>, label: &str) -> Result<bool> {
    Ok(columns(context, label)?.field("pixel_electrons").is_ok())
}

/// The images to show, and other images of the same objects to show beside them.
pub(super) fn find(context: &Context<'_>, label: &str) -> Result<Option<(Kept, Option<Kept>)>> {
    let seen = attacked(context, label);
    let before_stretch = context.record.settings("monitor", label)["values"]["electrons"]["image"].as_str();
    let adds = has_electrons(context, label)?;
    let mut all: Vec<Kept> = Vec::new();
    for table in tables(context, label) {
        for field in columns(context, table)?.fields() {
            let Some(layout) = ImageLayout::of(field) else { continue };
            let column = field.name().clone();
            let way = match Some(column.as_str()) {
                column if column == seen => Way::Replaced,
                column if column == before_stretch && adds => Way::Added,
                _ => Way::Unknown,
            };
            let known = all.iter().any(|kept| kept.column == column);
            if layout.height.max(layout.width) <= LONGEST_SIDE && !known && layout.plane() > 0 {
                all.push(Kept { table: table.to_owned(), column, layout, way });
            }
        }
    }
    let shown = all.iter().filter(|kept| kept.way != Way::Unknown || kept.table == label);
    // What shows the attack first; of that, what the attack kept itself.
    let shown = shown.min_by_key(|kept| (kept.way == Way::Unknown, kept.table != label, kept.way));
    let Some(shown) = shown.cloned() else { return Ok(None) };
    let is_alike = |kept: &&Kept| {
        let (other, own) = (&kept.layout, &shown.layout);
        kept.column != shown.column
            && (other.unit, &other.bands) == (own.unit, &own.bands)
            && Scale::of(other) == Scale::of(own)
    };
    let other = all.iter().find(is_alike).cloned();
    Ok(Some((shown, other)))
}

/// The condition that rows are of some objects.
fn of_objects(keys: &[Key]) -> String {
    let list = |of: fn(&Key) -> &String| keys.iter().map(|key| literal(of(key))).collect::<Vec<_>>().join(", ");
    format!("object_id in ({}) and origin in ({})", list(|(id, _)| id), list(|(_, origin)| origin))
}

impl Kept {
    /// The images of some objects, none where one was not kept.
    pub(super) fn images(&self, context: &Context<'_>, keys: &[Key]) -> Result<Vec<Option<Vec<f64>>>> {
        let (table, column) = (quoted(&self.table), quoted(&self.column));
        let answer =
            context.ask(&format!("select object_id, origin, {column} from {table} where {}", of_objects(keys)))?;
        let (ids, origins) = (answer.texts("object_id")?, answer.texts("origin")?);
        let mut images = answer.lists(&self.column)?;
        let place = |(id, origin): &Key| {
            (0..ids.len())
                .find(|&i| ids[i].as_ref() == Some(id) && origins[i].as_ref() == Some(origin) && images[i].is_some())
        };
        let places: Vec<Option<usize>> = keys.iter().map(place).collect();
        Ok(places.into_iter().map(|place| images[place?].take()).collect())
    }
}

/// What the attacked model says of another image of some objects: class and probability, where a sink has kept them.
pub(super) fn said(
    context: &Context<'_>,
    label: &str,
    image: &str,
    keys: &[Key],
) -> Result<Vec<Option<(String, f64)>>> {
    let record = context.record;
    let nothing = || Ok(vec![None; keys.len()]);
    let attacked = record.settings("monitor", label)["score"].as_str().unwrap_or_default();
    let model = &record.settings("score", attacked)["model"];
    let scores = record.document["score"].as_object().into_iter().flatten().map(|(score, _)| score);
    let same = |score: &&String| {
        let settings = record.settings("score", score);
        settings["image"] == image && !model.is_null() && settings["model"] == *model
    };
    let Some(score) = scores.into_iter().find(same) else { return nothing() };
    let (class, probability) = (format!("{score}_class"), format!("{score}_probability"));
    for table in tables(context, label).into_iter().skip(1) {
        let has = columns(context, table)?;
        if has.field(&class).is_err() || has.field(&probability).is_err() {
            continue;
        }
        let (class, probability) = (quoted(&class), quoted(&probability));
        let answer = context.ask(&format!(
            "select object_id, origin, {class} as class, {probability} as probability from {} where {}",
            quoted(table),
            of_objects(keys)
        ))?;
        let (ids, origins) = (answer.texts("object_id")?, answer.texts("origin")?);
        let (classes, probabilities) = (answer.texts("class")?, answer.lists("probability")?);
        let of = |(id, origin): &Key| {
            let row = (0..ids.len()).find(|&i| ids[i].as_ref() == Some(id) && origins[i].as_ref() == Some(origin))?;
            let most = probabilities[row].as_ref()?.iter().copied().fold(f64::NAN, f64::max);
            Some((classes[row].clone()?, most))
        };
        return Ok(keys.iter().map(of).collect());
    }
    nothing()
}
