//! Catalogues in ECSV, the text format of astropy: comments with a YAML header, then fields between blanks or commas.

use std::io::{Cursor, Read};

use serde::Deserialize;

use super::{
    Catalogue, Columns, Input,
    csv_table::{Preamble, TextTable, preamble},
    values::Declared,
};
use crate::error::Diagnostic;

/// The part of the header that is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Header {
    delimiter: Option<String>,
    datatype: Vec<HeaderColumn>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HeaderColumn {
    name: String,
    datatype: String,
    subtype: Option<String>,
}

impl Catalogue {
    pub(super) fn read_ecsv(&self, mut input: Input) -> Result<Columns, Vec<Diagnostic>> {
        let Preamble { comments, first } = preamble(input.content.as_mut()).map_err(|error| self.unreadable(&error))?;
        let header = header(&comments).map_err(|reason| self.unreadable(&format!("its header is wrong: {reason}")))?;
        let delimiter = match header.delimiter.as_deref() {
            None | Some(" ") => b' ',
            Some(",") => b',',
            Some(other) => {
                let reason = format!("`delimiter` is `{}`, expected a blank or a comma", other.escape_debug());
                return Err(self.unreadable(&reason));
            }
        };
        let declared = header.datatype.into_iter().map(|column| (column.name.clone(), column.declared()));
        let rows = Box::new(Cursor::new(first).chain(input.content));
        self.read_rows(TextTable { delimiter, rows, declared: declared.collect() })
    }
}

/// The YAML header up to `meta`, whose content has tags of Python.
fn header(comments: &[String]) -> Result<Header, String> {
    let lines = comments.iter().map(|line| line.strip_prefix(' ').unwrap_or(line));
    let lines = lines.filter(|line| !line.starts_with("%ECSV") && line.trim() != "---");
    let yaml: Vec<&str> = lines.take_while(|line| !line.starts_with("meta")).collect();
    if yaml.is_empty() {
        return Ok(Header::default());
    }
    serde_saphyr::from_str(&yaml.join("\n")).map_err(|error| error.to_string())
}

impl HeaderColumn {
    fn declared(&self) -> Declared {
        match self.datatype.as_str() {
            "bool" => Declared::Logical,
            "string" => Declared::Text,
            _ if self.subtype.is_some() => Declared::Text,
            "float16" | "float32" | "float64" | "float128" => Declared::Real,
            kind if kind.starts_with("int") || kind.starts_with("uint") => Declared::Integer,
            _ => Declared::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_types_that_astropy_writes() {
        let text = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: int64}\n\
                    # - {name: z, unit: mag, datatype: float64, description: a redshift}\n\
                    # - {name: morph, datatype: string}\n# delimiter: ','\n\
                    # meta: !!omap\n# - {__serialized_columns__: {}}\n# schema: astropy-2.0\n";
        let comments: Vec<String> = text.lines().map(|line| line[1..].to_owned()).collect();
        let header = header(&comments).expect("a header");
        assert_eq!(header.delimiter.as_deref(), Some(","));
        let declared: Vec<Declared> = header.datatype.iter().map(HeaderColumn::declared).collect();
        assert_eq!(declared, [Declared::Integer, Declared::Real, Declared::Text]);
    }
}
