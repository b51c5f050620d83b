//! The pixels of an image of integers, exactly: bits of a mask must not go through a float.

use super::header::Header;

/// How stored integers become those of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IntegerScaling {
    zero: i128,
    blank: Option<i64>,
    /// Bits of a pixel: a negative integer has its highest one set.
    bits: u32,
}

impl IntegerScaling {
    /// That of a header with `BITPIX` above 0.
    pub(super) fn of(header: &Header) -> Result<Self, String> {
        let scale = header.number("BSCALE")?.unwrap_or(1.0);
        let zero = header.number("BZERO")?.unwrap_or(0.0);
        let bits = u32::try_from(header.required("BITPIX")?).unwrap_or(64);
        Self::new(scale, zero, header.integer("BLANK")?, bits)
    }

    /// Scaling by `BSCALE`, `BZERO`, and `BLANK`. Only integers that are shifted stay integers.
    pub(super) fn new(scale: f64, zero: f64, blank: Option<i64>, bits: u32) -> Result<Self, String> {
        if scale != 1.0 || zero.fract() != 0.0 || zero.abs() > 1.9e19 {
            return Err(format!("has `BSCALE` {scale} and `BZERO` {zero}, expected integers as they are or shifted"));
        }
        Ok(Self { zero: zero as i128, blank, bits })
    }

    /// The integer of a stored one. Negative ones are those of the same bits in two's complement; what is undefined has all bits.
    pub(super) fn value(self, stored: i64) -> u64 {
        if self.blank == Some(stored) {
            return u64::MAX;
        }
        let value = i128::from(stored) + self.zero;
        if value < 0 { (value as u64) & (u64::MAX >> (64 - self.bits.min(64))) } else { value as u64 }
    }

    /// Converts stored pixels of `bits` bits, highest byte first.
    pub(super) fn decode(self, bytes: &[u8], out: &mut [u64]) {
        match self.bits {
            8 => self.each(bytes, out, |[byte]: [u8; 1]| i64::from(byte)),
            16 => self.each(bytes, out, |bytes| i64::from(i16::from_be_bytes(bytes))),
            32 => self.each(bytes, out, |bytes| i64::from(i32::from_be_bytes(bytes))),
            _ => self.each(bytes, out, i64::from_be_bytes),
        }
    }

    fn each<const N: usize>(self, bytes: &[u8], out: &mut [u64], stored: impl Fn([u8; N]) -> i64) {
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
            *out = self.value(stored(*bytes));
        }
    }
}

/// The integer that a float of a mask is. What is undefined has all bits.
pub(super) fn of_float(value: f32) -> Result<u64, String> {
    if value.is_nan() {
        return Ok(u64::MAX);
    }
    // Larger floats skip integers: bits below the highest would be lost.
    if value.fract() != 0.0 || !(0.0..=16_777_216.0).contains(&value) {
        return Err(format!("has {value} in floats, expected integers from 0 to 16777216"));
    }
    Ok(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_and_signed_integers_keep_all_bits() {
        let scaling = |zero, bits| IntegerScaling::new(1.0, zero, None, bits).expect("integers");
        assert_eq!(scaling(2_147_483_648.0, 32).value(i64::from(i32::MIN) + 1), 1);
        assert_eq!(scaling(2_147_483_648.0, 32).value(i64::from(i32::MAX)), u64::from(u32::MAX));
        assert_eq!(scaling(0.0, 32).value(i64::from(i32::MIN) + 1), 1 << 31 | 1);
        assert_eq!(scaling(0.0, 64).value(i64::MIN), 1 << 63);
        assert_eq!(scaling(9_223_372_036_854_775_808.0, 64).value(i64::MIN + 5), 5);
        // A signed byte: -128 is bit 7.
        assert_eq!(scaling(-128.0, 8).value(0), 128);
        assert_eq!(scaling(-128.0, 8).value(129), 1);
        assert_eq!(IntegerScaling::new(1.0, 0.0, Some(-1), 16).expect("integers").value(-1), u64::MAX);
        assert!(IntegerScaling::new(2.0, 0.0, None, 16).is_err());
        assert!(IntegerScaling::new(1.0, 0.5, None, 16).is_err());
    }

    #[test]
    fn floats_are_integers_only_where_floats_have_all_integers() {
        assert_eq!(of_float(5.0), Ok(5));
        assert_eq!(of_float(f32::NAN), Ok(u64::MAX));
        assert!(of_float(0.5).is_err() && of_float(-1.0).is_err() && of_float(2e9).is_err());
    }
}
