//! Where things are in a layer: shapes, rectangles of changed cells, and the windows of convolutions and pools.

/// The size of a layer. Its numbers lie `[row][column][lane]`; lanes are the channels, filled up with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Shape {
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

    /// Numbers of the layer as it lies in memory.
    pub(super) const fn length(self) -> usize {
        self.cells() * self.lanes()
    }

    /// All of it.
    pub(super) fn rect(self) -> Rect {
        Rect { top: 0, left: 0, bottom: self.height as i32, right: self.width as i32 }
    }
}

/// Rows `top..bottom` and columns `left..right`; those of a layer's frame may lie outside the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) top: i32,
    pub(super) left: i32,
    pub(super) bottom: i32,
    pub(super) right: i32,
}

impl Rect {
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

    /// The smallest rectangle around both.
    pub(super) fn around(self, other: Self) -> Self {
        Self {
            top: self.top.min(other.top),
            left: self.left.min(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.around(other) == self
    }

    /// The number of a cell, row after row.
    pub(super) const fn cell(self, y: i32, x: i32) -> usize {
        ((y - self.top) * (self.right - self.left) + x - self.left) as usize
    }
}

/// Along one axis: output o looks at the inputs o stride - before .. o stride - before + size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) before: usize,
}

impl Axis {
    pub(super) const SAME: Self = Self { size: 1, stride: 1, before: 0 };

    /// The outputs that look at any of the inputs `from..to`.
    const fn reach(self, from: i32, to: i32) -> (i32, i32) {
        let (size, stride, before) = (self.size as i32, self.stride as i32, self.before as i32);
        ((from + before - size + stride).div_euclid(stride), (to - 1 + before).div_euclid(stride) + 1)
    }

    /// The inputs that any of the outputs `from..to` looks at.
    const fn sources(self, from: i32, to: i32) -> (i32, i32) {
        let (size, stride, before) = (self.size as i32, self.stride as i32, self.before as i32);
        (from * stride - before, (to - 1) * stride - before + size)
    }
}

/// A window that moves over a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) y: Axis,
    pub(super) x: Axis,
}

impl Window {
    /// The window that sees one cell.
    pub(super) const SAME: Self = Self { y: Axis::SAME, x: Axis::SAME };

    /// The window that sees a whole layer.
    pub(super) const fn all(shape: Shape) -> Self {
        Self {
            y: Axis { size: shape.height, stride: shape.height, before: 0 },
            x: Axis { size: shape.width, stride: shape.width, before: 0 },
        }
    }

    /// The outputs that look at a rectangle of the input; some may lie outside the layer.
    pub(super) const fn reach(self, rect: Rect) -> Rect {
        let (top, bottom) = self.y.reach(rect.top, rect.bottom);
        let (left, right) = self.x.reach(rect.left, rect.right);
        Rect { top, left, bottom, right }
    }

    /// What a rectangle of the output looks at; some may lie outside the layer.
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
    fn a_window_reaches_exactly_the_outputs_whose_sources_hold_the_input() {
        for (size, stride, before) in
            [(1, 1, 0), (3, 1, 1), (5, 1, 2), (7, 2, 3), (3, 2, 1), (2, 2, 0), (1, 2, 0), (4, 3, 1)]
        {
            let axis = Axis { size, stride, before };
            for from in 0..9 {
                for to in from + 1..12 {
                    let looks = |o: i32| {
                        let (a, b) = axis.sources(o, o + 1);
                        (a..b).any(|i| (from..to).contains(&i))
                    };
                    let found: Vec<i32> = (-20..20).filter(|&o| looks(o)).collect();
                    let (a, b) = axis.reach(from, to);
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
