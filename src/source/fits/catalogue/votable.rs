//! Catalogues in VOTable (IVOA, versions 1.0 to 1.5): the first table of the document, as TABLEDATA, BINARY or BINARY2.

use std::io::BufRead;

use arrow::array::StringBuilder;
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{
    Catalogue, Columns, Input,
    values::{Declared, RawColumn},
    votable_binary::{BinaryRows, FieldSize},
};
use crate::error::Diagnostic;

/// A column of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct VoField {
    pub name: String,
    pub datatype: String,
    pub arraysize: Option<String>,
    /// The text that stands for a missing value.
    pub null: Option<String>,
}

/// How the rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serialization {
    Binary,
    Binary2,
}

impl VoField {
    fn of(element: &BytesStart<'_>) -> Result<Self, String> {
        let attribute = |key: &str| attribute(element, key);
        // `ID` names the column where `name` is missing, as some old services write it.
        let name = attribute("name")?.or(attribute("ID")?).unwrap_or_default();
        let datatype = attribute("datatype")?.unwrap_or_else(|| "char".into());
        Ok(Self { name, datatype, arraysize: attribute("arraysize")?, null: None })
    }

    /// Whether it holds text, of any length.
    pub(super) fn is_text(&self) -> bool {
        self.datatype == "char" || self.datatype == "unicodeChar"
    }

    fn declared(&self) -> Result<Declared, String> {
        let is_scalar = self.arraysize.as_deref().is_none_or(|size| size == "1");
        match self.datatype.as_str() {
            "char" | "unicodeChar" => Ok(Declared::Text),
            // astropy writes logical values as bits.
            "boolean" | "bit" if is_scalar => Ok(Declared::Logical),
            "unsignedByte" | "short" | "int" | "long" if is_scalar => Ok(Declared::Integer),
            "float" | "double" if is_scalar => Ok(Declared::Real),
            other => {
                let size = self.arraysize.as_deref().map(|size| format!(" (arraysize {size})")).unwrap_or_default();
                let other = other.escape_debug();
                Err(format!("column `{}` holds {other}{size}, expected one value per row", self.name.escape_debug()))
            }
        }
    }
}

/// The wanted columns as they are read.
struct Wanted {
    /// Their indices among the fields, in order.
    indices: Vec<usize>,
    values: Vec<StringBuilder>,
}

impl Wanted {
    /// Adds a row: the text of each field, if it has one.
    fn push(&mut self, fields: &[VoField], cell: impl Fn(usize) -> Option<String>) {
        for (index, values) in self.indices.iter().zip(&mut self.values) {
            let field = &fields[*index];
            let text = cell(*index).filter(|text| field.null.as_deref() != Some(text.trim()));
            values.append_option(match (field.datatype.as_str(), text.as_deref().map(str::trim)) {
                ("bit" | "boolean", Some("1")) => Some("true"),
                ("bit" | "boolean", Some("0")) => Some("false"),
                // Undefined.
                ("boolean", Some("?")) => None,
                (_, text) => text,
            });
        }
    }
}

impl Catalogue {
    pub(super) fn read_votable(&self, input: Input) -> Result<Columns, Vec<Diagnostic>> {
        let mut document = Document { reader: Reader::from_reader(input.content), buffer: Vec::new() };
        let fields = document.fields().map_err(|reason| self.unreadable(&reason))?;
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let indices = self.chosen(&names)?;
        let declared: Result<Vec<Declared>, String> = indices.iter().map(|index| fields[*index].declared()).collect();
        let declared = declared.map_err(|reason| self.unreadable(&reason))?;
        let mut wanted = Wanted { values: indices.iter().map(|_| StringBuilder::new()).collect(), indices };
        document.rows(&fields, &mut wanted).map_err(|reason| self.unreadable(&reason))?;
        let columns = wanted.indices.iter().zip(&mut wanted.values).zip(declared);
        let column = |((index, values), declared): ((&usize, &mut StringBuilder), Declared)| {
            (fields[*index].name.clone(), RawColumn::Text { values: values.finish(), declared })
        };
        Ok(columns.map(column).collect())
    }
}

/// A VOTable document that is read from its beginning to its end.
struct Document<R> {
    reader: Reader<R>,
    buffer: Vec<u8>,
}

