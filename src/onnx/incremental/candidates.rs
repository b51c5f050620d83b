//! The logits of candidates: what changes in every layer when pixels of the base image are replaced.
//!
//! The changes of a layer are disjoint rectangles; a single pixel causes one. Rectangles of earlier layers that change
//! overlapping outputs are computed together, in one frame that contains them.

use super::{
    BaseImage, IncrementalModel, PackedLayer, PackedTerm,
    aligned_buffer::AlignedBuffer,
    geometry::Rect,
    kernel::{self, Cells, SparseValue, SumFrame, VECTOR},
};

/// Variants of the base image in which some pixels are replaced in all bands.
#[derive(Debug, Clone, Copy)]
pub(in crate::onnx) struct Candidates<'a> {
    /// How many pixels each candidate replaces.
    pub(in crate::onnx) pixels: usize,
    /// `[candidate, pixel]`, each row * width + column. If a candidate names a place twice, the last value holds.
    pub(in crate::onnx) places: &'a [u32],
    /// The new pixels, `[candidate, pixel, band]`.
    pub(in crate::onnx) values: &'a [f32],
}

/// The pixels that one candidate replaces.
#[derive(Debug, Clone, Copy)]
struct ReplacedPixels<'a> {
    places: &'a [u32],
    /// `[pixel, band]`
    values: &'a [f32],
}

/// The memory that a thread needs to score candidates.
#[derive(Debug)]
pub(in crate::onnx) struct CandidateScratch {
    layers: Vec<LayerChanges>,
    frame: AlignedBuffer,
    list: Vec<SparseValue>,
    touches: Vec<RegionTouch>,
    rects: Vec<Rect>,
}

/// The changes of a layer.
#[derive(Debug)]
struct LayerChanges {
    regions: Vec<ChangedRegion>,
    data: AlignedBuffer,
}

/// A rectangle of cells that changed, and where its differences begin.
#[derive(Debug, Clone, Copy)]
struct ChangedRegion {
    rect: Rect,
    start: usize,
}

/// How a region of an earlier layer changes a layer.
#[derive(Debug, Clone, Copy)]
struct RegionTouch {
    term: usize,
    region: usize,
    /// The sums that may change; some may be outside the layer.
    sums: Rect,
    /// The outputs that may change.
    outputs: Rect,
}

impl IncrementalModel {
    /// Memory for one thread.
    pub(in crate::onnx) fn scratch(&self) -> CandidateScratch {
        let unchanged = |_: &PackedLayer| LayerChanges { regions: Vec::new(), data: AlignedBuffer::new(0) };
        CandidateScratch {
            layers: self.layers.iter().map(unchanged).collect(),
            frame: AlignedBuffer::new(0),
            list: vec![SparseValue::default(); self.longest_list()],
            touches: Vec::new(),
            rects: Vec::new(),
        }
    }

    /// Appends the logits `[n, class]` of candidates.
    ///
    /// # Panics
    /// When a place is outside the image.
    pub(in crate::onnx) fn append_logits(
        &self,
        base: &BaseImage,
        Candidates { pixels, places, values }: Candidates,
        scratch: &mut CandidateScratch,
        logits: &mut Vec<f32>,
    ) {
        let bands = self.image().channels;
        for (places, values) in places.chunks_exact(pixels).zip(values.chunks_exact(pixels * bands)) {
            self.replace_pixels(base, ReplacedPixels { places, values }, &mut scratch.layers[0]);
            for i in 1..self.layers.len() {
                self.propagate(base, scratch, i);
            }
            match scratch.layers.last().map(|last| (last.regions.as_slice(), &last.data)) {
                Some(([region], data)) => {
                    logits.extend(base.logits.iter().zip(&data[region.start..]).map(|(logit, change)| logit + change));
                }
                _ => logits.extend_from_slice(&base.logits),
            }
        }
    }

    /// The changes of the image.
    fn replace_pixels(&self, base: &BaseImage, replaced: ReplacedPixels, changes: &mut LayerChanges) {
        let ReplacedPixels { places, values } = replaced;
        let shape = self.image();
        let (bands, lanes) = (shape.channels, shape.lanes());
        let LayerChanges { regions, data } = changes;
        regions.clear();
        data.reserve(places.len() * lanes);
        for (i, (&place, values)) in places.iter().zip(values.chunks_exact(bands)).enumerate() {
            let (place, start) = (place as usize, regions.len() * lanes);
            assert!(place < shape.cells(), "place {place} is outside the image");
            if places[i + 1..].contains(&places[i]) {
                continue;
            }
            let pixel = &base.layers[0].outputs[place * lanes..][..bands];
            let cell = &mut data[start..][..lanes];
            cell.fill(0.0);
            for ((change, value), pixel) in cell.iter_mut().zip(values).zip(pixel) {
                *change = value - pixel;
            }
            if cell.iter().any(|&change| change != 0.0) {
                let rect = Rect::cell_at((place / shape.width) as i32, (place % shape.width) as i32);
                regions.push(ChangedRegion { rect, start });
            }
        }
    }

