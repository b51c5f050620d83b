//! PLIO line lists (FITS 4.0, section 10.4.3): runs of zeros and of a value, as instructions of 16 bits.

use super::bit_reader::no_leftovers;

/// Decodes a line list that covers exactly these pixels.
pub(super) fn decode(stream: &[u8], pixels: &mut [i32]) -> Result<(), String> {
    let instructions = instructions(stream)?;
    let total = pixels.len();
    let (mut at, mut value) = (0, 1_i32);
    let mut words = instructions.iter().map(|word| u16::from_be_bytes(*word));
    while let Some(word) = words.next() {
        let (code, data) = (word >> 12, i32::from(word & 0xfff));
        // How many zeros come first, and then pixels of the value.
        let (zeros, same) = match code {
            0 => (data, 0),
            4 => (0, data),
            5 if data > 0 => (data - 1, 1),
            1 => {
                let high = words.next().ok_or("ends within an instruction")?;
                value = i32::from(high as i16) << 12 | data;
                (0, 0)
            }
            2 | 6 => {
                value = value.wrapping_add(data);
                (0, i32::from(code == 6))
            }
            3 | 7 => {
                value = value.wrapping_sub(data);
                (0, i32::from(code == 7))
            }
            _ => return Err(format!("has the instruction {word:#06x}, which does not exist")),
        };
        if value < 0 {
            return Err(format!("has the value {value} after {at} of {total} pixels, expected 0 or more"));
        }
        for (count, value) in [(zeros, 0), (same, value)] {
            let run = pixels.get_mut(at..at + count as usize).ok_or_else(|| format!("has more than {total} pixels"))?;
            run.fill(value);
            at += count as usize;
        }
    }
    if at == total { Ok(()) } else { Err(format!("ends after {at} of {total} pixels")) }
}

/// The instructions of a list, without its header. The length in the header counts the words of both.
fn instructions(stream: &[u8]) -> Result<&[[u8; 2]], String> {
    let (words, odd) = stream.as_chunks::<2>();
    let word = |at: usize| words.get(at).map_or(0, |word| i32::from(i16::from_be_bytes(*word)));
    if words.len() < 5 || !odd.is_empty() {
        return Err("is shorter than the header of PLIO".into());
    }
    // The third word is the length of an old list, and negative in a new one, which has the length of its header.
    let (length, start) = if word(2) > 0 { (word(2), 3) } else { ((word(4) << 15) + word(3), word(1)) };
    if start < 3 || length < start || length as usize > words.len() {
        return Err(format!(
            "declares {length} words and {start} before the first instruction, but has {}",
            words.len()
        ));
    }
    let (list, rest) = words.split_at(length as usize);
    no_leftovers(rest.as_flattened())?;
    Ok(&list[start as usize..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn decoded(list: &[u16], pixels: usize) -> Result<Vec<i32>, String> {
        let length = (list.len() + 7) as u16;
        let stream = bytes(&[&[0, 7, (-100_i16) as u16, length, 0, 0, 0], list].concat());
        let mut out = vec![i32::MIN; pixels];
        decode(&stream, &mut out).map(|()| out)
    }

    #[test]
    fn instructions_write_runs() {
        assert_eq!(decoded(&[0x0003], 3), Ok(vec![0; 3]));
        // The value is 1 at first; then 1 more, 2 less, and 0x5 * 4096 + 7.
        assert_eq!(decoded(&[0x4002, 0x2001, 0x4001, 0x3002, 0x5003], 6), Ok(vec![1, 1, 2, 0, 0, 0]));
        assert_eq!(decoded(&[0x1007, 0x0005, 0x4002], 2), Ok(vec![20_487; 2]));
        assert_eq!(decoded(&[0x6004, 0x7002, 0x0001], 3), Ok(vec![5, 3, 0]));
    }

    #[test]
    fn lists_cover_all_pixels_and_no_more() {
        let error = |list: &[u16], pixels| decoded(list, pixels).expect_err("damaged");
        assert_eq!(error(&[0x0003], 4), "ends after 3 of 4 pixels");
        assert_eq!(error(&[0x0003, 0x4002], 4), "has more than 4 pixels");
        assert_eq!(error(&[0x0003, 0x6001, 0x6001], 4), "has more than 4 pixels");
        assert_eq!(error(&[0x1003], 4), "ends within an instruction");
        assert_eq!(error(&[0x3002, 0x4004], 4), "has the value -1 after 0 of 4 pixels, expected 0 or more");
        assert_eq!(error(&[0x8003], 4), "has the instruction 0x8003, which does not exist");
        assert_eq!(error(&[0x5000], 4), "has the instruction 0x5000, which does not exist");
    }

    #[test]
    fn line_lists_lie_within_their_stream() {
        let fits = |words: &[i16], pixels: usize| {
            let words: Vec<u16> = words.iter().map(|word| *word as u16).collect();
            decode(&bytes(&words), &mut vec![0; pixels]).is_ok()
        };
        // The old header: the length is the third word. In the new one it is the fifth (times 2^15) and fourth.
        assert!(fits(&[0, 0, 5, 3, 2], 5));
        assert!(!fits(&[0, 0, 6, 3, 2], 5));
        assert!(fits(&[0, 5, -100, 5, 0], 0));
        assert!(fits(&[0, 5, -100, 6, 0, 9], 9));
        assert!(!fits(&[0, 5, -100, 7, 0, 9], 9));
        assert!(!fits(&[0, 7, -100, 6, 0, 9], 9));
        assert!(!fits(&[0, 5, -100, 5, 1], 0));
        assert!(!fits(&[0, 5, -100, 5, -1], 0));
        assert!(fits(&[0, 3, 0, 5, 0], 5) && !fits(&[0, 2, 0, 5, 0], 5));
        assert!(!fits(&[0, 0, 4, 0], 0));
        // Words after the list are padding or damage.
        assert!(fits(&[0, 0, 5, 3, 2, 0, 0], 5) && !fits(&[0, 0, 5, 3, 2, 0, 1], 5));
    }
}
