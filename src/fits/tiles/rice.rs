//! Checks Rice streams (FITS 4.0, section 10.4.1): cfitsio's decoder reads on where a damaged stream ends, and takes what follows for
//! pixels.

/// How the pixels of a Rice stream are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RicePacking {
    /// Pixels in a block, which share the number of bits that are stored as they are.
    pub(super) block: usize,
    /// Bytes of a pixel: 1, 2 or 4.
    pub(super) bytes: usize,
}

/// Rejects a stream that does not hold a number of pixels, by going through it as a decoder does.
pub(super) fn check_rice(stream: &[u8], packing: RicePacking, pixels: usize) -> Result<(), String> {
    let (code_bits, direct) = match packing.bytes {
        1 => (3, 6),
        2 => (4, 14),
        _ => (5, 25),
    };
    let pixel_bits = 8 * packing.bytes;
    let mut bits = Bits { bytes: stream, at: 0 };
    let short = |done: usize| format!("ends after about {done} of {pixels} pixels");
    // The first pixel; the others are differences.
    bits.skip(pixel_bits).ok_or_else(|| short(0))?;
    let mut done = 0;
    while done < pixels {
        let count = packing.block.min(pixels - done);
        let code = bits.take(code_bits).ok_or_else(|| short(done))? as usize;
        let read = match code {
            // All differences are zero.
            0 => Some(()),
            code if code == direct + 1 => bits.skip(pixel_bits * count),
            code if code > direct + 1 => return Err(format!("has a block with {} bits a pixel", code - 1)),
            code => (0..count).try_for_each(|_| bits.skip_unary().and_then(|()| bits.skip(code - 1))),
        };
        read.ok_or_else(|| short(done))?;
        done += count;
    }
    Ok(())
}

/// Bits of a stream, the most significant bit of a byte first. `None` past the end.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits so far.
    at: usize,
}

impl Bits<'_> {
    /// Whether the stream has as many bits as were passed.
    fn within(&self) -> Option<()> {
        (self.at <= 8 * self.bytes.len()).then_some(())
    }

    /// The next bits, at least 57 of them, from the top; zeros after the end.
    fn next(&self) -> u64 {
        let from = self.at / 8;
        let word = match self.bytes.get(from..from + 8) {
            Some(bytes) => u64::from_be_bytes(bytes.try_into().unwrap_or_default()),
            None => {
                let rest = self.bytes.get(from..).unwrap_or_default();
                rest.iter().zip((0..8).rev()).fold(0, |word, (byte, place)| word | u64::from(*byte) << (8 * place))
            }
        };
        word << (self.at % 8)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        self.within()
    }

    /// A number of a few bits.
    fn take(&mut self, count: usize) -> Option<u64> {
        let value = self.next() >> (64 - count);
        self.skip(count)?;
        Some(value)
    }

    /// Passes zeros and the one after them.
    fn skip_unary(&mut self) -> Option<()> {
        loop {
            let zeros = self.next().leading_zeros() as usize;
            if zeros < 57 {
                return self.skip(zeros + 1);
            }
            self.skip(57)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits as bytes; `|` and blanks are for readers.
    fn stream(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(|bit| b"01".contains(bit)).map(|bit| bit - b'0').collect();
        bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |sum, (at, bit)| sum | bit << (7 - at))).collect()
    }

    #[test]
    fn a_stream_holds_its_pixels_to_the_last_bit() {
        let check = |bits: &str, bytes, pixels| check_rice(&stream(bits), RicePacking { block: 4, bytes }, pixels);
        // One byte a pixel: the first one, then blocks of code 0 (zeros), 3 (two bits as they are) and 7 (eight of them).
        let first = "00000101";
        assert!(check(&format!("{first} 000 000 00"), 1, 8).is_ok());
        let unary = format!("{first} 011 1|01 01|11 00001|00 1|10");
        assert_eq!(stream(&unary).len(), 4);
        assert!(check(&unary, 1, 4).is_ok());
        let error = check(&unary[..unary.len() - 9], 1, 4).expect_err("cut off");
        assert_eq!(error, "ends after about 0 of 4 pixels");
        assert!(check(&unary, 1, 40).is_err());
        let direct = format!("{first} 111 {}", "10110011".repeat(4));
        assert!(check(&direct, 1, 4).is_ok());
        assert!(check(&direct, 1, 40).is_err_and(|error| error.contains("of 40 pixels")));
        assert!(check("0", 2, 1).is_err() && check("", 1, 1).is_err());
        // Two and four bytes: codes of 4 and 5 bits, up to 15 and 26.
        assert!(check(&format!("{} 1111 {}", "0".repeat(16), "1".repeat(64)), 2, 4).is_ok());
        assert!(check(&format!("{} 11010 {}", "0".repeat(32), "1".repeat(128)), 4, 4).is_ok());
        let error = check(&format!("{} 11011 {}", "0".repeat(32), "1".repeat(256)), 4, 4).expect_err("no such code");
        assert_eq!(error, "has a block with 26 bits a pixel");
    }

    #[test]
    fn zeros_without_end_are_not_a_pixel() {
        let mut bytes = stream(&format!("{} 00010", "0".repeat(32)));
        bytes.extend([0; 4096]);
        let packing = RicePacking { block: 32, bytes: 4 };
        assert!(check_rice(&bytes, packing, 1).is_err());
        *bytes.last_mut().expect("bytes") = 3;
        assert!(check_rice(&bytes, packing, 1).is_ok());
    }
}
