//! Bit planes as quadtrees: a code of four bits says which quarters of a square have ones. Only these have codes at the next level.

use super::{
    super::bit_reader::BitReader,
    coefficient::Coefficient,
    transform::{ceil_log2, halves},
};

/// A quadrant of the coefficients of a tile.
pub(super) struct Quadrant<'a, T> {
    /// From its first coefficient to the end of its last row.
    pub(super) coefficients: &'a mut [T],
    /// Coefficients from a row to the next one.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Reads bit planes. Buffers are reused.
#[derive(Default)]
pub(super) struct Quadtree {
    /// The codes of a level, a byte each, and of the next one.
    codes: Vec<u8>,
    next: Vec<u8>,
}

impl Quadtree {
    /// Reads a bit plane into a quadrant.
    pub(super) fn read_plane<T: Coefficient>(
        &mut self,
        bits: &mut BitReader,
        quadrant: &mut Quadrant<T>,
        plane: u8,
    ) -> Result<(), String> {
        const DIRECT: u32 = 0;
        const CODED: u32 = 15;
        let Quadrant { stride, rows, columns, .. } = *quadrant;
        match bits.take(4).ok_or("ends")? {
            DIRECT => self.read_direct(bits, [rows, columns])?,
            CODED => self.read_coded(bits, [rows, columns])?,
            other => return Err(format!("has the format {other}, expected {DIRECT} or {CODED},")),
        }
        if columns > 0 {
            let codes = self.codes.chunks_exact(columns.div_ceil(2));
            for (codes, pair) in codes.zip(quadrant.coefficients.chunks_mut(2 * stride)) {
                let (upper, lower) = pair.split_at_mut(stride.min(pair.len()));
                insert(codes, &mut upper[..columns], lower.get_mut(..columns).unwrap_or_default(), plane);
            }
        }
        Ok(())
    }

    /// The codes of the last level, written one after the other.
    fn read_direct(&mut self, bits: &mut BitReader, [rows, columns]: [usize; 2]) -> Result<(), String> {
        self.codes.resize(rows.div_ceil(2) * columns.div_ceil(2), 0);
        // As many as a word holds for certain.
        for codes in self.codes.chunks_mut(14) {
            let all = 4 * codes.len() as u32;
            bits.refill();
            if bits.loaded() < all {
                return Err("ends".into());
            }
            let word = bits.word();
            for (code, shift) in codes.iter_mut().zip((0..=60).rev().step_by(4)) {
                *code = (word >> shift & 15) as u8;
            }
            bits.consume(all);
        }
        Ok(())
    }

    /// The codes of all levels, in Huffman codes; from the last square of a level to the first.
    fn read_coded(&mut self, bits: &mut BitReader, [rows, columns]: [usize; 2]) -> Result<(), String> {
        self.codes.clear();
        self.codes.push(huffman(bits).ok_or("ends")?);
        for level in (1..ceil_log2(rows.max(columns))).rev() {
            let [rows, columns] = [halves(rows, level).max(1), halves(columns, level).max(1)];
            self.next.resize(rows * columns, 0);
            let parents = self.codes.chunks_exact(columns.div_ceil(2));
            let pairs = self.next.chunks_mut(2 * columns).zip(parents).rev();
            for (pair, parents) in pairs {
                let (upper, lower) = pair.split_at_mut(columns);
                expand(bits, parents, lower, 0).ok_or("ends")?;
                expand(bits, parents, upper, 2).ok_or("ends")?;
            }
            std::mem::swap(&mut self.codes, &mut self.next);
        }
        Ok(())
    }
}

/// Reads the codes of a row, which are those of the left (the higher bit) and right squares of its parents.
fn expand(bits: &mut BitReader, parents: &[u8], row: &mut [u8], shift: u32) -> Option<()> {
    for (parent, squares) in parents.iter().zip(row.chunks_mut(2)).rev() {
        let ones = parent >> shift;
        if let Some(right) = squares.get_mut(1) {
            *right = if ones & 1 == 1 { huffman(bits)? } else { 0 };
        }
        squares[0] = if ones & 2 == 2 { huffman(bits)? } else { 0 };
    }
    Some(())
}

/// Adds a bit to the coefficients of two rows, of which the lower one can be missing.
fn insert<T: Coefficient>(codes: &[u8], upper: &mut [T], lower: &mut [T], plane: u8) {
    if codes.iter().any(|code| *code != 0) {
        insert_row(codes, upper, 2, plane);
        insert_row(codes, lower, 0, plane);
    }
}

/// Adds a bit to the coefficients of a row: that of the left squares is above the one of the right squares.
fn insert_row<T: Coefficient>(codes: &[u8], row: &mut [T], shift: u32, plane: u8) {
    let bit = |code: u8, bit: u32| T::of((code >> bit & 1).into()) << usize::from(plane);
    let (pairs, rest) = row.as_chunks_mut::<2>();
    for ([left, right], code) in pairs.iter_mut().zip(codes) {
        *left |= bit(*code, shift + 1);
        *right |= bit(*code, shift);
    }
    if let ([last], [.., code]) = (rest, codes) {
        *last |= bit(*code, shift + 1);
    }
}

/// The Huffman codes of 0 to 15, and their bits.
const CODES: [(usize, u32); 16] = [
    (0b11_1110, 6),
    (0b000, 3),
    (0b001, 3),
    (0b1000, 4),
    (0b010, 3),
    (0b1001, 4),
    (0b1_1010, 5),
    (0b1_1011, 5),
    (0b011, 3),
    (0b1_1100, 5),
    (0b1010, 4),
    (0b1_1101, 5),
    (0b1011, 4),
    (0b1_1110, 5),
    (0b11_1111, 6),
    (0b1100, 4),
];

/// The value and the length of the code at the beginning of six bits.
const DECODED: [(u8, u8); 64] = {
    let mut decoded = [(0, 0); 64];
    let mut value = 0;
    while value < CODES.len() {
        let (code, bits) = CODES[value];
        let first = code << (6 - bits);
        let mut six = first;
        while six < first + (1 << (6 - bits)) {
            decoded[six] = (value as u8, bits as u8);
            six += 1;
        }
        value += 1;
    }
    decoded
};

/// A code; `None` at the end.
fn huffman(bits: &mut BitReader) -> Option<u8> {
    if bits.loaded() < 6 {
        bits.refill();
    }
    let (value, length) = DECODED[(bits.word() >> 58) as usize];
    if u32::from(length) > bits.loaded() {
        return None;
    }
    bits.consume(length.into());
    Some(value)
}
