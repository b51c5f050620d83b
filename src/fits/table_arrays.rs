//! Columns of binary tables that have an array of floats in each row (FITS 4.0, sections 7.3.2 and 7.3.4).

use super::{
    FitsError, FitsFile,
    table::{Column, Scaling, Table},
};

/// A column with an array in each row.
struct ArrayColumn<'a> {
    table: Table<'a>,
    index: usize,
}

impl FitsFile {
    /// The axes of the arrays of a column (`TDIM`), the fastest one first. The error is the reason why it is not a column of floats.
    pub(crate) fn array_axes(&self, hdu: usize, name: &str) -> Result<Vec<usize>, String> {
        ArrayColumn::of(self, hdu, name)?.axes()
    }

    /// The array that a column has in a row.
    pub(crate) fn array(&self, hdu: usize, name: &str, row: u64) -> Result<Vec<f32>, FitsError> {
        let read = ArrayColumn::of(self, hdu, name).and_then(|column| column.read(row));
        read.map_err(|reason| self.error(hdu, reason.into()))
    }
}

impl<'a> ArrayColumn<'a> {
    fn of(file: &'a FitsFile, hdu: usize, name: &str) -> Result<Self, String> {
        let own = file.hdus().get(hdu).ok_or("is missing")?;
        if own.header.text("XTENSION").is_none_or(|kind| kind != "BINTABLE") {
            return Err("is not a binary table, expected `XTENSION` BINTABLE".into());
        }
        let table = Table::new(file, own)?;
        let index = table.names().iter().position(|found| found.eq_ignore_ascii_case(name));
        let index = index.ok_or_else(|| format!("has no column `{name}`"))?;
        let column = Self { table, index };
        let kind = column.column().kind;
        if ![b'E', b'D'].contains(&kind) {
            let (number, kind) = (column.column().number, char::from(kind));
            return Err(format!("key `TFORM{number}` of column `{name}` has the type `{kind}`, expected E or D"));
        }
        Ok(column)
    }

    fn column(&self) -> &Column {
        &self.table.columns[self.index]
    }

    fn axes(&self) -> Result<Vec<usize>, String> {
        let Column { number, repeat, .. } = self.column();
        let key = format!("TDIM{number}");
        let Some(text) = self.table.hdu.header.text(&key) else { return Ok(vec![*repeat as usize]) };
        let wrong = || format!("key `{key}` is `{}`, expected the axes of {repeat} values", text.escape_debug());
        let inside = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).ok_or_else(wrong)?;
        let axes: Result<Vec<usize>, _> = inside.split(',').map(|axis| axis.trim().parse()).collect();
        let axes = axes.map_err(|_| wrong())?;
        let values = axes.iter().try_fold(1, |values: u64, axis| values.checked_mul(*axis as u64));
        if values == Some(*repeat) { Ok(axes) } else { Err(wrong()) }
    }

    fn read(&self, row: u64) -> Result<Vec<f32>, String> {
        let column = self.column();
        let scaling = Scaling::of(&self.table.hdu.header, column.number)?;
        let value = |bytes: &[u8]| match bytes {
            [a, b, c, d] => f64::from(f32::from_be_bytes([*a, *b, *c, *d])),
            bytes => f64::from_be_bytes(bytes.try_into().unwrap_or_default()),
        };
        let bytes = if column.kind == b'E' { 4 } else { 8 };
        let array = |cell: &[u8]| Some(cell.chunks_exact(bytes).map(|cell| scaling.real(value(cell)) as f32).collect());
        let rows = self.table.each(column, &(row..row.saturating_add(1)), array)?;
        rows.into_iter().next().flatten().ok_or_else(|| format!("has no row {row}"))
    }
}
