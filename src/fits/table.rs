//! Columns of binary tables (FITS 4.0, section 7.3).
//!
//! The crate `fitsio` is not used for it: version 0.21 reads text into buffers that are one byte too short, takes null for false and
//! `TNULL` for a number, and panics at a type that it does not know.

use std::ops::Range;

use super::{FitsFile, Hdu, HduKind, header::Header};

/// Bytes that are read at once.
const PIECE: u64 = 1 << 20;

/// The values of a column with one value per row. Undefined ones (`TNULL`, NaN, blank) are `None`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TableValues {
    /// Text without trailing blanks.
    Text(Vec<Option<String>>),
    /// `T` or `F`.
    Logical(Vec<Option<bool>>),
    /// Whole numbers.
    Integer(Vec<Option<i64>>),
    /// Whole numbers with `TZERO` 2^63.
    Unsigned(Vec<Option<u64>>),
    /// Other numbers.
    Real(Vec<Option<f64>>),
}

/// A binary table in a file.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    file: &'a FitsFile,
    pub(super) hdu: &'a Hdu,
    row_bytes: u64,
    rows: u64,
    pub(super) columns: Vec<Column>,
}

/// A column by its header keys.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) number: usize,
    pub(super) name: String,
    /// The letter of its type.
    pub(super) kind: u8,
    pub(super) repeat: u64,
    /// Where it begins in a row.
    start: u64,
    bytes: u64,
}

impl FitsFile {
    /// The first binary table of the file.
    pub(crate) fn first_table(&self) -> Result<Table<'_>, String> {
        let is_table = |hdu: &&Hdu| hdu.kind == HduKind::Table;
        let binary = |hdu: &&Hdu| hdu.header.text("XTENSION").is_some_and(|kind| kind == "BINTABLE");
        let Some(hdu) = self.hdus().iter().filter(is_table).find(binary) else {
            let ascii = if self.hdus().iter().any(|hdu| is_table(&hdu)) { " (an ASCII table is not read)" } else { "" };
            return Err(format!("it has no binary table{ascii}"));
        };
        Table::new(self, hdu)
    }
}

impl<'a> Table<'a> {
    pub(super) fn new(file: &'a FitsFile, hdu: &'a Hdu) -> Result<Self, String> {
        if let Some(damage) = &hdu.damage {
            return Err(format!("HDU {} {damage}", hdu.index));
        }
        let required = |key: &str| -> Result<u64, String> {
            u64::try_from(hdu.header.required(key)?).map_err(|_| format!("key `{key}` is negative"))
        };
        let (row_bytes, rows) = (required("NAXIS1")?, required("NAXIS2")?);
        let fields = required("TFIELDS")?.min(999) as usize;
        let mut columns = Vec::with_capacity(fields);
        let mut start = 0u64;
        for number in 1..=fields {
            let column = Column::new(&hdu.header, number, start)?;
            start = start.saturating_add(column.bytes);
            columns.push(column);
        }
        let fits = rows.checked_mul(row_bytes).is_some_and(|bytes| bytes <= hdu.data_len);
        if start > row_bytes || !fits {
            return Err(format!("HDU {} has columns of {start} bytes in {rows} rows of {row_bytes}", hdu.index));
        }
        Ok(Self { file, hdu, row_bytes, rows, columns })
    }

    /// The names of its columns (`TTYPE`).
    pub(crate) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// The number of its rows.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The values of a column in some rows of the table, by its index in [`Self::names`].
    pub(crate) fn values(&self, index: usize, rows: &Range<u64>) -> Result<TableValues, String> {
        let column = self.columns.get(index).ok_or("it has no such column")?;
        let wrong = |what: &str| format!("column `{}` holds {what}, expected one value per row", column.name);
        if column.kind != b'A' && column.repeat != 1 {
            return Err(wrong(&format!("{} values per row", column.repeat)));
        }
        let numbers = Scaling::of(&self.hdu.header, column.number)?;
        Ok(match column.kind {
            b'A' => TableValues::Text(self.each(column, rows, text)?),
            b'L' => TableValues::Logical(self.each(column, rows, |bytes| match bytes[0] {
                b'T' => Some(true),
                b'F' => Some(false),
                _ => None,
            })?),
            b'B' | b'I' | b'J' | b'K' => self.integers(column, rows, &numbers)?,
            b'E' | b'D' => TableValues::Real(self.each(column, rows, |bytes| {
                let value = match bytes {
                    [a, b, c, d] => f64::from(f32::from_be_bytes([*a, *b, *c, *d])),
                    bytes => f64::from_be_bytes(bytes.try_into().unwrap_or_default()),
                };
                Some(numbers.real(value)).filter(|value| !value.is_nan())
            })?),
            b'X' => return Err(wrong("bits")),
            b'C' | b'M' => return Err(wrong("complex numbers")),
            _ => return Err(wrong("arrays of varying length")),
        })
    }

