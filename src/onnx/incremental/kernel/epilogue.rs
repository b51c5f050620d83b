//! The epilogue of a layer: what follows its sums.

use multiversion::multiversion;

use super::{
    super::geometry::{LayerShape, Rect, SlidingWindow},
    SumFrame, VECTOR,
};

/// An activation: negative numbers times a slope, then clipped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Activation {
    /// The factor of negative numbers, 0..=1.
    pub(in super::super) slope: f32,
    pub(in super::super) low: f32,
    pub(in super::super) high: f32,
}

impl Activation {
    pub(in super::super) const IDENTITY: Self = Self { slope: 1.0, low: f32::NEG_INFINITY, high: f32::INFINITY };
}

/// The epilogue of a layer: the maximum of each window, then the activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Epilogue {
    /// The shape of the sums.
    pub(in super::super) before: LayerShape,
    /// The shape of the outputs.
    pub(in super::super) after: LayerShape,
    pub(in super::super) pool: SlidingWindow,
    pub(in super::super) activation: Activation,
}

impl Epilogue {
    /// An epilogue that does nothing.
    pub(in super::super) const fn identity(shape: LayerShape) -> Self {
        let (pool, activation) = (SlidingWindow::IDENTITY, Activation::IDENTITY);
        Self { before: shape, after: shape, pool, activation }
    }
}

/// The numbers of a layer of the base image.
#[derive(Clone, Copy)]
pub(in super::super) struct LayerValues<'a> {
    pub(in super::super) sums: &'a [f32],
    pub(in super::super) outputs: &'a [f32],
}

/// The change of the outputs in `rect` when the sums of the base image change by a frame.
#[multiversion(targets = "simd")]
pub(in super::super) fn change(epilogue: &Epilogue, base: LayerValues, frame: &SumFrame, rect: Rect, out: &mut [f32]) {
    if epilogue.before.lanes().is_multiple_of(VECTOR) {
        apply::<VECTOR, true>(epilogue, base, frame, rect, out);
    } else {
        apply::<8, true>(epilogue, base, frame, rect, out);
    }
}

/// The outputs of a layer from its sums.
#[multiversion(targets = "simd")]
pub(in super::super) fn make(epilogue: &Epilogue, sums: &[f32], out: &mut [f32]) {
    let unchanged = SumFrame { rect: epilogue.before.rect(), lanes: 0, data: &mut [] };
    let base = LayerValues { sums, outputs: &[] };
    apply::<8, false>(epilogue, base, &unchanged, epilogue.after.rect(), out);
}

#[inline(always)]
fn apply<const N: usize, const CHANGED: bool>(
    epilogue: &Epilogue,
    base: LayerValues,
    frame: &SumFrame,
    rect: Rect,
    out: &mut [f32],
) {
    let lanes = epilogue.before.lanes();
    let (before, after) = (epilogue.before.rect(), epilogue.after.rect());
    let Activation { slope, low, high } = epilogue.activation;
    let mut out = out.as_chunks_mut::<N>().0.iter_mut();
    for oy in rect.top..rect.bottom {
        for ox in rect.left..rect.right {
            let window = epilogue.pool.sources(Rect::cell_at(oy, ox)).intersect(before);
            for first in (0..lanes).step_by(N) {
                let mut largest = [f32::NEG_INFINITY; N];
                for y in window.top..window.bottom {
                    for x in window.left..window.right {
                        let sums = &base.sums[before.index(y, x) * lanes + first..][..N];
                        let changes =
                            if CHANGED { &frame.data[frame.rect.index(y, x) * lanes + first..][..N] } else { sums };
                        for l in 0..N {
                            let value = if CHANGED { sums[l] + changes[l] } else { sums[l] };
                            largest[l] = if value > largest[l] { value } else { largest[l] };
                        }
                    }
                }
                let Some(out) = out.next() else { return };
                let outputs =
                    if CHANGED { &base.outputs[after.index(oy, ox) * lanes + first..][..N] } else { &largest[..] };
                for l in 0..N {
                    let leaked = if largest[l] > slope * largest[l] { largest[l] } else { slope * largest[l] };
                    let floored = if leaked > low { leaked } else { low };
                    let value = if floored < high { floored } else { high };
                    out[l] = if CHANGED { value - outputs[l] } else { value };
                }
            }
        }
    }
}
