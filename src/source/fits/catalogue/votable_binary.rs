//! The rows of a VOTable in BINARY and BINARY2 (VOTable 1.4, sections 5.3 and 5.4).

use base64::{Engine, engine::general_purpose::STANDARD};

use super::votable::VoField;

/// The size of a field in a row.
#[derive(Debug, Clone)]
pub(super) struct FieldSize {
    datatype: String,
    /// Bytes of an element; for bits, of all of them.
    element: usize,
    /// The number of elements; `None` where it precedes them.
    count: Option<usize>,
}

impl FieldSize {
    pub(super) fn of(field: &VoField) -> Result<Self, String> {
        let element = match field.datatype.as_str() {
            "boolean" | "unsignedByte" | "char" | "bit" => 1,
            "short" | "unicodeChar" => 2,
            "int" | "float" => 4,
            "long" | "double" | "floatComplex" => 8,
            "doubleComplex" => 16,
            other => return Err(format!("column `{}` has the unknown type `{}`", field.name, other.escape_debug())),
        };
        let wrong = |size: &str| format!("column `{}` has the arraysize `{}`", field.name, size.escape_debug());
        let count = match field.arraysize.as_deref() {
            None => Some(1),
            Some(size) if size.ends_with('*') => None,
            Some(size) => {
                let mut lengths = size.split('x').map(|length| length.trim().parse::<usize>().ok());
                let product = lengths.try_fold(1usize, |product, length| product.checked_mul(length?));
                Some(product.ok_or_else(|| wrong(size))?)
            }
        };
        let bits = field.datatype == "bit";
        let count = if bits { count.map(|bits| bits.div_ceil(8)) } else { count };
        if field.arraysize.as_deref().is_some_and(|size| size.contains('x') && size.ends_with('*')) && !field.is_text()
        {
            return Err(wrong(field.arraysize.as_deref().unwrap_or_default()));
        }
        Ok(Self { datatype: field.datatype.clone(), element, count })
    }

    /// A value as text; `None` if it is missing.
    pub(super) fn text(&self, bytes: &[u8]) -> Option<String> {
        let text = |text: String| {
            let text = text.split('\0').next().unwrap_or_default().trim_end().to_owned();
            (!text.is_empty()).then_some(text)
        };
        match (self.datatype.as_str(), bytes) {
            ("char", bytes) => text(String::from_utf8_lossy(bytes).into_owned()),
            ("unicodeChar", bytes) => {
                let units: Vec<u16> =
                    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
                text(String::from_utf16_lossy(&units))
            }
            ("boolean", [b'T' | b't' | b'1']) => Some("true".into()),
            ("boolean", [b'F' | b'f' | b'0']) => Some("false".into()),
            // The standard sets the highest bit for a single one, astropy another.
            ("bit", [byte]) => Some(if *byte == 0 { "0" } else { "1" }.to_owned()),
            ("unsignedByte", [byte]) => Some(byte.to_string()),
            ("short", [a, b]) => Some(i16::from_be_bytes([*a, *b]).to_string()),
            ("int", [a, b, c, d]) => Some(i32::from_be_bytes([*a, *b, *c, *d]).to_string()),
            ("float", [a, b, c, d]) => Some(f32::from_be_bytes([*a, *b, *c, *d]).to_string()),
            ("long", bytes) => Some(i64::from_be_bytes(bytes.try_into().ok()?).to_string()),
            ("double", bytes) => Some(f64::from_be_bytes(bytes.try_into().ok()?).to_string()),
            _ => None,
        }
    }
}

/// Rows in binary form.
#[derive(Debug)]
pub(super) struct BinaryRows<'a> {
    bytes: Vec<u8>,
    at: usize,
    sizes: &'a [FieldSize],
    /// Whether bits that mark missing values precede each row.
    has_nulls: bool,
}

impl<'a> BinaryRows<'a> {
    pub(super) fn new(base64: &str, sizes: &'a [FieldSize], has_nulls: bool) -> Result<Self, String> {
        let bytes = STANDARD.decode(base64).map_err(|error| format!("its rows are not base64: {error}"))?;
        Ok(Self { bytes, at: 0, sizes, has_nulls })
    }

    /// The bytes of each field of the next row, `None` for those that are missing.
    pub(super) fn next_row(&mut self) -> Result<Option<Vec<Option<&[u8]>>>, String> {
        if self.at == self.bytes.len() || self.sizes.is_empty() {
            return Ok(None);
        }
        let Self { bytes, at, .. } = self;
        let mut take = |length: usize| {
            let end = at.checked_add(length).filter(|end| *end <= bytes.len());
            let end = end.ok_or_else(|| "its last row is cut off".to_owned())?;
            let piece = &bytes[*at..end];
            *at = end;
            Ok::<_, String>(piece)
        };
        let nulls = if self.has_nulls { take(self.sizes.len().div_ceil(8))? } else { &[] };
        let mut row = Vec::with_capacity(self.sizes.len());
        for (index, size) in self.sizes.iter().enumerate() {
            let count = match size.count {
                Some(count) => count,
                None => {
                    let length = take(4)?;
                    let count = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
                    if size.datatype == "bit" { count.div_ceil(8) } else { count }
                }
            };
            let value = take(count.checked_mul(size.element).ok_or("its rows are too long")?)?;
            // The first field is the highest bit.
            let is_null = nulls.get(index / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1);
            row.push((!is_null).then_some(value));
        }
        Ok(Some(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(datatype: &str, arraysize: Option<&str>) -> FieldSize {
        let arraysize = arraysize.map(str::to_owned);
        FieldSize::of(&VoField { name: "x".into(), datatype: datatype.into(), arraysize, null: None }).expect("a size")
    }

    fn rows(sizes: &[FieldSize], bytes: &[u8], has_nulls: bool) -> Result<Vec<Vec<Option<String>>>, String> {
        let mut rows = BinaryRows::new(&STANDARD.encode(bytes), sizes, has_nulls)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next_row()? {
            all.push(row.iter().zip(sizes).map(|(bytes, size)| bytes.and_then(|bytes| size.text(bytes))).collect());
        }
        Ok(all)
    }

    #[test]
    fn reads_rows_of_fixed_and_varying_length() {
        let sizes = [size("long", None), size("char", Some("*")), size("float", None), size("bit", Some("9"))];
        let row = [&7i64.to_be_bytes()[..], &3u32.to_be_bytes(), b"abc", &0.1f32.to_be_bytes(), &[0, 0]].concat();
        let expected = vec![Some("7".to_owned()), Some("abc".to_owned()), Some("0.1".to_owned()), None];
        assert_eq!(rows(&sizes, &[row.clone(), row.clone()].concat(), false), Ok(vec![expected.clone(), expected]));
        let with_nulls = [&[0b1000_0000][..], &row].concat();
        assert_eq!(rows(&sizes, &with_nulls, true).expect("a row")[0][..2], [None, Some("abc".to_owned())]);
        assert_eq!(rows(&sizes, &row[..row.len() - 1], false), Err("its last row is cut off".into()));
    }

    #[test]
    fn reads_logical_values_and_wide_letters() {
        let sizes = [size("boolean", None), size("unicodeChar", Some("2"))];
        let bytes = [b'T', 0, 0xe9, 0, b' ', b'?', 0, 0, 0, 0];
        let expected = vec![vec![Some("true".to_owned()), Some("é".to_owned())], vec![None, None]];
        assert_eq!(rows(&sizes, &bytes, false), Ok(expected));
    }
}
