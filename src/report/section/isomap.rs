//! Latents in two dimensions.

use super::{Context, Item, distinct, quoted};
use crate::{
    error::Result,
    report::chart::{
        axis::Axis,
        marks::Mark,
        palette::{INK, class},
        panel::{Layer, Panel, Shape, draw},
    },
};

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let answer = context.ask(&format!(
        "select object_id, score, role, coalesce(label_true, class, 'unknown') as class, x, y, z
        from (
            select *, row_number() over () - 1 as place, 1 + count(*) over () / 4000 as together
            from {}
            where x is not null and y is not null
        )
        where place % together = 0 or role not in ('sample', 'placed')",
        quoted(label)
    ))?;
    if answer.is_empty() {
        return Ok(Vec::new());
    }
    let (id, score, role) = (answer.texts("object_id")?, answer.texts("score")?, answer.texts("role")?);
    let (classes, x, y) = (answer.texts("class")?, answer.numbers("x")?, answer.numbers("y")?);
    let at = |i: usize| Some((x[i]?, y[i]?));
    let is = |values: &[Option<String>], i: usize, wanted: &str| values[i].as_deref() == Some(wanted);
    let mut layers = Vec::new();
    for (form, of_score) in [Mark::Dot, Mark::Ring, Mark::Cross, Mark::Square].into_iter().zip(distinct(&score)) {
        for (place, of_class) in distinct(&classes).into_iter().enumerate() {
            let own = (0..answer.len()).filter(|&i| {
                is(&score, i, &of_score)
                    && is(&classes, i, &of_class)
                    && (is(&role, i, "sample") || is(&role, i, "placed"))
            });
            let own: Vec<_> = own.filter_map(at).collect();
            if !own.is_empty() {
                let marks = Shape::Marks { mark: form, radius: 3.0, outlined: false, at: own };
                layers.push(Layer::new(format!("{of_class}, {of_score}"), class(&of_class, place), marks));
            }
        }
    }
    let roles = [("origin", Mark::Square), ("one_pixel", Mark::Triangle), ("noisy", Mark::Star)];
    let place = |object: &str, wanted: &str| {
        (0..answer.len()).find(|&i| is(&id, i, object) && is(&role, i, wanted)).and_then(at)
    };
    let origins: Vec<&str> =
        (0..answer.len()).filter(|&i| is(&role, i, "origin")).filter_map(|i| id[i].as_deref()).collect();
    let links = origins.iter().flat_map(|object| {
        ["one_pixel", "noisy"].map(|end| Some([place(object, "origin")?, place(object, end)?])).into_iter().flatten()
    });
    layers.push(Layer::new(None, INK, Shape::Links(links.collect())));
    for (wanted, mark) in roles {
        let mut named = Some(format!("triplets: {wanted}"));
        for (place, of_class) in distinct(&classes).into_iter().enumerate() {
            let own: Vec<_> = (0..answer.len())
                .filter(|&i| is(&role, i, wanted) && is(&classes, i, &of_class))
                .filter_map(at)
                .collect();
            if !own.is_empty() {
                let marks = Shape::Marks { mark, radius: 5.0, outlined: true, at: own };
                layers.push(Layer::new(named.take(), class(&of_class, place), marks));
            }
        }
    }
    let panel = Panel {
        x: Axis::over("first axis of the isomap", x.iter().copied().flatten()),
        y: Axis::over("second axis of the isomap", y.iter().copied().flatten()),
        layers,
        height: 520,
    };
    let caption = "Latents of a sample of objects, drawn so that distances along their neighbours are kept. Colours are true classes, marks \
                   are scores; lines join an object, its attacked image and its noisy image. Of more than 4,000 points every so \
                   many-th is drawn, and all triplets.";
    Ok(vec![Item::figure(label.to_owned(), format!("Isomap: {label}"), caption, &answer, draw(&[panel])?)?])
}
