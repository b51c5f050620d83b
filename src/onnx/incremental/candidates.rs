//! What changes in every layer when pixels of the image are replaced.
//!
//! The changes of a layer are disjoint rectangles, one for a lone pixel. What several rectangles of the layers before
//! touch together is computed together, in one frame around it.

use super::{
    Base, Incremental, Stage,
    buffer::Buffer,
    kernel::{self, Cells, Frame, WIDE},
    shape::Rect,
};

/// What a thread needs to score candidates.
#[derive(Debug)]
pub(in super::super) struct Scratch {
    layers: Vec<Changed>,
    frame: Buffer,
    list: Vec<(u32, f32)>,
    touches: Vec<Touch>,
    rects: Vec<Rect>,
}

/// The changes of a layer.
#[derive(Debug)]
struct Changed {
    regions: Vec<Region>,
    data: Buffer,
}

/// A rectangle of cells that changed, and where their differences begin.
#[derive(Debug, Clone, Copy)]
struct Region {
    rect: Rect,
    at: usize,
}

/// How a region of a layer before touches this one.
#[derive(Debug, Clone, Copy)]
struct Touch {
    part: usize,
    region: usize,
    /// The sums that it may change, perhaps some outside the layer.
    sums: Rect,
    /// The outputs.
    rect: Rect,
}

impl Incremental {
    /// Room for one thread.
    pub(in super::super) fn scratch(&self) -> Scratch {
        let changed = |_: &Stage| Changed { regions: Vec::new(), data: Buffer::new(0) };
        Scratch {
            layers: self.stages.iter().map(changed).collect(),
            frame: Buffer::new(0),
            list: vec![(0, 0.0); self.longest_list()],
            touches: Vec::new(),
            rects: Vec::new(),
        }
    }

    /// Appends the logits `[n, class]` of candidates, each the base with `k` pixels replaced: `places` `[n, k]` are row *
    /// width + column, `values` `[n, k, band]`. Of equal places in a candidate the last counts.
    ///
    /// # Panics
    /// When a place is outside the image.
    pub(in super::super) fn logits(
        &self,
        base: &Base,
        scratch: &mut Scratch,
        places: &[u32],
        values: &[f32],
        k: usize,
        out: &mut Vec<f32>,
    ) {
        let bands = self.image().channels;
        for (places, values) in places.chunks_exact(k).zip(values.chunks_exact(k * bands)) {
            self.replace(base, scratch, places, values);
            for i in 1..self.stages.len() {
                self.pass(base, scratch, i);
            }
            match scratch.layers.last().map(|last| (last.regions.as_slice(), &last.data)) {
                Some(([region], data)) => {
                    out.extend(base.logits.iter().zip(&data[region.at..]).map(|(logit, change)| logit + change));
                }
                _ => out.extend_from_slice(&base.logits),
            }
        }
    }

    /// The changes of the image.
    fn replace(&self, base: &Base, scratch: &mut Scratch, places: &[u32], values: &[f32]) {
        let shape = self.image();
        let (bands, lanes) = (shape.channels, shape.lanes());
        let Changed { regions, data } = &mut scratch.layers[0];
        regions.clear();
        data.reserve(places.len() * lanes);
        for (i, (&place, values)) in places.iter().zip(values.chunks_exact(bands)).enumerate() {
            let (place, at) = (place as usize, regions.len() * lanes);
            assert!(place < shape.cells(), "place {place} is outside the image");
            if places[i + 1..].contains(&places[i]) {
                continue;
            }
            let pixel = &base.layers[0].made[place * lanes..][..bands];
            let cell = &mut data[at..][..lanes];
            cell.fill(0.0);
            for ((change, value), pixel) in cell.iter_mut().zip(values).zip(pixel) {
                *change = value - pixel;
            }
            if cell.iter().any(|&change| change != 0.0) {
                let (top, left) = ((place / shape.width) as i32, (place % shape.width) as i32);
                regions.push(Region { rect: Rect { top, left, bottom: top + 1, right: left + 1 }, at });
            }
        }
    }

    /// The changes of a layer from those of the layers before.
    fn pass(&self, base: &Base, scratch: &mut Scratch, i: usize) {
        let Scratch { layers, frame, list, touches, rects } = scratch;
        let (before, rest) = layers.split_at_mut(i);
        let Some(Changed { regions, data }) = rest.first_mut() else { return };
        let stage = &self.stages[i];
        regions.clear();
        touches.clear();
        rects.clear();
        for (number, part) in stage.parts.iter().enumerate() {
            for (region, Region { rect, .. }) in before[part.through].regions.iter().enumerate() {
                let sums = part.map.reach(*rect);
                if let Some(rect) = stage.touched(sums) {
                    touches.push(Touch { part: number, region, sums, rect });
                    rects.push(rect);
                }
            }
        }
        unite(rects);
        let mut at = 0;
        for &rect in rects.iter() {
            regions.push(Region { rect, at });
            at += rect.cells() * stage.end.after.lanes();
        }
        data.reserve(at);
        for Region { rect, at } in regions.iter() {
            let own = touches.iter().filter(|touch| rect.contains(touch.rect));
            let seen = stage.end.pool.sources(*rect).intersect(stage.end.before.rect());
            let around = own.clone().fold(seen, |around, touch| around.around(touch.sums));
            let lanes = stage.end.before.lanes();
            let room = around.cells() * lanes + WIDE;
            frame.reserve(room);
            let mut frame = Frame { rect: around, lanes, data: &mut frame[..room] };
            frame.data.fill(0.0);
            for touch in own {
                let part = &stage.parts[touch.part];
                let Region { rect, at } = before[part.through].regions[touch.region];
                let shape = self.stages[part.through].end.after;
                let cells = Cells { rect, shape, data: &before[part.through].data[at..] };
                part.map.add(cells, list, &mut frame);
            }
            let out = &mut data[*at..][..rect.cells() * stage.end.after.lanes()];
            if stage.linear {
                copy(&frame, *rect, out);
            } else {
                let made = &base.layers[i];
                kernel::change(&stage.end, &made.sums, &made.made, &frame, *rect, out);
            }
        }
    }
}

/// Makes rectangles disjoint: those that overlap become one around them.
fn unite(rects: &mut Vec<Rect>) {
    let mut i = 0;
    while i < rects.len() {
        let others = i + 1..rects.len();
        match others.into_iter().find(|&j| !rects[i].intersect(rects[j]).is_empty()) {
            Some(j) => {
                let other = rects.swap_remove(j);
                rects[i] = rects[i].around(other);
                // The larger one may overlap with any.
                i = 0;
            }
            None => i += 1,
        }
    }
}

fn copy(frame: &Frame, rect: Rect, out: &mut [f32]) {
    let run = rect.width() * frame.lanes;
    for (y, row) in (rect.top..rect.bottom).zip(out.chunks_exact_mut(run)) {
        row.copy_from_slice(&frame.data[frame.rect.cell(y, rect.left) * frame.lanes..][..run]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_that_overlap_become_one_and_the_others_stay() {
        let rect = |top, left, bottom, right| Rect { top, left, bottom, right };
        let mut rects = vec![rect(0, 0, 2, 2), rect(5, 5, 6, 6), rect(3, 3, 4, 4), rect(1, 1, 4, 2), rect(2, 1, 3, 6)];
        unite(&mut rects);
        assert_eq!(rects, [rect(0, 0, 4, 6), rect(5, 5, 6, 6)]);
        let mut apart = vec![rect(0, 0, 1, 1), rect(0, 1, 1, 2)];
        unite(&mut apart);
        assert_eq!(apart.len(), 2);
    }
}
