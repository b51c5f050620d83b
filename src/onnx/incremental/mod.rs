//! Incremental scoring: logits of images that differ from one base image in a few pixels.
//!
//! The layers of the base image are kept ([`BaseImage`]). A changed pixel changes a patch of each layer, and only patches are
//! computed. Through a linear map W goes the difference, `d out = W d in`. Where a layer ends in a pool or an activation f,
//! `d out = f(sums + d sums) - f(sums)`, for the cells that changed. Zero differences are skipped.
//!
//! The arithmetic is float32, so logits equal those of ONNX Runtime up to rounding; [`IncrementalModel::compare`] tests this
//! against the runtime itself. A candidate is computed alone and with one order of sums, so its logits are bitwise independent
//! of the candidates beside it.
//!
//! Written by hand because ONNX Runtime only computes complete images: 272,334 candidates of one pixel per CPU second of a
//! ConvNet, against 2,456 complete images in onnxruntime (`benches/README.md`), a factor of 111.

mod agreement;
mod aligned_buffer;
mod base_image;
mod candidates;
mod geometry;
mod kernel;
mod layer_planner;
mod linear_map;
mod operators;
mod packed_map;

#[cfg(test)]
mod tests;

pub(super) use self::{
    agreement::Agreement,
    base_image::BaseImage,
    candidates::{CandidateScratch, Candidates},
    layer_planner::affine_head,
};
use self::{
    geometry::{LayerShape, MAX_NUMBERS, Rect, SlidingWindow},
    kernel::{Activation, Epilogue},
    layer_planner::{LayerPlanner, LinearTerm, PlannedLayer},
    packed_map::PackedMap,
};
use super::{
    graph::ModelGraph,
    signature::{ModelSignature, RowShape},
};

/// Incremental scoring pays if it needs less than one part in `WORTHWHILE_FACTOR` of the multiply-adds of an image.
const WORTHWHILE_FACTOR: usize = 4;

/// A model prepared for incremental scoring. Threads share it.
#[derive(Debug)]
pub(super) struct IncrementalModel {
    /// The first is the image.
    layers: Vec<PackedLayer>,
    pub(super) work: WorkCount,
}

/// Counts of multiply-adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkCount {
    /// Of one changed pixel, at the place where they are most.
    pub(super) pixel: usize,
    /// Of an entire image.
    pub(super) image: usize,
}

/// A layer: `activation(max over windows(sum of terms + bias))`.
#[derive(Debug)]
struct PackedLayer {
    terms: Vec<PackedTerm>,
    bias: Vec<f32>,
    epilogue: Epilogue,
    /// Whether the epilogue does nothing, so that differences of the output are differences of the sums.
    is_linear: bool,
}

/// A linear map of an earlier layer.
#[derive(Debug)]
struct PackedTerm {
    /// The layer that is mapped.
    from: usize,
    /// The layer whose differences are mapped: `from`, or an earlier one from which it differs by constants only.
    differences_from: usize,
    map: PackedMap,
}

impl WorkCount {
    /// Whether a changed pixel costs much less than an image. As a count, unlike a measurement, it is the same on every
    /// machine.
    pub(super) const fn pays(self) -> bool {
        self.pixel * WORTHWHILE_FACTOR < self.image
    }
}

