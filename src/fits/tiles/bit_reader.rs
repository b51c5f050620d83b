//! Bits of a stream, the most significant bit of a byte first.

/// A reader of bits. The next bits are at the top of a 64-bit word, which is filled from several bytes at once.
///
/// Loops keep it in registers. Therefore what is rare takes it by value and returns it: a reference would keep it in memory.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The first byte that is not in the word.
    next: usize,
    word: u64,
    /// Valid bits of the word. Bits below them are zero or those of the stream.
    loaded: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0, word: 0, loaded: 0 }
    }

    /// Fills the word with 56 bits or more, or with all that are left.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(bytes) = self.bytes.get(self.next..).and_then(|rest| rest.first_chunk()) {
            self.word |= u64::from_be_bytes(*bytes) >> self.loaded;
            let bytes = (63 - self.loaded) / 8;
            self.next += bytes as usize;
            self.loaded += 8 * bytes;
        } else {
            *self = self.refilled_near_the_end();
        }
    }

    #[inline(never)]
    fn refilled_near_the_end(mut self) -> Self {
        let rest = &self.bytes[self.next..];
        let mut padded = [0; 8];
        padded[..rest.len()].copy_from_slice(rest);
        self.word |= u64::from_be_bytes(padded) >> self.loaded;
        let bytes = ((63 - self.loaded) / 8).min(rest.len() as u32);
        self.next += bytes as usize;
        self.loaded += 8 * bytes;
        self
    }

    /// The valid bits of the word.
    pub(super) fn loaded(&self) -> u32 {
        self.loaded
    }

    /// The word: the next bits at its top, at least [`Self::loaded`] of them.
    pub(super) fn word(&self) -> u64 {
        self.word
    }

    /// Passes bits that are loaded, fewer than 64.
    #[inline(always)]
    pub(super) fn consume(&mut self, bits: u32) {
        self.word <<= bits;
        self.loaded -= bits;
    }

    /// A number of 32 bits or fewer; `None` if the stream ends before.
    #[inline(always)]
    pub(super) fn take(&mut self, bits: u32) -> Option<u32> {
        if self.loaded < bits {
            self.refill();
            if self.loaded < bits {
                return None;
            }
        }
        // In two shifts, because a shift by 64 is not defined.
        let value = (self.word >> 1 >> (63 - bits)) as u32;
        self.consume(bits);
        Some(value)
    }

    /// The number of zeros before the next one; `None` if the stream ends before it. Both are passed.
    pub(super) fn take_unary(&mut self) -> Option<u64> {
        let mut zeros = 0;
        loop {
            self.refill();
            if self.loaded == 0 {
                return None;
            }
            let here = self.word.leading_zeros().min(self.loaded - 1);
            let is_end = self.word << here >> 63 == 1;
            zeros += u64::from(here) + u64::from(!is_end);
            self.consume(here);
            self.consume(1);
            if is_end {
                return Some(zeros);
            }
        }
    }

    /// Passes the rest of a byte that was begun.
    pub(super) fn align(&mut self) {
        self.consume(self.loaded % 8);
    }

    /// Rejects bytes after the last one that was begun, unless they are zero.
    pub(super) fn finish(&self) -> Result<(), String> {
        no_leftovers(&self.bytes[self.next - self.loaded as usize / 8..])
    }
}

/// Rejects the bytes after the last code of a stream, unless they are zero.
pub(super) fn no_leftovers(rest: &[u8]) -> Result<(), String> {
    match rest.iter().any(|byte| *byte != 0) {
        true => Err(format!("has {} bytes after its last pixel, expected none", rest.len())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_zeros_are_read_to_the_last_bit() {
        let bytes: Vec<u8> = (0..40).map(|byte: u8| byte.wrapping_mul(73).wrapping_add(5)).collect();
        let all: Vec<u32> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1))).collect();
        for size in [1, 3, 7, 8, 13, 25, 31, 32] {
            let mut bits = BitReader::new(&bytes);
            for expected in all.chunks_exact(size) {
                let expected = expected.iter().fold(0, |value, bit| value << 1 | bit);
                assert_eq!(bits.take(size as u32), Some(expected));
            }
            assert_eq!(bits.take(size as u32), None);
        }
        let mut bits = BitReader::new(&bytes);
        let zeros: Vec<u64> = std::iter::from_fn(|| bits.take_unary()).collect();
        let text: String = all.iter().map(u32::to_string).collect();
        let mut expected: Vec<u64> = text.split('1').map(|zeros| zeros.len() as u64).collect();
        expected.pop();
        assert_eq!(zeros, expected);
        let long = [[0; 100].as_slice(), &[1]].concat();
        assert_eq!(BitReader::new(&long).take_unary(), Some(807));
        assert_eq!(BitReader::new(&long[..100]).take_unary(), None);
    }

    #[test]
    fn bytes_after_the_last_one_that_was_begun_have_to_be_zero() {
        let mut bits = BitReader::new(&[0b1010_1111, 0, 0]);
        assert_eq!((bits.take(3), bits.finish()), (Some(0b101), Ok(())));
        let mut bits = BitReader::new(&[0, 0xff, 0, 1]);
        assert_eq!(bits.take(9), Some(1));
        assert_eq!(bits.finish().expect_err("a byte"), "has 2 bytes after its last pixel, expected none");
        bits.align();
        assert_eq!((bits.take(8), bits.take(8), bits.finish()), (Some(0), Some(1), Ok(())));
    }
}
