//! The planes of a mask: which bits of an integer say that a pixel does not count.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Fits;
use crate::fits::Header;

/// Planes that describe a pixel without saying that it is bad (LSST and HSC).
const INFORMING: [&str; 10] = [
    "DETECTED",
    "DETECTED_NEGATIVE",
    "NOT_DEBLENDED",
    "INEXACT_PSF",
    "CLIPPED",
    "REJECTED",
    "SENSOR_EDGE",
    "FAKE",
    "INJECTED",
    "INJECTED_CORE",
];
/// The bits of an HDU of a mask in parts.
pub(in crate::source) const BITS_OF_PART: u32 = 32;

/// A plane of a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MaskPlane {
    /// The number of its bit, 0 for the lowest.
    Bit(u32),
    /// Its name, which each file gives a bit: keys `MP_BAD`, `MSKN0000` with `MSKM0000`, or `MB_BAD`.
    Name(String),
}

/// The bits of a mask that say that a pixel does not count, by the settings and the headers of its parts. The error is the reason
/// why a name is not known.
pub(in crate::source) fn bad_bits(settings: &Fits, parts: &[&Header]) -> Result<u64, String> {
    if let Some(bits) = settings.mask_bits {
        return Ok(bits);
    }
    let named = named_planes(parts);
    let Some(bad) = &settings.bad else {
        let informing = named.iter().filter(|(name, _)| INFORMING.contains(&name.as_str()));
        return Ok(!informing.fold(0, |bits, (_, own)| bits | own));
    };
    let mut bits = 0;
    for plane in bad {
        bits |= match plane {
            MaskPlane::Bit(bit) => 1u64.checked_shl(*bit).unwrap_or(0),
            MaskPlane::Name(name) => {
                let upper = name.to_ascii_uppercase();
                let found = named.iter().filter(|(own, _)| *own == upper).fold(0, |bits, (_, own)| bits | own);
                if found == 0 {
                    return Err(unknown_plane(name, &named));
                }
                found
            }
        };
    }
    Ok(bits)
}

fn unknown_plane(name: &str, named: &[(String, u64)]) -> String {
    let name = name.escape_debug();
    if named.is_empty() {
        return format!(
            "has a mask whose planes have no names, expected `{name}`: name bits by their numbers in `bad`"
        );
    }
    let known = named.iter().map(|(name, _)| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ");
    format!("has no mask plane `{name}`: it has {known}")
}

/// The planes that the headers of a mask name, in capitals, with their bits.
fn named_planes(parts: &[&Header]) -> Vec<(String, u64)> {
    let mut planes = Vec::new();
    for (part, header) in (0..).zip(parts) {
        let shift = part * BITS_OF_PART;
        for key in header.keys() {
            let key = key.to_ascii_uppercase();
            let bit = |key: &str| header.integer(key).ok().flatten().and_then(|bit| u32::try_from(bit).ok());
            let plane = if let Some(name) = key.strip_prefix("MP_").or_else(|| key.strip_prefix("MB_")) {
                bit(&key).and_then(|bit| 1u64.checked_shl(bit + shift)).map(|bits| (name.to_owned(), bits))
            } else if let Some(number) = key.strip_prefix("MSKN") {
                let mask = header.integer(&format!("MSKM{number}")).ok().flatten();
                let mask = mask.and_then(|mask| u64::try_from(mask).ok()).and_then(|mask| mask.checked_shl(shift));
                header.text(&key).zip(mask).map(|(name, bits)| (name.to_ascii_uppercase(), bits))
            } else {
                None
            };
            planes.extend(plane.filter(|(_, bits)| *bits != 0));
        }
    }
    planes
}

/// The named planes among the bits of masked pixels, in words, with how many pixels each has.
pub(in crate::source) fn counts_in_words(parts: &[&Header], pixels: &[u64]) -> String {
    let named = named_planes(parts);
    let count = |bits: u64| pixels.iter().filter(|pixel| **pixel & bits != 0).count();
    let counts: Vec<String> = named
        .iter()
        .map(|(name, bits)| (name, count(*bits)))
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{} {count}", name.escape_debug()))
        .collect();
    if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{CardValue, FitsFile, Limits, Writer};

    fn header(cards: &[(&str, CardValue)]) -> Header {
        let cards: Vec<_> = cards.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut file = Writer::new();
        file.image(&[1, 1], &[0.0], &cards);
        FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file").hdus()[0].header.clone()
    }

    fn bits(bad: &[&str], parts: &[&Header]) -> Result<u64, String> {
        let mut settings = Fits::new(["x"]);
        settings.bad = Some(bad.iter().map(|name| MaskPlane::Name((*name).to_owned())).collect());
        bad_bits(&settings, parts)
    }

    #[test]
    fn names_are_looked_up_in_each_file() {
        let integer = CardValue::Integer;
        let text = |name: &str| CardValue::Text(name.to_owned());
        let lsst = header(&[("MP_BAD", integer(0)), ("MP_SAT", integer(1)), ("MP_DETECTED_NEGATIVE", integer(6))]);
        assert_eq!(bits(&["SAT", "bad"], &[&lsst]), Ok(3));
        assert_eq!(bits(&["DETECTED_NEGATIVE"], &[&lsst]), Ok(64));
        let cells = header(&[
            ("MSKN0000", text("BAD")),
            ("MSKM0000", integer(1)),
            ("MSKN0005", text("CR")),
            ("MSKM0005", integer(32)),
        ]);
        assert_eq!(bits(&["CR"], &[&cells]), Ok(32));
        // The second part of a mask has the higher bits.
        let more = header(&[("MSKN0001", text("STREAK")), ("MSKM0001", integer(2))]);
        assert_eq!(bits(&["BAD", "STREAK"], &[&cells, &more]), Ok(1 | 2 << 32));
        assert_eq!(bits(&["NO_DATA"], &[&cells]), Err("has no mask plane `NO_DATA`: it has `BAD`, `CR`".into()));
        assert!(bits(&["BAD"], &[&header(&[])]).is_err_and(|reason| reason.contains("no names")));
    }

    #[test]
    fn planes_that_only_inform_do_not_count_by_default() {
        let lsst = header(&[("MP_BAD", CardValue::Integer(0)), ("MP_DETECTED", CardValue::Integer(5))]);
        let settings = Fits::new(["x"]);
        assert_eq!(bad_bits(&settings, &[&lsst]), Ok(!32));
        assert_eq!(bad_bits(&settings, &[&header(&[])]), Ok(u64::MAX));
        let numbers = Fits { bad: Some(vec![MaskPlane::Bit(0), MaskPlane::Bit(33)]), ..settings.clone() };
        assert_eq!(bad_bits(&numbers, &[&lsst]), Ok(1 | 1 << 33));
        assert_eq!(bad_bits(&Fits { mask_bits: Some(6), ..settings }, &[&lsst]), Ok(6));
    }

    #[test]
    fn masked_pixels_are_counted_by_plane() {
        let lsst = header(&[("MP_BAD", CardValue::Integer(0)), ("MP_CR", CardValue::Integer(3))]);
        assert_eq!(counts_in_words(&[&lsst], &[1, 9, 8, 16]), " (BAD 2, CR 2)");
        assert_eq!(counts_in_words(&[&header(&[])], &[1]), "");
    }
}
