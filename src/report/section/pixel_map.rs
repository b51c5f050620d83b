//! What every pixel could do to a class, and which images are certified.

use arrow::datatypes::Field;

use super::{Context, Item, quoted};
use crate::{
    batch::tensor_shape,
    error::Result,
    report::chart::{
        axis::clipped,
        maps::{Map, maps},
    },
};

/// Maps that are shown.
const SHOWN: usize = 12;

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let mut items: Vec<Item> = certified(context, label)?.into_iter().collect();
    items.extend(drawn(context, label)?);
    Ok(items)
}

fn certified(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let answer = context.ask(&format!(
        "select coalesce(label_true, 'unknown') as label_true, count(*) as tried, count(*) filter (where not flips) as certified,
            count(*) filter (where not flips) / cast(count(*) as double) as certified_fraction, median(largest_drop) as median_largest_drop,
            max(largest_drop) as largest_drop, median(flipping_pixels) as median_flipping_pixels, sum(candidates) as candidates,
            sum(rescored) as rescored
        from {}
        where flips is not null
        group by label_true
        order by label_true
        limit 50",
        quoted(label)
    ))?;
    if answer.is_empty() {
        return Ok(None);
    }
    let caption = "Objects of which every pixel was tried with every value of the set, by true class. Certified are those whose class no such \
                   pixel changes. A drop is that of the probability of the class before.";
    Item::table(label.to_owned(), format!("Certified: {label}"), caption, &answer).map(Some)
}

fn drawn(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let answer = context.ask(&format!(
        "select object_id, label_true, label_pred, p_before, largest_drop, pixel_row, pixel_column, flipping_pixels, candidates, \"drop\"
        from {}
        where flips is not null
        order by flipping_pixels desc, largest_drop desc, object_id
        limit {SHOWN}",
        quoted(label)
    ))?;
    let field = answer.field("drop")?;
    let (id, class) = (answer.texts("object_id")?, answer.texts("label_pred")?);
    let flipping = answer.numbers("flipping_pixels")?;
    let mut shown = Vec::new();
    for (i, drops) in answer.lists("drop")?.into_iter().enumerate() {
        let Some(drops) = drops else { continue };
        let flips = flipping[i].unwrap_or(0.0) as usize;
        let named = clipped(class[i].as_deref().unwrap_or_default(), 12);
        let what = match flips {
            0 => "certified".to_owned(),
            1 => "1 pixel flips it".to_owned(),
            n => format!("{n} pixels flip it"),
        };
        shown.push(Map {
            title: id[i].clone().unwrap_or_default(),
            subtitle: format!("{named}, {what}"),
            width: columns(&field, drops.len()),
            marked: most(&drops, flips),
            values: drops,
        });
    }
    if shown.is_empty() {
        return Ok(None);
    }
    let caption = format!(
        "By how much each pixel can lower the probability of the object's class, one pixel at a time and at worst over all values that were tried. \
         Shades follow the square root. As many pixels are marked as flip the class, those of the largest drops. Objects with the most such \
         pixels first, {SHOWN} at most."
    );
    let title = format!("What each pixel can do: {label}");
    Item::figure(format!("{label}-maps"), title, &caption, &answer, maps(&shown)?).map(Some)
}

/// Pixels of a row of the map, as the field's shape says; of a square where it does not.
fn columns(field: &Field, pixels: usize) -> usize {
    let shape = tensor_shape(field).unwrap_or_default();
    shape.get(1).copied().unwrap_or_else(|| (pixels as f64).sqrt().round() as usize)
}

/// The places of the greatest numbers, so many.
fn most(numbers: &[f64], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..numbers.len()).collect();
    places.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]));
    places.truncate(count);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixels_of_the_largest_drops_are_marked() {
        assert_eq!(most(&[0.1, 0.9, -0.2, 0.5], 2), [1, 3]);
        assert!(most(&[0.1], 0).is_empty());
    }
}
