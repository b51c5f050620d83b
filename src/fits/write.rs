//! Writes FITS: images of float32 or integers with keys, as bytes in memory.

use super::{header::CardValue, structure::BLOCK};

/// A file of images: the first is the primary HDU, the others are extensions.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an image of float32 with its axes (slowest first; an HDU without pixels has none) and further keys.
    ///
    /// Keys longer than eight characters become `HIERARCH` cards, texts longer than a card are continued in `CONTINUE` cards.
    /// Characters outside ASCII become `?`.
    ///
    /// # Panics
    /// When the number of pixels is not the product of the axes.
    pub fn image(&mut self, shape: &[usize], pixels: &[f32], keys: &[(String, CardValue)]) {
        self.header(shape, (-32, pixels.len()), keys);
        self.data(pixels.iter().map(|pixel| pixel.to_be_bytes()));
    }

    /// The same for integers: of 32 bits where all fit, else of 64, with the `BZERO` of the standard for unsigned ones.
    ///
    /// # Panics
    /// As [`Self::image`].
    pub fn integers(&mut self, shape: &[usize], pixels: &[u64], keys: &[(String, CardValue)]) {
        let most = pixels.iter().copied().max().unwrap_or(0);
        if let (Ok(_), pixels) = (i32::try_from(most), pixels) {
            self.header(shape, (32, pixels.len()), keys);
            return self.data(pixels.iter().map(|pixel| (*pixel as i32).to_be_bytes()));
        }
        let zero = [("BZERO".to_owned(), CardValue::Real(9_223_372_036_854_775_808.0))];
        self.header(shape, (64, pixels.len()), &[&zero[..], keys].concat());
        self.data(pixels.iter().map(|pixel| (pixel ^ 1 << 63).to_be_bytes()));
    }

    /// Appends a header: the bits of a pixel and the number of pixels, then further keys.
    fn header(&mut self, shape: &[usize], (bitpix, pixels): (i64, usize), keys: &[(String, CardValue)]) {
        assert_eq!(if shape.is_empty() { 0 } else { shape.iter().product() }, pixels, "pixels fill the axes");
        let primary = self.bytes.is_empty();
        let file = &mut self.bytes;
        if primary {
            card(file, "SIMPLE", &CardValue::Logical(true));
        } else {
            card(file, "XTENSION", &CardValue::Text("IMAGE".into()));
        }
        card(file, "BITPIX", &CardValue::Integer(bitpix));
        card(file, "NAXIS", &CardValue::Integer(shape.len() as i64));
        for (axis, length) in (1..).zip(shape.iter().rev()) {
            card(file, &format!("NAXIS{axis}"), &CardValue::Integer(*length as i64));
        }
        if primary {
            card(file, "EXTEND", &CardValue::Logical(true));
        } else {
            card(file, "PCOUNT", &CardValue::Integer(0));
            card(file, "GCOUNT", &CardValue::Integer(1));
        }
        for (key, value) in keys {
            card(file, key, value);
        }
        file.extend_from_slice(format!("{:<80}", "END").as_bytes());
        file.resize(file.len().next_multiple_of(BLOCK), b' ');
    }

    fn data<const N: usize>(&mut self, pixels: impl ExactSizeIterator<Item = [u8; N]>) {
        let file = &mut self.bytes;
        file.reserve(N * pixels.len() + BLOCK);
        file.extend(pixels.flatten());
        file.resize(file.len().next_multiple_of(BLOCK), 0);
    }

    /// A file that continues after these bytes, which [`as_bytes`](Self::as_bytes) gave.
    pub fn continuing(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of the file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Appends a card, or several for a long text. NaN and infinity, which FITS cannot represent, give an undefined key.
pub(super) fn card(file: &mut Vec<u8>, key: &str, value: &CardValue) {
    let key: String = key
        .chars()
        .map(|letter| if (' '..='~').contains(&letter) { letter.to_ascii_uppercase() } else { '_' })
        .collect();
    let long = key.len() > 8 || key.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(&byte));
    let start = if long { format!("HIERARCH {} = ", key.replace('=', "_")) } else { format!("{key:<8}= ") };
    let fixed = |text: String| if long { text } else { format!("{text:>20}") };
    let written = match value {
        CardValue::Logical(value) => fixed((if *value { "T" } else { "F" }).to_owned()),
        CardValue::Integer(value) => fixed(value.to_string()),
        CardValue::BigInteger(digits) => fixed(digits.clone()),
        CardValue::Real(value) if !value.is_finite() => String::new(),
        CardValue::Real(value) => fixed(format!("{value:?}").replace('e', "E")),
        CardValue::Text(text) => return text_cards(file, &start, text),
    };
    line(file, &format!("{start}{written}"));
}

fn line(file: &mut Vec<u8>, text: &str) {
    // Only a HIERARCH key can be too long. It is cut before its value: no value is better than a wrong one.
    let text = if text.len() > 80 { &text[..text.find('=').unwrap_or(80).min(80)] } else { text };
    file.extend_from_slice(format!("{text:<80}").as_bytes());
}