    fn integers(&self, column: &Column, rows: &Range<u64>, numbers: &Scaling) -> Result<TableValues, String> {
        let stored = |bytes: &[u8]| {
            let value = match bytes {
                [byte] => i64::from(*byte),
                [a, b] => i64::from(i16::from_be_bytes([*a, *b])),
                [a, b, c, d] => i64::from(i32::from_be_bytes([*a, *b, *c, *d])),
                bytes => i64::from_be_bytes(bytes.try_into().unwrap_or_default()),
            };
            (numbers.null != Some(value)).then_some(value)
        };
        const UNSIGNED: i128 = 1 << 63;
        let Some(zero) = numbers.integer_zero() else {
            let real = |bytes: &[u8]| Some(numbers.real(stored(bytes)? as f64));
            return Ok(TableValues::Real(self.each(column, rows, real)?));
        };
        let values = self.each(column, rows, |bytes| Some(i128::from(stored(bytes)?) + zero))?;
        let too_big = |_| format!("column `{}` holds numbers beyond 64 bits", column.name);
        if column.kind == b'K' && zero == UNSIGNED {
            let values = values.into_iter().map(|value| value.map(u64::try_from).transpose());
            return Ok(TableValues::Unsigned(values.collect::<Result<_, _>>().map_err(too_big)?));
        }
        let values = values.into_iter().map(|value| value.map(i64::try_from).transpose());
        Ok(TableValues::Integer(values.collect::<Result<_, _>>().map_err(too_big)?))
    }

    /// The values of a column, row by row.
    pub(super) fn each<T>(
        &self,
        column: &Column,
        rows: &Range<u64>,
        value: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<Option<T>>, String> {
        let mut values = Vec::new();
        let rows = rows.start.min(self.rows)..rows.end.min(self.rows);
        if column.bytes == 0 || self.row_bytes == 0 {
            values.resize_with(rows.end.saturating_sub(rows.start) as usize, || None);
            return Ok(values);
        }
        let data = self.file.data(self.hdu);
        let rows_at_once = (PIECE / self.row_bytes).max(1);
        let mut row = rows.start;
        while row < rows.end {
            let end = (row + rows_at_once).min(rows.end);
            let piece = data.get(row * self.row_bytes..end * self.row_bytes).map_err(|reason| reason.report())?;
            for bytes in piece.chunks_exact(self.row_bytes as usize) {
                values.push(value(&bytes[column.start as usize..(column.start + column.bytes) as usize]));
            }
            row = end;
        }
        Ok(values)
    }
}

impl Column {
    fn new(header: &Header, number: usize, start: u64) -> Result<Self, String> {
        let key = format!("TFORM{number}");
        let form = header.text(&key).unwrap_or_default();
        let wrong = || format!("key `{key}` is `{}`, expected the type of a column", form.escape_debug());
        let digits = form.bytes().take_while(u8::is_ascii_digit).count();
        let repeat: u64 = if digits == 0 { 1 } else { form[..digits].parse().map_err(|_| wrong())? };
        let kind = form.as_bytes().get(digits).copied().unwrap_or_default();
        let bytes = match kind {
            b'L' | b'B' | b'A' => Some(repeat),
            b'I' => repeat.checked_mul(2),
            b'J' | b'E' => repeat.checked_mul(4),
            b'K' | b'D' | b'C' | b'P' => repeat.checked_mul(8),
            b'M' | b'Q' => repeat.checked_mul(16),
            b'X' => Some(repeat.div_ceil(8)),
            _ => None,
        };
        let name = header.text(&format!("TTYPE{number}")).unwrap_or_default();
        Ok(Self { number, name, kind, repeat, start, bytes: bytes.ok_or_else(wrong)? })
    }
}

/// How stored numbers become values: zero + scale * stored.
#[derive(Debug)]
pub(super) struct Scaling {
    scale: f64,
    zero: f64,
    /// The stored number that stands for none.
    null: Option<i64>,
}

impl Scaling {
    pub(super) fn of(header: &Header, number: usize) -> Result<Self, String> {
        let real = |key: &str, default| header.number(&format!("{key}{number}")).map(|value| value.unwrap_or(default));
        Ok(Self {
            scale: real("TSCAL", 1.0)?,
            zero: real("TZERO", 0.0)?,
            null: header.integer(&format!("TNULL{number}"))?,
        })
    }

    pub(super) fn real(&self, stored: f64) -> f64 {
        self.zero + self.scale * stored
    }

    /// What is added to integers, if they stay integers.
    fn integer_zero(&self) -> Option<i128> {
        let whole = self.scale == 1.0 && self.zero.fract() == 0.0 && self.zero.abs() <= 2f64.powi(63);
        whole.then_some(self.zero as i128)
    }
}

/// Text up to the first zero byte, without trailing blanks.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fits::{CardValue, Limits, Writer, write::card};

