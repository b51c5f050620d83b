//! The file for cfitsio: the keys of the image and the repacked table.

use super::{CompressedTable, RepackedData, TileCompression, rice::RicePacking};
use crate::fits::{
    header::{CardValue, Header},
    structure::BLOCK,
    write::card,
};

/// The bytes of a FITS file: an empty primary HDU and the repacked table.
pub(super) fn assemble(table: &CompressedTable, packed: &RepackedData) -> Result<Vec<u8>, String> {
    let row_bytes: usize = table.columns.iter().map(|column| column.pointer_bytes.map_or(column.width, |_| 16)).sum();
    let mut file = Vec::with_capacity(4 * BLOCK + packed.rows.len() + packed.heap.len());
    card(&mut file, "SIMPLE", &CardValue::Logical(true));
    card(&mut file, "BITPIX", &CardValue::Integer(8));
    card(&mut file, "NAXIS", &CardValue::Integer(0));
    end(&mut file);
    let integer = |value: usize| CardValue::Integer(value as i64);
    for (key, value) in [
        ("XTENSION", CardValue::Text("BINTABLE".into())),
        ("BITPIX", integer(8)),
        ("NAXIS", integer(2)),
        ("NAXIS1", integer(row_bytes)),
        ("NAXIS2", integer(table.rows)),
        ("PCOUNT", integer(packed.heap.len())),
        ("GCOUNT", integer(1)),
        ("TFIELDS", integer(table.columns.len())),
    ] {
        card(&mut file, key, &value);
    }
    for (number, column) in (1..).zip(&table.columns) {
        let pointer = if column.pointer_bytes.is_some() { "Q" } else { "" };
        let form = format!("1{pointer}{}", char::from(column.letter));
        card(&mut file, &format!("TTYPE{number}"), &CardValue::Text(column.name.clone()));
        card(&mut file, &format!("TFORM{number}"), &CardValue::Text(form));
    }
    image_cards(table, &mut file)?;
    end(&mut file);
    file.extend_from_slice(&packed.rows);
    file.extend_from_slice(&packed.heap);
    file.resize(file.len().next_multiple_of(BLOCK), 0);
    Ok(file)
}

/// The keys of the image, each checked and rewritten.
fn image_cards(table: &CompressedTable, file: &mut Vec<u8>) -> Result<(), String> {
    let header = table.header;
    card(file, "ZIMAGE", &CardValue::Logical(true));
    let axes = header.required("ZNAXIS")?;
    let mut integers = vec![("ZBITPIX".to_owned(), -64..=32), ("ZNAXIS".to_owned(), 1..=6)];
    for axis in 1..=axes {
        integers.push((format!("ZNAXIS{axis}"), 1..=i64::from(i32::MAX)));
        integers.push((format!("ZTILE{axis}"), 1..=i64::from(i32::MAX)));
    }
    integers.push(("ZDITHER0".to_owned(), 1..=10_000));
    integers.push(("ZBLANK".to_owned(), i64::from(i32::MIN)..=i64::from(i32::MAX)));
    integers.push(("BLANK".to_owned(), i64::from(i32::MIN)..=i64::from(i32::MAX)));
    for (key, range) in integers {
        let Some(mut value) = header.integer(&key)? else { continue };
        if let Some(axis) = key.strip_prefix("ZTILE") {
            // A tile that is larger than the image has the size of the image.
            value = value.min(header.required(&format!("ZNAXIS{axis}"))?);
        }
        if !range.contains(&value) {
            return Err(format!("key `{key}` is {value}, expected {} to {}", range.start(), range.end()));
        }
        card(file, &key, &CardValue::Integer(value));
    }
    for key in ["ZSCALE", "ZZERO", "BSCALE", "BZERO"] {
        if let Some(value) = header.number(key)? {
            card(file, key, &CardValue::Real(value));
        }
    }
    for key in ["ZCMPTYPE", "ZQUANTIZ"] {
        if let Some(value) = header.text(key) {
            card(file, key, &CardValue::Text(value.chars().filter(char::is_ascii_graphic).take(40).collect()));
        }
    }
    parameters(table, file)
}

/// A parameter of a compression.
struct Parameter {
    name: &'static str,
    default: i64,
    /// The allowed values; empty if any number is allowed.
    allowed: &'static [i64],
}

const BLOCK_SIZE: Parameter = Parameter { name: "BLOCKSIZE", default: 32, allowed: &[16, 32, 64, 128] };
const BYTES_OF_INTEGERS: Parameter = Parameter { name: "BYTEPIX", default: 4, allowed: &[1, 2, 4] };
/// cfitsio reads the tiles of quantised floats as 4-byte integers in any case.
const BYTES_OF_FLOATS: Parameter = Parameter { name: "BYTEPIX", default: 4, allowed: &[4] };
const SCALE: Parameter = Parameter { name: "SCALE", default: 0, allowed: &[] };
const SMOOTH: Parameter = Parameter { name: "SMOOTH", default: 0, allowed: &[0, 1] };

impl Parameter {
    /// The value in a header, where the parameter has a name or else its usual number.
    fn value(&self, header: &Header, number: usize) -> Result<f64, String> {
        let Self { name, default, allowed } = self;
        let named = (1..=9).find(|number| header.text(&format!("ZNAME{number}")).is_some_and(|found| found == *name));
        let key = format!("ZVAL{}", named.unwrap_or(number));
        let value = if named.is_some() { header.number(&key)? } else { None }.unwrap_or(*default as f64);
        if !allowed.is_empty() && !allowed.contains(&(value as i64)) {
            return Err(format!("key `{key}` ({name}) is {value}, expected one of {allowed:?}"));
        }
        Ok(value)
    }
}

/// The parameters of Rice compression.
pub(super) fn rice_packing(header: &Header, bitpix: i64) -> Result<RicePacking, String> {
    let bytes = if bitpix < 0 { BYTES_OF_FLOATS } else { BYTES_OF_INTEGERS };
    let (block, bytes) = match TileCompression::of(header)? {
        TileCompression::Rice => (BLOCK_SIZE.value(header, 1)?, bytes.value(header, 2)?),
        _ => (BLOCK_SIZE.default as f64, bytes.default as f64),
    };
    Ok(RicePacking { block: block as usize, bytes: bytes as usize })
}

/// The parameters of the compression, in the order in which cfitsio expects them: it ignores their names.
fn parameters(table: &CompressedTable, file: &mut Vec<u8>) -> Result<(), String> {
    let header = table.header;
    let known: &[Parameter] = match table.compression {
        TileCompression::Rice if table.bitpix < 0 => &[BLOCK_SIZE, BYTES_OF_FLOATS],
        TileCompression::Rice => &[BLOCK_SIZE, BYTES_OF_INTEGERS],
        TileCompression::Hcompress => &[SCALE, SMOOTH],
        TileCompression::Gzip | TileCompression::Plio => &[],
    };
    for (number, parameter) in (1..).zip(known) {
        let Parameter { name, allowed, .. } = parameter;
        let value = parameter.value(header, number)?;
        card(file, &format!("ZNAME{number}"), &CardValue::Text((*name).to_owned()));
        let value = if allowed.is_empty() { CardValue::Real(value) } else { CardValue::Integer(value as i64) };
        card(file, &format!("ZVAL{number}"), &value);
    }
    Ok(())
}

fn end(file: &mut Vec<u8>) {
    file.extend_from_slice(format!("{:<80}", "END").as_bytes());
    file.resize(file.len().next_multiple_of(BLOCK), b' ');
}
