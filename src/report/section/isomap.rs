//! Latents in two and in three dimensions.

use super::{Context, Item, distinct, quoted};
use crate::{
    error::Result,
    report::{
        answer::Answer,
        chart::{
            axis::Axis,
            marks::Mark,
            palette::{INK, class},
            panel::{Layer, Panel, Shape, draw},
            space::{Cloud, Place, Space},
        },
    },
};

/// Marks of scores, in their order.
const SCORES: [Mark; 4] = [Mark::Dot, Mark::Ring, Mark::Cross, Mark::Square];
/// Marks of the three points of a triplet.
const TRIPLET: [(&str, Mark); 3] = [("origin", Mark::Square), ("one_pixel", Mark::Triangle), ("noisy", Mark::Star)];

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    items.extend(flat(context, label)?);
    items.extend(turning(context, label)?);
    Ok(items)
}

fn flat(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let answer = ask(context, label, "", 4000)?;
    if answer.is_empty() {
        return Ok(None);
    }
    let drawing = Drawing::of(&answer)?;
    let point = |[x, y, _]: Place| (x, y);
    let shape = |cloud: &Cloud| Shape::Marks {
        mark: cloud.mark,
        radius: cloud.radius,
        outlined: cloud.outlined,
        at: cloud.at.iter().copied().map(point).collect(),
    };
    let layer = |cloud: &Cloud| Layer::new(cloud.name.clone(), cloud.colour, shape(cloud));
    let links = drawing.links.iter().map(|link| link.map(point)).collect();
    let mut layers: Vec<Layer> = drawing.points.iter().map(layer).collect();
    layers.push(Layer::new(None, INK, Shape::Links(links)));
    layers.extend(drawing.triplets.iter().map(layer));
    let panel = Panel {
        x: Axis::over("first axis of the isomap", answer.numbers("x")?.into_iter().flatten()),
        y: Axis::over("second axis of the isomap", answer.numbers("y")?.into_iter().flatten()),
        layers,
        height: 520,
    };
    let caption = "Latents of a sample of objects, drawn so that distances along their neighbours are kept. Colours are true classes, marks \
                   are scores; lines join an object, its attacked image and its noisy image. Of more than 4,000 points every so \
                   many-th is drawn, and all triplets.";
    Item::figure(label.to_owned(), format!("Isomap: {label}"), caption, &answer, draw(&[panel])?).map(Some)
}

fn turning(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let answer = ask(context, label, "and z is not null", 2000)?;
    if answer.is_empty() {
        return Ok(None);
    }
    let Drawing { points, links, triplets } = Drawing::of(&answer)?;
    let clouds = points.into_iter().chain(triplets).collect();
    let space = Space::new(clouds, links);
    let caption = "The same in three dimensions: distances along neighbours, in the units of the latents. On the page it is turned by the \
                   mouse, a finger, the arrow keys or the button; plus and minus change its size. Of more than 2,000 points every so \
                   many-th is drawn, and all triplets.";
    let title = format!("Isomap in three dimensions: {label}");
    Item::turning(format!("{label}-3d"), title, caption, &answer, space).map(Some)
}

/// The points of a drawing, and of its triplets.
fn ask(context: &Context<'_>, label: &str, condition: &str, most: u32) -> Result<Answer> {
    context.ask(&format!(
        "select object_id, score, role, coalesce(label_true, class, 'unknown') as class, x, y, z
        from (
            select *, row_number() over (partition by score, role) - 1 as place, 1 + count(*) over () / {most} as together
            from {}
            where x is not null and y is not null {condition}
        )
        where place % together = 0 or role not in ('sample', 'placed')",
        quoted(label)
    ))
}

/// What is drawn.
struct Drawing {
    points: Vec<Cloud>,
    /// Between the points of triplets.
    links: Vec<[Place; 2]>,
    triplets: Vec<Cloud>,
}

impl Drawing {
    fn of(answer: &Answer) -> Result<Self> {
        let (id, score, role) = (answer.texts("object_id")?, answer.texts("score")?, answer.texts("role")?);
        let (class_of, x, y, z) =
            (answer.texts("class")?, answer.numbers("x")?, answer.numbers("y")?, answer.numbers("z")?);
        let rows = || 0..answer.len();
        let at = |i: usize| Some([x[i]?, y[i]?, z[i].unwrap_or(0.0)]);
        let is = |values: &[Option<String>], i: usize, wanted: &str| values[i].as_deref() == Some(wanted);
        let classes = distinct(&class_of);
        let mut points = Vec::new();
        for (mark, of_score) in SCORES.into_iter().cycle().zip(distinct(&score)) {
            for (place, of_class) in classes.iter().enumerate() {
                let is_point = |i: usize| is(&role, i, "sample") || is(&role, i, "placed");
                let own = rows().filter(|&i| is(&score, i, &of_score) && is(&class_of, i, of_class) && is_point(i));
                let own: Vec<Place> = own.filter_map(at).collect();
                if !own.is_empty() {
                    let (name, colour) = (Some(format!("{of_class}, {of_score}")), class(of_class, place));
                    points.push(Cloud { name, colour, mark, radius: 3.0, outlined: false, at: own });
                }
            }
        }
        let mut triplets = Vec::new();
        for (wanted, mark) in TRIPLET {
            let mut named = Some(format!("triplets: {wanted}"));
            for (place, of_class) in classes.iter().enumerate() {
                let own = rows().filter(|&i| is(&role, i, wanted) && is(&class_of, i, of_class));
                let own: Vec<Place> = own.filter_map(at).collect();
                if !own.is_empty() {
                    let colour = class(of_class, place);
                    triplets.push(Cloud { name: named.take(), colour, mark, radius: 5.0, outlined: true, at: own });
                }
            }
        }
        let of_object =
            |object: &str, wanted: &str| rows().find(|&i| is(&id, i, object) && is(&role, i, wanted)).and_then(at);
        let origins = rows().filter(|&i| is(&role, i, "origin")).filter_map(|i| id[i].as_deref());
        let links = origins.flat_map(|object| {
            let ends = ["one_pixel", "noisy"].map(|end| Some([of_object(object, "origin")?, of_object(object, end)?]));
            ends.into_iter().flatten()
        });
        Ok(Self { points, links: links.collect(), triplets })
    }
}
