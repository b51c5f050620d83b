//! The points of a drawing, and their coordinates.

use super::sampled_object::{ObjectSample, SampledObject};
use crate::stats::{isomap::Isomap as Embedding, points::Points};

/// The role of points that are not part of the embedding.
pub(super) const PLACED: &str = "placed";

/// A latent to draw.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrawnPoint<'a> {
    pub(super) object: &'a SampledObject,
    /// The label of the score.
    pub(super) score: &'a str,
    pub(super) role: &'static str,
    pub(super) class: Option<&'a str>,
    pub(super) latent: &'a [f32],
}

/// The coordinates of a point, or why it has none.
pub(super) type PointResult = Result<Vec<f64>, &'static str>;

/// The embedding of all points.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EmbeddingInfo {
    /// The number of connected parts of the neighbour graph; `None` if there is no embedding.
    pub(super) parts: Option<u64>,
    /// The number of points that it was computed from.
    pub(super) n: u64,
}

/// What the points of a drawing are taken from.
pub(super) struct PointSources<'a> {
    /// The labels of the scores.
    pub(super) scores: Vec<&'a str>,
    /// Numbers of a latent.
    pub(super) size: usize,
    /// A latent for every score. The first `n` objects are embedded, the others are placed.
    pub(super) objects: &'a ObjectSample,
    pub(super) n: usize,
    /// The latents of the object, of the attacked image, and under the second score.
    pub(super) triplets: &'a ObjectSample,
}

impl<'a> PointSources<'a> {
    /// All points: those of the embedding, then those to place.
    pub(super) fn points(&self) -> Vec<DrawnPoint<'a>> {
        let under = |role| self.scores.iter().map(|score| (*score, role)).collect::<Vec<_>>();
        let of_triplet: Vec<(&str, &'static str)> = [(0, "origin"), (0, "one_pixel"), (1, "noisy")]
            .into_iter()
            .filter_map(|(score, role)| Some((*self.scores.get(score)?, role)))
            .collect();
        let objects = self.objects.sorted();
        let (embedded, placed) = objects.split_at(self.n.min(objects.len()));
        let mut points = Vec::new();
        for &(_, object) in embedded {
            self.add(object, &under("sample"), &mut points);
        }
        for (_, object) in self.triplets.sorted() {
            self.add(object, &of_triplet, &mut points);
        }
        for &(_, object) in placed {
            self.add(object, &under(PLACED), &mut points);
        }
        points
    }

    /// Adds the latents of an object, each with its score and role.
    fn add(&self, object: &'a SampledObject, names: &[(&'a str, &'static str)], points: &mut Vec<DrawnPoint<'a>>) {
        let classes = object.classes.iter().map(Option::as_deref);
        for ((latent, class), (score, role)) in object.latents.chunks_exact(self.size.max(1)).zip(classes).zip(names) {
            points.push(DrawnPoint { object, score, role, class, latent });
        }
    }
}

/// Embeds points of latents of `size` numbers, and places the points of the role [`PLACED`] among them.
pub(super) fn draw(
    points: &[DrawnPoint<'_>],
    size: usize,
    neighbours: usize,
    components: usize,
) -> (Vec<PointResult>, EmbeddingInfo) {
    let is_finite = |point: &DrawnPoint<'_>| point.latent.iter().all(|x| x.is_finite());
    let gather = |is_placed: bool| {
        let wanted = points.iter().filter(|point| (point.role == PLACED) == is_placed && is_finite(point));
        Points::new(&wanted.flat_map(|point| point.latent).copied().collect::<Vec<f32>>(), size)
    };
    let embedded = gather(false);
    let n = embedded.len();
    let embedding = Embedding::fit(&embedded, neighbours, components);
    let placed = embedding.as_ref().map(|embedding| embedding.place(&gather(true))).unwrap_or_default();
    let coordinates = embedding.iter().flat_map(Embedding::coordinates).copied().collect::<Vec<f64>>();
    let mut coordinates = coordinates.chunks_exact(components).chain(placed.chunks_exact(components));
    let results = points.iter().map(|point| {
        if !is_finite(point) {
            return Err("not_finite");
        }
        coordinates.next().map(<[f64]>::to_vec).ok_or("too_few_points")
    });
    let results = results.collect();
    (results, EmbeddingInfo { parts: embedding.as_ref().map(|embedding| embedding.components() as u64), n: n as u64 })
}
