//! One-pixel attacks: success rates, a gallery of flips, and a table of them.

mod gallery;
mod kept_images;

use super::{Context, SectionItem, literal, quoted, truth_is_prediction};
use crate::error::Result;

/// Which objects were attacked.
fn attacked_objects(context: &Context<'_>, label: &str) -> &'static str {
    if truth_is_prediction(context, label) {
        "Objects by the class that the model gave them before the attack, which stands for their truth."
    } else {
        "Objects classified correctly before the attack, by true class."
    }
}

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let table = quoted(label);
    let success = context.query(&format!(
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
    if success.is_empty() {
        return Ok(Vec::new());
    }
    let flips = context.query(&format!(
        "select object_id, label_pred, label_target, p_before, p_after, pixel_row, pixel_column, pixel_values, iterations, queries
        from {table}
        where flipped
        order by iterations, object_id
        limit 50"
    ))?;
    let mut items = vec![SectionItem::table(
        label.to_owned(),
        format!("Attacked and flipped objects: {label}"),
        &format!(
            "{} An object is flipped if the attack found a pixel that changes its predicted class. Iterations are generations after the \
             initial population, so 0 means that a random candidate was enough.",
            attacked_objects(context, label)
        ),
        &success,
    )?];
    if flips.is_empty() {
        return Ok(items);
    }
    let gallery = gallery::item(context, label)?;
    let mut caption =
        "The easiest flips, at most 50: the changed pixel, its new values, and the probability of the target class before and after."
            .to_owned();
    if gallery.is_none() {
        let image = kept_images::attacked_image(context, label).unwrap_or("the image of its score");
        caption.push_str(&format!(
            " There is no gallery, because no suitable image of these objects was kept. Add `images: [{image}]` to the settings of `{label}` \
             to keep it."
        ));
    }
    items.extend(gallery);
    items.push(SectionItem::table(format!("{label}-flips"), format!("Flips: {label}"), &caption, &flips)?);
    Ok(items)
}