fn text_cards(file: &mut Vec<u8>, start: &str, text: &str) {
    let letters: Vec<String> = text
        .chars()
        .map(|letter| if (' '..='~').contains(&letter) { letter } else { '?' })
        .map(|letter| if letter == '\'' { "''".to_owned() } else { letter.to_string() })
        .collect();
    let mut rest = letters.as_slice();
    let mut start = start.to_owned();
    loop {
        // Two quotes, and the `&` of a card that is continued.
        let room = 80usize.saturating_sub(start.len() + 3).max(2);
        let mut taken = 0;
        let mut length = 0;
        while taken < rest.len() && length + rest[taken].len() <= room {
            length += rest[taken].len();
            taken += 1;
        }
        let (now, continued) = rest.split_at(taken);
        let ampersand = if continued.is_empty() { "" } else { "&" };
        let inside = format!("{}{ampersand}", now.concat());
        line(file, &format!("{start}'{inside:<8}'"));
        if continued.is_empty() {
            return;
        }
        rest = continued;
        start = "CONTINUE  ".to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{FitsFile, Limits};

    fn cards(key: &str, value: &CardValue) -> Vec<String> {
        let mut file = Vec::new();
        card(&mut file, key, value);
        file.chunks(80).map(|card| String::from_utf8_lossy(card).trim_end().to_owned()).collect()
    }

    #[test]
    fn cards_have_the_fixed_format_of_the_standard() {
        assert_eq!(cards("simple", &CardValue::Logical(true)), ["SIMPLE  =                    T"]);
        assert_eq!(cards("VISIT", &CardValue::Integer(-7)), ["VISIT   =                   -7"]);
        assert_eq!(cards("SCALE", &CardValue::Real(1.5e-30)), ["SCALE   =              1.5E-30"]);
        assert_eq!(cards("NOTHING", &CardValue::Real(f64::INFINITY)), ["NOTHING ="]);
        // A text has eight characters at least.
        assert_eq!(cards("OBJECT", &CardValue::Text("it's".to_owned())), ["OBJECT  = 'it''s   '"]);
        assert_eq!(cards("OBJECT", &CardValue::Text("\u{e9}".to_owned())), ["OBJECT  = '?       '"]);
        assert_eq!(cards("EIGHTLET", &CardValue::Integer(1))[0].len(), 30);
        assert_eq!(cards("NINELETTR", &CardValue::Integer(1)), ["HIERARCH NINELETTR = 1"]);
        assert_eq!(cards("A B", &CardValue::Integer(1)), ["HIERARCH A B = 1"]);
        // A text that fills a card to its end, and one character more.
        let text = |length| cards("OBJECT", &CardValue::Text("x".repeat(length)));
        assert_eq!(text(67), [format!("OBJECT  = '{}'", "x".repeat(67))]);
        assert_eq!(text(68), [format!("OBJECT  = '{}&'", "x".repeat(67)), "CONTINUE  'x       '".to_owned()]);
    }

    #[test]
    fn a_key_that_is_too_long_keeps_no_value() {
        let found = cards(&"K".repeat(65), &CardValue::Integer(123_456));
        assert_eq!(found, [format!("HIERARCH {}", "K".repeat(65))]);
        assert_eq!(cards(&"K".repeat(90), &CardValue::Integer(1)), [format!("HIERARCH {}", "K".repeat(71))]);
    }

    #[test]
    fn integers_are_read_back_exactly() {
        for (pixels, bitpix) in [([0, 1, 5, 1 << 30], 32), ([0, 1 << 31, 1 << 53 | 1, u64::MAX - 1], 64)] {
            let mut file = Writer::new();
            file.integers(&[2, 2], &pixels, &[]);
            let fits = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
            assert_eq!(fits.hdus()[0].header.get("BITPIX"), Some(CardValue::Integer(bitpix)));
            assert_eq!(fits.integer_part(0, &(0..4)).expect("integers"), pixels);
            assert_eq!(fits.integer_part(0, &(1..3)).expect("integers"), pixels[1..3]);
        }
    }

    #[test]
    fn images_and_keys_are_read_back_as_written() {
        let long = "it's a long text, ".repeat(12);
        let keys = [
            ("OBJECT".to_owned(), CardValue::Text(long.clone())),
            ("PIXSCALE".to_owned(), CardValue::Real(0.2)),
            ("VISIT".to_owned(), CardValue::Integer(-7)),
            ("airmass at start".to_owned(), CardValue::Real(1.0e-30)),
            ("NOTHING".to_owned(), CardValue::Real(f64::NAN)),
        ];
        let mut file = Writer::new();
        file.image(&[], &[], &[]);
        file.image(&[2, 3], &[1.0, -2.5, f32::NAN, 4.0, 5.0, f32::MIN_POSITIVE / 2.0], &keys);
        let fits = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let header = &fits.hdus()[1].header;
        assert_eq!(header.text("OBJECT").as_deref(), Some(long.trim_end()));
        assert_eq!(header.get("PIXSCALE"), Some(CardValue::Real(0.2)));
        assert_eq!(header.get("VISIT"), Some(CardValue::Integer(-7)));
        assert_eq!(header.get("AIRMASS AT START"), Some(CardValue::Real(1.0e-30)));
        assert_eq!(header.get("NOTHING"), None);
        let image = fits.image(1).expect("an image");
        let mut pixels = [0.0; 6];
        image.copy(0, &mut pixels);
        assert_eq!(image.shape(), [2, 3]);
        assert!(pixels[2].is_nan());
        assert_eq!((pixels[1], pixels[5]), (-2.5, f32::MIN_POSITIVE / 2.0));
    }
}