    fn empty_primary() -> Vec<u8> {
        let mut file = Writer::new();
        file.image(&[], &[], &[]);
        file.into_bytes()
    }

    /// A file with a binary table, given the keys of its columns and the bytes of its rows.
    pub(in crate::fits) fn table(keys: &[(&str, CardValue)], rows: &[&[u8]]) -> FitsFile {
        let mut bytes = empty_primary();
        let integer = |value: usize| CardValue::Integer(value as i64);
        let mut cards = vec![
            ("XTENSION", CardValue::Text("BINTABLE".into())),
            ("BITPIX", integer(8)),
            ("NAXIS", integer(2)),
            ("NAXIS1", integer(rows.first().map_or(0, |row| row.len()))),
            ("NAXIS2", integer(rows.len())),
            ("PCOUNT", integer(0)),
            ("GCOUNT", integer(1)),
            ("TFIELDS", integer(keys.iter().filter(|(key, _)| key.starts_with("TFORM")).count())),
        ];
        cards.extend(keys.iter().cloned());
        cards.iter().for_each(|(key, value)| card(&mut bytes, key, value));
        bytes.extend(format!("{:<80}", "END").into_bytes());
        bytes.resize(bytes.len().next_multiple_of(2880), b' ');
        rows.iter().for_each(|row| bytes.extend(*row));
        bytes.resize(bytes.len().next_multiple_of(2880), 0);
        FitsFile::from_bytes("memory", bytes, &Limits::default()).expect("a file")
    }

    fn text_value(text: &str) -> CardValue {
        CardValue::Text(text.to_owned())
    }

    #[test]
    fn reads_text_and_numbers_with_their_nulls() {
        let keys = [
            ("TFORM1", text_value("4A")),
            ("TTYPE1", text_value("ID")),
            ("TFORM2", text_value("I")),
            ("TNULL2", CardValue::Integer(-99)),
            ("TFORM3", text_value("1K")),
            ("TZERO3", CardValue::BigInteger("9223372036854775808".into())),
            ("TFORM4", text_value("E")),
            ("TFORM5", text_value("L")),
            ("TFORM6", text_value("J")),
            ("TSCAL6", CardValue::Real(0.5)),
        ];
        let row = |id: &[u8; 4], count: i16, big: i64, real: f32, logical: u8| {
            let numbers =
                [&count.to_be_bytes()[..], &big.to_be_bytes(), &real.to_be_bytes(), &[logical], &3i32.to_be_bytes()];
            [&id[..], &numbers.concat()].concat()
        };
        let rows = [row(b"a b ", 7, i64::MAX, 1.5, b'T'), row(b"x\0zz", -99, i64::MIN, f32::NAN, 0)];
        let file = table(&keys, &[&rows[0], &rows[1]]);
        let table = file.first_table().expect("a table");
        assert_eq!(table.names(), ["ID", "", "", "", "", ""]);
        let values: Vec<TableValues> = (0..6).map(|index| table.values(index, &(0..2)).expect("values")).collect();
        assert_eq!(
            values,
            [
                TableValues::Text(vec![Some("a b".into()), Some("x".into())]),
                TableValues::Integer(vec![Some(7), None]),
                TableValues::Unsigned(vec![Some(u64::MAX), Some(0)]),
                TableValues::Real(vec![Some(1.5), None]),
                TableValues::Logical(vec![Some(true), None]),
                TableValues::Real(vec![Some(1.5), Some(1.5)]),
            ]
        );
        assert_eq!(table.values(0, &(1..2)), Ok(TableValues::Text(vec![Some("x".into())])));
        assert_eq!(table.values(1, &(1..9)), Ok(TableValues::Integer(vec![None])));
        assert_eq!(table.values(3, &(2..3)), Ok(TableValues::Real(vec![])));
    }

    #[test]
    fn refuses_columns_of_arrays_and_rows_that_are_too_short() {
        let file = table(&[("TFORM1", text_value("3E")), ("TTYPE1", text_value("FLUX"))], &[&[0; 12]]);
        let reason = file.first_table().expect("a table").values(0, &(0..1)).expect_err("an array");
        assert_eq!(reason, "column `FLUX` holds 3 values per row, expected one value per row");
        for form in ["4E", "99999999999999999999A", "Z", ""] {
            let file = table(&[("TFORM1", text_value(form))], &[&[0; 12]]);
            assert!(file.first_table().is_err(), "{form}");
        }
        let image = FitsFile::from_bytes("memory", empty_primary(), &Limits::default());
        assert_eq!(image.expect("a file").first_table().expect_err("none"), "it has no binary table");
    }
}
