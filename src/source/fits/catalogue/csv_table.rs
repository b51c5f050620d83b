//! Catalogues in CSV and TSV, and the rows of ECSV.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Cursor, Read},
};

use arrow::array::StringBuilder;

use super::{
    Catalogue, Columns, Input,
    values::{Declared, RawColumn},
};
use crate::error::Diagnostic;

/// The text of a table, from its header line on.
pub(super) struct TextTable {
    pub delimiter: u8,
    pub rows: Box<dyn Read>,
    /// The types that a header declares, by column.
    pub declared: BTreeMap<String, Declared>,
}

/// The lines before the first one that is not a comment, without their `#`; and that line.
pub(super) struct Preamble {
    pub comments: Vec<String>,
    pub first: Vec<u8>,
}

/// Reads the comments at the beginning.
pub(super) fn preamble(content: &mut dyn BufRead) -> io::Result<Preamble> {
    let mut comments = Vec::new();
    loop {
        let mut line = Vec::new();
        if content.read_until(b'\n', &mut line)? == 0 {
            return Ok(Preamble { comments, first: line });
        }
        match line.trim_ascii().strip_prefix(b"#") {
            Some(comment) => comments.push(String::from_utf8_lossy(comment).into_owned()),
            None if line.trim_ascii().is_empty() => {}
            None => return Ok(Preamble { comments, first: line }),
        }
    }
}

impl Catalogue {
    pub(super) fn read_csv(&self, mut input: Input) -> Result<Columns, Vec<Diagnostic>> {
        let Preamble { comments, first } = preamble(input.content.as_mut()).map_err(|error| self.unreadable(&error))?;
        let delimiter = if input.has_tabs { b'\t' } else { b',' };
        let has_key = |line: &[u8]| fields(line, delimiter).contains(&self.key);
        // TOPCAT and numpy write the names into the last comment.
        let commented = comments.last().filter(|comment| !has_key(&first) && has_key(comment.as_bytes()));
        let header = commented.map(|names| format!("{}\n", names.trim())).unwrap_or_default();
        let rows = Cursor::new(header).chain(Cursor::new(first)).chain(input.content);
        self.read_rows(TextTable { delimiter, rows: Box::new(rows), declared: BTreeMap::new() })
    }

    /// Reads the wanted columns. Only these are looked at, of however many.
    pub(super) fn read_rows(&self, table: TextTable) -> Result<Columns, Vec<Diagnostic>> {
        let malformed = |error: csv::Error| self.unreadable(&error);
        let mut builder = csv::ReaderBuilder::new();
        let mut file = builder.delimiter(table.delimiter).flexible(true).from_reader(table.rows);
        let header = file.headers().map_err(malformed)?.clone();
        let names: Vec<&str> = header.iter().map(str::trim).collect();
        let chosen = self.chosen(&names)?;
        let mut columns: Vec<StringBuilder> = chosen.iter().map(|_| StringBuilder::new()).collect();
        let mut record = csv::ByteRecord::new();
        while file.read_byte_record(&mut record).map_err(malformed)? {
            if record.len() != names.len() {
                if record.get(0).is_some_and(|first| first.starts_with(b"#")) {
                    continue;
                }
                let line = record.position().map_or(0, csv::Position::line);
                let (found, expected) = (record.len(), names.len());
                return Err(self.unreadable(&format!("line {line} has {found} fields, expected {expected}")));
            }
            for (column, index) in columns.iter_mut().zip(&chosen) {
                let text = std::str::from_utf8(&record[*index]).map_err(|_| {
                    let line = record.position().map_or(0, csv::Position::line);
                    self.unreadable(&format!("line {line} has a field `{}` that is not UTF-8", names[*index]))
                })?;
                column.append_value(text);
            }
        }
        let columns = columns.into_iter().zip(&chosen).map(|(mut values, index)| {
            let declared = table.declared.get(names[*index]).copied().unwrap_or(Declared::No);
            (names[*index].to_owned(), RawColumn::Text { values: values.finish(), declared })
        });
        Ok(columns.collect())
    }
}

/// The fields of one line.
fn fields(line: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(line);
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => record.iter().map(|field| field.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}
