//! The dither of quantised floats (FITS 4.0, section 10.2 and appendix I).

use std::sync::LazyLock;

/// Numbers in the sequence.
const COUNT: usize = 10_000;

/// The sequence of every reader and writer: the generator of Park & Miller (1988) from the seed 1, divided by its modulus.
static SEQUENCE: LazyLock<Box<[f32; COUNT]>> = LazyLock::new(|| {
    const MODULUS: u64 = 2_147_483_647;
    let mut seed = 1;
    Box::new(std::array::from_fn(|_| {
        seed = seed * 16_807 % MODULUS;
        (seed as f64 / MODULUS as f64) as f32
    }))
});

/// A position in the sequence. A tile begins at one of its first 500 numbers, which the sequence itself chooses; so does what
/// follows its end.
#[derive(Debug, Clone)]
pub(super) struct DitherPosition {
    /// The number that chose the beginning.
    chosen_by: usize,
    next: usize,
}

impl DitherPosition {
    /// The beginning for a tile, counted from 0, with a seed from 1 to 10,000.
    pub(super) fn of_tile(tile: usize, seed: usize) -> Self {
        Self::chosen_by((tile + seed - 1) % COUNT)
    }

    fn chosen_by(number: usize) -> Self {
        Self { chosen_by: number, next: (SEQUENCE[number] * 500.0) as usize }
    }

    /// The next numbers, at least one and at most `most` of them.
    pub(super) fn take(&mut self, most: usize) -> &'static [f32] {
        let rest = &SEQUENCE[self.next..];
        let taken = &rest[..most.min(rest.len())];
        self.next += taken.len();
        if self.next == COUNT {
            *self = Self::chosen_by((self.chosen_by + 1) % COUNT);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_that_of_the_standard() {
        assert_eq!(SEQUENCE[COUNT - 1], (1_043_618_065_f64 / 2_147_483_647_f64) as f32);
        assert_eq!(SEQUENCE[0], (16_807_f64 / 2_147_483_647_f64) as f32);
    }

    #[test]
    fn a_tile_continues_at_the_beginning_that_the_next_number_chooses() {
        let mut position = DitherPosition::of_tile(COUNT - 2, 2);
        let beginning = |number: usize| (SEQUENCE[number] * 500.0) as usize;
        assert_eq!((position.chosen_by, position.next), (COUNT - 1, beginning(COUNT - 1)));
        let first = COUNT - beginning(COUNT - 1);
        assert_eq!(position.take(10), &SEQUENCE[beginning(COUNT - 1)..][..10]);
        assert_eq!(position.take(20_000).len(), first - 10);
        assert_eq!((position.chosen_by, position.next), (0, beginning(0)));
    }
}
