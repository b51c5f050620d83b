//! FITS written: float32 images with their keys, as bytes.

use super::{header::Value, structure::BLOCK};

/// A file of float32 images, first the primary one, then extensions.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an image with its axes (slowest first; no axes, no pixels) and further keys.
    ///
    /// Keys longer than eight letters become `HIERARCH` cards, texts longer than a card `CONTINUE` cards; letters that
    /// FITS does not know become `?`.
    ///
    /// # Panics
    /// When the pixels do not fill the axes.
    pub fn image(&mut self, shape: &[usize], pixels: &[f32], keys: &[(String, Value)]) {
        assert_eq!(if shape.is_empty() { 0 } else { shape.iter().product() }, pixels.len(), "pixels fill the axes");
        let primary = self.bytes.is_empty();
        let file = &mut self.bytes;
        if primary {
            card(file, "SIMPLE", &Value::Logical(true));
        } else {
            card(file, "XTENSION", &Value::Text("IMAGE".into()));
        }
        card(file, "BITPIX", &Value::Integer(-32));
        card(file, "NAXIS", &Value::Integer(shape.len() as i64));
        for (axis, length) in (1..).zip(shape.iter().rev()) {
            card(file, &format!("NAXIS{axis}"), &Value::Integer(*length as i64));
        }
        if primary {
            card(file, "EXTEND", &Value::Logical(true));
        } else {
            card(file, "PCOUNT", &Value::Integer(0));
            card(file, "GCOUNT", &Value::Integer(1));
        }
        for (key, value) in keys {
            card(file, key, value);
        }
        file.extend_from_slice(format!("{:<80}", "END").as_bytes());
        file.resize(file.len().next_multiple_of(BLOCK), b' ');
        file.reserve(4 * pixels.len() + BLOCK);
        file.extend(pixels.iter().flat_map(|pixel| pixel.to_be_bytes()));
        file.resize(file.len().next_multiple_of(BLOCK), 0);
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Appends a card (or several, for a long text). A number that FITS cannot say (NaN, infinity) gives an undefined key.
pub(super) fn card(file: &mut Vec<u8>, key: &str, value: &Value) {
    let key: String = key
        .chars()
        .map(|letter| if (' '..='~').contains(&letter) { letter.to_ascii_uppercase() } else { '_' })
        .collect();
    let long = key.len() > 8 || key.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(&byte));
    let start = if long { format!("HIERARCH {} = ", key.replace('=', "_")) } else { format!("{key:<8}= ") };
    let fixed = |text: String| if long { text } else { format!("{text:>20}") };
    let said = match value {
        Value::Logical(value) => fixed((if *value { "T" } else { "F" }).to_owned()),
        Value::Integer(value) => fixed(value.to_string()),
        Value::Real(value) if !value.is_finite() => String::new(),
        Value::Real(value) => fixed(format!("{value:?}").replace('e', "E")),
        Value::Text(text) => return text_cards(file, &start, text),
    };
    line(file, &format!("{start}{said}"));
}

fn line(file: &mut Vec<u8>, text: &str) {
    // Only a HIERARCH key can be too long: it is cut, and keeps no value rather than a wrong one.
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
        // Two quotes, and the `&` of a card that goes on.
        let room = 80usize.saturating_sub(start.len() + 3).max(2);
        let mut taken = 0;
        let mut length = 0;
        while taken < rest.len() && length + rest[taken].len() <= room {
            length += rest[taken].len();
            taken += 1;
        }
        let (now, later) = rest.split_at(taken);
        let more = if later.is_empty() { "" } else { "&" };
        let inside = format!("{}{more}", now.concat());
        line(file, &format!("{start}'{inside:<8}'"));
        if later.is_empty() {
            return;
        }
        rest = later;
        start = "CONTINUE  ".to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{Fits, Limits};

    #[test]
    fn what_is_written_is_read_back() {
        let long = "it's a long text, ".repeat(12);
        let keys = [
            ("OBJECT".to_owned(), Value::Text(long.clone())),
            ("PIXSCALE".to_owned(), Value::Real(0.2)),
            ("VISIT".to_owned(), Value::Integer(-7)),
            ("airmass at start".to_owned(), Value::Real(1.0e-30)),
            ("NOTHING".to_owned(), Value::Real(f64::NAN)),
        ];
        let mut file = Writer::new();
        file.image(&[], &[], &[]);
        file.image(&[2, 3], &[1.0, -2.5, f32::NAN, 4.0, 5.0, f32::MIN_POSITIVE / 2.0], &keys);
        let fits = Fits::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let header = &fits.hdus()[1].header;
        assert_eq!(header.text("OBJECT").as_deref(), Some(long.trim_end()));
        assert_eq!(header.get("PIXSCALE"), Some(Value::Real(0.2)));
        assert_eq!(header.get("VISIT"), Some(Value::Integer(-7)));
        assert_eq!(header.get("AIRMASS AT START"), Some(Value::Real(1.0e-30)));
        assert_eq!(header.get("NOTHING"), None);
        let image = fits.image(1).expect("an image");
        let mut pixels = [0.0; 6];
        image.copy(0, &mut pixels);
        assert_eq!(image.shape(), [2, 3]);
        assert!(pixels[2].is_nan());
        assert_eq!((pixels[1], pixels[5]), (-2.5, f32::MIN_POSITIVE / 2.0));
    }
}
