//! Church windows: predicted classes on planes through latents.

use super::{Context, SectionItem, quoted};
use crate::{
    batch::metadata_names,
    error::Result,
    report::chart::{
        data_url::indexed,
        palette::class,
        small_multiples::{ChurchWindowAxes, ChurchWindowImage, church_windows},
        text::{bidi_isolate, ellipsize},
    },
};

/// The most windows.
const MAX_WINDOWS: usize = 24;

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let result = context.query(&format!(
        "select object_id, label_true, class, across_length, up_length, angle_deg, areas, \"window\"
        from {}
        where \"window\" is not null
        limit {MAX_WINDOWS}",
        quoted(label)
    ))?;
    if result.is_empty() {
        return Ok(Vec::new());
    }
    let field = result.field("window")?;
    let metadata = |key: &str| field.metadata().get(key).map(String::as_str);
    let names = metadata_names(metadata("classes").unwrap_or_default());
    let classes: Vec<_> = names.iter().enumerate().map(|(i, name)| (name.clone(), class(name, i))).collect();
    let colours: Vec<_> = classes.iter().map(|(_, colour)| *colour).collect();
    let extent = metadata("extent").and_then(|extent| extent.parse().ok()).unwrap_or(1.1);
    let (id, truth) = (result.strings("object_id")?, result.strings("label_true")?);
    let mut windows = Vec::new();
    for (row, indices) in result.lists("window")?.into_iter().enumerate() {
        let Some(indices) = indices else { continue };
        let side = (indices.len() as f64).sqrt().round() as usize;
        // Row 0 of a window is the lowest, row 0 of an image the highest.
        let flipped = indices.chunks(side.max(1)).rev().flatten();
        let indices: Vec<u8> =
            flipped.map(|index| (*index as usize).min(colours.len().saturating_sub(1)) as u8).collect();
        let id = id[row].as_deref().unwrap_or_default();
        let title = match &truth[row] {
            Some(truth) => format!("{} {truth}", bidi_isolate(&ellipsize(id, 14))),
            None => bidi_isolate(&ellipsize(id, 24)),
        };
        windows.push(ChurchWindowImage { url: indexed(side, &indices, &colours)?, title });
    }
    let settings = context.record.settings("monitor", label);
    let axis = |key| settings[key].as_str().unwrap_or(key);
    let axes = ChurchWindowAxes { classes: &classes, across: axis("across"), up: axis("up"), extent };
    let svg = church_windows(&windows, &axes)?;
    let caption = format!(
        "Predicted class on the plane through the latents of an object, of its attacked image (to the right) and of another exposure (up), \
         in units of their distances from the object. The first {MAX_WINDOWS} rows of the table."
    );
    Ok(vec![SectionItem::figure(label.to_owned(), format!("Church windows: {label}"), &caption, &result, svg)?])
}
