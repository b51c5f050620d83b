//! Isomap embeddings of latents, in two and three dimensions.

use super::{Context, SectionItem, distinct, quoted};
use crate::{
    error::Result,
    report::{
        chart::{
            axis::ChartAxis,
            marks::{Mark, MarkStyle},
            palette::{INK, class},
            panel::{ChartLayer, ChartShape, Panel, draw},
            scatter_3d::{Point3, PointSeries, Scatter3d},
        },
        query_result::QueryResult,
    },
};

/// The marks of the scores, in order.
const SCORE_MARKS: [Mark; 4] = [Mark::Dot, Mark::Ring, Mark::Cross, Mark::Square];
/// The roles and marks of the three points of a triplet.
const TRIPLET: [(&str, Mark); 3] = [("origin", Mark::Square), ("one_pixel", Mark::Triangle), ("noisy", Mark::Star)];

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let mut items = Vec::new();
    items.extend(in_2d(context, label)?);
    items.extend(in_3d(context, label)?);
    Ok(items)
}

fn in_2d(context: &Context<'_>, label: &str) -> Result<Option<SectionItem>> {
    let result = query(context, label, "", 4000)?;
    if result.is_empty() {
        return Ok(None);
    }
    let embedding = Embedding::of(&result)?;
    let xy = |[x, y, _]: Point3| (x, y);
    let layer = |series: &PointSeries| {
        let points = series.points.iter().copied().map(xy).collect();
        ChartLayer::new(series.name.clone(), series.colour, ChartShape::Marks(series.style, points))
    };
    let links = embedding.links.iter().map(|link| link.map(xy)).collect();
    let mut layers: Vec<ChartLayer> = embedding.samples.iter().map(layer).collect();
    layers.push(ChartLayer::new(None, INK, ChartShape::Links(links)));
    layers.extend(embedding.triplets.iter().map(layer));
    let panel = Panel {
        x: ChartAxis::over("Isomap axis 1", result.numbers("x")?.into_iter().flatten()),
        y: ChartAxis::over("Isomap axis 2", result.numbers("y")?.into_iter().flatten()),
        layers,
        height: 520,
    };
    let caption = "Latents of a sample of objects, embedded so that distances along the graph of nearest neighbours are preserved. Colours \
                   are true classes and marks are scores. Lines join an object, its attacked image and its noisy image. Above 4,000 points, \
                   every k-th point is drawn, and all triplets.";
    SectionItem::figure(label.to_owned(), format!("Isomap: {label}"), caption, &result, draw(&[panel])?).map(Some)
}

fn in_3d(context: &Context<'_>, label: &str) -> Result<Option<SectionItem>> {
    let result = query(context, label, "and z is not null", 2000)?;
    if result.is_empty() {
        return Ok(None);
    }
    let Embedding { samples, links, triplets } = Embedding::of(&result)?;
    let scatter = Scatter3d::new(samples.into_iter().chain(triplets).collect(), links);
    let caption = "The embedding in three dimensions, in the units of the latents. On the page, rotate it with the mouse, a finger, the arrow \
                   keys or the button; zoom with plus and minus. Above 2,000 points, every k-th point is drawn, and all triplets.";
    let (name, title) = (format!("{label}-3d"), format!("Isomap in three dimensions: {label}"));
    SectionItem::scatter_3d(name, title, caption, &result, scatter).map(Some)
}

/// At most about `most` sampled points that satisfy a condition, and all triplets.
fn query(context: &Context<'_>, label: &str, condition: &str, most: u32) -> Result<QueryResult> {
    context.query(&format!(
        "select object_id, score, role, coalesce(label_true, class, 'unknown') as class, x, y, z
        from (
            select *, row_number() over (partition by score, role) - 1 as row_index, 1 + count(*) over () / {most} as stride
            from {}
            where x is not null and y is not null {condition}
        )
        where row_index % stride = 0 or role not in ('sample', 'placed')",
        quoted(label)
    ))
}

/// The points of a chart.
struct Embedding {
    samples: Vec<PointSeries>,
    /// Between the points of triplets.
    links: Vec<[Point3; 2]>,
    triplets: Vec<PointSeries>,
}

impl Embedding {
    fn of(result: &QueryResult) -> Result<Self> {
        let (id, score, role) = (result.strings("object_id")?, result.strings("score")?, result.strings("role")?);
        let class_of = result.strings("class")?;
        let (x, y, z) = (result.numbers("x")?, result.numbers("y")?, result.numbers("z")?);
        let rows = || 0..result.len();
        let point = |i: usize| Some([x[i]?, y[i]?, z[i].unwrap_or(0.0)]);
        let is = |values: &[Option<String>], i: usize, wanted: &str| values[i].as_deref() == Some(wanted);
        let classes = distinct(&class_of);
        let mut samples = Vec::new();
        for (mark, of_score) in SCORE_MARKS.into_iter().cycle().zip(distinct(&score)) {
            for (index, of_class) in classes.iter().enumerate() {
                let is_sample = |i: usize| is(&role, i, "sample") || is(&role, i, "placed");
                let own = rows().filter(|&i| is(&score, i, &of_score) && is(&class_of, i, of_class) && is_sample(i));
                let points: Vec<Point3> = own.filter_map(point).collect();
                if !points.is_empty() {
                    let (name, colour) = (Some(format!("{of_class}, {of_score}")), class(of_class, index));
                    let style = MarkStyle { mark, radius: 3.0, outlined: false };
                    samples.push(PointSeries { name, colour, style, points });
                }
            }
        }
        let mut triplets = Vec::new();
        for (wanted, mark) in TRIPLET {
            // One legend entry for all classes.
            let mut name = Some(format!("triplets: {wanted}"));
            for (index, of_class) in classes.iter().enumerate() {
                let own = rows().filter(|&i| is(&role, i, wanted) && is(&class_of, i, of_class));
                let points: Vec<Point3> = own.filter_map(point).collect();
                if !points.is_empty() {
                    let (colour, style) = (class(of_class, index), MarkStyle { mark, radius: 5.0, outlined: true });
                    triplets.push(PointSeries { name: name.take(), colour, style, points });
                }
            }
        }
        let point_of =
            |object: &str, wanted: &str| rows().find(|&i| is(&id, i, object) && is(&role, i, wanted)).and_then(point);
        let origins = rows().filter(|&i| is(&role, i, "origin")).filter_map(|i| id[i].as_deref());
        let links = origins.flat_map(|object| {
            let ends = ["one_pixel", "noisy"].map(|end| Some([point_of(object, "origin")?, point_of(object, end)?]));
            ends.into_iter().flatten()
        });
        Ok(Self { samples, links: links.collect(), triplets })
    }
}
