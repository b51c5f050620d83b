//! Exact scores of images that differ from one image in a few pixels.
//!
//! The layers of the one image are kept ([`Base`]). A changed pixel changes a patch of each of them, and only patches are
//! computed: through linear maps goes the difference, `d out = W d in`, and where a layer ends in an activation or a pool,
//! `d out = f(sums + d sums) - f(sums)` for the cells that were touched. Numbers that did not change cost nothing. In
//! float32, so equal to what ONNX Runtime says of the whole image up to rounding; whether it is, [`Incremental::trial`]
//! finds out with the runtime itself.
//!
//! A candidate is computed alone, in one order of sums: its bits do not depend on what is computed beside it.

mod base;
mod buffer;
mod kernel;
mod linear;
mod ops;
mod pack;
mod patch;
mod plan;
mod shape;
mod trial;

#[cfg(test)]
mod tests;

pub(super) use self::{base::Base, patch::Scratch, plan::affine_head};

use self::{
    kernel::{Activation, End},
    pack::Packed,
    plan::{Layer, Planner},
    shape::{Rect, Shape, Window},
};
use super::graph::Graph;
use crate::card::Card;

/// Patches have to cost less than one part in so many of the whole.
const WORTH: usize = 4;

/// A model, laid out for images that differ in few pixels. Threads share it.
#[derive(Debug)]
pub(super) struct Incremental {
    stages: Vec<Stage>,
    /// Multiply-adds of a whole image.
    whole: usize,
    /// Multiply-adds of one changed pixel, at the place where they are most.
    most: usize,
}

/// A layer: `act(max over windows(sum of maps + bias))`. The first is the image.
#[derive(Debug)]
struct Stage {
    parts: Vec<Part>,
    bias: Vec<f32>,
    end: End,
    /// Whether what changes is the sum itself.
    linear: bool,
}

#[derive(Debug)]
struct Part {
    from: usize,
    /// Where its changes come from: the layer `from`, or one before it that differs from it by constants only.
    through: usize,
    map: Packed,
}

impl Incremental {
    /// Reads a graph; an error says why it cannot be scored in this way.
    pub(super) fn of(graph: &Graph, card: &Card) -> Result<Self, String> {
        let image = Shape { channels: card.bands.len(), height: card.size, width: card.size };
        let (layers, logits) = Planner::logits(graph, (&card.input, image), &card.logits)?;
        if layers[logits].end.after != Shape::vector(card.classes.len()) {
            return Err(format!(
                "`{}` has the shape {:?}, not one number a class",
                card.logits, layers[logits].end.after
            ));
        }
        let work = |layer: &Layer| {
            let work = |(from, map): &(usize, _)| linear::Linear::work(map, layers[*from].end.after, layer.end.before);
            layer.terms.iter().map(work).sum::<usize>()
        };
        let whole = layers.iter().map(work).sum();
        let mut stages: Vec<Stage> = Vec::with_capacity(layers.len());
        let mut through: Vec<usize> = (0..layers.len()).collect();
        for (i, layer) in layers.iter().enumerate() {
            let Layer { terms, bias, end } = layer;
            let linear = end.activation == Activation::NONE && end.pool == Window::SAME;
            if let ([(from, map)], true) = (terms.as_slice(), linear && i < logits)
                && map.is_same()
            {
                through[i] = through[*from];
            }
            let part = |(from, map): &(usize, _)| {
                let map = Packed::of(map, layers[*from].end.after, end.before);
                Part { from: *from, through: through[*from], map }
            };
            let mut lanes: Vec<f32> = bias.iter().map(|&bias| bias as f32).collect();
            lanes.resize(end.before.lanes(), 0.0);
            stages.push(Stage { parts: terms.iter().map(part).collect(), bias: lanes, end: *end, linear });
        }
        let mut incremental = Self { stages, whole, most: 0 };
        incremental.most = incremental.work_of_a_pixel();
        Ok(incremental)
    }

    /// Whether a changed pixel costs much less than a whole image. A count, not a measurement: it is the same everywhere.
    pub(super) const fn is_worth_it(&self) -> bool {
        self.most * WORTH < self.whole
    }

    /// Multiply-adds: of one changed pixel at most, and of a whole image.
    pub(super) const fn work(&self) -> (usize, usize) {
        (self.most, self.whole)
    }

    /// The size of an image.
    fn image(&self) -> Shape {
        self.stages[0].end.after
    }

    fn classes(&self) -> usize {
        self.stages.last().map_or(0, |stage| stage.end.after.channels)
    }

    fn work_of_a_pixel(&self) -> usize {
        let image = self.image();
        let places = (0..image.height as i32).flat_map(|y| (0..image.width as i32).map(move |x| (y, x)));
        let mut changed: Vec<Option<Rect>> = vec![None; self.stages.len()];
        let work = |(y, x)| {
            changed[0] = Some(Rect { top: y, left: x, bottom: y + 1, right: x + 1 });
            let mut work = 0;
            for (i, stage) in self.stages.iter().enumerate().skip(1) {
                changed[i] = None;
                for part in &stage.parts {
                    let Some(rect) = changed[part.through] else { continue };
                    work += part.map.work(rect, self.stages[part.through].end.after);
                    let touched = stage.touched(part.map.reach(rect));
                    changed[i] =
                        changed[i].map_or(touched, |before| touched.map(|rect| rect.around(before)).or(Some(before)));
                }
            }
            work
        };
        places.map(work).max().unwrap_or(0)
    }
}

impl Stage {
    /// The outputs that change with a rectangle of the sums.
    fn touched(&self, sums: Rect) -> Option<Rect> {
        let inside = sums.intersect(self.end.before.rect());
        let touched = self.end.pool.reach(inside).intersect(self.end.after.rect());
        (!inside.is_empty() && !touched.is_empty()).then_some(touched)
    }
}
