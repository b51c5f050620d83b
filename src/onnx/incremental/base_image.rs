//! The layers of the base image, computed once.

use super::{
    IncrementalModel, PackedLayer,
    aligned_buffer::AlignedBuffer,
    geometry::Rect,
    kernel::{self, Cells, LayerValues, SparseValue, SumFrame, VECTOR},
};

/// The layers of the image from which candidates differ.
#[derive(Debug)]
pub(in crate::onnx) struct BaseImage {
    pub(super) layers: Vec<LayerActivations>,
    /// The logits of the image itself.
    pub(in crate::onnx) logits: Vec<f32>,
}

/// A computed layer.
#[derive(Debug)]
pub(super) struct LayerActivations {
    /// Empty for a layer whose epilogue does nothing.
    sums: AlignedBuffer,
    pub(super) outputs: AlignedBuffer,
}

impl LayerActivations {
    pub(super) fn values(&self) -> LayerValues<'_> {
        LayerValues { sums: &self.sums, outputs: &self.outputs }
    }
}

impl IncrementalModel {
    /// Computes the layers of an image `[band, y, x]`.
    pub(in crate::onnx) fn base_image(&self, image: &[f32]) -> BaseImage {
        let shape = self.image();
        let mut outputs = AlignedBuffer::new(shape.length());
        for (band, plane) in image.chunks_exact(shape.cells()).enumerate() {
            for (cell, pixel) in outputs.chunks_exact_mut(shape.lanes()).zip(plane) {
                cell[band] = *pixel;
            }
        }
        let mut layers = vec![LayerActivations { sums: AlignedBuffer::new(0), outputs }];
        let mut list = vec![SparseValue::default(); self.longest_list()];
        for layer in &self.layers[1..] {
            let activations = self.activations(layer, &layers, &mut list);
            layers.push(activations);
        }
        let logits = layers.last().map_or(vec![], |layer| layer.outputs[..self.classes()].to_vec());
        BaseImage { layers, logits }
    }

    /// Computes a layer from the earlier ones.
    fn activations(
        &self,
        layer: &PackedLayer,
        earlier: &[LayerActivations],
        list: &mut [SparseValue],
    ) -> LayerActivations {
        let (before, lanes) = (layer.epilogue.before, layer.epilogue.before.lanes());
        let shape_of = |from: usize| self.layers[from].epilogue.after;
        let readers = layer.terms.iter().map(|term| term.map.readers(shape_of(term.from).rect()));
        let rect = readers.fold(before.rect(), Rect::bounding);
        let mut data = AlignedBuffer::new(rect.cells() * lanes + VECTOR);
        let mut frame = SumFrame { rect, lanes, data: &mut data };
        for term in &layer.terms {
            let shape = shape_of(term.from);
            let cells = Cells { rect: shape.rect(), shape, data: &earlier[term.from].outputs };
            term.map.add(cells, list, &mut frame);
        }
        let mut sums = AlignedBuffer::new(before.length());
        for (y, row) in sums[..before.length()].chunks_exact_mut(before.width * lanes).enumerate() {
            let terms = &data[rect.index(y as i32, 0) * lanes..][..row.len()];
            for ((sum, terms), bias) in row.iter_mut().zip(terms).zip(layer.bias.iter().cycle()) {
                *sum = terms + bias;
            }
        }
        if layer.is_linear {
            return LayerActivations { sums: AlignedBuffer::new(0), outputs: sums };
        }
        let mut outputs = AlignedBuffer::new(layer.epilogue.after.length());
        kernel::make(&layer.epilogue, &sums, &mut outputs);
        LayerActivations { sums, outputs }
    }
}
