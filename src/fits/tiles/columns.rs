//! The columns of a compressed table.

use std::ops::Range;

use crate::fits::header::Header;

/// The columns that a decoder uses.
const USED: [&str; 6] = ["COMPRESSED_DATA", "UNCOMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "ZSCALE", "ZZERO", "ZBLANK"];

/// A column of a compressed table.
#[derive(Debug, Clone)]
pub(super) struct TileColumn {
    pub(super) name: String,
    /// Bytes before the column in a row.
    pub(super) start: usize,
    /// Bytes of the column in a row.
    pub(super) width: usize,
    /// The type of the elements.
    pub(super) letter: u8,
}

impl TileColumn {
    pub(super) fn is_used(&self) -> bool {
        USED.contains(&self.name.as_str())
    }

    /// The field of a row.
    pub(super) fn field<'a>(&self, row: &'a [u8]) -> &'a [u8] {
        &row[self.start..self.start + self.width]
    }

    /// The bytes of the heap to which the pointer of a row points.
    pub(super) fn stream(&self, row: &[u8], heap_bytes: u64) -> Result<Range<u64>, String> {
        let field = self.field(row);
        let read = |bytes: &[u8]| bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let (elements, start) = field.split_at(field.len() / 2);
        let (elements, start) = (read(elements), read(start));
        let bytes = elements.checked_mul(element_bytes(self.letter)? as u64);
        let end = bytes.and_then(|bytes| bytes.checked_add(start)).filter(|end| *end <= heap_bytes);
        let end = end.ok_or_else(|| {
            format!("points to {elements} elements from byte {start}, outside of the heap of {heap_bytes} bytes")
        })?;
        Ok(start..end)
    }

    /// The number of a row.
    pub(super) fn number(&self, row: &[u8]) -> Result<f64, String> {
        let value = match (self.letter, self.field(row)) {
            (b'E', &[a, b, c, d]) => f64::from(f32::from_be_bytes([a, b, c, d])),
            (b'D', field) => field.first_chunk().map_or(0.0, |bytes| f64::from_be_bytes(*bytes)),
            _ => self.integer(row)? as f64,
        };
        if value.is_finite() { Ok(value) } else { Err(format!("is {value}, expected a finite number")) }
    }

    /// The integer of a row.
    pub(super) fn integer(&self, row: &[u8]) -> Result<i64, String> {
        match (self.letter, self.field(row)) {
            (b'B', &[byte]) => Ok(byte.into()),
            (b'I', &[a, b]) => Ok(i16::from_be_bytes([a, b]).into()),
            (b'J', &[a, b, c, d]) => Ok(i32::from_be_bytes([a, b, c, d]).into()),
            (b'K', field) => Ok(field.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))),
            (letter, _) => Err(format!("has the type `{}`, expected a number", letter.escape_ascii())),
        }
    }
}

/// All columns, in the order of the table.
pub(super) fn columns(header: &Header) -> Result<Vec<TileColumn>, String> {
    let fields = header.required("TFIELDS")?;
    if !(1..=999).contains(&fields) {
        return Err(format!("key `TFIELDS` is {fields}, expected 1 to 999"));
    }
    let mut columns = Vec::new();
    let mut start = 0usize;
    for number in 1..=fields {
        let key = format!("TFORM{number}");
        let form = header.text(&key).unwrap_or_default();
        let wrong = || format!("key `{key}` is `{}`, expected the type of a column", form.escape_debug());
        let letters = form.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let repeat: usize = match &form[..form.len() - letters.len()] {
            "" => 1,
            digits => digits.parse().map_err(|_| wrong())?,
        };
        let mut letters = letters.bytes();
        let first = letters.next().ok_or_else(wrong)?;
        let (letter, is_pointer, width) = match first {
            b'P' => (letters.next().ok_or_else(wrong)?, true, 8 * repeat.min(1)),
            b'Q' => (letters.next().ok_or_else(wrong)?, true, 16 * repeat.min(1)),
            b'X' => (first, false, repeat.div_ceil(8)),
            _ => (first, false, repeat.checked_mul(element_bytes(first)?).ok_or_else(wrong)?),
        };
        let name = header.text(&format!("TTYPE{number}")).unwrap_or_default().to_ascii_uppercase();
        let column = TileColumn { name, start, width, letter };
        if column.is_used() {
            let has_stream = column.name.ends_with("_DATA");
            if has_stream != is_pointer || width == 0 || (!has_stream && repeat != 1) || first == b'X' {
                let (form, name) = (form.escape_debug(), column.name);
                return Err(format!("key `{key}` is `{form}`, which is not a type of the column `{name}`"));
            }
        }
        columns.push(column);
        start = start.checked_add(width).ok_or_else(wrong)?;
    }
    Ok(columns)
}

/// Bytes of an element of a type.
pub(super) fn element_bytes(letter: u8) -> Result<usize, String> {
    match letter {
        b'L' | b'B' | b'A' => Ok(1),
        b'I' => Ok(2),
        b'J' | b'E' => Ok(4),
        b'K' | b'D' | b'C' => Ok(8),
        b'M' => Ok(16),
        other => Err(format!("has a column of the unknown type `{}`", other.escape_ascii())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(letter: u8, width: usize) -> TileColumn {
        TileColumn { name: "COMPRESSED_DATA".to_owned(), start: 1, width, letter }
    }

    #[test]
    fn pointers_have_to_point_into_the_heap() {
        let stream = |letter, elements: u32, start: u32| {
            let row = [&[9], &elements.to_be_bytes()[..], &start.to_be_bytes()].concat();
            column(letter, 8).stream(&row, 200)
        };
        assert_eq!(stream(b'B', 3, 197), Ok(197..200));
        assert_eq!(stream(b'I', 2, 196), Ok(196..200));
        assert_eq!(stream(b'B', 0, 200), Ok(200..200));
        let outside = stream(b'B', 3, 198).expect_err("outside");
        assert_eq!(outside, "points to 3 elements from byte 198, outside of the heap of 200 bytes");
        assert!(stream(b'I', 3, 195).is_err() && stream(b'B', u32::MAX, u32::MAX).is_err());
        // Pointers of 16 bytes, whose sum overflows.
        let wide = |elements: u64, start: u64| {
            let row = [&[9], &elements.to_be_bytes()[..], &start.to_be_bytes()].concat();
            column(b'B', 16).stream(&row, 200)
        };
        assert!(wide(u64::MAX, 1).is_err() && wide(2, 300).is_err());
        assert_eq!(wide(2, 9), Ok(9..11));
    }

    #[test]
    fn numbers_have_the_type_of_their_column() {
        let number = |letter, bytes: &[u8]| column(letter, bytes.len()).number(&[&[9], bytes].concat());
        assert_eq!(number(b'B', &[200]), Ok(200.0));
        assert_eq!(number(b'I', &(-7_i16).to_be_bytes()), Ok(-7.0));
        assert_eq!(number(b'J', &i32::MIN.to_be_bytes()), Ok(-2_147_483_648.0));
        assert_eq!(number(b'K', &(1_i64 << 40).to_be_bytes()), Ok(1_099_511_627_776.0));
        assert_eq!(number(b'E', &0.25_f32.to_be_bytes()), Ok(0.25));
        assert_eq!(number(b'D', &0.1_f64.to_be_bytes()), Ok(0.1));
        assert_eq!(number(b'D', &f64::NAN.to_be_bytes()).expect_err("NaN"), "is NaN, expected a finite number");
        assert!(number(b'C', &[0; 8]).is_err() && number(b'L', b"T").is_err());
    }
}
