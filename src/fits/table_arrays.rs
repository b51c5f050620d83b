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

#[cfg(test)]
mod tests {
    use crate::fits::{CardValue, table::tests::table};

    fn text(text: &str) -> CardValue {
        CardValue::Text(text.to_owned())
    }

    #[test]
    fn reads_the_array_of_a_row_scaled() {
        let keys = [
            ("TFORM1", text("I")),
            ("TFORM2", text("6D")),
            ("TTYPE2", text("Mask")),
            ("TDIM2", text("(3, 2)")),
            ("TSCAL2", CardValue::Real(0.5)),
            ("TZERO2", CardValue::Real(1.0)),
            ("TFORM3", text("2E")),
            ("TTYPE3", text("PAIR")),
        ];
        let row = |first: u8| {
            let reals = (first..first + 6).flat_map(|value| f64::from(value).to_be_bytes());
            let pair = [1.5f32, f32::NAN].into_iter().flat_map(f32::to_be_bytes);
            [0, 7].into_iter().chain(reals).chain(pair).collect::<Vec<u8>>()
        };
        let file = table(&keys, &[&row(0), &row(10)]);
        assert_eq!(file.array_axes(1, "MASK"), Ok(vec![3, 2]));
        assert_eq!(file.array(1, "MASK", 1).expect("an array"), [6.0, 6.5, 7.0, 7.5, 8.0, 8.5]);
        assert_eq!(file.array_axes(1, "PAIR"), Ok(vec![2]), "without `TDIM`");
        let pair = file.array(1, "PAIR", 0).expect("an array");
        assert!(pair[0] == 1.5 && pair[1].is_nan() && pair.len() == 2);
        assert_eq!(file.array(1, "MASK", 2).expect_err("two rows").to_string(), "`memory[1]` has no row 2");
    }

    #[test]
    fn refuses_what_is_not_a_column_of_arrays_of_floats() {
        for (form, axes, expected) in [
            ("6J", "(3,2)", "key `TFORM1` of column `MASK` has the type `J`, expected E or D"),
            ("PE(6)", "(3,2)", "key `TFORM1` of column `MASK` has the type `P`, expected E or D"),
            ("6E", "(3,3)", "key `TDIM1` is `(3,3)`, expected the axes of 6 values"),
            ("6E", "(3,-2)", "key `TDIM1` is `(3,-2)`, expected the axes of 6 values"),
            ("6E", "3,2", "key `TDIM1` is `3,2`, expected the axes of 6 values"),
            (
                "6E",
                "(18446744073709551615,2)",
                "key `TDIM1` is `(18446744073709551615,2)`, expected the axes of 6 values",
            ),
        ] {
            let keys = [("TFORM1", text(form)), ("TTYPE1", text("MASK")), ("TDIM1", text(axes))];
            let file = table(&keys, &[&[0; 24]]);
            assert_eq!(file.array_axes(1, "MASK"), Err(expected.to_owned()));
        }
        let file = table(&[("TFORM1", text("6E"))], &[&[0; 24]]);
        assert_eq!(file.array_axes(1, "MASK"), Err("has no column `MASK`".to_owned()));
        assert_eq!(file.array_axes(0, "MASK"), Err("is not a binary table, expected `XTENSION` BINTABLE".to_owned()));
        assert_eq!(file.array_axes(7, "MASK"), Err("is missing".to_owned()));
    }
}
