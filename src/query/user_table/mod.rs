//! Tables of the user beside those of the run: a catalogue in Parquet or CSV, under a name that the caller gives.
//!
//! Paths come from the command line or from the program, never from SQL: a query reads nothing but what was named there.

mod csv_file;
mod parquet_file;

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    sync::Arc,
};

use datafusion::{
    catalog::TableProvider,
    common::TableReference,
    prelude::SessionContext,
    sql::sqlparser::keywords::{RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_TABLE_ALIAS},
};

use super::{part_reader::ReadErrors, statements};
use crate::error::{Error, Result};

/// The first bytes of formats that are not read.
const OTHER_FORMATS: [(&[u8], &str); 4] =
    [(b"SIMPLE  =", "FITS"), (b"<", "VOTable"), (b"# %ECSV", "ECSV"), (b"BZh", "bzip2")];

/// Refuses a name that SQL would not read as it is, or that a table of the run has.
pub(super) fn check_name(name: &str, tables: &[String], context: &SessionContext) -> Result<()> {
    if let Some(taken) = tables.iter().find(|table| table.eq_ignore_ascii_case(name)) {
        return Err(Error::data(format!("the run has a table `{taken}`: choose another name than `{name}` for yours")));
    }
    // Whatever the grammar takes for a name, in lower case as it reads unquoted names.
    let plain = name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    let mut words = RESERVED_FOR_TABLE_ALIAS.iter().chain(RESERVED_FOR_COLUMN_ALIAS);
    let is_word = words.any(|word| format!("{word:?}").eq_ignore_ascii_case(name));
    let references = statements(&format!("select 1 from {name}")).ok().filter(|_| plain && !is_word);
    let references = references.and_then(|statements| context.state().resolve_table_references(&statements[0]).ok());
    if references.as_deref() == Some(&[TableReference::bare(name)]) {
        return Ok(());
    }
    Err(Error::data(format!(
        "`{}` is not a name of a table in SQL: expected small letters, digits and `_`, not a digit first, and not a word of SQL",
        name.escape_debug()
    )))
}

/// Opens a table of the user.
///
/// # Errors
/// [`Error::Data`] when it is not Parquet or CSV, or takes more than `memory_bytes` (CSV is held in memory).
pub(super) fn open(path: &Path, memory_bytes: usize, errors: &ReadErrors) -> Result<Arc<dyn TableProvider>> {
    let metadata = fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
    let refused =
        |found: &str| Err(Error::data(format!("`{}` is {found}, expected a file in Parquet or CSV", path.display())));
    // A pipe would block.
    if !metadata.is_file() {
        return refused(if metadata.is_dir() { "a folder" } else { "not an ordinary file" });
    }
    let mut start = Vec::new();
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    file.take(16).read_to_end(&mut start).map_err(|error| Error::io("read", path, error))?;
    if let Some((_, format)) = OTHER_FORMATS.iter().find(|(bytes, _)| start.starts_with(bytes)) {
        return refused(format);
    }
    if start.starts_with(b"PAR1") {
        return Ok(Arc::new(parquet_file::ParquetFileTable::open(path, metadata.len(), errors.clone())?));
    }
    csv_file::read(path, memory_bytes)
}
