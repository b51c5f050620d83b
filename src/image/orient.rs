//! Flips and quarter turns: the eight symmetries of a square. They move pixels and never change their values.

/// A symmetry of the square: a plane is mirrored first, then turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Orientation {
    /// Columns reversed: `[y, x]` comes from `[y, width - 1 - x]` (numpy's `fliplr`).
    pub mirror_x: bool,
    /// Rows reversed: `[y, x]` comes from `[height - 1 - y, x]` (numpy's `flipud`).
    pub mirror_y: bool,
    /// Quarter turns as of numpy's `rot90`: with one turn, `[y, x]` comes from `[x, width - 1 - y]`.
    pub quarter_turns: u8,
}

impl Orientation {
    /// Height and width after the turns.
    pub fn size(self, (height, width): (usize, usize)) -> (usize, usize) {
        if self.quarter_turns % 2 == 1 { (width, height) } else { (height, width) }
    }

    /// Orients a plane of the size `from` = (height, width). `out` is as long as `plane`.
    pub fn lay<T: Copy>(self, plane: &[T], from: (usize, usize), out: &mut [T]) {
        let (height, width) = from;
        let (rows, columns) = self.size(from);
        // The index of the input pixel of an output pixel. Along an output row it grows by a constant step.
        let source = |y: usize, x: usize| {
            let (y, x) = match self.quarter_turns % 4 {
                0 => (y, x),
                1 => (x, width - 1 - y),
                2 => (height - 1 - y, width - 1 - x),
                _ => (height - 1 - x, y),
            };
            let y = if self.mirror_y { height - 1 - y } else { y };
            let x = if self.mirror_x { width - 1 - x } else { x };
            y * width + x
        };
        for y in 0..rows {
            let first = source(y, 0);
            let step = if columns > 1 { source(y, 1) as isize - first as isize } else { 0 };
            let line = &mut out[y * columns..(y + 1) * columns];
            if step == 1 {
                line.copy_from_slice(&plane[first..first + columns]);
            } else {
                let mut at = first;
                for pixel in line {
                    *pixel = plane[at];
                    at = at.wrapping_add_signed(step);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lay(orientation: Orientation, plane: &[f32], from: (usize, usize)) -> Vec<f32> {
        let mut out = vec![f32::NAN; plane.len()];
        orientation.lay(plane, from, &mut out);
        out
    }

    #[test]
    fn turns_and_mirrors_agree_with_numpy() {
        let plane = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let with =
            |mirror_x, mirror_y, quarter_turns| lay(Orientation { mirror_x, mirror_y, quarter_turns }, &plane, (2, 3));
        assert_eq!(with(false, false, 1), [2.0, 5.0, 1.0, 4.0, 0.0, 3.0]);
        assert_eq!(with(false, false, 2), [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
        assert_eq!(with(false, false, 3), [3.0, 0.0, 4.0, 1.0, 5.0, 2.0]);
        assert_eq!(with(true, false, 0), [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
        assert_eq!(with(false, true, 0), [3.0, 4.0, 5.0, 0.0, 1.0, 2.0]);
        assert_eq!(with(true, false, 1), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    proptest! {
        #[test]
        fn four_quarter_turns_are_the_identity(height in 1usize..8, width in 1usize..8) {
            let plane: Vec<f32> = (0..height * width).map(|i| i as f32).collect();
            let turn = Orientation { quarter_turns: 1, ..Orientation::default() };
            let (mut now, mut size) = (plane.clone(), (height, width));
            for _ in 0..4 {
                now = lay(turn, &now, size);
                size = turn.size(size);
            }
            prop_assert_eq!(now, plane);
        }

        #[test]
        fn turns_add_up_and_a_mirrored_turn_is_its_own_inverse(
            height in 1usize..8, width in 1usize..8, a in 0u8..4, b in 0u8..4,
        ) {
            let plane: Vec<f32> = (0..height * width).map(|i| i as f32).collect();
            let turn = |quarter_turns| Orientation { quarter_turns, ..Orientation::default() };
            let both = lay(turn(b), &lay(turn(a), &plane, (height, width)), turn(a).size((height, width)));
            prop_assert_eq!(both, lay(turn(a + b), &plane, (height, width)));
            let mirror = Orientation { mirror_x: true, mirror_y: false, quarter_turns: a };
            let twice = lay(mirror, &lay(mirror, &plane, (height, width)), mirror.size((height, width)));
            prop_assert_eq!(twice, plane);
        }
    }
}