impl IncrementalModel {
    /// Prepares a graph. The error is the reason why it is not supported.
    pub(super) fn of(graph: &ModelGraph, signature: &ModelSignature) -> Result<Self, String> {
        let ModelSignature { input, row, logits, .. } = signature;
        let RowShape::Image { bands, height, width } = *row else {
            return Err("unsupported: several inputs".into());
        };
        let logits = logits.as_ref().ok_or("the model has no logits")?;
        if signature.of_probabilities.is_some() {
            return Err("unsupported: probabilities without an activation before them".into());
        }
        let image = LayerShape { channels: bands, height, width };
        let planned = LayerPlanner::layers_to_logits(graph, input, image, &logits.name)?;
        let last = planned.len() - 1;
        let found = planned[last].epilogue.after;
        if found != LayerShape::vector(logits.length) {
            let LayerShape { channels, height, width } = found;
            return Err(format!(
                "`{}` has {channels}x{height}x{width} numbers, expected one per class ({})",
                logits.name, logits.length
            ));
        }
        check_memory(&planned)?;
        let work = |layer: &PlannedLayer| {
            let work = |LinearTerm { layer: from, map }: &LinearTerm| {
                map.work(planned[*from].epilogue.after, layer.epilogue.before)
            };
            layer.terms.iter().map(work).fold(0, usize::saturating_add)
        };
        let image = planned.iter().map(work).fold(0, usize::saturating_add);
        let mut layers: Vec<PackedLayer> = Vec::with_capacity(planned.len());
        let mut differences_from: Vec<usize> = (0..planned.len()).collect();
        for (i, PlannedLayer { terms, bias, epilogue }) in planned.iter().enumerate() {
            let is_linear = epilogue.activation == Activation::IDENTITY && epilogue.pool == SlidingWindow::IDENTITY;
            if let ([LinearTerm { layer: from, map }], true) = (terms.as_slice(), is_linear && i < last)
                && map.is_identity()
            {
                differences_from[i] = differences_from[*from];
            }
            let pack = |LinearTerm { layer: from, map }: &LinearTerm| {
                let map = PackedMap::of(map, planned[*from].epilogue.after, epilogue.before);
                PackedTerm { from: *from, differences_from: differences_from[*from], map }
            };
            let mut lanes: Vec<f32> = bias.iter().map(|&bias| bias as f32).collect();
            lanes.resize(epilogue.before.lanes(), 0.0);
            let terms = terms.iter().map(pack).collect();
            layers.push(PackedLayer { terms, bias: lanes, epilogue: *epilogue, is_linear });
        }
        let mut model = Self { layers, work: WorkCount { pixel: 0, image } };
        model.work.pixel = model.work_of_a_pixel();
        Ok(model)
    }

    /// The shape of an image.
    fn image(&self) -> LayerShape {
        self.layers[0].epilogue.after
    }

    fn classes(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.epilogue.after.channels)
    }

    fn work_of_a_pixel(&self) -> usize {
        let image = self.image();
        let places = (0..image.height as i32).flat_map(|y| (0..image.width as i32).map(move |x| (y, x)));
        let mut changed: Vec<Option<Rect>> = vec![None; self.layers.len()];
        let work = |(y, x)| {
            changed[0] = Some(Rect::cell_at(y, x));
            let mut work = 0;
            for (i, layer) in self.layers.iter().enumerate().skip(1) {
                changed[i] = None;
                for term in &layer.terms {
                    let Some(rect) = changed[term.differences_from] else { continue };
                    work += term.map.work(rect, self.layers[term.differences_from].epilogue.after);
                    let outputs = layer.changed_outputs(term.map.readers(rect));
                    changed[i] = match (changed[i], outputs) {
                        (Some(before), Some(rect)) => Some(rect.bounding(before)),
                        (before, rect) => rect.or(before),
                    };
                }
            }
            work
        };
        places.map(work).max().unwrap_or(0)
    }

    /// The length of the longest list of non-zero values that any map needs.
    fn longest_list(&self) -> usize {
        let terms = self.layers.iter().flat_map(|layer| &layer.terms);
        terms.map(|term| term.map.list_length(self.layers[term.from].epilogue.after)).max().unwrap_or(0)
    }
}

/// Refuses layers that would not fit in memory, with the sums around them that windows at the edge reach.
fn check_memory(layers: &[PlannedLayer]) -> Result<(), String> {
    let mut total = 0;
    for PlannedLayer { terms, epilogue, .. } in layers {
        let reached = terms.iter().map(|LinearTerm { layer, map }| map.readers(layers[*layer].epilogue.after.rect()));
        let rect = reached.fold(epilogue.before.rect(), Rect::bounding);
        total += rect.cells().saturating_mul(epilogue.before.lanes()).saturating_add(epilogue.after.length());
        if total > MAX_NUMBERS {
            let LayerShape { channels, height, width } = epilogue.before;
            return Err(format!("unsupported: {total} numbers of layers up to one of {channels}x{height}x{width}"));
        }
    }
    Ok(())
}

impl PackedLayer {
    /// The outputs that change with a rectangle of the sums, if any.
    fn changed_outputs(&self, sums: Rect) -> Option<Rect> {
        let inside = sums.intersect(self.epilogue.before.rect());
        let outputs = self.epilogue.pool.readers(inside).intersect(self.epilogue.after.rect());
        (!inside.is_empty() && !outputs.is_empty()).then_some(outputs)
    }
}
