//! The parameters of a compression (FITS 4.0, section 10.1.2): `ZNAMEn` and `ZVALn`.

use super::{hcompress::HcompressFormat, rice::RicePacking};
use crate::fits::header::Header;

/// A parameter of a compression.
struct Parameter {
    name: &'static str,
    default: i64,
    allowed: &'static [i64],
}

const BLOCK_SIZE: Parameter = Parameter { name: "BLOCKSIZE", default: 32, allowed: &[16, 32, 64, 128] };
const BYTES_OF_INTEGERS: Parameter = Parameter { name: "BYTEPIX", default: 4, allowed: &[1, 2, 4] };
/// Floats are quantised to integers of four bytes.
const BYTES_OF_FLOATS: Parameter = Parameter { name: "BYTEPIX", default: 4, allowed: &[4] };
const SMOOTH: Parameter = Parameter { name: "SMOOTH", default: 0, allowed: &[0, 1] };

impl Parameter {
    /// The value in a header. Old files have other names for numbers that no decoder needs.
    fn value(&self, header: &Header) -> Result<i64, String> {
        let Self { name, default, allowed } = self;
        let named = (1..=9).find(|number| header.text(&format!("ZNAME{number}")).is_some_and(|found| found == *name));
        let Some(number) = named else { return Ok(*default) };
        let key = format!("ZVAL{number}");
        let value = header.number(&key)?.unwrap_or(*default as f64);
        if !allowed.contains(&(value as i64)) {
            return Err(format!("key `{key}` ({name}) is {value}, expected one of {allowed:?}"));
        }
        Ok(value as i64)
    }
}

/// How the pixels of Rice streams are packed.
pub(super) fn rice_packing(header: &Header, bitpix: i64) -> Result<RicePacking, String> {
    let bytes = if bitpix < 0 { BYTES_OF_FLOATS } else { BYTES_OF_INTEGERS };
    Ok(RicePacking { block: BLOCK_SIZE.value(header)? as usize, bytes: bytes.value(header)? as usize })
}

/// The format of HCOMPRESS streams.
pub(super) fn hcompress_format(header: &Header, bitpix: i64) -> Result<HcompressFormat, String> {
    Ok(HcompressFormat { wide: ![8, 16].contains(&bitpix), smooth: SMOOTH.value(header)? == 1 })
}
