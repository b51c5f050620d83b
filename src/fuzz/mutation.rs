//! Deterministic mutations of inputs, for tests. libFuzzer has its own.

use crate::random::Stream;

/// Numbers at which formats break.
const ODD_NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e308",
];

/// Mutates seeds.
pub(super) struct Mutations<'a> {
    seeds: &'a [Vec<u8>],
    words: &'a [&'a str],
    max_bytes: usize,
    random: Stream,
}

impl<'a> Mutations<'a> {
    pub(super) fn new(name: &str, seeds: &'a [Vec<u8>], words: &'a [&'a str], max_bytes: usize) -> Self {
        Self { seeds, words, max_bytes, random: Stream::new(0, name, "fuzz") }
    }

    /// The next input: a seed with one to eight changes.
    pub(super) fn next_input(&mut self) -> Vec<u8> {
        let mut bytes = self.seed().to_vec();
        for _ in 0..=self.below(8) {
            self.change(&mut bytes);
            bytes.truncate(self.max_bytes);
        }
        bytes
    }

    fn seed(&mut self) -> &'a [u8] {
        let index = self.below(self.seeds.len());
        &self.seeds[index]
    }

    fn below(&mut self, count: usize) -> usize {
        self.random.below(count as u64) as usize
    }

    /// A range of at most `most` bytes.
    fn range(&mut self, bytes: &[u8], most: usize) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        start..start + self.below(most.min(bytes.len() - start) + 1)
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len().max(1));
        match self.below(9) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            2 if !bytes.is_empty() => bytes[at] = self.random.next_u32() as u8,
            3 => self.replace_number(bytes, at),
            4 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())].as_bytes();
                // Over what is there, or between.
                let end = if self.below(2) == 0 { at } else { (at + word.len()).min(bytes.len()) };
                bytes.splice(at.min(bytes.len())..end, word.iter().copied());
            }
            5 => {
                let range = self.range(bytes, 64);
                bytes.drain(range);
            }
            6 => {
                let copy = bytes[self.range(bytes, 256)].to_vec();
                let at = at.min(bytes.len());
                bytes.splice(at..at, copy);
            }
            7 => {
                let other = self.seed();
                let copy = other[self.range(other, 4096)].to_vec();
                let end = (at + copy.len()).min(bytes.len());
                bytes.splice(at.min(end)..end, copy);
            }
            8 if self.below(4) == 0 => bytes.truncate(at),
            _ => bytes.insert(at.min(bytes.len()), self.random.next_u32() as u8),
        }
    }

    /// Replaces the first number in digits after a place, keeping its width where that is possible.
    fn replace_number(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let Some(start) = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|start| start + at) else { return };
        let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = ODD_NUMBERS[self.below(ODD_NUMBERS.len())];
        // Cards of FITS have a fixed width: the number grows to the left, over blanks.
        let blanks = bytes[..start].iter().rev().take_while(|byte| **byte == b' ').count();
        let width = number.len().clamp(digits, digits + blanks);
        bytes.splice(start + digits - width..start + digits, format!("{number:>width$}").into_bytes());
    }
}
