//! Positions in a layer: shapes, rectangles of cells, and the sliding windows of convolutions and pools.

/// The shape of a layer. Its numbers are in the order `[row][column][lane]`; lanes are the channels, padded with zeros to a
/// multiple of 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerShape {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// The most numbers of a layer, and of all layers of a model: 512 MiB.
pub(super) const MAX_NUMBERS: usize = 1 << 27;

impl LayerShape {
    /// The shape, if a layer of it has numbers, and not more than fit in memory.
    pub(super) fn checked(self) -> Result<Self, String> {
        let Self { channels, height, width } = self;
        let numbers =
            channels.checked_next_multiple_of(8).and_then(|lanes| lanes.checked_mul(height)?.checked_mul(width));
        match numbers {
            Some(1..=MAX_NUMBERS) => Ok(self),
            _ => Err(format!("unsupported: a layer of {channels}x{height}x{width} numbers")),
        }
    }

    /// A layer of one cell.
    pub(super) const fn vector(channels: usize) -> Self {
        Self { channels, height: 1, width: 1 }
    }

    /// Numbers of a cell.
    pub(super) const fn lanes(self) -> usize {
        self.channels.next_multiple_of(8)
    }

    pub(super) const fn cells(self) -> usize {
        self.height * self.width
    }

    /// Numbers of the layer in memory, padding included.
    pub(super) const fn length(self) -> usize {
        self.cells() * self.lanes()
    }

    /// The rectangle of all cells.
    pub(super) fn rect(self) -> Rect {
        Rect { top: 0, left: 0, bottom: self.height as i32, right: self.width as i32 }
    }
}

/// Rows `top..bottom` and columns `left..right`. Parts of it may be outside the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) top: i32,
    pub(super) left: i32,
    pub(super) bottom: i32,
    pub(super) right: i32,
}

impl Rect {
    /// The rectangle of one cell.
    pub(super) const fn cell_at(y: i32, x: i32) -> Self {
        Self { top: y, left: x, bottom: y + 1, right: x + 1 }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.top >= self.bottom || self.left >= self.right
    }

    pub(super) const fn height(self) -> usize {
        (self.bottom - self.top) as usize
    }

    pub(super) const fn width(self) -> usize {
        (self.right - self.left) as usize
    }

    pub(super) const fn cells(self) -> usize {
        self.height() * self.width()
    }

    pub(super) fn intersect(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            left: self.left.max(other.left),
            bottom: self.bottom.min(other.bottom),
            right: self.right.min(other.right),
        }
    }

    /// The smallest rectangle that contains both.
    pub(super) fn bounding(self, other: Self) -> Self {
        Self {
            top: self.top.min(other.top),
            left: self.left.min(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.bounding(other) == self
    }

    /// The index of a cell in row-major order.
    pub(super) const fn index(self, y: i32, x: i32) -> usize {
        ((y - self.top) * (self.right - self.left) + x - self.left) as usize
    }
}

/// A window along one axis: output o reads the inputs o stride - before .. o stride - before + size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowAxis {
    pub(super) size: usize,
    pub(super) stride: usize,
    /// Padding before the first input.
    pub(super) before: usize,
}

impl WindowAxis {
    pub(super) const IDENTITY: Self = Self { size: 1, stride: 1, before: 0 };

    /// The outputs that read any of the inputs `from..to`.
    const fn readers(self, from: i32, to: i32) -> (i32, i32) {
        let (size, stride, before) = (self.size as i32, self.stride as i32, self.before as i32);
        ((from + before - size + stride).div_euclid(stride), (to - 1 + before).div_euclid(stride) + 1)
    }

    /// The inputs that any of the outputs `from..to` reads.
    const fn sources(self, from: i32, to: i32) -> (i32, i32) {
        let (size, stride, before) = (self.size as i32, self.stride as i32, self.before as i32);
        (from * stride - before, (to - 1) * stride - before + size)
    }
}

/// A window that slides over a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlidingWindow {
    pub(super) y: WindowAxis,
    pub(super) x: WindowAxis,
}

impl SlidingWindow {
    /// Every output reads the one input at its own position.
    pub(super) const IDENTITY: Self = Self { y: WindowAxis::IDENTITY, x: WindowAxis::IDENTITY };

    /// The one output reads the entire layer.
    pub(super) const fn all(shape: LayerShape) -> Self {
        Self {
            y: WindowAxis { size: shape.height, stride: shape.height, before: 0 },
            x: WindowAxis { size: shape.width, stride: shape.width, before: 0 },
        }
    }

    /// The outputs that read a rectangle of the input; some may be outside the layer.
    pub(super) const fn readers(self, rect: Rect) -> Rect {
        let (top, bottom) = self.y.readers(rect.top, rect.bottom);
        let (left, right) = self.x.readers(rect.left, rect.right);
        Rect { top, left, bottom, right }
    }

    /// The inputs that a rectangle of the output reads; some may be outside the layer.
    pub(super) const fn sources(self, rect: Rect) -> Rect {
        let (top, bottom) = self.y.sources(rect.top, rect.bottom);
        let (left, right) = self.x.sources(rect.left, rect.right);
        Rect { top, left, bottom, right }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_exactly_the_outputs_whose_sources_contain_the_input() {
        for (size, stride, before) in
            [(1, 1, 0), (3, 1, 1), (5, 1, 2), (7, 2, 3), (3, 2, 1), (2, 2, 0), (1, 2, 0), (4, 3, 1)]
        {
            let axis = WindowAxis { size, stride, before };
            for from in 0..9 {
                for to in from + 1..12 {
                    let reads = |o: i32| {
                        let (a, b) = axis.sources(o, o + 1);
                        (a..b).any(|i| (from..to).contains(&i))
                    };
                    let found: Vec<i32> = (-20..20).filter(|&o| reads(o)).collect();
                    let (a, b) = axis.readers(from, to);
                    if let (Some(&first), Some(&last)) = (found.first(), found.last()) {
                        assert_eq!((a, b), (first, last + 1), "{axis:?} {from}..{to}");
                    } else {
                        assert!(a >= b, "{axis:?} {from}..{to}");
                    }
                }
            }
        }
    }
}
