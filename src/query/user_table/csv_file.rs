//! A CSV or TSV file of the user, also gzipped. It is read into memory: the types of its columns depend on all values.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Cursor, Read},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch, StringBuilder},
    compute::cast,
    datatypes::{DataType, Field, Schema},
};
use csv::{ByteRecord, Position, ReaderBuilder};
use datafusion::{catalog::TableProvider, datasource::MemTable};

use crate::{
    batch::{Declared, is_null_word, real, typed, without_nulls},
    error::{Error, Result},
    query::signed_columns::EXACT_UINT64,
};

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Reads the file.
pub(super) fn read(path: &Path, memory_bytes: usize) -> Result<Arc<dyn TableProvider>> {
    let columns = CsvFile { path, memory_bytes }.columns()?;
    let fields: Vec<Field> =
        columns.iter().map(|(name, values)| Field::new(name, values.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let all = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, values)| values).collect())?;
    let cut = |from: usize| all.slice(from, BATCH_ROWS.min(all.num_rows() - from));
    let batches = (0..all.num_rows()).step_by(BATCH_ROWS).map(cut).collect();
    let table = MemTable::try_new(schema, vec![batches]);
    Ok(Arc::new(table.map_err(|error| Error::bug("cannot make a table of a CSV file").caused_by(error))?))
}

struct CsvFile<'a> {
    path: &'a Path,
    /// The most that its text may take.
    memory_bytes: usize,
}

