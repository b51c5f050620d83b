//! How deep the schema of a Parquet file is nested, counted before the library reads it.
//!
//! The library follows the schema by calls, so a file of 60 kB with 8,000 nested groups would overflow the stack of a process. The footer
//! is a message of Thrift's compact protocol; its second field is the list of all elements of the schema, a group before its children.

use parquet::file::reader::ChunkReader;

/// The most levels of a schema.
pub(super) const MAX_LEVELS: usize = 32;

/// Whether the schema of a file has more than [`MAX_LEVELS`] levels. `false` also for what is not Parquet, which the library reports.
pub(super) fn is_too_deep(file: &impl ChunkReader) -> bool {
    let footer = || {
        let end = file.len().checked_sub(8)?;
        let tail = file.get_bytes(end, 8).ok()?;
        let length = u32::from_le_bytes(tail.get(..4)?.try_into().ok()?);
        file.get_bytes(end.checked_sub(length.into())?, length as usize).ok()
    };
    footer().is_some_and(|footer| Compact(&footer).schema_levels() > Some(MAX_LEVELS))
}

/// Reads Thrift's compact protocol.
struct Compact<'a>(&'a [u8]);

// Types of values.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

impl Compact<'_> {
    /// The levels of the schema, at most one more than [`MAX_LEVELS`]; `None` if there is none.
    fn schema_levels(mut self) -> Option<usize> {
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            if id == 2 && kind == LIST {
                return self.levels();
            }
            self.skip(kind, 0)?;
        }
        None
    }

    fn levels(&mut self) -> Option<usize> {
        let (count, _) = self.list()?;
        let mut deepest = 0;
        // How many children every open group still has.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            let mut children = 0;
            let mut id = 0;
            while let Some(kind) = self.field(&mut id)? {
                if id == 5 && (I16..=I64).contains(&kind) {
                    children = self.integer()?;
                } else {
                    self.skip(kind, 0)?;
                }
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            deepest = deepest.max(open.len());
            while open.last().is_some_and(|left| *left <= 0) {
                open.pop();
            }
            if deepest > MAX_LEVELS {
                break;
            }
        }
        Some(deepest)
    }

    /// The next field of a struct: its type, and its number after the one before. The inner `None` is the end of the struct.
    #[expect(clippy::option_option, reason = "the end of the bytes is not the end of a struct")]
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *id = match head >> 4 {
            0 => self.integer()?,
            delta => id.checked_add(delta.into())?,
        };
        Some(Some(head & 15))
    }

    /// The length and the type of a list.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { (head >> 4).into() };
        Some((count, head & 15))
    }

    /// Passes a value of a field, or one in a list.
    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MAX_LEVELS {
            return None;
        }
        match kind {
            TRUE | FALSE => Some(()),
            BYTE => self.byte().map(drop),
            I16..=I64 => self.varint().map(drop),
            DOUBLE => self.take(8),
            BINARY => {
                let length = self.varint()?;
                self.take(usize::try_from(length).ok()?)
            }
            LIST | SET => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip_item(kind, depth))
            }
            MAP => match self.varint()? {
                0 => Some(()),
                count => {
                    let kinds = self.byte()?;
                    (0..count).try_for_each(|_| {
                        self.skip_item(kinds >> 4, depth)?;
                        self.skip_item(kinds & 15, depth)
                    })
                }
            },
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// The same in a list or map, where a boolean is a byte.
    fn skip_item(&mut self, kind: u8, depth: usize) -> Option<()> {
        self.skip(if kind == TRUE || kind == FALSE { BYTE } else { kind }, depth + 1)
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn take(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number in zigzag encoding.
    fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Int32Array, RecordBatch, StructArray},
        datatypes::Field,
    };
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// A file with a column in some nested structs.
    fn nested(levels: usize) -> bytes::Bytes {
        let mut column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        for _ in 0..levels {
            let field = Arc::new(Field::new("a", column.data_type().clone(), false));
            column = Arc::new(StructArray::from(vec![(field, column)]));
        }
        let plain: ArrayRef = Arc::new(Int32Array::from(vec![3, 4]));
        let rows = RecordBatch::try_from_iter([("x", plain.clone()), ("deep", column), ("y", plain)]).expect("a batch");
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).expect("a writer");
        writer.write(&rows).and_then(|()| writer.close()).expect("a file");
        bytes.into()
    }

    fn levels(file: &bytes::Bytes) -> Option<usize> {
        let end = file.len() - 8;
        let length = u32::from_le_bytes(file[end..end + 4].try_into().expect("four bytes")) as usize;
        Compact(&file[end - length..end]).schema_levels()
    }

    #[test]
    fn counts_the_levels_of_a_schema() {
        for depth in [0, 1, 7, 20] {
            // The root is a group, too.
            assert_eq!(levels(&nested(depth)), Some(depth + 1));
            assert!(!is_too_deep(&nested(depth)));
        }
    }

    /// A footer of nested groups with a leaf.
    fn deep_footer(groups: usize) -> Vec<u8> {
        let group = [0x35, 0, 0x18, 1, b'a', 0x15, 2, 0];
        let root = [0x48, 1, b'r', 0x15, 2, 0];
        let leaf = [0x15, 2, 0x25, 0, 0x18, 1, b'x', 0];
        let count = groups + 2;
        let list = [0x15, 2, 0x19, 0xFC, count as u8 | 0x80, (count >> 7) as u8 | 0x80, (count >> 14) as u8];
        let end = [0x16, 0, 0x19, 0x0C, 0];
        let footer = [&list[..], &root, &group.repeat(groups), &leaf, &end].concat();
        let length = (footer.len() as u32).to_le_bytes();
        [b"PAR1".as_slice(), &footer, &length, b"PAR1"].concat()
    }

    #[test]
    fn refuses_a_schema_that_would_overflow_the_stack() {
        let file = |groups| bytes::Bytes::from(deep_footer(groups));
        assert_eq!(levels(&file(20)), Some(21));
        assert!(!is_too_deep(&file(MAX_LEVELS - 1)));
        assert!(is_too_deep(&file(MAX_LEVELS)));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep.parquet");
        std::fs::write(&path, deep_footer(100_000)).expect("room");
        let error = super::super::parquet::open(&path).expect_err("refused").report();
        assert!(error.ends_with("deep.parquet` as Parquet: its schema has more than 32 levels"), "{error}");
    }

    #[test]
    fn bytes_that_are_not_a_footer_are_left_to_the_library() {
        for bytes in [&b""[..], b"PAR1PAR1", b"not Parquet at all", &[0xFF; 64], &[0x19; 64]] {
            assert!(!is_too_deep(&bytes::Bytes::copy_from_slice(bytes)));
        }
    }
}
