//! How few pixels change a model's mind.

mod gallery;
mod kept;

use super::{Context, Item, literal, quoted};
use crate::error::Result;

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let table = quoted(label);
    let answer = context.ask(&format!(
        "with galaxies as (
            select object_id, label_true, bool_or(flipped) as flipped, min(case when flipped then iterations end) as iterations,
                sum(queries) as queries
            from {table}
            where success is not null
            group by object_id, label_true
        )
        select coalesce(label_true, 'unknown') as label_true, count(*) as attacked, count(*) filter (where flipped) as flipped,
            median(iterations) as median_iterations, sum(queries) as queries
        from galaxies
        group by label_true
        order by label_true
        limit 50"
    ))?;
    if answer.is_empty() {
        return Ok(Vec::new());
    }
    let flips = context.ask(&format!(
        "select object_id, label_pred, label_target, p_before, p_after, pixel_row, pixel_column, pixel_values, iterations, queries
        from {table}
        where flipped
        order by iterations, object_id
        limit 50"
    ))?;
    let mut items = vec![Item::table(
        label.to_owned(),
        format!("Attacked and flipped: {label}"),
        "Objects that were right before, by true class: how many of them some pixel turned into another class. Iterations are generations \
         after the first population, so 0 means that a random pixel was enough.",
        &answer,
    )?];
    if flips.is_empty() {
        return Ok(items);
    }
    let gallery = gallery::figure(context, label)?;
    let mut caption = "The easiest flips first, 50 at most: the pixel, its new values, and the probability of the new class before and after."
        .to_owned();
    if gallery.is_none() {
        let image = kept::attacked(context, label).unwrap_or("the image of its score");
        caption.push_str(&format!(
            " No image of them was kept that could be shown here: `images: [{image}]` in the settings of `{label}` keeps them."
        ));
    }
    items.extend(gallery);
    items.push(Item::table(format!("{label}-flips"), format!("Flips: {label}"), &caption, &flips)?);
    Ok(items)
}