    /// The changes of layer `i` from those of the earlier layers.
    fn propagate(&self, base: &BaseImage, scratch: &mut CandidateScratch, i: usize) {
        let CandidateScratch { layers, frame, list, touches, rects } = scratch;
        let (earlier, rest) = layers.split_at_mut(i);
        let Some(LayerChanges { regions, data }) = rest.first_mut() else { return };
        let layer = &self.layers[i];
        regions.clear();
        touches.clear();
        rects.clear();
        for (term, PackedTerm { differences_from, map, .. }) in layer.terms.iter().enumerate() {
            for (region, ChangedRegion { rect, .. }) in earlier[*differences_from].regions.iter().enumerate() {
                let sums = map.readers(*rect);
                if let Some(outputs) = layer.changed_outputs(sums) {
                    touches.push(RegionTouch { term, region, sums, outputs });
                    rects.push(outputs);
                }
            }
        }
        unite(rects);
        let mut start = 0;
        for &rect in rects.iter() {
            regions.push(ChangedRegion { rect, start });
            start += rect.cells() * layer.epilogue.after.lanes();
        }
        data.reserve(start);
        for ChangedRegion { rect, start } in regions.iter() {
            let inside = touches.iter().filter(|touch| rect.contains(touch.outputs));
            let sources = layer.epilogue.pool.sources(*rect).intersect(layer.epilogue.before.rect());
            let bounds = inside.clone().fold(sources, |bounds, touch| bounds.bounding(touch.sums));
            let lanes = layer.epilogue.before.lanes();
            let length = bounds.cells() * lanes + VECTOR;
            frame.reserve(length);
            let mut frame = SumFrame { rect: bounds, lanes, data: &mut frame[..length] };
            frame.data.fill(0.0);
            for touch in inside {
                let PackedTerm { differences_from, map, .. } = &layer.terms[touch.term];
                let changes = &earlier[*differences_from];
                let ChangedRegion { rect, start } = changes.regions[touch.region];
                let shape = self.layers[*differences_from].epilogue.after;
                map.add(Cells { rect, shape, data: &changes.data[start..] }, list, &mut frame);
            }
            let out = &mut data[*start..][..rect.cells() * layer.epilogue.after.lanes()];
            if layer.is_linear {
                copy_rows(&frame, *rect, out);
            } else {
                kernel::change(&layer.epilogue, base.layers[i].values(), &frame, *rect, out);
            }
        }
    }
}

/// Makes rectangles disjoint: overlapping ones are replaced by their bounding rectangle.
fn unite(rects: &mut Vec<Rect>) {
    let mut i = 0;
    while i < rects.len() {
        let others = i + 1..rects.len();
        match others.into_iter().find(|&j| !rects[i].intersect(rects[j]).is_empty()) {
            Some(j) => {
                let other = rects.swap_remove(j);
                rects[i] = rects[i].bounding(other);
                // The larger rectangle may overlap any other.
                i = 0;
            }
            None => i += 1,
        }
    }
}

/// Copies a rectangle of a frame.
fn copy_rows(frame: &SumFrame, rect: Rect, out: &mut [f32]) {
    let run = rect.width() * frame.lanes;
    for (y, row) in (rect.top..rect.bottom).zip(out.chunks_exact_mut(run)) {
        row.copy_from_slice(&frame.data[frame.rect.index(y, rect.left) * frame.lanes..][..run]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_rectangles_are_united_and_others_are_kept() {
        let rect = |top, left, bottom, right| Rect { top, left, bottom, right };
        let mut rects = vec![rect(0, 0, 2, 2), rect(5, 5, 6, 6), rect(3, 3, 4, 4), rect(1, 1, 4, 2), rect(2, 1, 3, 6)];
        unite(&mut rects);
        assert_eq!(rects, [rect(0, 0, 4, 6), rect(5, 5, 6, 6)]);
        let mut apart = vec![rect(0, 0, 1, 1), rect(0, 1, 1, 2)];
        unite(&mut apart);
        assert_eq!(apart.len(), 2);
    }
}