impl CsvFile<'_> {
    fn columns(&self) -> Result<Vec<(String, ArrayRef)>> {
        let (first, rows) = self.open()?;
        let name = self.path.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let delimiter = if name.ends_with(".tsv") || name.ends_with(".tab") { b'\t' } else { b',' };
        let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(Cursor::new(first).chain(rows));
        let header = reader.headers().map_err(|error| self.malformed(error))?;
        let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        self.check_header(&names)?;
        let mut columns: Vec<StringBuilder> = names.iter().map(|_| StringBuilder::new()).collect();
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| self.malformed(error))? {
            let position = |of: fn(&Position) -> u64| record.position().map_or(0, of);
            if position(Position::byte) > self.memory_bytes as u64 {
                let mib = self.memory_bytes >> 20;
                return Err(Error::data(format!(
                    "`{}` has more than {mib} MiB of text, which are held in memory: write it as Parquet, or allow more memory",
                    self.path.display()
                )));
            }
            for ((column, bytes), name) in columns.iter_mut().zip(&record).zip(&names) {
                let text = std::str::from_utf8(bytes).map_err(|_| {
                    let line = position(Position::line);
                    Error::data(format!(
                        "`{}`: line {line} has a field `{name}` that is not UTF-8",
                        self.path.display()
                    ))
                })?;
                if column.values_slice().len() + text.len() > i32::MAX as usize {
                    let path = self.path.display();
                    return Err(Error::data(format!(
                        "`{path}`: the column `{name}` has more than 2 GiB: write it as Parquet"
                    )));
                }
                column.append_value(text);
            }
        }
        names
            .into_iter()
            .zip(columns)
            .map(|(name, mut values)| Ok((name.clone(), self.typed(&name, &mut values)?)))
            .collect()
    }

    /// The first line that is not a comment, and what follows it.
    fn open(&self) -> Result<(Vec<u8>, Box<dyn Read>)> {
        let failed = |error| Error::io("read", self.path, error);
        let mut file = BufReader::new(File::open(self.path).map_err(failed)?);
        let is_gzip = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let mut rows: Box<dyn BufRead> =
            if is_gzip { Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))) } else { Box::new(file) };
        loop {
            let mut line = Vec::new();
            let read = rows.by_ref().take(self.memory_bytes as u64).read_until(b'\n', &mut line).map_err(failed)?;
            let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
            let is_comment = text.starts_with(b"#") || text.trim_ascii().is_empty();
            if read == 0 || !is_comment {
                return Ok((text.to_vec(), Box::new(rows)));
            }
        }
    }

    /// Refuses a first line that does not have the names of the columns.
    fn check_header(&self, names: &[String]) -> Result<()> {
        let mut known = BTreeSet::new();
        let problem = match names {
            [] => Some("it is empty".to_owned()),
            [only] if only.contains([';', '\t', '|']) => Some(format!(
                "its first line is `{}`, expected names between commas (tabs in `.tsv`)",
                only.escape_debug()
            )),
            names => names.iter().find_map(|name| match name.as_str() {
                "" => Some("a column has no name in its first line".to_owned()),
                // Without a header, the first object would give its values as names, and be missing.
                name if real(name).is_some() => {
                    Some(format!("its first line has the number `{name}`, expected the names of the columns"))
                }
                name if !known.insert(name) => Some(format!("two columns are called `{name}`")),
                _ => None,
            }),
        };
        let path = self.path.display();
        problem.map_or(Ok(()), |problem| Err(Error::data(format!("cannot read `{path}` as CSV: {problem}"))))
    }

    /// A column in the narrowest type that keeps its values as they are written: long ids stay integers, decimals or text.
    fn typed(&self, name: &str, values: &mut StringBuilder) -> Result<ArrayRef> {
        let wrong = |problem: String| Error::data(format!("`{}`: the column `{name}` {problem}", self.path.display()));
        let values = typed(&without_nulls(&values.finish(), &is_null_word), Declared::No).map_err(wrong)?;
        Ok(if *values.data_type() == DataType::UInt64 { cast(&values, &EXACT_UINT64)? } else { values })
    }

    fn malformed(&self, error: csv::Error) -> Error {
        Error::data(format!("cannot read `{}` as CSV", self.path.display())).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    fn columns(name: &str, content: &[u8], memory_bytes: usize) -> Result<Vec<(String, DataType, usize)>> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, content).expect("room");
        let columns = CsvFile { path: &path, memory_bytes }.columns()?;
        Ok(columns.into_iter().map(|(name, values)| (name, values.data_type().clone(), values.null_count())).collect())
    }

    fn refusal(content: &str) -> String {
        columns("a.csv", content.as_bytes(), 1 << 20).expect_err("refused").report()
    }

    #[test]
    fn ids_keep_all_digits_and_missing_values_are_null() {
        let content = "# made by hand\nid,big,padded,z,name\n587722984435351614,10133099161583616512,007,0.5,a\n\
                       587722984435351615,1,008,nan,\n";
        let expected = [
            ("id", DataType::Int64, 0),
            ("big", EXACT_UINT64, 0),
            ("padded", DataType::Utf8, 0),
            ("z", DataType::Float64, 1),
            ("name", DataType::Utf8, 1),
        ]
        .map(|(name, kind, nulls)| (name.to_owned(), kind, nulls));
        assert_eq!(columns("a.csv", content.as_bytes(), 1 << 20).expect("CSV"), expected);
        assert_eq!(columns("a.tsv", content.replace(',', "\t").as_bytes(), 1 << 20).expect("TSV"), expected);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content.as_bytes()).expect("room");
        assert_eq!(columns("a.csv.gz", &gzip.finish().expect("room"), 1 << 20).expect("CSV"), expected);
    }

    #[test]
    fn a_file_without_a_header_and_one_that_is_too_large_are_refused() {
        assert!(refusal("1,0.5\n2,0.75\n").contains("its first line has the number `1`"));
        assert!(refusal("a;b\n1;2\n").contains("expected names between commas"));
        assert!(refusal("a,a\n1,2\n").contains("two columns are called `a`"));
        assert!(refusal("").contains("it is empty"));
        assert!(refusal("a,b\n1\n").contains("found record with 1 fields"));
        let error = columns("a.csv", format!("a\n{}", "1\n".repeat(1000)).as_bytes(), 100).expect_err("too large");
        assert!(error.report().contains("write it as Parquet"), "{}", error.report());
    }
}
