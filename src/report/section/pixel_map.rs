//! Pixel maps: the largest effect of each pixel on the predicted class, and certified objects.

use arrow::datatypes::Field;

use super::{Context, SectionItem, quoted, truth_is_prediction};
use crate::{
    batch::tensor_shape,
    error::Result,
    report::chart::{
        pixel_maps::{PixelMapPanel, pixel_maps},
        text::ellipsize,
    },
};

/// The most maps.
const MAX_MAPS: usize = 12;

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let mut items: Vec<SectionItem> = certified(context, label)?.into_iter().collect();
    items.extend(maps(context, label)?);
    Ok(items)
}

fn certified(context: &Context<'_>, label: &str) -> Result<Option<SectionItem>> {
    let result = context.query(&format!(
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
    if result.is_empty() {
        return Ok(None);
    }
    let class = if truth_is_prediction(context, label) { "the class that the model gives them" } else { "true class" };
    let caption = format!(
        "Objects for which every pixel was tried with every candidate value, by {class}. An object is certified if no single pixel and \
         candidate value changes its predicted class. A drop is a decrease of the probability of the original class."
    );
    SectionItem::table(label.to_owned(), format!("Certified objects: {label}"), &caption, &result).map(Some)
}

fn maps(context: &Context<'_>, label: &str) -> Result<Option<SectionItem>> {
    let result = context.query(&format!(
        "select object_id, label_true, label_pred, p_before, largest_drop, pixel_row, pixel_column, flipping_pixels, candidates, \"drop\"
        from {}
        where flips is not null
        order by flipping_pixels desc, largest_drop desc, object_id
        limit {MAX_MAPS}",
        quoted(label)
    ))?;
    let field = result.field("drop")?;
    let (id, class) = (result.strings("object_id")?, result.strings("label_pred")?);
    let flipping = result.numbers("flipping_pixels")?;
    let mut maps = Vec::new();
    for (i, drops) in result.lists("drop")?.into_iter().enumerate() {
        let Some(drops) = drops else { continue };
        let flipping = flipping[i].unwrap_or(0.0) as usize;
        let class = ellipsize(class[i].as_deref().unwrap_or_default(), 12);
        let outcome = match flipping {
            0 => "certified".to_owned(),
            1 => "1 flipping pixel".to_owned(),
            n => format!("{n} flipping pixels"),
        };
        maps.push(PixelMapPanel {
            title: id[i].clone().unwrap_or_default(),
            subtitle: format!("{class}, {outcome}"),
            width: width(&field, drops.len()),
            highlighted: indices_of_largest(&drops, flipping),
            values: drops,
        });
    }
    if maps.is_empty() {
        return Ok(None);
    }
    let caption = format!(
        "The largest decrease of the probability of the object's class that a change of each pixel alone causes, over all candidate values. \
         Shades follow the square root of the drop. If k pixels flip the class, the k pixels with the largest drops are highlighted. The \
         {MAX_MAPS} objects with the most flipping pixels are shown."
    );
    let (name, title) = (format!("{label}-maps"), format!("Sensitivity to single pixels: {label}"));
    SectionItem::figure(name, title, &caption, &result, pixel_maps(&maps)?).map(Some)
}

/// The width of a map, by the tensor shape of its field; maps without a shape are square.
fn width(field: &Field, pixels: usize) -> usize {
    let shape = tensor_shape(field).unwrap_or_default();
    shape.get(1).copied().unwrap_or_else(|| (pixels as f64).sqrt().round() as usize)
}

/// The indices of the `k` largest numbers.
fn indices_of_largest(numbers: &[f64], k: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..numbers.len()).collect();
    indices.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]));
    indices.truncate(k);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlights_the_pixels_with_the_largest_drops() {
        assert_eq!(indices_of_largest(&[0.1, 0.9, -0.2, 0.5], 2), [1, 3]);
        assert!(indices_of_largest(&[0.1], 0).is_empty());
    }
}