impl<R: BufRead> Document<R> {
    fn next(&mut self) -> Result<Event<'_>, String> {
        self.buffer.clear();
        let at = self.reader.buffer_position();
        self.reader.read_event_into(&mut self.buffer).map_err(|error| format!("it is not XML at byte {at}: {error}"))
    }

    /// The fields of the first table, up to its data.
    fn fields(&mut self) -> Result<Vec<VoField>, String> {
        let mut fields: Vec<VoField> = Vec::new();
        let mut is_votable = false;
        loop {
            match self.next()? {
                Event::Start(element) | Event::Empty(element) => match element.local_name().as_ref() {
                    "VOTABLE" => is_votable = true,
                    _ if !is_votable => return Err("it is XML, expected a VOTable".into()),
                    "FIELD" => fields.push(VoField::of(&element)?),
                    "VALUES" => {
                        if let (Some(field), Some(null)) = (fields.last_mut(), attribute(&element, "null")?) {
                            field.null = Some(null);
                        }
                    }
                    "DATA" => return Ok(fields),
                    _ => {}
                },
                Event::Eof => return Err("it has no table with data".into()),
                _ => {}
            }
        }
    }

    /// The rows of the table whose fields were read.
    fn rows(&mut self, fields: &[VoField], wanted: &mut Wanted) -> Result<(), String> {
        loop {
            let (element, is_empty) = match self.next()? {
                Event::Start(element) => (element, false),
                Event::Empty(element) => (element, true),
                Event::End(element) if element.local_name().as_ref() == "DATA" => return Ok(()),
                Event::Eof => return Err("it ends within its table".into()),
                _ => continue,
            };
            match element.local_name().as_ref() {
                "TABLEDATA" if !is_empty => return self.table_data(fields, wanted),
                "BINARY" => return self.stream(fields, wanted, Serialization::Binary),
                "BINARY2" => return self.stream(fields, wanted, Serialization::Binary2),
                "FITS" => return Err("its rows are a FITS file: name that file".into()),
                _ => {}
            }
        }
    }

    fn table_data(&mut self, fields: &[VoField], wanted: &mut Wanted) -> Result<(), String> {
        let mut row: Vec<Option<String>> = Vec::with_capacity(fields.len());
        // The text of the cell that is open.
        let mut cell: Option<String> = None;
        let mut number = 0u64;
        loop {
            match self.next()? {
                Event::Start(element) if element.local_name().as_ref() == "TD" => cell = Some(String::new()),
                Event::Empty(element) if element.local_name().as_ref() == "TD" => row.push(None),
                Event::Text(text) => {
                    if let Some(cell) = &mut cell {
                        cell.push_str(&text.xml10_content());
                    }
                }
                Event::CData(text) => {
                    if let Some(cell) = &mut cell {
                        cell.push_str(&text.xml10_content());
                    }
                }
                Event::GeneralRef(reference) => {
                    let resolved = match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                        Some(letter) => letter.to_string(),
                        None => predefined(&reference.xml10_content())?.to_owned(),
                    };
                    if let Some(cell) = &mut cell {
                        cell.push_str(&resolved);
                    }
                }
                Event::End(element) => match element.local_name().as_ref() {
                    "TD" => row.push(cell.take().filter(|text| !text.is_empty())),
                    "TR" => {
                        number += 1;
                        if row.len() != fields.len() {
                            let (found, expected) = (row.len(), fields.len());
                            return Err(format!("row {number} has {found} cells, expected {expected}"));
                        }
                        wanted.push(fields, |index| row[index].clone());
                        row.clear();
                    }
                    "TABLEDATA" => return Ok(()),
                    _ => {}
                },
                Event::Eof => return Err("it ends within its table".into()),
                _ => {}
            }
        }
    }

    /// The rows in the base64 of a STREAM.
    fn stream(&mut self, fields: &[VoField], wanted: &mut Wanted, how: Serialization) -> Result<(), String> {
        let sizes = fields.iter().map(FieldSize::of).collect::<Result<Vec<_>, String>>()?;
        let mut base64 = String::new();
        loop {
            match self.next()? {
                Event::Start(element) | Event::Empty(element) if element.local_name().as_ref() == "STREAM" => {
                    if attribute(&element, "href")?.is_some() {
                        return Err("its rows are in another file (`href`), which is not read".into());
                    }
                    let encoding = attribute(&element, "encoding")?.unwrap_or_else(|| "base64".into());
                    if encoding != "base64" {
                        return Err(format!(
                            "its rows have the encoding `{}`, expected `base64`",
                            encoding.escape_debug()
                        ));
                    }
                }
                Event::Text(text) => {
                    base64.extend(text.xml10_content().chars().filter(|letter| !letter.is_whitespace()));
                }
                Event::End(element) if element.local_name().as_ref().starts_with("BINARY") => break,
                Event::Eof => return Err("it ends within its table".into()),
                _ => {}
            }
        }
        let mut rows = BinaryRows::new(&base64, &sizes, how == Serialization::Binary2)?;
        while let Some(row) = rows.next_row()? {
            wanted.push(fields, |index| row[index].and_then(|bytes| sizes[index].text(bytes)));
        }
        Ok(())
    }
}

/// An attribute of an element.
fn attribute(element: &BytesStart<'_>, key: &str) -> Result<Option<String>, String> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| format!("it is not XML: {error}"))?;
        if attribute.key.local_name().as_ref() == key {
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|error| format!("it is not XML: {error}"))?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

/// The character of an entity that every XML document has. Others could expand to gigabytes.
fn predefined(name: &str) -> Result<&'static str, String> {
    quick_xml::escape::resolve_predefined_entity(name).ok_or_else(|| format!("it has the unknown entity `&{name};`"))
}
