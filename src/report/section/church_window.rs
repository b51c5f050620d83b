//! The classes around objects in latent space.

use super::{Context, Item, quoted};
use crate::{
    error::Result,
    report::chart::{
        axis::{clipped, isolated},
        palette::class,
        pixels::indexed,
        small::{Window, windows},
    },
};

/// Windows that are shown.
const SHOWN: usize = 24;

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let answer = context.ask(&format!(
        "select object_id, label_true, class, across_length, up_length, angle_deg, areas, \"window\"
        from {}
        where \"window\" is not null
        limit {SHOWN}",
        quoted(label)
    ))?;
    if answer.is_empty() {
        return Ok(Vec::new());
    }
    let field = answer.field("window")?;
    let told = |key: &str| field.metadata().get(key).map(String::as_str);
    let names: Vec<&str> = told("classes").unwrap_or_default().split(',').collect();
    let classes: Vec<_> = names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), class(name, i))).collect();
    let colours: Vec<_> = classes.iter().map(|(_, colour)| *colour).collect();
    let extent = told("extent").and_then(|extent| extent.parse().ok()).unwrap_or(1.1);
    let (id, truth) = (answer.texts("object_id")?, answer.texts("label_true")?);
    let mut drawn = Vec::new();
    for (row, places) in answer.lists("window")?.into_iter().enumerate() {
        let Some(places) = places else { continue };
        let side = (places.len() as f64).sqrt().round() as usize;
        // Row 0 is the lowest, and a picture begins at its top.
        let flipped = places.chunks(side.max(1)).rev().flatten();
        let places: Vec<u8> =
            flipped.map(|place| (*place as usize).min(colours.len().saturating_sub(1)) as u8).collect();
        let id = id[row].as_deref().unwrap_or_default();
        let title = match &truth[row] {
            Some(truth) => format!("{} {truth}", isolated(&clipped(id, 14))),
            None => isolated(&clipped(id, 24)),
        };
        drawn.push(Window { image: indexed(side, &places, &colours)?, title });
    }
    let settings = context.record.settings("monitor", label);
    let end = |key: &str| settings[key].as_str().unwrap_or(key).to_owned();
    let svg = windows(&drawn, &classes, (&end("across"), &end("up")), extent)?;
    let caption = "The class that the model gives on the plane through an object's latent and two others: of the attacked image to the right, \
                   of another exposure upwards, in units of their distances. The first 24 of the table.";
    Ok(vec![Item::figure(label.to_owned(), format!("Church windows: {label}"), caption, &answer, svg)?])
}
