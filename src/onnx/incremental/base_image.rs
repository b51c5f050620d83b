//! The layers of one image, computed once.

use super::{
    Incremental,
    buffer::Buffer,
    kernel::{self, Cells, Frame, WIDE},
    shape::Rect,
};

/// The layers of an image that others differ from in a few pixels.
#[derive(Debug)]
pub(in super::super) struct Base {
    pub(super) layers: Vec<Made>,
    /// The logits of the image itself.
    pub(in super::super) logits: Vec<f32>,
}

/// A layer as computed. Where nothing follows the sums, they are not kept.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) sums: Buffer,
    pub(super) made: Buffer,
}

impl Incremental {
    /// Computes the layers of an image `[band, y, x]`.
    pub(in super::super) fn base(&self, image: &[f32]) -> Base {
        let shape = self.image();
        let mut made = Buffer::new(shape.length());
        for (band, plane) in image.chunks_exact(shape.cells()).enumerate() {
            for (cell, pixel) in made.chunks_exact_mut(shape.lanes()).zip(plane) {
                cell[band] = *pixel;
            }
        }
        let mut layers = vec![Made { sums: Buffer::new(0), made }];
        let mut list = vec![(0, 0.0); self.longest_list()];
        for stage in &self.stages[1..] {
            let (before, lanes) = (stage.end.before, stage.end.before.lanes());
            let source = |from: usize| (self.stages[from].end.after, &layers[from].made);
            let reached = stage.parts.iter().map(|part| part.map.reach(source(part.from).0.rect()));
            let rect = reached.fold(before.rect(), Rect::around);
            let mut data = Buffer::new(rect.cells() * lanes + WIDE);
            let mut frame = Frame { rect, lanes, data: &mut data };
            for part in &stage.parts {
                let (shape, data) = source(part.from);
                part.map.add(Cells { rect: shape.rect(), shape, data }, &mut list, &mut frame);
            }
            let mut sums = Buffer::new(before.length());
            for (y, row) in sums[..before.length()].chunks_exact_mut(before.width * lanes).enumerate() {
                let own = &data[rect.cell(y as i32, 0) * lanes..][..row.len()];
                for ((sum, own), bias) in row.iter_mut().zip(own).zip(stage.bias.iter().cycle()) {
                    *sum = own + bias;
                }
            }
            layers.push(if stage.linear {
                Made { sums: Buffer::new(0), made: sums }
            } else {
                let mut made = Buffer::new(stage.end.after.length());
                kernel::make(&stage.end, &sums, &mut made);
                Made { sums, made }
            });
        }
        let logits = layers.last().map_or(vec![], |layer| layer.made[..self.classes()].to_vec());
        Base { layers, logits }
    }

    /// How many changes any map may have to write down.
    pub(super) fn longest_list(&self) -> usize {
        let parts = self.stages.iter().flat_map(|stage| &stage.parts);
        parts.map(|part| part.map.list(self.stages[part.from].end.after)).max().unwrap_or(0)
    }
}
