//! Text files: UTF-8, or an error at the byte that is not.

use std::{fs, path::Path};

use crate::error::{Error, Result};

/// Why bytes are not text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotText {
    /// What follows the name of the file in a message: `is not UTF-8: ...`.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: &'static str,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column, from 1, in characters.
    pub(crate) column: usize,
    /// The line as far as it can be shown.
    pub(crate) source: String,
}

/// Bytes as text.
///
/// # Errors
/// When they are not UTF-8.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<String, NotText> {
    let starts_with = |mark: &[u8]| bytes.starts_with(mark);
    let of_two_bytes = matches!(*bytes, [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..]);
    if starts_with(&[0xFF, 0xFE]) || starts_with(&[0xFE, 0xFF]) || of_two_bytes {
        let source = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().replace('\0', "");
        let message = "is UTF-16, expected UTF-8".to_owned();
        return Err(NotText { message, help: "save it as UTF-8", line: 1, column: 1, source });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let before = String::from_utf8_lossy(&bytes[..valid]);
        let start = bytes[..valid].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let end = bytes[valid..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| valid + end);
        let line = before.matches('\n').count() + 1;
        NotText {
            message: format!("is not UTF-8: line {line} has the byte 0x{:02X}", bytes[valid]),
            help: "save it as UTF-8",
            line,
            column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
            source: String::from_utf8_lossy(&bytes[start..end]).trim_end().to_owned(),
        }
    })
}

/// The text of a file.
///
/// # Errors
/// [`Error::Environment`] when it cannot be read, [`Error::Data`] when it is not UTF-8.
pub(crate) fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    decode(bytes).map_err(|NotText { message, .. }| Error::data(format!("`{}` {message}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_that_is_not_utf8_has_a_place() {
        let error = decode(b"run: a\n# gr\xFC\xDFe\nseed: 1\n".to_vec()).expect_err("not text");
        assert_eq!((error.line, error.column, error.source.as_str()), (2, 5, "# gr\u{fffd}\u{fffd}e"));
        assert_eq!(error.message, "is not UTF-8: line 2 has the byte 0xFC");
        let first = decode(b"\xE9t\xE9".to_vec()).expect_err("not text");
        assert_eq!((first.line, first.column), (1, 1));
        // A character that is cut off.
        assert_eq!(decode("aé".as_bytes()[..2].to_vec()).expect_err("not text").column, 2);
        assert_eq!(decode("grüße".into()), Ok("grüße".into()));
    }

    #[test]
    fn utf16_is_called_by_its_name() {
        for bytes in [&b"\xFF\xFEr\0u\0n\0"[..], b"\xFE\xFF\0r\0u\0n", b"r\0u\0n\0", b"\0r\0u\0n"] {
            let error = decode(bytes.to_vec()).expect_err("not text");
            assert_eq!((error.message.as_str(), error.line), ("is UTF-16, expected UTF-8", 1));
        }
        assert_eq!(decode(b"a".to_vec()), Ok("a".into()));
        assert_eq!(decode(Vec::new()), Ok(String::new()));
    }
}
