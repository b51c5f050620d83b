//! The columns of a compressed table.

use crate::fits::header::Header;

/// The columns that cfitsio uses.
const USED: [&str; 6] = ["COMPRESSED_DATA", "UNCOMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "ZSCALE", "ZZERO", "ZBLANK"];

/// A column of a compressed table.
pub(super) struct TileColumn {
    pub(super) name: String,
    /// Bytes before the column in a row.
    pub(super) start: usize,
    /// Bytes of the column in a row.
    pub(super) width: usize,
    /// The type of the elements.
    pub(super) letter: u8,
    /// Bytes of the pointer to the elements, if rows have pointers (types `P` and `Q`).
    pub(super) pointer_bytes: Option<usize>,
}

impl TileColumn {
    pub(super) fn is_used(&self) -> bool {
        USED.contains(&self.name.as_str())
    }

    /// The bytes to which the pointer of a row points.
    pub(super) fn stream<'a>(&self, heap: &'a [u8], field: &[u8], pointer_bytes: usize) -> Result<&'a [u8], String> {
        let read = |bytes: &[u8]| bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let (elements, start) = field.split_at(pointer_bytes / 2);
        let (elements, start) = (read(elements), read(start));
        let bytes = elements.checked_mul(element_bytes(self.letter)? as u64);
        let end = bytes.and_then(|bytes| bytes.checked_add(start)).filter(|end| *end <= heap.len() as u64);
        let end = end.ok_or_else(|| {
            format!("points to {elements} elements from byte {start}, outside of the heap of {} bytes", heap.len())
        })?;
        Ok(&heap[start as usize..end as usize])
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
        let (letter, pointer_bytes, width) = match first {
            b'P' => (letters.next().ok_or_else(wrong)?, Some(8), 8 * repeat.min(1)),
            b'Q' => (letters.next().ok_or_else(wrong)?, Some(16), 16 * repeat.min(1)),
            b'X' => (first, None, repeat.div_ceil(8)),
            _ => (first, None, repeat.checked_mul(element_bytes(first)?).ok_or_else(wrong)?),
        };
        let name = header.text(&format!("TTYPE{number}")).unwrap_or_default().to_ascii_uppercase();
        let column = TileColumn { name, start, width, letter, pointer_bytes };
        if column.is_used() {
            let has_pointer = column.name.ends_with("_DATA");
            if has_pointer != pointer_bytes.is_some() || width == 0 || (!has_pointer && repeat != 1) || first == b'X' {
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

    #[test]
    fn pointers_have_to_point_into_the_heap() {
        let column = |letter| TileColumn {
            name: "COMPRESSED_DATA".to_owned(),
            start: 0,
            width: 8,
            letter,
            pointer_bytes: Some(8),
        };
        let heap: Vec<u8> = (0..200).collect();
        let stream = |letter, elements: u32, start: u32| {
            let field = [elements.to_be_bytes(), start.to_be_bytes()].concat();
            column(letter).stream(&heap, &field, 8).map(<[u8]>::to_vec)
        };
        assert_eq!(stream(b'B', 3, 197).expect("a stream"), [197, 198, 199]);
        assert_eq!(stream(b'I', 2, 196).expect("a stream"), [196, 197, 198, 199]);
        assert_eq!(stream(b'B', 0, 200).expect("an empty stream"), [0; 0]);
        let outside = stream(b'B', 3, 198).expect_err("outside");
        assert_eq!(outside, "points to 3 elements from byte 198, outside of the heap of 200 bytes");
        assert!(stream(b'I', 3, 195).is_err() && stream(b'B', u32::MAX, u32::MAX).is_err());
        // Pointers of 16 bytes, whose sum overflows.
        let field = [u64::MAX.to_be_bytes(), 1_u64.to_be_bytes()].concat();
        assert!(column(b'B').stream(&heap, &field, 16).is_err());
        let field = [2_u64.to_be_bytes(), 300_u64.to_be_bytes()].concat();
        assert!(column(b'B').stream(&heap, &field, 16).is_err());
        let field = [2_u64.to_be_bytes(), 9_u64.to_be_bytes()].concat();
        assert_eq!(column(b'B').stream(&heap, &field, 16).expect("a stream"), [9, 10]);
    }
}
