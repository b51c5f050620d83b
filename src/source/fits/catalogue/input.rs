//! The file of a catalogue, and its format by the first bytes.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
};

/// Bytes that show the format.
const START: usize = 512;
/// The most that a gzipped catalogue may decompress to. Text is read row by row; of the other formats, the whole is in memory.
const MAX_DECOMPRESSED: u64 = 1 << 36;

/// The format of a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// CSV or TSV.
    Text,
    Ecsv,
    Fits,
    VoTable,
    Parquet,
}

/// An open catalogue.
pub(super) struct Input {
    pub format: Format,
    /// Whether its name says that tabs separate the fields.
    pub has_tabs: bool,
    /// Whether the file is gzipped.
    pub is_compressed: bool,
    /// The content, decompressed.
    pub content: Box<dyn BufRead>,
}

impl Input {
    /// Opens an ordinary file; the error is the reason why it cannot be read.
    pub(super) fn open(path: &str) -> Result<Self, String> {
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is not an ordinary file".into());
        }
        let mut file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
        let is_gzip = file.fill_buf().map_err(|error| error.to_string())?.starts_with(&[0x1f, 0x8b]);
        let content: Box<dyn Read> = match is_gzip {
            true => Box::new(flate2::bufread::MultiGzDecoder::new(file).take(MAX_DECOMPRESSED)),
            false => Box::new(file),
        };
        let input = Self::of(path, content).map_err(|error| error.to_string())?;
        Ok(Self { is_compressed: is_gzip, ..input })
    }

    fn of(path: &str, mut content: Box<dyn Read>) -> io::Result<Self> {
        let mut start = Vec::with_capacity(START);
        content.by_ref().take(START as u64).read_to_end(&mut start)?;
        if let Some(rest) = start.strip_prefix(b"\xef\xbb\xbf") {
            start = rest.to_vec();
        }
        let name = path.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let format = match extension {
            "parquet" | "pq" => Format::Parquet,
            _ => format_of(&start),
        };
        let content = Box::new(BufReader::new(Cursor::new(start).chain(content)));
        Ok(Self { format, has_tabs: extension == "tsv" || extension == "tab", is_compressed: false, content })
    }

    /// The whole content.
    pub(super) fn into_bytes(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.content.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn format_of(start: &[u8]) -> Format {
    let text = start.trim_ascii_start();
    if start.starts_with(b"PAR1") {
        Format::Parquet
    } else if start.starts_with(b"SIMPLE  =") {
        Format::Fits
    } else if text.starts_with(b"# %ECSV") {
        Format::Ecsv
    } else if text.starts_with(b"<") {
        Format::VoTable
    } else {
        Format::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide_the_format() {
        for (start, format) in [
            ("id,x\n", Format::Text),
            ("# a comment\nid,x\n", Format::Text),
            ("", Format::Text),
            ("# %ECSV 1.0\n", Format::Ecsv),
            ("SIMPLE  =                    T", Format::Fits),
            ("\u{feff}<?xml version='1.0'?>", Format::VoTable),
            ("\n<VOTABLE>", Format::VoTable),
            ("PAR1", Format::Parquet),
        ] {
            let input = Input::of("x.dat", Box::new(Cursor::new(start.to_owned()))).expect("an input");
            assert_eq!(input.format, format, "{start}");
        }
        assert!(Input::of("x.TSV.gz", Box::new(io::empty())).expect("an input").has_tabs);
    }
}
