//! The cards of a FITS header (FITS 4.0, section 4), kept as they lie in the file and read when asked for.

/// Bytes of a card.
pub(super) const CARD: usize = 80;

/// A header: its cards up to `END`, which is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    cards: Vec<u8>,
}

/// What a key says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `'text'`, or anything that is none of the others.
    Text(String),
    /// `T` or `F`.
    Logical(bool),
    /// A number without point or exponent.
    Integer(i64),
    /// Any other number.
    Real(f64),
}

impl Value {
    /// The value as text, as it would be written in a table.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Logical(value) => (if *value { "true" } else { "false" }).to_owned(),
            Self::Integer(value) => value.to_string(),
            Self::Real(value) => value.to_string(),
        }
    }

    /// The value as a number, if it is one.
    pub fn to_number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Real(value) => Some(*value),
            Self::Text(_) | Self::Logical(_) => None,
        }
    }
}

impl Header {
    /// A header of whole cards, without `END`.
    pub(super) fn new(cards: Vec<u8>) -> Self {
        Self { cards }
    }

    /// The cards, 80 bytes each.
    pub fn cards(&self) -> std::slice::ChunksExact<'_, u8> {
        self.cards.chunks_exact(CARD)
    }

    /// The value of a key: `None` when the key is not there or says nothing. The first card of a key counts; long
    /// strings (`CONTINUE`) are put together; keys longer than eight letters are looked for as `HIERARCH`.
    pub fn get(&self, key: &str) -> Option<Value> {
        let at = self.cards().position(|card| value_field(card, key).is_some())?;
        let mut cards = self.cards().skip(at);
        let field = value_field(cards.next()?, key)?;
        let Some(mut text) = quoted(field) else { return unquoted(field) };
        for card in cards {
            if !text.ends_with('&') || !card.starts_with(b"CONTINUE  ") {
                break;
            }
            let Some(more) = quoted(card[10..].trim_ascii_start()) else { break };
            text.pop();
            text.push_str(&more);
        }
        Some(Value::Text(text.trim_end().to_owned()))
    }

    /// A key as text, whatever it is; `None` also when it is empty.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| value.to_text().trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A key that has to be a number if it is there.
    pub fn number(&self, key: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.to_number().map(Some).ok_or_else(|| wrong(key, &value, "a number"))
    }

    /// A key that has to be an integer if it is there.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(value)),
            Some(value) => Err(wrong(key, &value, "an integer")),
        }
    }

    /// An integer that the standard demands.
    pub(super) fn required(&self, key: &str) -> Result<i64, String> {
        self.integer(key)?.ok_or_else(|| format!("key `{key}` is missing, expected an integer"))
    }

    /// Whether a logical key is there and true.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some(Value::Logical(true))
    }
}

fn wrong(key: &str, value: &Value, expected: &str) -> String {
    let found: String = value.to_text().chars().take(40).collect();
    format!("key `{key}` is `{}`, expected {expected}", found.escape_debug())
}

/// What follows the `= ` of a card, when the card is of this key.
fn value_field<'a>(card: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let (name, rest) = card.split_at(8);
    let key = key.as_bytes();
    if name.starts_with(b"HIERARCH") {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let found = rest[..equals].trim_ascii();
        let wanted = key.strip_prefix(b"HIERARCH ").unwrap_or(key);
        return found.eq_ignore_ascii_case(wanted).then(|| rest[equals + 1..].trim_ascii_start());
    }
    let same =
        key.len() <= 8 && name[..key.len()].eq_ignore_ascii_case(key) && name[key.len()..].trim_ascii().is_empty();
    (same && rest.starts_with(b"=")).then(|| rest[1..].trim_ascii_start())
}

/// A string in quotes: a doubled quote is one, and the blanks at the end do not count (nor does a missing last quote).
fn quoted(field: &[u8]) -> Option<String> {
    let inside = field.strip_prefix(b"'")?;
    let mut bytes = Vec::with_capacity(inside.len());
    let mut at = 0;
    while let Some(&byte) = inside.get(at) {
        if byte == b'\'' {
            if inside.get(at + 1) != Some(&b'\'') {
                break;
            }
            at += 1;
        }
        bytes.push(byte);
        at += 1;
    }
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn unquoted(field: &[u8]) -> Option<Value> {
    let end = field.iter().position(|byte| *byte == b'/').unwrap_or(field.len());
    let text = String::from_utf8_lossy(&field[..end]).trim().to_owned();
    match text.as_str() {
        "" => None,
        "T" => Some(Value::Logical(true)),
        "F" => Some(Value::Logical(false)),
        _ => Some(number(&text).unwrap_or(Value::Text(text))),
    }
}

fn number(text: &str) -> Option<Value> {
    // Rust also reads `inf` and `nan`, which a header cannot mean.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eEdD".contains(&byte)) {
        return None;
    }
    if let Ok(value) = text.parse() {
        return Some(Value::Integer(value));
    }
    let value: f64 = text.replace(['d', 'D'], "E").parse().ok()?;
    value.is_finite().then_some(Value::Real(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cards: &[&str]) -> Header {
        Header::new(cards.iter().flat_map(|card| format!("{card:<80}").into_bytes()).collect())
    }

    #[test]
    fn keys_have_the_type_that_they_are_written_in() {
        let header = header(&[
            "SIMPLE  =                    T / yes",
            "NAXIS1  =                 -100",
            "BSCALE  =              1.5D-03 / Fortran",
            "OBJECT  = 'it''s / here  '     / a quote and a slash",
            "EMPTY   =                      / undefined",
            "DATE    = 2026-11-23",
        ]);
        assert_eq!(header.get("SIMPLE"), Some(Value::Logical(true)));
        assert_eq!(header.get("NAXIS1"), Some(Value::Integer(-100)));
        assert_eq!(header.get("BSCALE"), Some(Value::Real(1.5e-3)));
        assert_eq!(header.text("OBJECT").as_deref(), Some("it's / here"));
        assert_eq!(header.get("EMPTY"), None);
        assert_eq!(header.text("DATE").as_deref(), Some("2026-11-23"));
        assert_eq!(header.get("NAXIS"), None);
    }

    #[test]
    fn a_long_string_is_put_together() {
        let header = header(&["LONG    = 'one &'", "CONTINUE  'two &'", "CONTINUE  'three' / end", "NEXT    = 'x&'"]);
        assert_eq!(header.text("LONG").as_deref(), Some("one two three"));
        assert_eq!(header.text("NEXT").as_deref(), Some("x&"));
    }

    #[test]
    fn a_long_key_is_looked_for_as_hierarch() {
        let header = header(&["HIERARCH ESO TEL AIRM = 1.25 / airmass"]);
        assert_eq!(header.get("ESO TEL AIRM"), Some(Value::Real(1.25)));
    }

    #[test]
    fn a_number_of_the_wrong_kind_names_its_key() {
        let header = header(&["NAXIS1  = 'abc'", "BITPIX  = 1.5"]);
        assert_eq!(header.integer("NAXIS1"), Err("key `NAXIS1` is `abc`, expected an integer".into()));
        assert_eq!(header.integer("BITPIX"), Err("key `BITPIX` is `1.5`, expected an integer".into()));
    }
}
